"""Whether the product and the model hold the same, and show the same."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tests.proofs.state.drivers import ALL_ROWS, Driver
from tests.proofs.state.model import Model
from tests.proofs.state.people import ModelUser
from tests.proofs.state.words import Refused, Request, moment, money, plain
from tests.support.books import Books, Row, signed


def stored_state(rows: list[Row], orders: list[Row]) -> dict[str, Any]:
    """What the database holds about one user."""
    [balance] = [row for row in rows if row["SK"] == "BALANCE"]
    return {
        "balance": {
            name: balance[name] for name in ("current_balance", "total_deposits", "total_withdrawals", "reserved_cash")
        },
        "version": int(balance["version"]),
        "transactions": sorted(
            (row["transaction_type"].lower(), row["amount"], row.get("order_id", ""), row.get("actor", ""))
            for row in rows
            if row["SK"].startswith("TRANS#")
        ),
        "holdings": {
            row["asset_id"]: (row["quantity"], row["reserved_quantity"])
            for row in rows
            if row["SK"].startswith("ASSET#")
        },
        "orders": {
            row["order_id"]: (
                f"{row['price_type']}_{row['order_type']}".lower(),
                row["asset_id"],
                row["quantity"],
                row["order_price"],
                row["total_amount"],
                row["status"].lower(),
                row.get("expires_at"),
            )
            for row in orders
        },
        "keys": sum(row["SK"].startswith("REQUEST#") for row in rows),
    }


def model_state(person: ModelUser) -> dict[str, Any]:
    """The same of the model."""
    return {
        "balance": person.row(),
        "version": len(person.transactions),
        "transactions": sorted(
            (row["transaction_type"], row["amount"], row["order_id"] or "", row.get("actor", ""))
            for row in person.transactions
        ),
        "holdings": person.holdings_row(),
        "orders": {
            order.order_id: (
                order.order_type,
                order.asset_id,
                plain(order.quantity),
                plain(order.price),
                money(order.total),
                order.status,
                moment(order.expires_at),
            )
            for order in person.orders.values()
        },
        "keys": len(person.claims),
    }


TIMES = ("created_at", "updated_at", "executed_at", "timestamp")


def to_the_millisecond(rows: list[Row]) -> list[Row]:
    """A worker's round takes some microseconds, of which the model knows nothing."""
    return [{name: str(value)[:23] if name in TIMES else value for name, value in row.items()} for row in rows]


def check_views(driver: Driver, model: Model, person: ModelUser) -> None:
    """What the owner sees is what the model holds. Skipped for who may not ask, and for lists longer than a page."""
    try:
        model.check_credential(Request(person.username, "reader", "look", {}))
    except Refused as refused:
        if str(refused) != "insufficient_scope":
            return
    views = driver.views(person.username)
    balance = person.row()
    assert views["balance"] == {name: text for name, text in balance.items() if name != "reserved_cash"}
    assert views["portfolio"] == {
        "cash_balance": balance["current_balance"],
        "reserved_cash": balance["reserved_cash"],
        "total_value": money(person.value(model.prices)),
    }
    assert views["holdings"] == person.holdings_row()
    assert views["total of the history"] == views["portfolio"]["total_value"]
    assert {row["order_id"] for row in views["open orders"]} == {
        order.order_id for order in person.orders.values() if order.is_open
    }
    if max(len(person.orders), len(person.transactions)) <= ALL_ROWS:
        newest_first = [order.row() for order in reversed(person.orders.values())]
        assert to_the_millisecond(views["orders"]) == to_the_millisecond(newest_first)
        check_movements(views, person)


def check_movements(views: dict[str, Any], person: ModelUser) -> None:
    """Apart from the order of what one round of the worker did: that the chain is whole, `check_books` sees."""

    def sets(rows: list[Row]) -> list[list[tuple[str, Any]]]:
        unordered = {"transaction_id", "previous_balance", "new_balance", "actor"}
        return sorted(
            [(name, str(row[name])) for name in sorted(row.keys() - unordered)] for row in to_the_millisecond(rows)
        )

    assert sets(views["transactions"]) == sets(person.transactions)
    assert sets(views["trades"]) == sets(
        [
            {
                "asset_id": order.asset_id,
                "transaction_type": "BUY" if order.is_buy else "SELL",
                "quantity": plain(order.quantity),
                "price": plain(order.price),
                "total_amount": money(order.total),
                "order_id": order.order_id,
                "status": "COMPLETED",
                "timestamp": moment(order.executed_at),
            }
            for order in person.trades()
        ]
    )


def check_conservation(books: list[Books]) -> None:
    """Cash and assets of all people together are what came in less what went out: nothing is made, nothing lost."""
    cash: Fraction = Fraction(0)
    for each in books:
        cash += Fraction(each.balance["current_balance"]) + Fraction(each.balance["reserved_cash"])
        cash -= sum(signed(row) for row in each.transactions if not row["transaction_type"].startswith("ORDER_"))
        for trade in each.trades:
            cash += Fraction(trade["total_amount"]) * {"BUY": 1, "SELL": -1}[trade["transaction_type"]]
    assert cash == 0, f"{float(cash)} too much"
