"""Stop orders that are placed: what they reserve and answer, what is refused, what ends them, and what that costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.domain import clock
from app.models import order_changes
from app.models.database import database
from app.models.orders import Order
from app.models.upgrade import StoreFormat, write_alone
from tests.orders.limit.account import DAY, NOW, cancel, cash, described, holding, transactions
from tests.support.people import fields_named, problem
from tests.support.usage import metered, usage, usage_of

# BTC costs 100.00 and ETH 50.00.
SELL = {"order_type": "stop_sell", "asset_id": "ETH", "quantity": "1.25", "stop_price": "40"}
SELL_AT_LIMIT = {**SELL, "order_type": "stop_limit_sell", "price": "38"}
BUY_AT_LIMIT = {
    "order_type": "stop_limit_buy",
    "asset_id": "BTC",
    "quantity": "2",
    "stop_price": "110",
    "price": "115.001",
}
STOPS = {"sell": SELL, "sell at a limit": SELL_AT_LIMIT, "buy at a limit": BUY_AT_LIMIT}


def placed(trader: Any, order: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = trader.post("/orders", {**order, **more})
    assert response.status_code == 201, response.json
    return response.json["data"]


def stored(app: Any, order: dict[str, Any]) -> Order:
    with app.app_context():
        return Order.get(*Order.key(order["order_id"]))


# What is answered: price, limit, total, reserves; then cash, reserved cash, BTC and ETH.
ANSWERS = {
    "sell": (("40", None, "50.00", None, "1.25"), ("1000.00", "0.00"), "0.75"),
    "sell at a limit": (("38", "38", "47.50", None, "1.25"), ("1000.00", "0.00"), "0.75"),
    "buy at a limit": (("115.001", "115.001", "230.01", "230.01", None), ("769.99", "230.01"), "2"),
}


@pytest.mark.parametrize("kind", STOPS)
def test_a_stop_order_waits_and_reserves_from_the_start(trader, kind):
    answer, reserved, eth = ANSWERS[kind]
    with clock.at(NOW):
        order = placed(trader, STOPS[kind])
    names = ("price", "limit_price", "total_amount", "reserved_amount", "reserved_quantity")
    assert tuple(order[name] for name in names) == answer
    assert {**order, **STOPS[kind]} == order
    assert (order["status"], order["time_in_force"], order["triggered_at"], order["executed_at"]) == (
        "pending",
        "gtc",
        None,
        None,
    )
    assert clock.from_text(order["expires_at"]) == NOW + 30 * DAY
    assert (cash(trader), holding(trader, "ETH"), holding(trader, "BTC")) == (reserved, eth, None)
    assert trader.get("/portfolio").json["total_value"] == "1100.00"
    assert trader.get(f"/orders/{order['order_id']}").json == {"data": order}
    for listed in ("status=pending", f"order_type={order['order_type']}"):
        assert trader.get(f"/orders?{listed}").json["data"] == [order]
    cancel(trader, order)
    assert (cash(trader), holding(trader, "ETH")) == (("1000.00", "0.00"), "2")


def test_what_a_stop_to_buy_says_in_the_ledger(trader):
    cancel(trader, placed(trader, BUY_AT_LIMIT))
    assert described(trader) == ["Reserved to buy 2 BTC at 115.001 or less", "Returned: cancelled"]


REFUSED = {
    "a stop to buy without a limit": ({**SELL, "order_type": "stop_buy"}, "order_type"),
    "no stop": ({**SELL, "stop_price": None}, "stop_price"),
    "a stop of zero": ({**SELL, "stop_price": "0"}, "stop_price"),
    "a stop of 9 decimals": ({**SELL, "stop_price": "1.123456789"}, "stop_price"),
    "no limit": ({**SELL_AT_LIMIT, "price": None}, "price"),
    "a limit that it does not have": ({**SELL, "price": "38"}, "price"),
    "a stop of a limit order": ({**SELL_AT_LIMIT, "order_type": "limit_sell"}, "stop_price"),
    "a stop of a market order": ({**SELL, "order_type": "market_sell"}, "stop_price"),
    "ioc": ({**SELL, "time_in_force": "ioc"}, "time_in_force"),
    "fok": ({**BUY_AT_LIMIT, "time_in_force": "fok"}, "time_in_force"),
}


@pytest.mark.parametrize(("body", "field"), REFUSED.values(), ids=REFUSED)
def test_refused_stops(trader, body, field):
    found = problem(trader.post("/orders", body), 422, "invalid_input")
    assert fields_named(found) == [field]
    assert body["order_type"] != "stop_buy" or "stop_limit_buy" in found["errors"][0]["message"]
    assert (cash(trader), holding(trader, "ETH")) == (("1000.00", "0.00"), "2")


REACHED = {
    "to sell, at the price": (SELL, "50"),
    "to sell, above the price": (SELL_AT_LIMIT, "50.01"),
    "to buy, at the price": (BUY_AT_LIMIT, "100"),
    "to buy, below the price": (BUY_AT_LIMIT, "99.99"),
}


@pytest.mark.parametrize(("order", "stop"), REACHED.values(), ids=REACHED)
def test_a_stop_that_the_price_has_reached_is_refused(trader, market, order, stop):
    response = trader.post("/orders", {**order, "stop_price": stop}, key="once")
    found = problem(response, 422, "stop_reached")
    assert (found["stop_price"], usage_of(response).write_units) == (stop, 0)
    assert (cash(trader), holding(trader, "ETH")) == (("1000.00", "0.00"), "2")
    # The refusal left no claim on the key.
    assert trader.post("/orders", order, key="once").status_code == 201


def test_more_than_there_is_cannot_be_reserved(trader):
    problem(trader.post("/orders", {**SELL, "quantity": "2.01"}), 422, "insufficient_holding")
    # At the stop it could be paid, and at the limit it cannot.
    body = {**BUY_AT_LIMIT, "quantity": "9", "stop_price": "110", "price": "112"}
    problem(trader.post("/orders", body), 422, "insufficient_funds")


def test_a_stop_for_a_day(trader):
    with clock.at(NOW):
        order = placed(trader, SELL, time_in_force="day")
    assert order["expires_at"] == clock.to_text(clock.end_of(NOW.date()))


def test_a_stop_is_executed_at_the_price_that_is_there(trader, fill):
    """Far below the stop, if that is the next price that is seen."""
    order = placed(trader, SELL)
    fill(order, "30.5")
    told = trader.get(f"/orders/{order['order_id']}").json["data"]
    assert (told["price"], told["executed_price"], told["stop_price"], told["limit_price"]) == (
        "30.5",
        "30.5",
        "40",
        None,
    )
    assert told["triggered_at"] == told["executed_at"] is not None
    assert transactions(trader) == [("order_sale", "38.12", order["order_id"])] and holding(trader, "ETH") == "0.75"


@pytest.mark.parametrize("kind", ["sell at a limit", "buy at a limit"])
@pytest.mark.parametrize("ending", ["fill", "cancel", "expire"])
def test_what_happens_after_the_trigger(trader, fill, expire, market_app, kind, ending):
    """It is a limit order from then on, and a repeated request is answered as it was placed."""
    first = trader.post("/orders", STOPS[kind], key="once").json["data"]
    with market_app.app_context(), metered() as meter:
        order_changes.trigger_order(Order.get(*Order.key(first["order_id"])))
    assert (meter.calls, meter.write_units) == (2, 6), "one call beside that of the test"
    triggered = trader.get(f"/orders/{first['order_id']}").json["data"]
    changed = {name for name in first if first[name] != triggered[name]}
    assert (changed, triggered["status"]) == ({"triggered_at", "updated_at"}, "pending")
    order = stored(market_app, first)
    assert (order.book_price, order.open_book) == (Decimal(first["price"]), "ETH#SELL" if "sell" in kind else "BTC#BUY")
    assert trader.get("/orders?status=pending").json["data"] == [triggered]
    if ending == "fill":
        fill(first, first["price"])
    else:
        {"cancel": lambda: cancel(trader, first), "expire": lambda: expire(first)}[ending]()
    ended = trader.get(f"/orders/{first['order_id']}").json["data"]
    assert ended["triggered_at"] == triggered["triggered_at"]
    assert ended["status"] == {"fill": "completed", "cancel": "cancelled", "expire": "expired"}[ending]
    again = trader.post("/orders", STOPS[kind], key="once")
    assert again.json["data"] == first and again.headers["Idempotent-Replayed"] == "true"


def test_a_stop_order_is_not_changed(trader, market_app):
    """Also where it is triggered; its owner cancels it, and places another one."""
    order = placed(trader, SELL_AT_LIMIT)
    changes = ({"quantity": "1"}, {"price": "39"}, {"price": order["price"]})
    for is_triggered in (False, True):
        if is_triggered:
            with market_app.app_context():
                order_changes.trigger_order(stored(market_app, order))
        for change in changes:
            response = trader.call("PATCH", f"/orders/{order['order_id']}", json=change, key="once")
            problem(response, 409, "stop_not_changeable")
            assert usage_of(response).write_units == 0
    cancel(trader, order)
    problem(trader.call("PATCH", f"/orders/{order['order_id']}", json=changes[0]), 409, "order_not_pending")


def test_the_past_knows_what_a_stop_reserved(trader, market_app):
    """Also while it was triggered, which is a change of the order and not its end."""
    with clock.at(NOW):
        order = placed(trader, SELL_AT_LIMIT)
    with clock.at(NOW + DAY), market_app.app_context():
        order_changes.trigger_order(stored(market_app, order))
    with clock.at(NOW + 3 * DAY):
        cancel(trader, order)
    found = {}
    for days in (-1, 0, 2, 4):
        with clock.at(NOW + 5 * DAY):
            past = trader.get(f"/portfolio?as_of={clock.to_text(NOW + days * DAY)}").json
        found[days] = [each["reserved_quantity"] for each in past["assets"] if each["asset_id"] == "ETH"]
    assert found == {-1: ["0"], 0: ["1.25"], 2: ["1.25"], 4: ["0"]}


def test_a_trigger_comes_once(trader, market_app):
    first = placed(trader, SELL_AT_LIMIT)
    seen = stored(market_app, first)
    with market_app.app_context():
        triggered = order_changes.trigger_order(stored(market_app, first))
        for copy in (seen, stored(market_app, first)):
            with pytest.raises(Exception, match="can no longer change"):
                order_changes.trigger_order(copy)
        # An old copy, which waits for its stop, decides nothing.
        assert order_changes.fill_order(seen, Decimal(39)).triggered_at == triggered.triggered_at
    assert stored(market_app, first).triggered_at == triggered.triggered_at


def test_no_stop_is_placed_while_a_copy_of_an_older_version_may_run(trader, market_app, fill):
    """It would take a stop for a limit. A limit order is placed all the same."""
    with market_app.app_context():
        database().is_alone = False
        mark = StoreFormat.get(*StoreFormat.key())
        mark.update([StoreFormat.oldest_running.remove()])
    found = problem(trader.post("/orders", SELL, key="once"), 503, "upgrade_unfinished")
    assert "Nothing was changed" in found["detail"]
    assert trader.place("limit_sell", "ETH", "0.5", price="60")["status"] == "pending"
    with market_app.app_context():
        write_alone()
    assert trader.post("/orders", SELL, key="once").status_code == 201


def test_other_values_are_another_order(trader):
    trader.post("/orders", SELL, key="once")
    for more in ({"stop_price": "41"}, {"order_type": "stop_limit_sell", "price": "40"}):
        problem(trader.post("/orders", {**SELL, **more}, key="once"), 422, "idempotency_key_reused")
    problem(trader.post("/orders", {**SELL, "client_order_id": "a", "stop_price": "1e1000"}), 422, "invalid_input")
    named = placed(trader, SELL, client_order_id="a", quantity="0.5")
    assert trader.get("/orders/by-client-id/a").json["data"] == named


COSTS = {"sell": (2, 2, 9), "sell at a limit": (2, 2, 9), "buy at a limit": (2, 2, 11)}


@pytest.mark.parametrize("kind", STOPS)
def test_what_placing_costs(trader, kind):
    assert usage_of(trader.post("/orders", STOPS[kind])) == usage(*COSTS[kind])
