"""Previews: what they say of an order is what placing it does, to the field, and they place nothing."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from tests.support.people import LONG_AGO, NOON, Person, fields_named, problem
from tests.support.prices import SetPrices
from tests.support.usage import usage, usage_of

# What an order says of itself before it is placed, and after it.
ONLY_PLACED = {"order_id", "executed_at", "created_at", "updated_at"}


@pytest.fixture
def trader(new_user: Any, market: SetPrices, market_app: Flask) -> Person:
    """Someone with 1000.00 and 5 BTC, which cost 450.00 and are worth 100.00 each."""
    person: Person = new_user(market_app)
    market.set("BTC", "90.00")
    with clock.at(LONG_AGO):
        person.deposit("1450")
        person.buy("BTC", "5")
    market.set("BTC", "100.00")
    return person


def order(order_type: str, quantity: str | None, **more: Any) -> dict[str, Any]:
    return {"order_type": order_type, "asset_id": "BTC", "quantity": quantity, **more}


def tried(person: Person, body: dict[str, Any]) -> Any:
    """The answer of a preview, which is that of a dry run too."""
    preview = person.post("/orders/preview", body)
    dry_run = person.post("/orders", {**body, "dry_run": True}, key="once")
    assert (dry_run.status_code, dry_run.json["data"]) == (200, preview.json["data"]), dry_run.text
    assert preview.json["dry_run"] is True
    return preview.json["data"]


# Outcome, total and the same at the worst price; cash and holding after it; and the gain.
PREVIEWS = {
    "buy now": (order("market_buy", "2", price="101"), "executes 200.00 202.00 800.00 7 None"),
    "buy at any price": (order("market_buy", "2"), "executes 200.00 201.00 800.00 7 None"),
    "buy for an amount": (order("market_buy", None, spend="201"), "executes 200.00 201.00 800.00 7 None"),
    "sell now": (order("market_sell", "2", price="99"), "executes 200.00 198.00 1200.00 3 20.00"),
    "sell all": (order("market_sell", "5"), "executes 500.00 497.50 1500.00 0 50.00"),
    "reached limit": (order("limit_buy", "2", price="110"), "executes 200.00 220.00 800.00 7 None"),
    "waiting buy": (order("limit_buy", "2", price="90"), "waits 180.00 180.00 820.00 5 None"),
    "limit for an amount": (order("limit_buy", None, price="90", spend="180"), "waits 180.00 180.00 820.00 5 None"),
    "waiting sell": (order("limit_sell", "2", price="110"), "waits 220.00 220.00 1000.00 3 40.00"),
    "stop": (order("stop_sell", "2", stop_price="80"), "waits 160.00 None 1000.00 3 -20.00"),
    "stop with a limit": (
        order("stop_limit_sell", "2", stop_price="95", price="94"),
        "waits 188.00 188.00 1000.00 3 8.00",
    ),
    "stop to buy": (order("stop_limit_buy", "2", stop_price="105", price="110"), "waits 220.00 220.00 780.00 5 None"),
    "stop for an amount": (
        order("stop_limit_buy", None, stop_price="105", price="110", spend="220"),
        "waits 220.00 220.00 780.00 5 None",
    ),
    "at once or never": (
        order("limit_buy", "2", price="100", time_in_force="fok"),
        "executes 200.00 200.00 800.00 7 None",
    ),
    "a buyer's rounding": (order("market_buy", "0.001", price="101.9"), "executes 0.10 0.11 999.90 5.001 None"),
    "a seller's rounding": (order("market_sell", "0.001", price="99"), "executes 0.10 0.09 1000.10 4.999 0.01"),
}


@pytest.mark.parametrize(("body", "says"), PREVIEWS.values(), ids=PREVIEWS)
def test_a_preview_says_what_placing_then_does(trader: Person, body: dict[str, Any], says: str) -> None:
    with clock.at(NOON):
        seen = tried(trader, {**body, "client_order_id": "mine"})
        shown = [seen[name] for name in ("outcome", "total", "worst_total", "cash_after", "holding_after", "gain")]
        assert " ".join(map(str, shown)) == says
        assert (seen["price"], seen["cash_before"], seen["holding_before"]) == ("100", "1000.00", "5")
        placed = trader.post("/orders", {**body, "client_order_id": "mine"}, key="once")
    assert placed.status_code == 201 and "Idempotent-Replayed" not in placed.headers, "a dry run keeps no claim"
    made = placed.json["data"]
    assert seen["order"] == {"order_id": None, **{name: made[name] for name in made.keys() - ONLY_PLACED}}
    rows = trader.get("/balance/transactions").json["transactions"][: len(seen["entries"])]
    assert seen["entries"] == [{name: row[name] for name in seen["entries"][0]} for row in rows]
    if seen["outcome"] == "executes":
        [trade] = trader.get("/assets/transactions?limit=1").json["data"]
        assert (seen["cost_total"], seen["gain"]) == (trade["cost_total"], trade["gain"])


def test_what_is_placed_already_is_shown_without_entries(trader: Person, market: SetPrices) -> None:
    body = order("market_buy", "2", client_order_id="mine")
    placed = trader.post("/orders", body).json["data"]
    seen = tried(trader, body)
    assert (seen["order"]["order_id"], seen["entries"], seen["price"]) == (placed["order_id"], [], None)
    found = problem(trader.post("/orders/preview", {**body, "quantity": "3"}), 409, "client_order_id_taken")
    assert found["order_id"] == placed["order_id"]


REFUSALS = {
    "price_moved": order("market_buy", "1", price="99"),
    "order_too_small": order("market_buy", "0.00000001"),
    "order_too_small for an amount": order("market_buy", None, spend="0.01", price="1000000000"),
    "order_too_large": order("market_buy", "100000"),
    "insufficient_funds": order("market_buy", "10.01"),
    "insufficient_funds at a limit": order("limit_buy", "11.2", price="90"),
    "insufficient_funds for an amount": order("market_buy", None, spend="1100"),
    "insufficient_holding": order("market_sell", "5.1"),
    "insufficient_holding at a limit": order("limit_sell", "5.1", price="110"),
    "asset_not_tradeable": {**order("market_buy", "1"), "asset_id": "MATIC"},
    "price_unavailable": {**order("market_buy", "1"), "asset_id": "XRP"},
    "stop_reached": order("stop_sell", "1", stop_price="100"),
    "invalid_input": order("limit_buy", "1", price="90", expires_at="2020-01-01"),
    "not_supported": order("market_buy", "1", trail_price="90"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_preview_refuses_what_placing_would(trader: Person, market: SetPrices, name: str) -> None:
    market.missing.add("XRP")
    body = REFUSALS[name]
    with clock.at(NOON):
        answers = [
            trader.post("/orders/preview", body),
            trader.post("/orders", {**body, "dry_run": True}),
            trader.post("/orders", body),
        ]
    assert answers[0].json["code"] == name.split()[0], answers[0].text
    told = [{**answer.json, "request_id": "", "http": answer.status_code} for answer in answers]
    assert told == [told[2]] * 3


SIZES = {
    "neither": ({}, "quantity"),
    "nulls": ({"quantity": None, "spend": None}, "quantity"),
    "both": ({"quantity": "1", "spend": "100"}, "spend"),
    "a sale": ({"order_type": "market_sell", "spend": "100"}, "spend"),
    "no amount": ({"spend": "x"}, "spend"),
    "too much": ({"spend": "1000000.01"}, "spend"),
}


@pytest.mark.parametrize(("more", "field"), SIZES.values(), ids=SIZES)
def test_an_order_says_a_quantity_or_what_to_spend(trader: Person, more: dict[str, Any], field: str) -> None:
    body = {"order_type": "market_buy", "asset_id": "BTC", **more}
    assert fields_named(problem(trader.post("/orders", body), 422, "invalid_input")) == [field]


@pytest.mark.parametrize("by", ["key", "client_order_id"])
def test_a_repeated_purchase_for_an_amount_is_the_same_at_another_price(
    trader: Person, market: SetPrices, by: str
) -> None:
    """Its quantity would be another one, as the price has moved."""
    body = {"order_type": "market_buy", "asset_id": "BTC", "spend": "201.00", "quantity": None}
    key = {"key": "once"} if by == "key" else {}
    body |= {"client_order_id": "mine"} if by == "client_order_id" else {}
    first = trader.post("/orders", body, **key)
    assert (first.json["data"]["quantity"], first.json["data"]["total_amount"]) == ("2", "200.00")
    market.set("BTC", "50.00")
    again = trader.post("/orders", {**body, "spend": "201"}, **key)
    assert again.json == first.json and again.headers["Idempotent-Replayed"] == "true"
    code = "idempotency_key_reused" if by == "key" else "client_order_id_taken"
    for other in ({"spend": "201.01"}, {"spend": None, "quantity": "2"}):
        assert trader.post("/orders", {**body, **other}, **key).json["code"] == code
    assert trader.balance() == "800.00"


@pytest.mark.parametrize("word", ["preview", "cancel"])
def test_an_address_beside_those_of_orders_is_no_order(trader: Person, word: str) -> None:
    answer = trader.get(f"/orders/{word}")
    problem(answer, 405, "method_not_allowed")
    for each in (answer, trader.call("OPTIONS", f"/orders/{word}")):
        assert sorted(each.headers["Allow"].split(", ")) == ["OPTIONS", "POST"]
    for path in (f"/orders/{word}/cancel", f"/orders/{word}ed/cancel"):
        assert trader.post(path).status_code in {404, 422}
    assert fields_named(problem(trader.get(f"/orders/{word}s"), 422, "invalid_input")) == ["order_id"]


def test_what_previews_cost(trader: Person) -> None:
    body = order("market_buy", "1")
    assert usage_of(trader.post("/orders/preview", body)) == usage(2, 3, 0)
    # It reads early what an order needs, and then again consistently.
    assert usage_of(trader.post("/orders", {**body, "dry_run": True})) == usage(2, 4, 0)
    assert usage_of(trader.post("/orders", {**body, "quantity": None, "spend": "5"})) == usage(2, 2, 14)
