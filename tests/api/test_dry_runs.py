"""Dry runs of what is not an order: deposits, withdrawals, cancellations, adjustments. `orders/test_previews.py`."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.users import Role
from app.models.orders import Order
from app.models.users import set_role
from tests.support.books import scan
from tests.support.people import LONG_AGO, NOON, Person, fields_named, problem
from tests.support.prices import SetPrices
from tests.support.usage import usage, usage_of

NOTHING = {
    "cash_before": None,
    "cash_after": None,
    "holding_before": None,
    "holding_after": None,
    "cost_total": None,
    "gain": None,
    "order": None,
}


def entry(transaction_type: str, amount: str, previous: str, new: str, description: str | None) -> dict[str, Any]:
    return {
        "transaction_type": transaction_type,
        "amount": amount,
        "previous_balance": previous,
        "new_balance": new,
        "description": description,
    }


@pytest.fixture
def trader(new_user: Any, market: SetPrices, market_app: Flask) -> Person:
    """Someone with 1000.00, where BTC costs 100.00."""
    person: Person = new_user(market_app)
    market.set("BTC", "100.00")
    with clock.at(LONG_AGO):
        person.deposit("1000")
    return person


@pytest.fixture
def admin(new_user: Any, market_app: Flask) -> Person:
    person: Person = new_user(market_app)
    with market_app.app_context():
        set_role(person.username, Role.ADMIN, now=clock.now())
    person.log_in()
    return person


CASH = {
    "deposit": ("/balance/deposit", entry("deposit", "10.00", "1000.00", "1010.00", "Savings"), 2.5),
    "withdrawal": ("/balance/withdraw", entry("withdraw", "10.00", "1000.00", "990.00", "Savings"), 2.5),
}


@pytest.mark.parametrize(("path", "made", "units"), CASH.values(), ids=CASH)
def test_cash(trader: Person, path: str, made: dict[str, Any], units: float) -> None:
    body = {"amount": "10", "description": "Savings"}
    response = trader.post(path, {**body, "dry_run": True}, key="once")
    cash = {"cash_before": "1000.00", "cash_after": made["new_balance"]}
    assert response.status_code == 200
    assert response.json == {"dry_run": True, "data": {**NOTHING, "entries": [made], **cash}}
    # Authentication with an old balance, and the balance as it is.
    assert usage_of(response) == usage(2, units, 0)
    done = trader.post(path, body, key="once")
    assert (done.status_code, done.headers.get("Idempotent-Replayed")) == (201, None)
    assert made == {name: done.json["transaction"][name] for name in made}


@pytest.mark.parametrize("dry_run", [False, None])
def test_what_asks_for_no_dry_run(trader: Person, dry_run: bool | None) -> None:
    assert trader.post("/balance/deposit", {"amount": "1", "dry_run": dry_run}).status_code == 201
    order = trader.place("limit_buy", "BTC", "1", price="90")
    assert (
        trader.post(f"/orders/{order['order_id']}/cancel", {"dry_run": dry_run}).json["data"]["status"] == "cancelled"
    )


ENDS = {
    "buy": ("limit_buy", "90", "910.00", "1000.00", "2", "2"),
    "sell": ("limit_sell", "110", "1000.00", "1000.00", "1", "2"),
}


@pytest.mark.parametrize("side", ENDS)
def test_cancelling_an_order(trader: Person, store: Any, side: str) -> None:
    order_type, price, cash_before, cash_after, held_before, held_after = ENDS[side]
    with clock.at(NOON):
        trader.deposit("200")
        trader.buy("BTC", "2")
        order = trader.place(order_type, "BTC", "1", price=price)
    path = f"/orders/{order['order_id']}/cancel"
    before = [scan(store, table) for table in trader.tables.values()]
    shown = trader.post(path, {"dry_run": True}, key="once")
    assert [scan(store, table) for table in trader.tables.values()] == before
    assert usage_of(shown) == usage(3, 4.5, 0)
    data = shown.json["data"]
    refund = [entry("order_refund", "90.00", "910.00", "1000.00", "Returned: cancelled")] if side == "buy" else []
    assert data["entries"] == refund
    names = ("cash_before", "cash_after", "holding_before", "holding_after")
    assert [data[name] for name in names] == [cash_before, cash_after, held_before, held_after]
    assert (data["order"]["order_id"], data["order"]["status"]) == (order["order_id"], "cancelled")
    done = trader.post(path, key="once").json["data"]
    assert data["order"] == {name: done[name] for name in data["order"]}
    found = problem(trader.post(path, {"dry_run": True}), 409, "order_not_pending")
    assert found["order_status"] == "cancelled"


def test_cancelling_an_order_of_an_older_version_leaves_it_as_it_is(
    trader: Person, store: Any, market_app: Flask
) -> None:
    """It lacks what this version adds before it ends an order, and its holding does not count the reserve."""
    trader.buy("BTC", "2")
    order = trader.place("limit_sell", "BTC", "1", price="110")
    with market_app.app_context():
        stored = Order.get(*Order.key(order["order_id"]))
        stored.update([Order.open_owner.remove()])
    table = trader.tables["users"]
    [holding] = [row for row in scan(store, table) if row["PK"] == trader.username and row["SK"] == "ASSET#BTC"]
    change = {"UpdateExpression": "SET reserved_quantity = :q", "TableName": table}
    store.update_item(
        **change,
        Key={"PK": {"S": trader.username}, "SK": {"S": "ASSET#BTC"}},
        ExpressionAttributeValues={":q": {"S": "0"}},
    )
    assert holding["reserved_quantity"] == "1"
    path = f"/orders/{order['order_id']}/cancel"
    before = [scan(store, table) for table in trader.tables.values()]
    data = trader.post(path, {"dry_run": True}).json["data"]
    assert [scan(store, table) for table in trader.tables.values()] == before
    assert (data["holding_before"], data["holding_after"]) == ("1", "2")
    assert trader.post(path).status_code == 200
    assert trader.get("/balance/asset/BTC").json["quantity"] == "2"


ADJUSTMENTS = {"booked": ("-12.50", False), "for an approval": ("1000000.00", True)}


@pytest.mark.parametrize(("amount", "waits"), ADJUSTMENTS.values(), ids=ADJUSTMENTS)
def test_an_adjustment(admin: Person, trader: Person, amount: str, waits: bool) -> None:
    path, body = f"/admin/users/{trader.username}/adjustments", {"amount": amount, "reason": "Twice"}
    shown = admin.post(path, {**body, "dry_run": True}, key="once")
    assert (shown.status_code, usage_of(shown)) == (200, usage(3, 3, 0))
    new = "987.50"
    cash = {"cash_before": "1000.00", "cash_after": "1000.00" if waits else new}
    entries = [] if waits else [entry("system_adjustment", amount, "1000.00", new, "Twice")]
    assert shown.json["data"] == {**NOTHING, **cash, "entries": entries, "needs_approval": waits}
    assert admin.post(path, body, key="once").status_code == (202 if waits else 201)
    refused = admin.post(path, {**body, "amount": "-2000", "dry_run": True})
    assert problem(refused, 422, "insufficient_funds")["required"] == "2000.00"


REFUSED = {
    "/balance/withdraw": ({"amount": "1000.01"}, "insufficient_funds"),
    "/balance/deposit": ({"amount": "x"}, "invalid_input"),
    "/orders/order_01JD0QZ5M4X8W3T7K2V9N6B1CF/cancel": ({}, "order_not_found"),
    "/orders/short/cancel": ({}, "invalid_input"),
}


@pytest.mark.parametrize("path", REFUSED)
def test_it_is_refused_as_the_change_would_be(trader: Person, path: str) -> None:
    body, code = REFUSED[path]
    answers = [trader.post(path, {**body, **more}) for more in ({}, {"dry_run": True})]
    assert answers[0].json["code"] == code
    assert [{**each.json, "request_id": ""} for each in answers] == [{**answers[0].json, "request_id": ""}] * 2
    bad_key = trader.post(path, {**body, "dry_run": True, "amount": "1"}, key="two words")
    assert bad_key.status_code == 422


def test_a_malformed_key_is_refused_all_the_same(trader: Person) -> None:
    order = trader.place("limit_buy", "BTC", "1", price="90")
    for path in ("/balance/deposit", "/balance/withdraw", "/orders", f"/orders/{order['order_id']}/cancel"):
        body = {"amount": "1"} if "balance" in path else {}
        body |= {"order_type": "market_buy", "asset_id": "BTC", "quantity": "1"} if path == "/orders" else {}
        found = problem(trader.post(path, {**body, "dry_run": True}, key="two words"), 422, "invalid_input")
        assert fields_named(found) == ["Idempotency-Key"], path


def test_an_empty_body_cancels_whatever_it_is_called(trader: Person) -> None:
    """As before cancellations had a body; one that is not JSON might ask for a dry run."""
    order = trader.place("limit_buy", "BTC", "1", price="90")
    path = f"/orders/{order['order_id']}/cancel"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    problem(trader.post(path, data=b'{"dry_run": true}', headers=form), 415, "unsupported_media_type")
    problem(trader.post(path, [True]), 422, "invalid_input")
    assert trader.post(path, data=b"", headers=form).status_code == 200


# What is changed of an order for 1 at 90.00 or 110.00: its limit, its quantity, the entry of it, and what is left.
CHANGES: dict[str, tuple[str, dict[str, str], list[dict[str, Any]], list[str | None]]] = {
    "buy": (
        "limit_buy",
        {"price": "95"},
        [entry("order_payment", "5.00", "910.00", "905.00", "Reserved: order changed")],
        ["910.00", "905.00", None, None],
    ),
    "sell": ("limit_sell", {"quantity": "0.5"}, [], ["1000.00", "1000.00", "1", "1.5"]),
    "nothing": ("limit_buy", {"price": "90"}, [], ["910.00", "910.00", None, None]),
}


@pytest.mark.parametrize(("order_type", "values", "entries", "left"), CHANGES.values(), ids=CHANGES)
def test_changing_an_order(
    trader: Person, store: Any, order_type: str, values: dict[str, str], entries: list[Any], left: list[str | None]
) -> None:
    with clock.at(NOON):
        trader.deposit("200")
        trader.buy("BTC", "2")
        order = trader.place(order_type, "BTC", "1", price="90" if order_type == "limit_buy" else "110")
        path = f"/orders/{order['order_id']}"
        before = [scan(store, table) for table in trader.tables.values()]
        shown = trader.call("PATCH", path, json={**values, "dry_run": True}, key="once").json["data"]
    assert [scan(store, table) for table in trader.tables.values()] == before
    assert shown["entries"] == entries
    assert [shown[name] for name in ("cash_before", "cash_after", "holding_before", "holding_after")] == left
    with clock.at(NOON):
        done = trader.call("PATCH", path, json=values, key="once")
    assert done.headers.get("Idempotent-Replayed") is None
    assert shown["order"] == {name: done.json["data"][name] for name in shown["order"]}
    problem(trader.call("PATCH", path, json={**values, "dryRun": True}), 422, "not_supported")
