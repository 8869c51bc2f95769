"""The books of a user, read with a bare client and checked against the invariants of docs/architecture.md.

This uses nothing of the application: it checks what DynamoDB holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
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
    return Books(balance, kind("TRANS#"), kind("ASSET#"), claims, placed, trades)


def check_books(store: Any, username: str, **where: str) -> Books:
    """Read the books of a user, as `read_books` does, and fail where one of the invariants does not hold."""
    books = read_books(store, username, **where)
    _check_chain(books)
    _check_holdings(books)
    for order in books.orders:
        _check_order(books, order)
    ids = {order["order_id"] for order in books.orders}
    assert {row["order_id"] for row in books.trades} <= ids
    assert {row["order_id"] for row in books.transactions if "order_id" in row} <= ids
    references = ids | {row["transaction_id"] for row in books.transactions}
    assert {claim["reference"] for claim in books.claims} <= references
    return books


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
    # Both have the same form, so the order of text is the order of time.
    assert not completed or order["executed_at"] <= order.get("expires_at", order["executed_at"]), order
    by_type = {row["transaction_type"]: money(row["amount"]) for row in moved}
    assert len(by_type) == len(moved), moved
    if order["order_type"] == "SELL":
        assert by_type == ({"ORDER_SALE": money(order["total_amount"])} if completed else {}), (order, moved)
        return
    assert set(by_type) - {"ORDER_REFUND"} == {"ORDER_PAYMENT"}, (order, moved)
    kept = by_type["ORDER_PAYMENT"] - by_type.get("ORDER_REFUND", Fraction(0))
    owed = {"COMPLETED": "total_amount", "PENDING": "reserved_amount"}.get(order["status"])
    assert kept == (money(order[owed]) if owed else 0), (order, moved)
