"""How long an order stands: until its end, for a day, or for no time at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.domain import clock
from tests.orders.limit.account import DAY, NOW, cash, holding, iso, transactions
from tests.support.people import fields_named, problem
from tests.support.usage import usage_of

# Order type, price, what is sent, and what is stored: the time in force and the end.
STANDS = {
    "limit, nothing": ("limit_buy", "90", None, "gtc", NOW + 30 * DAY),
    "limit, gtc": ("limit_buy", "90", "gtc", "gtc", NOW + 30 * DAY),
    "limit, GTC": ("limit_sell", "60", "GTC", "gtc", NOW + 30 * DAY),
    "limit, day": ("limit_buy", "90", "day", "day", clock.end_of(NOW.date())),
    "limit to sell, day": ("limit_sell", "60", "day", "day", clock.end_of(NOW.date())),
    "limit that is reached, ioc": ("limit_buy", "101", "ioc", "ioc", None),
    "limit that is reached, fok": ("limit_sell", "50", "fok", "fok", None),
    "market, nothing": ("market_buy", None, None, None, None),
    "market, ioc": ("market_buy", None, "ioc", "ioc", None),
    "market with a worst price, fok": ("market_buy", "101", "fok", "fok", None),
}


@pytest.mark.parametrize("case", STANDS.values(), ids=STANDS.keys())
def test_how_long_an_order_stands(trader, case):
    order_type, price, sent, stands, end = case
    asset_id = "ETH" if "sell" in order_type else "BTC"
    with clock.at(NOW):
        order = trader.place(order_type, asset_id, "1", price=price, time_in_force=sent)
    assert (order["time_in_force"], order["expires_at"]) == (stands, end and clock.to_text(end))
    assert order["status"] == ("pending" if end else "completed")
    assert trader.get(f"/orders/{order['order_id']}").json == {"data": order}


@pytest.mark.parametrize("time_in_force", ["ioc", "fok"])
@pytest.mark.parametrize(("order_type", "asset_id", "price"), [("limit_buy", "BTC", "99"), ("limit_sell", "ETH", "51")])
def test_an_immediate_order_that_the_price_does_not_reach_leaves_nothing(
    trader, market, time_in_force, order_type, asset_id, price
):
    asked = {"price": price, "time_in_force": time_in_force, "key": "once"}
    response = trader.order(order_type, asset_id, "1", **asked)
    assert problem(response, 409, "price_moved")["worst_price"] == price
    assert usage_of(response).write_units == 0
    assert (cash(trader), holding(trader, "ETH"), transactions(trader)) == (("1000.00", "0.00"), "2", [])
    assert trader.get("/orders?status=pending").json["data"] == []
    # The refusal left no claim on the key.
    market.set(asset_id, price)
    assert trader.place(order_type, asset_id, "1", **asked)["status"] == "completed"


REFUSED = {
    "market, day": ("market_buy", {"time_in_force": "day"}, "time_in_force"),
    "market, gtc": ("market_buy", {"time_in_force": "gtc"}, "time_in_force"),
    "unknown": ("limit_buy", {"time_in_force": "opg"}, "time_in_force"),
    "a number": ("limit_buy", {"time_in_force": 1}, "time_in_force"),
    "nothing": ("limit_buy", {"time_in_force": ""}, "time_in_force"),
    "a day with an end": ("limit_buy", {"time_in_force": "day", "expires_at": iso(NOW + DAY)}, "expires_at"),
    "at once with an end": ("limit_buy", {"time_in_force": "ioc", "expires_at": iso(NOW + DAY)}, "expires_at"),
    "in another word": ("limit_buy", {"tif": "ioc"}, "tif"),
}


@pytest.mark.parametrize(("order_type", "sent", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(trader, order_type, sent, field):
    with clock.at(NOW):
        response = trader.order(order_type, "BTC", "1", price="90", **sent)
    assert fields_named(problem(response, 422, "not_supported" if field == "tif" else "invalid_input")) == [field]
    assert cash(trader) == ("1000.00", "0.00")


def test_the_usual_is_the_same_request_as_nothing_said(trader):
    first = trader.order("limit_buy", "BTC", "1", price="90", key="once")
    again = trader.order("limit_buy", "BTC", "1", price="90", key="once", time_in_force="gtc")
    assert again.json == first.json and again.headers["Idempotent-Replayed"] == "true"
    problem(
        trader.order("limit_buy", "BTC", "1", price="90", key="once", time_in_force="day"),
        422,
        "idempotency_key_reused",
    )


def test_a_day_order_that_is_repeated_after_midnight_is_the_same_order(trader):
    with clock.at(clock.end_of(NOW.date()) - timedelta(seconds=1)):
        first = trader.order("limit_buy", "BTC", "1", price="90", time_in_force="day", key="once")
    with clock.at(clock.end_of(NOW.date()) + timedelta(seconds=1)):
        again = trader.order("limit_buy", "BTC", "1", price="90", time_in_force="day", key="once")
    assert again.json == first.json and again.headers["Idempotent-Replayed"] == "true"


def test_a_day_that_ends_before_the_order_is_written(trader, market, monkeypatch):
    """The end of the day lies between the arrival of the order and the moment that it is given."""
    last = clock.end_of(NOW.date())

    def late(*moments):
        return last + timedelta(microseconds=1)

    monkeypatch.setattr(clock, "now_after", late)
    with clock.at(last - timedelta(microseconds=1)):
        response = trader.order("limit_buy", "BTC", "1", price="90", time_in_force="day")
    assert fields_named(problem(response, 422, "invalid_input")) == ["time_in_force"]
    assert cash(trader) == ("1000.00", "0.00")


def test_a_day_order_expires_with_its_day(trader, expire):
    with clock.at(NOW):
        placed = trader.place("limit_buy", "BTC", "1", price="90", time_in_force="day")
    with clock.at(clock.end_of(NOW.date()) + timedelta(microseconds=1)):
        assert expire(placed).status == "EXPIRED"
    assert cash(trader) == ("1000.00", "0.00")
