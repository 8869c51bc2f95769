"""Whether the product and the model hold the same, and show the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from app.models.system import Totals
from tests.proofs.state.drivers import ALL_ROWS, Driver
from tests.proofs.state.model import Model
from tests.proofs.state.people import HOLDING, ModelUser
from tests.proofs.state.words import Answer, Refused, Request, moment, money, plain
from tests.support.books import Books, Row, signed
from tests.support.totals import sums_in


def stored_state(rows: list[Row], orders: list[Row]) -> dict[str, Any]:
    """What the database holds about one user."""
    [balance] = [row for row in rows if row["SK"] == "BALANCE"]
    [user] = [row for row in rows if row["SK"] == "USER"]
    return {
        "is closed": (user["status"] == "CLOSED", "closed_at" in balance, "email" not in user),
        "balance": {
            name: balance[name] for name in ("current_balance", "total_deposits", "total_withdrawals", "reserved_cash")
        },
        "version": int(balance["version"]),
        "transactions": sorted(
            (row["transaction_type"].lower(), row["amount"], row.get("order_id", ""), row.get("actor", ""))
            for row in rows
            if row["SK"].startswith("TRANS#")
        ),
        "approved": {row["transaction_id"]: row["approved_by"] for row in rows if "approved_by" in row},
        "holdings": {
            row["asset_id"]: tuple(row[name] for name in HOLDING) for row in rows if row["SK"].startswith("ASSET#")
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
                row["revision"],
            )
            for row in orders
        },
        "keys": sum(row["SK"].startswith("REQUEST#") for row in rows),
        "events": (
            int(balance.get("event_version", 0)),
            sorted(
                (row["event_type"], row.get("order_id", row.get("transaction_id", "")))
                for row in rows
                if row["SK"].startswith("ACCOUNT_EVENT#")
            ),
        ),
    }


def stored_approvals(rows: list[Row]) -> dict[str, Row]:
    """The large adjustments of all users, without what DynamoDB alone needs."""
    hidden = {"PK", "SK", "entity_type", "ttl"}
    found = [row for row in rows if row["PK"] == "APPROVALS#ADJUSTMENT"]
    return {row["approval_id"]: {name: row[name] for name in row.keys() - hidden} for row in found}


def model_approvals(model: Model) -> dict[str, Row]:
    """The same of the model. What has expired is stored as waiting."""
    rows = [{**each.row(model.now), "status": each.decision.upper()} for each in model.approvals.values()]
    return {row["approval_id"]: {name: row[name] for name in row if row[name] is not None} for row in rows}


def model_state(model: Model, person: ModelUser) -> dict[str, Any]:
    """What `stored_state` must be, by the model."""
    approvals = [each for each in model.approvals.values() if each.username == person.username]
    return {
        "approved": {each.transaction_id: each.decided_by for each in approvals if each.transaction_id},
        "is closed": (person.is_closed,) * 3,
        "balance": person.row(),
        "version": len(person.transactions),
        "transactions": sorted(
            (row["transaction_type"], row["amount"], row["order_id"] or "", row["actor"] or "")
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
                str(order.revision),
            )
            for order in person.orders.values()
        },
        "keys": len(person.claims),
        "events": (len(person.events), sorted(person.events)),
    }


TIMES = ("created_at", "updated_at", "triggered_at", "executed_at", "timestamp")


def to_the_millisecond(rows: list[Row]) -> list[Row]:
    """A worker's round takes some microseconds, of which the model knows nothing."""
    return [{name: str(value)[:23] if name in TIMES else value for name, value in row.items()} for row in rows]


def without_moments(answer: Answer) -> Answer:
    """The answer, with what a worker's round dated to the millisecond."""
    triggered_at = answer.body.get("triggered_at")
    return replace(answer, body={**answer.body, "triggered_at": triggered_at[:23]}) if triggered_at else answer


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
        "realised_gain": money(sum(map(person.gained, person.holdings))),
        "net_deposits": money(person.paid_in()),
        "total_gain": money(person.value(model.prices) - person.paid_in()),
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
        unordered = {"transaction_id", "previous_balance", "new_balance", "hash"}
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
                "cost_total": None if order.cost is None else money(order.cost),
                "gain": None if order.cost is None else money(order.total - order.cost),
                "order_id": order.order_id,
                "status": "COMPLETED",
                "timestamp": moment(order.executed_at),
            }
            for order in person.trades()
        ]
    )


def check_totals(totals: Totals, people: Collection[ModelUser]) -> None:
    """What the operators see of all people together."""

    def total(amounts: Iterable[Decimal]) -> Decimal:
        return sum(amounts, Decimal(0))

    owned = {
        asset_id: (
            total(each.holdings.get(asset_id, Decimal(0)) + each.reserved_of(asset_id) for each in people),
            total(each.reserved_of(asset_id) for each in people),
        )
        for asset_id in {name for each in people for name in each.holdings}
    }
    assert sums_in(totals) == {
        "cash": total(each.cash for each in people),
        "reserved": total(each.reserved for each in people),
        "deposits": total(each.moved("deposit") for each in people),
        "withdrawals": total(each.moved("withdraw") for each in people),
        "adjustments": total(each.moved("system_adjustment") for each in people),
        "accounts": len(people),
        "suspended": sum(each.is_suspended and not each.is_closed for each in people),
        "closed": sum(each.is_closed for each in people),
        "open_orders": sum(order.is_open for each in people for order in each.orders.values()),
        "assets": {asset_id: amounts for asset_id, amounts in owned.items() if amounts[0]},
    }


def check_conservation(books: list[Books]) -> None:
    """Cash and assets of all people together are what came in less what went out: nothing is made, nothing lost."""
    cash: Fraction = Fraction(0)
    for each in books:
        cash += Fraction(each.balance["current_balance"]) + Fraction(each.balance["reserved_cash"])
        cash -= sum(signed(row) for row in each.transactions if not row["transaction_type"].startswith("ORDER_"))
        for trade in each.trades:
            cash += Fraction(trade["total_amount"]) * {"BUY": 1, "SELL": -1}[trade["transaction_type"]]
    assert cash == 0, f"{float(cash)} too much"
