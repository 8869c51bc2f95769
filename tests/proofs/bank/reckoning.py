"""The reckoning: what the customers were told, held against what stands in the ledger.

It goes by the claims, which say what each key made, and by what the customers wrote into each entry: the key as the
description of a movement of cash, and the quantity of an order. What it finds wrong are sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from tests.proofs.bank.calls import Call, Fate
from tests.proofs.bank.kinds import PLACING
from tests.support.books import Books, Row

CASH = {"deposit": "DEPOSIT", "withdraw": "WITHDRAW", "adjust": "SYSTEM_ADJUSTMENT"}


def claim_name(call: Call, admin: str) -> str:
    """The name of the claim of a keyed call: before the keys of an admin stands whose they are."""
    return f"{admin} {call.key}" if call.kind == "adjust" else call.key


def claims_of(books: Books) -> dict[str, str]:
    """What each key made: the id of a transaction or an order."""
    return {
        f"{row['PK']} " * ("username" in row) + row["SK"].removeprefix("REQUEST#"): row["reference"]
        for row in books.claims
    }


def reckon(calls: Iterable[Call], books: Books, *, admin: str = "") -> list[str]:
    """What is wrong with the ledger of one user, all of whose keyed calls are given.

    What was done is there once and as it was answered; what was refused is not there; what is unknown is there
    once or not at all; and nothing else is there.
    """
    by_claim: dict[str, list[Call]] = {}
    for call in calls:
        if call.key:
            by_claim.setdefault(claim_name(call, admin), []).append(call)
    claims = claims_of(books)
    found = [f"nobody asked for {name}" for name in claims.keys() - by_claim.keys()]
    for name, same in by_claim.items():
        found += _check_key(same, claims.get(name), books)
    found += _check_entries({name: (same[0], claims[name]) for name, same in by_claim.items() if name in claims}, books)
    return found


def _check_key(same: list[Call], reference: str | None, books: Books) -> Iterator[str]:
    """All calls with one key."""
    for call in same:
        if call.fate is Fate.DONE:
            answered = told(call)
            if reference is None:
                yield f"{call.kind} {call.key} was done, and is not there"
            elif answered["reference"] != reference:
                yield f"{call.kind} {call.key} made {answered['reference']}, and the claim says {reference}"
            else:
                yield from _check_answer(call, reference, books)
        elif reference is not None and call.fate is not Fate.UNKNOWN:
            yield f"{call.kind} {call.key} was {call.outcome}, and is there as {reference}"


def told(call: Call) -> dict[str, Any]:
    """What the answer to a change says it made, and its `reference`."""
    if call.kind in {"deposit", "withdraw"}:
        return {**call.body["transaction"], "reference": call.body["transaction_id"]}
    data = call.body["data"]
    return {**data, "reference": data["transaction_id" if call.kind == "adjust" else "order_id"]}


def _check_answer(call: Call, reference: str, books: Books) -> Iterator[str]:
    """What was answered, figure by figure, stands in the entry; an order may have gone on since."""
    row = entry(call, reference, books)
    if row is None:
        yield f"{call.kind} {call.key} made {reference}, which is not there"
        return
    names = ("amount", "previous_balance", "new_balance") if call.kind in CASH else ("asset_id", "quantity")
    if told(call).get("status") == "completed" and call.kind not in CASH:
        names += ("total_amount", "status")
    for name in names:
        if told(call)[name].upper() != row[name].upper():
            yield f"{call.kind} {call.key} was told {name} {told(call)[name]}, and it is {row[name]}"


def entry(call: Call, reference: str, books: Books) -> Row | None:
    """The transaction or the order that a call made."""
    rows, name = (books.transactions, "transaction_id") if call.kind in CASH else (books.orders, "order_id")
    return next((row for row in rows if row[name] == reference), None)


def _check_entries(made: dict[str, tuple[Call, str]], books: Books) -> Iterator[str]:
    """Each movement, order and cancellation was asked for by exactly one key, and is what was asked for."""
    movements = {reference: call for call, reference in made.values() if call.kind in CASH}
    placed = {reference: call for call, reference in made.values() if call.kind in PLACING}
    cancelled = {reference for call, reference in made.values() if call.kind == "cancel"}
    if len(movements) + len(placed) + len(cancelled) < len(made):
        yield "two keys made the same"
    for row in books.transactions:
        if row["transaction_type"] in CASH.values():
            yield from _check_movement(row, movements.pop(row["transaction_id"], None))
    for row in books.orders:
        yield from _check_order(row, placed.pop(row["order_id"], None))
        was_cancelled = row["order_id"] in cancelled
        if (row["status"] == "CANCELLED") != was_cancelled:
            yield f"{row['order_id']} is {row['status']}, and {'a' if was_cancelled else 'no'} key cancelled it"
    for reference in [*movements, *placed]:
        yield f"{reference} was made, and is not there"


def _check_movement(row: Row, call: Call | None) -> Iterator[str]:
    if call is None:
        yield f"no key made {row['transaction_id']}, {row['transaction_type']} of {row['amount']}"
        return
    asked = (CASH[call.kind], call.request.body["amount"], call.key)
    stands = (row["transaction_type"], row["amount"], row["description"])
    if asked != stands:
        yield f"asked for {asked}, and there is {stands}"


def _check_order(row: Row, call: Call | None) -> Iterator[str]:
    if call is None:
        yield f"no key made {row['order_id']}"
        return
    price_type, side = call.kind.upper().split()
    asked = (price_type, side, call.request.body["asset_id"], call.request.body["quantity"].rstrip("0"))
    stands = (row["price_type"], row["order_type"], row["asset_id"], row["quantity"])
    if asked != stands:
        yield f"asked for {asked}, and there is {stands}"
    price = Decimal(call.request.body.get("price") or row["order_price"])
    paid = Decimal(row["order_price"])
    if row["status"] == "COMPLETED" and (paid > price if side == "BUY" else paid < price):
        yield f"{row['order_id']} was executed at {paid}, worse than {price}"
    if row["status"] == "EXPIRED" and row["updated_at"] < row["expires_at"]:
        yield f"{row['order_id']} expired before its time"
