"""Limit orders and cancellations that are sent again with their key."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from app.domain import clock
from tests.orders.limit.account import DAY, INDIA, NOW, cancel, cash, iso
from tests.support.people import fields_named, problem


@pytest.mark.parametrize("what_happened", ["nothing", "filled", "cancelled", "expired"])
def test_a_replay_answers_with_the_order_as_it_was_placed(trader, fill, expire, what_happened):
    first = trader.order("limit_buy", "BTC", "1", price="90", key="once")
    placed = first.json["data"]
    if what_happened != "nothing":
        {
            "filled": lambda: fill(placed, "85"),
            "cancelled": lambda: cancel(trader, placed),
            "expired": lambda: expire(placed),
        }[what_happened]()
    before = cash(trader)
    again = trader.order("limit_buy", "BTC", "1.0", price="90.00", key="once")
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (201, first.json, "true")
    assert "Idempotent-Replayed" not in first.headers
    assert cash(trader) == before and len(trader.get("/orders").json["data"]) == 2


def test_a_replay_after_the_end_of_the_order(trader):
    """As a new order it would be refused by then."""
    ends = clock.now() + timedelta(minutes=10)
    order = ("limit_buy", "BTC", "1")
    first = trader.order(*order, price="90", expires_at=iso(ends), key="once")
    with clock.at(ends + timedelta(seconds=1)):
        again = trader.order(*order, price="90", expires_at=iso(ends), key="once")
        refused = trader.order(*order, price="90", expires_at=iso(ends), key="another")
    assert (again.status_code, again.json) == (201, first.json)
    assert fields_named(problem(refused, 422, "invalid_input")) == ["expires_at"]


def test_a_replay_of_an_order_that_was_executed_at_once(trader, market):
    """Also where the price, or what is left, would now refuse or reserve it."""
    first = trader.order("limit_buy", "BTC", "9", price="100", key="once")
    market.set("BTC", "150")
    again = trader.order("limit_buy", "BTC", "9", price="100", key="once")
    assert (again.status_code, again.json) == (201, first.json) and first.json["data"]["status"] == "completed"


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "91"},
        {"quantity": "2"},
        {"asset_id": "ETH", "price": "40"},
        {"order_type": "limit_sell"},
        {"order_type": "market_buy", "price": "100"},
        {"expires_at": iso(NOW + DAY)},
    ],
    ids=lambda changes: " and ".join(changes),
)
def test_a_key_belongs_to_one_request(trader, changes):
    body = {"order_type": "limit_buy", "asset_id": "BTC", "quantity": "1", "price": "90"}
    with clock.at(NOW):
        assert trader.post("/orders", body, key="once").status_code == 201
        problem(trader.post("/orders", {**body, **changes}, key="once"), 422, "idempotency_key_reused")
    assert cash(trader) == ("910.00", "90.00")


def test_the_same_end_in_another_zone_is_the_same_request(trader):
    ends = NOW + DAY
    with clock.at(NOW):
        first, again = (
            trader.order("limit_buy", "BTC", "1", price="90", expires_at=iso(ends.astimezone(zone)), key="once")
            for zone in (UTC, INDIA)
        )
    assert again.json == first.json and again.headers["Idempotent-Replayed"] == "true"


def test_a_replayed_cancel_answers_with_the_first_result(trader):
    order = trader.place("limit_buy", "BTC", "1", price="90")
    other = trader.place("limit_buy", "BTC", "1", price="80")
    first = cancel(trader, order, key="stop")
    again = cancel(trader, order, key="stop")
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (200, first.json, "true")
    problem(cancel(trader, other, key="stop"), 422, "idempotency_key_reused")
    problem(cancel(trader, order, key="another"), 409, "order_not_pending")
    problem(trader.deposit("1", key="stop"), 422, "idempotency_key_reused")
    assert cash(trader) == ("920.00", "80.00")
