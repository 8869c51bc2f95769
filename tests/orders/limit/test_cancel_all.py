"""Cancelling all open orders, or those of one asset or side."""

from __future__ import annotations

from itertools import pairwise

import pytest

from app.domain.errors import Busy
from app.services import orders
from tests.orders.limit.account import cancel, cash
from tests.support.people import fields_named, problem
from tests.support.usage import usage_of


@pytest.fixture
def four(trader) -> dict[str, str]:
    """Two orders to buy and two to sell, by a name, oldest first."""
    return {
        name: trader.place(order_type, asset_id, "0.5", price=price)["order_id"]
        for name, order_type, asset_id, price in (
            ("buy BTC", "limit_buy", "BTC", "90"),
            ("buy ETH", "limit_buy", "ETH", "40"),
            ("sell ETH", "limit_sell", "ETH", "60"),
            ("sell more ETH", "limit_sell", "ETH", "70"),
        )
    }


CHOSEN = {
    "all": ({}, ["sell more ETH", "sell ETH", "buy ETH", "buy BTC"]),
    "null": ({"asset_id": None, "side": None}, ["sell more ETH", "sell ETH", "buy ETH", "buy BTC"]),
    "an asset": ({"asset_id": "eth"}, ["sell more ETH", "sell ETH", "buy ETH"]),
    "a side": ({"side": "sell"}, ["sell more ETH", "sell ETH"]),
    "both": ({"side": "BUY", "asset_id": "ETH"}, ["buy ETH"]),
    "none": ({"asset_id": "SOL"}, []),
}


@pytest.mark.parametrize(("sent", "ended"), CHOSEN.values(), ids=CHOSEN.keys())
def test_those_that_are_meant_end(trader, four, sent, ended):
    answer = trader.post("/orders/cancel", sent)
    assert answer.status_code == 200
    assert answer.json == {
        "data": [{"order_id": four[name], "outcome": "cancelled"} for name in ended],
        "has_more": False,
    }
    left = [order["order_id"] for order in trader.get("/orders?status=pending").json["data"]]
    assert left == [four[name] for name in reversed(four) if name not in ended]
    if len(ended) == 4:
        assert cash(trader) == ("1000.00", "0.00")


# A filter that is misspelt must not mean everything.
BAD = [{"side": "both"}, {"side": 1}, {"asset_id": "#"}, {"asset_id": ["BTC"]}]
UNKNOWN = [{"sid": "buy"}, {"symbol": "BTC"}, {"assetId": "BTC"}, {"Side": "buy"}, {"asset_ids": None}]


@pytest.mark.parametrize("sent", [*BAD, *UNKNOWN])
def test_what_is_not_understood_cancels_nothing(trader, four, sent):
    assert fields_named(problem(trader.post("/orders/cancel", sent), 422, "invalid_input")) == list(sent)
    assert len(trader.get("/orders?status=pending").json["data"]) == 4


def test_more_than_a_call_cancels(trader, four, monkeypatch):
    monkeypatch.setattr(orders, "MOST_CANCELLED", 3)
    first, second, third = (trader.post("/orders/cancel", {}, key=f"call-{number}").json for number in range(3))
    assert [len(each["data"]) for each in (first, second, third)] == [3, 1, 0]
    assert [each["has_more"] for each in (first, second, third)] == [True, False, False]
    assert trader.post("/orders/cancel", {}, key="call-0").json == first


def test_a_repetition_answers_the_same_and_touches_nothing_new(trader, four):
    first = trader.post("/orders/cancel", {}, key="once")
    later = trader.place("limit_buy", "BTC", "1", price="80")
    again = trader.post("/orders/cancel", {}, key="once")
    assert again.json == first.json and len(first.json["data"]) == 4
    assert again.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first.headers
    assert trader.get(f"/orders/{later['order_id']}").json["data"]["status"] == "pending"
    problem(trader.post("/orders/cancel", {"side": "buy"}, key="once"), 422, "idempotency_key_reused")


def test_a_repetition_where_there_was_nothing_to_cancel(trader):
    assert trader.post("/orders/cancel", {}, key="once").json["data"] == []
    trader.place("limit_buy", "BTC", "1", price="80")
    assert trader.post("/orders/cancel", {}, key="once").json["data"] == []


def test_a_repetition_finishes_what_was_cut_off(trader, four, monkeypatch):
    end_one = orders._end_order
    ended: list[str] = []

    def dies(username, order_id):
        if len(ended) == 2:
            raise KeyboardInterrupt
        ended.append(order_id)
        return end_one(username, order_id)

    monkeypatch.setattr(orders, "_end_order", dies)
    with pytest.raises(KeyboardInterrupt):
        trader.post("/orders/cancel", {}, key="once")
    monkeypatch.setattr(orders, "_end_order", end_one)
    later = trader.place("limit_buy", "BTC", "1", price="80")
    answer = trader.post("/orders/cancel", {}, key="once").json
    assert [each["order_id"] for each in answer["data"]] == [four[name] for name in reversed(four)]
    assert {each["outcome"] for each in answer["data"]} == {"cancelled"}
    assert [order["order_id"] for order in trader.get("/orders?status=pending").json["data"]] == [later["order_id"]]


@pytest.mark.parametrize(("done", "code"), [(0, "busy"), (2, "store_unavailable")])
def test_what_is_too_busy_says_whether_anything_was_changed(trader, four, monkeypatch, done, code):
    end_one = orders._end_order

    def too_busy(username, order_id):
        if len(trader.get("/orders?status=pending").json["data"]) == 4 - done:
            raise Busy()
        return end_one(username, order_id)

    monkeypatch.setattr(orders, "_end_order", too_busy)
    problem(trader.post("/orders/cancel", {}, key="once"), 503, code)
    monkeypatch.setattr(orders, "_end_order", end_one)
    assert len(trader.post("/orders/cancel", {}, key="once").json["data"]) == 4


def test_an_order_that_ended_meanwhile_says_how(trader, four, fill, expire, monkeypatch):
    """Between the list and its turn: filled, expired, cancelled."""
    open_orders = orders.list_orders

    def ends_meanwhile(*args, **kwargs):
        page = open_orders(*args, **kwargs)
        fill({"order_id": four["buy BTC"]}, "90")
        expire({"order_id": four["buy ETH"]})
        cancel(trader, {"order_id": four["sell ETH"]})
        return page

    monkeypatch.setattr(orders, "list_orders", ends_meanwhile)
    answer = trader.post("/orders/cancel", {}).json
    found = {each["order_id"]: each["outcome"] for each in answer["data"]}
    assert found == {
        four["buy BTC"]: "completed",
        four["buy ETH"]: "expired",
        four["sell ETH"]: "cancelled",
        four["sell more ETH"]: "cancelled",
    }


def test_what_it_costs(trader, four):
    """As many calls and units as the orders by themselves; 1 call and the units of the list, and 2 and 2 for a key."""
    nothing = usage_of(trader.post("/orders/cancel", {"asset_id": "SOL"}))
    costs = [usage_of(trader.post("/orders/cancel", {"side": "sell"}))]
    assert (nothing.calls, nothing.read_units, nothing.write_units) == (2, 1.5, 0)
    assert (costs[0].calls, costs[0].read_units, costs[0].write_units) == (2 + 2 * 3, 1.5 + 2 * 3, 2 * 13)
    keyed = usage_of(trader.post("/orders/cancel", {"side": "buy"}, key="once"))
    assert (keyed.calls, keyed.read_units, keyed.write_units) == (4 + 2 * 3, 2.5 + 2 * 3, 2 + 2 * 13)
    again = usage_of(trader.post("/orders/cancel", {"side": "buy"}, key="once"))
    assert (again.calls, again.write_units) == (2 + 2, 0)


def test_the_newest_end_first_and_one_after_the_other(trader, four):
    trader.post("/orders/cancel", {})
    times = [trader.get(f"/orders/{four[name]}").json["data"]["updated_at"] for name in reversed(four)]
    assert all(one < other for one, other in pairwise(times))
