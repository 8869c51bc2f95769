"""The books of a user, read with a bare client and checked against the invariants of docs/architecture.md.

This uses nothing of the application: it checks what DynamoDB holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import Any

Row = dict[str, Any]
OUTGOING = {"WITHDRAW", "ORDER_PAYMENT"}


def plain_row(item: dict[str, dict[str, Any]]) -> Row:
    """Attribute values without their type; a number stays the text that came."""
    return {name: next(iter(value.values())) for name, value in item.items()}


def query(store: Any, table: str, attribute: str, value: str, *, index: str | None = None) -> list[Row]:
    """Every row of one partition, in key order."""
    arguments: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "#key = :key",
        "ExpressionAttributeNames": {"#key": attribute},
        "ExpressionAttributeValues": {":key": {"S": value}},
    }
    arguments |= {"IndexName": index} if index else {"ConsistentRead": True}
    return _read_all(store.query, arguments)


def scan(store: Any, table: str) -> list[Row]:
    """Every row of a table."""
    return _read_all(store.scan, {"TableName": table, "ConsistentRead": True})


def _read_all(read: Callable[..., Any], arguments: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    while True:
        answer = read(**arguments)
        rows += map(plain_row, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return rows
        arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


@dataclass
class Books:
    """Everything that the database holds about one user."""

    balance: Row
    transactions: list[Row]
    holdings: list[Row]
    claims: list[Row]
    orders: list[Row]
    trades: list[Row]
    events: list[Row]
    changes: list[Row]


def read_books(
    store: Any, username: str, *, users: str = "users", orders: str = "orders", admin: str | None = None
) -> Books:
    """With the claims of the `admin` who adjusted the balance, if given."""
    rows = query(store, users, "PK", username)
    placed = query(store, orders, "username", username, index="UserOrderHistoryIndex")
    trades = [
        trade
        for asset_id in sorted(
            {order["asset_id"] for order in placed}
            | {row["asset_id"] for row in rows if row["SK"].startswith("ASSET#")}
        )
        for trade in query(store, users, "PK", f"TRANS#{username}#{asset_id}")
    ]
    listed = query(store, users, "username", username, index="UserTransactionsIndex")
    assert {trade["PK"] + trade["SK"] for trade in listed} == {trade["PK"] + trade["SK"] for trade in trades}

    def kind(prefix: str) -> list[Row]:
        return [row for row in rows if row["SK"].startswith(prefix)]

    [balance] = kind("BALANCE")
    # A claim with a username is that of an administrator, and refers to a transaction of that user.
    claims = [row for row in kind("REQUEST#") if "username" not in row]
    if admin:
        claims += [row for row in query(store, users, "PK", admin) if row.get("username") == username]
    claims = [row for row in claims if row["SK"].startswith("REQUEST#")]
    changed = [order["order_id"] for order in placed if order.get("revision", "1") != "1"]
    items = [row for order_id in changed for row in query(store, orders, "PK", order_id)]
    changes = [row for row in items if row["SK"] != "ORDER"]
    return Books(balance, kind("TRANS#"), kind("ASSET#"), claims, placed, trades, kind("ACCOUNT_EVENT#"), changes)


def referred(reference: str) -> list[str]:
    """The ids in the reference of a claim; that of a plan has several."""
    words = reference.split()
    # After the id of an order that was changed stands its revision.
    return words[:1] if words[0].startswith("order_") else [word for word in words if word not in {"plan", "more"}]


def check_books(store: Any, username: str, **where: str) -> Books:
    """Read the books of a user, as `read_books` does, and fail where one of the invariants does not hold."""
    books = read_books(store, username, **where)
    _check_chain(books)
    _check_holdings(books)
    _check_costs(books)
    _check_events(books)
    for order in books.orders:
        _check_order(books, order)
    ids = {order["order_id"] for order in books.orders}
    assert {row["order_id"] for row in books.trades} <= ids
    assert {row["order_id"] for row in books.transactions if "order_id" in row} <= ids
    references = ids | {row["transaction_id"] for row in books.transactions}
    assert {each for claim in books.claims for each in referred(claim["reference"])} <= references
    return books


def _check_events(books: Books) -> None:
    """Up to the last number without a gap, and each tells of the one change that names it, at its time.

    The first ones may be past their time, and deleted. What an earlier version ended or booked names none.
    """
    version = int(books.balance.get("event_version", 0))
    numbers = [int(row["event_number"]) for row in books.events]
    assert numbers == [*range(version - len(numbers) + 1, version + 1)], (numbers, version)
    times = [*(row["created_at"] for row in books.events), books.balance["updated_at"]]
    assert times == sorted(times), times
    told = [
        (row["event_number"], row["created_at"], row["event_type"], subject_of(row))
        for row in books.events
        if subject_of(row)
    ]
    happened = changes_to_tell(books)
    assert len(happened) == len(told) or len(numbers) < version, (told, happened)
    assert told == happened[len(happened) - len(told) :]


ENDS = {"COMPLETED": "order_filled", "CANCELLED": "order_cancelled", "EXPIRED": "order_expired"}


def subject_of(event: Row) -> str | None:
    """The order or the transaction that an event is about, if any."""
    return event.get("order_id") or event.get("transaction_id")


def changes_to_tell(books: Books) -> list[tuple[str, str, str, str]]:
    """The ends and changes of orders that waited, and the adjustments.

    Number, time and type of the event, and what it is about.
    """
    ended = [
        (row["event_number"], row["updated_at"], ENDS[row["status"]], row["order_id"])
        for row in books.orders
        if "event_number" in row
    ]
    adjusted = [
        (row["event_number"], row["created_at"], "adjusted", row["transaction_id"])
        for row in books.transactions
        if "event_number" in row
    ]
    changed = [(row["event_number"], row["created_at"], "order_changed", row["order_id"]) for row in books.changes]
    return sorted(ended + adjusted + changed)


def money(text: str) -> Fraction:
    assert re.fullmatch(r"[0-9]+\.[0-9]{2}", text), text
    return Fraction(text)


def amount(text: str) -> Fraction:
    """A quantity or price in plain notation."""
    assert re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]{0,7}[1-9])?", text), text
    return Fraction(text)


def signed(row: Row) -> Fraction:
    if row["transaction_type"] == "SYSTEM_ADJUSTMENT":
        return Fraction(row["amount"])
    return -money(row["amount"]) if row["transaction_type"] in OUTGOING else money(row["amount"])


def _check_chain(books: Books) -> None:
    standing = Fraction(0)
    for number, row in enumerate(books.transactions, start=1):
        assert row["transaction_id"] == f"{number:012d}" and row["SK"] == f"TRANS#{number:012d}", row
        assert money(row["previous_balance"]) == standing, row
        standing += signed(row)
        assert money(row["new_balance"]) == standing, row
        assert row["status"] == "COMPLETED"
        assert ("order_id" not in row) or row["description"], row
    balance = books.balance
    _check_hashes(books)
    times = [*(row["created_at"] for row in books.transactions), balance["updated_at"]]
    assert times == sorted(times), times
    assert money(balance["current_balance"]) == standing >= 0, balance
    assert int(balance["version"]) == len(books.transactions), balance
    for total, kind in (("total_deposits", "DEPOSIT"), ("total_withdrawals", "WITHDRAW")):
        rows = [row for row in books.transactions if row["transaction_type"] == kind]
        assert money(balance[total]) == sum(money(row["amount"]) for row in rows), balance

    open_buys = [row for row in books.orders if row["status"] == "PENDING" and row["order_type"] == "BUY"]
    reserved = sum(money(row["reserved_amount"]) for row in open_buys)
    assert money(balance["reserved_cash"]) == reserved, balance


HASHED = ("username", "transaction_id", "transaction_type", "amount", "previous_balance", "new_balance")
HASHED += ("order_id", "actor", "description", "created_at")


def hashes_of(balance: Row, transactions: list[Row]) -> list[str]:
    """The hash that each transaction must have, the first one first, and what the next one follows.

    One without a hash was written by an older version: what follows it is made of its number and balance.
    """

    def digest(*values: str | None) -> str:
        return sha256(json.dumps(["op1", *values], ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()

    before, hashes = digest(balance["username"], balance["created_at"]), []
    for row in transactions:
        hashes.append(digest(before, *map(row.get, HASHED)))
        before = hashes[-1] if "hash" in row else digest(row["username"], row["transaction_id"], row["new_balance"])
    return [*hashes, before]


def _check_hashes(books: Books) -> None:
    balance = books.balance
    *hashes, head = hashes_of(balance, books.transactions)
    for row, expected in zip(books.transactions, hashes, strict=True):
        assert row.get("hash", expected) == expected, row
    if books.transactions and "hash" in books.transactions[-1]:
        assert (balance["head_hash"], balance["head_number"]) == (head, balance["version"]), balance


def _check_holdings(books: Books) -> None:
    expected: dict[str, Fraction] = {}
    for trade in books.trades:
        quantity = amount(trade["quantity"]) * {"BUY": 1, "SELL": -1}[trade["transaction_type"]]
        expected[trade["asset_id"]] = expected.get(trade["asset_id"], Fraction(0)) + quantity
    counted, open_sales = dict.fromkeys(expected, Fraction(0)), dict.fromkeys(expected, Fraction(0))
    # A holding without a reserve was last written by an older version, and so perhaps were its open orders.
    older = {row["asset_id"] for row in books.holdings if "reserved_quantity" not in row}
    for order in books.orders:
        owners = {order["username"], *([None] if order["asset_id"] in older else [])}
        assert order.get("open_owner") in (owners if order["status"] == "PENDING" else {None}), order
        if order["status"] == "PENDING" and order["order_type"] == "SELL":
            reserved = amount(order["reserved_quantity"])
            open_sales[order["asset_id"]] += reserved
            counted[order["asset_id"]] += reserved if "open_owner" in order else 0
    assert {row["asset_id"]: amount(row.get("reserved_quantity", "0")) for row in books.holdings} == counted
    free = {asset_id: quantity - open_sales[asset_id] for asset_id, quantity in expected.items()}
    assert {row["asset_id"]: amount(row["quantity"]) for row in books.holdings} == free


def _check_costs(books: Books) -> None:
    """By average: all units cost the same, a sale's share rounds down to the cent, nothing owned costs nothing.

    Trades come by time for each asset. A holding without a cost was last written by an older version.
    """
    cost, owned, gained = (dict.fromkeys((row["asset_id"] for row in books.trades), Fraction(0)) for _ in range(3))
    known = {row["asset_id"] for row in books.holdings if "cost_total" in row}
    for trade in books.trades:
        asset_id, quantity, total = trade["asset_id"], amount(trade["quantity"]), money(trade["total_amount"])
        if trade["transaction_type"] == "BUY":
            cost[asset_id], owned[asset_id] = cost[asset_id] + total, owned[asset_id] + quantity
            assert "cost_total" not in trade and "gain" not in trade, trade
            continue
        sold = Fraction(cost[asset_id] * 100 * quantity / owned[asset_id] // 1, 100)
        cost[asset_id], owned[asset_id] = cost[asset_id] - sold, owned[asset_id] - quantity
        gained[asset_id] += total - sold
        if asset_id in known:
            assert (money(trade["cost_total"]), Fraction(trade["gain"])) == (sold, total - sold), trade
    for row in (row for row in books.holdings if row["asset_id"] in known):
        assert money(row["cost_total"]) == cost[row["asset_id"]], row
        assert Fraction(row["realised_gain"]) == gained[row["asset_id"]], row


def _check_order(books: Books, order: Row) -> None:
    """An order has exactly the transactions that its kind and status ask for."""
    trades = [row for row in books.trades if row["order_id"] == order["order_id"]]
    moved = [row for row in books.transactions if row.get("order_id") == order["order_id"]]
    completed = order["status"] == "COMPLETED"
    assert len(trades) == completed, (order, trades)
    for trade in trades:
        assert trade["transaction_type"] == order["order_type"]
        for name in ("username", "asset_id", "quantity", "total_amount"):
            assert trade[name] == order[name], (order, trade)
        assert trade["price"] == order["order_price"], (order, trade)
        cents = amount(trade["quantity"]) * amount(trade["price"]) * 100
        rounded = -(-cents // 1) if order["order_type"] == "BUY" else cents // 1
        assert money(trade["total_amount"]) * 100 == rounded, trade
    _check_changes(order, [row for row in books.changes if row["order_id"] == order["order_id"]])
    # Both have the same form, so the order of text is the order of time.
    assert not completed or order["executed_at"] <= order.get("expires_at", order["executed_at"]), order
    if order["order_type"] == "SELL":
        expected = [("ORDER_SALE", money(order["total_amount"]))] if completed else []
        assert [(row["transaction_type"], money(row["amount"])) for row in moved] == expected, (order, moved)
        return
    paid = [money(row["amount"]) for row in moved if row["transaction_type"] == "ORDER_PAYMENT"]
    returned = [money(row["amount"]) for row in moved if row["transaction_type"] == "ORDER_REFUND"]
    assert moved[0]["transaction_type"] == "ORDER_PAYMENT" and len(paid) + len(returned) == len(moved), (order, moved)
    # One transaction for each change of the reserve, and one for the rest at the end.
    changes = int(order.get("revision", 1)) - 1
    assert len(paid) <= 1 + changes and len(returned) <= 1 + changes and len(moved) <= 2 + changes, (order, moved)
    owed = {"COMPLETED": "total_amount", "PENDING": "reserved_amount"}.get(order["status"])
    assert sum(paid) - sum(returned) == (money(order[owed]) if owed else 0), (order, moved)


def _check_changes(order: Row, changes: list[Row]) -> None:
    """Each change begins where the last one ended, and later; the last one ends with the order as it is."""
    numbers = range(1, int(order.get("revision", 1)))
    assert [(row["SK"], row["revision"]) for row in changes] == [(f"CHANGE#{each:06d}", str(each)) for each in numbers]
    before = None
    for row in changes:
        assert before is None or [row[f"{name}_before"] for name in ("quantity", "limit", "end")] == before, changes
        before = [row[f"{name}_after"] for name in ("quantity", "limit", "end")]
        assert not {"username", "asset_id"} & set(row), "it must be in no index"
    if changes:
        quantity, limit, end = before
        assert (quantity, amount(limit), end) == (order["quantity"], amount(order["limit_price"]), order["expires_at"])
    times = [order["created_at"], *(row["created_at"] for row in changes), order["updated_at"]]
    assert times == sorted(times), (order, changes)
