"""A script's own record, its journal, held against the ledger: entry by entry, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from order_processor_client import Entry

from tests.support.books import Books, Row

CASH = {"/balance/deposit": "DEPOSIT", "/balance/withdraw": "WITHDRAW"}


def reckon(entries: Iterable[Entry], books: Books) -> list[str]:
    """What is wrong, in sentences: each change of the journal is in the ledger as it was answered, and nothing else.

    No entry may be open. The changes are deposits, withdrawals, orders, other limits of one, and cancellations of one.
    """
    entries = list(entries)
    claims = {row["SK"].removeprefix("REQUEST#"): row["reference"] for row in books.claims}
    found = [f"{each.key} is open" for each in entries if each.is_open]
    found += [
        f"{each.key} was {each.state}, and is there" for each in entries if each.state != "done" and each.key in claims
    ]
    done = {each.key: each for each in entries if each.state == "done"}
    found += [f"the journal has no {key}" for key in claims.keys() - done.keys()]
    for key, entry in done.items():
        if claims.get(key) != reference(entry):
            found.append(f"{key} made {reference(entry)}, and the ledger says {claims.get(key)}")
    return [*found, *_check_cash(done.values(), books), *_check_orders(done.values(), books)]


def reference(entry: Entry) -> str:
    """What a change made, by its answer."""
    if entry.path in CASH:
        return str(entry.answer["transaction_id"])
    order = entry.answer["data"]
    return f"{order['order_id']} {order['revision']}" if entry.method == "PATCH" else str(order["order_id"])


def _check_cash(done: Iterable[Entry], books: Books) -> Iterator[str]:
    made = {reference(entry): entry for entry in done if entry.path in CASH}
    for row in books.transactions:
        if row["transaction_type"] not in CASH.values():
            continue
        entry = made.pop(row["transaction_id"], None)
        if entry is None:
            yield f"the journal has no {row['transaction_id']}"
            continue
        body, told = entry.body or {}, entry.answer["transaction"]
        wanted = (CASH[entry.path], f"{Decimal(body['amount']):.2f}", body["description"])
        stands = (row["transaction_type"], row["amount"], row["description"])
        names = ("previous_balance", "new_balance")
        if wanted != stands or any(told[name] != row[name] for name in names):
            yield f"{entry.key} asked for {wanted} and was told {told}, and there is {row}"
    yield from (f"{each} is not there" for each in made)


def _check_orders(done: Iterable[Entry], books: Books) -> Iterator[str]:
    done = list(done)
    made = {reference(entry): entry for entry in done if entry.path == "/orders"}
    cancelled = {reference(entry) for entry in done if entry.path.endswith("/cancel")}
    limits = _last_limits(done)
    for row in books.orders:
        entry = made.pop(row["order_id"], None)
        if entry is None:
            yield f"the journal has no {row['order_id']}"
            continue
        asked, stands = _asked(entry, limits), _stands(row, entry)
        if asked != stands:
            yield f"{entry.key} asked for {asked}, and there is {stands}"
        told: Any = entry.answer["data"]
        if told["status"] == "completed" and (row["status"], row["total_amount"]) != (
            "COMPLETED",
            told["total_amount"],
        ):
            yield f"{entry.key} was told {told}, and there is {row}"
        if (row["status"] == "CANCELLED") is not (row["order_id"] in cancelled):
            yield f"{row['order_id']} is {row['status']}, and the journal says otherwise"
    yield from (f"{each} is not there" for each in made)


def _last_limits(done: Iterable[Entry]) -> dict[str, str]:
    """The limit of each order after its last change. The service counts the changes, whatever came first here."""
    changes = [(each.answer["data"], each.body or {}) for each in done if each.method == "PATCH"]
    return {order["order_id"]: body["price"] for order, body in sorted(changes, key=lambda each: each[0]["revision"])}


def _asked(entry: Entry, limits: dict[str, str]) -> tuple[str, ...]:
    body = entry.body or {}
    limit = limits.get(reference(entry), body.get("price", ""))
    return (body["order_type"], body["asset_id"], _plain(body.get("quantity", "")), _plain(limit))


def _stands(row: Row, entry: Entry) -> tuple[str, ...]:
    kind = f"{row['price_type']}_{row['order_type']}".lower()
    spend = (entry.body or {}).get("spend")
    quantity = "" if spend and Decimal(row["total_amount"]) <= Decimal(spend) else _plain(row["quantity"])
    return (kind, row["asset_id"], quantity, _plain(row.get("limit_price", "")))


def _plain(digits: str) -> str:
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
