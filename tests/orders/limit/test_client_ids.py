"""The ids that scripts give their orders: one id is one order, for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from app.domain import clock
from tests.orders.limit.account import NOW, cash
from tests.support.faults import lose_answer
from tests.support.people import Person, fields_named, problem
from tests.support.usage import usage_of

BUY = {"order_type": "market_buy", "asset_id": "BTC", "quantity": "1"}
KINDS = {
    "executed at once": {},
    "with a worst price": {"price": "101"},
    "waiting": {"order_type": "limit_buy", "price": "90"},
    "waiting sale": {"order_type": "limit_sell", "asset_id": "ETH", "price": "60"},
}


def by_id(person: Person, client_order_id: str) -> Any:
    return person.get(f"/orders/by-client-id/{client_order_id}")


@pytest.mark.parametrize("more", KINDS.values(), ids=KINDS)
def test_an_order_is_found_by_its_id_and_placed_once(trader, more):
    body = {**BUY, **more, "client_order_id": "bot-7:2026.11_a"}
    first = trader.post("/orders", body)
    assert first.status_code == 201 and first.json["data"]["client_order_id"] == "bot-7:2026.11_a"
    after = cash(trader)
    again = trader.post("/orders", body)
    assert again.json == first.json and again.headers["Idempotent-Replayed"] == "true"
    assert by_id(trader, "bot-7:2026.11_a").json == trader.get(f"/orders/{first.json['data']['order_id']}").json
    assert cash(trader) == after and len(trader.get("/orders").json["data"]) == 2


def test_an_order_without_one_says_null(trader):
    assert trader.buy("BTC", "1")["client_order_id"] is None
    assert trader.buy("BTC", "1", client_order_id=None)["client_order_id"] is None


OTHERS = {
    "another quantity": {"quantity": "2"},
    "another asset": {"asset_id": "ETH"},
    "another price": {"price": "150"},
    "another end": {"order_type": "limit_buy", "price": "90", "time_in_force": "day"},
    "more than there is": {"quantity": "100"},
}


@pytest.mark.parametrize("more", OTHERS.values(), ids=OTHERS)
def test_another_order_with_the_same_id_is_refused(trader, more):
    placed = trader.buy("BTC", "1", client_order_id="once")
    before = cash(trader)
    found = problem(trader.post("/orders", {**BUY, **more, "client_order_id": "once"}), 409, "client_order_id_taken")
    assert found["order_id"] == placed["order_id"] and cash(trader) == before


def test_ids_belong_to_one_user(trader, new_user, market_app):
    placed = trader.buy("BTC", "1", client_order_id="once")
    other = new_user(market_app)
    other.deposit("500")
    assert other.buy("BTC", "1", client_order_id="once")["order_id"] != placed["order_id"]
    problem(by_id(new_user(market_app), "once"), 404, "order_not_found")


BAD = ["", " ", "a b", "a#b", "a/b", "ä", "x" * 65, 7, ["a"], {"a": 1}, "a\n"]


@pytest.mark.parametrize("sent", BAD, ids=repr)
def test_what_is_no_id(trader, sent):
    response = trader.post("/orders", {**BUY, "client_order_id": sent})
    assert fields_named(problem(response, 422, "invalid_input")) == ["client_order_id"]
    assert cash(trader) == ("1000.00", "0.00")


@pytest.mark.parametrize("sent", ["a%20b", "a%23b", "x" * 65, "%C3%A4"])
def test_what_is_no_id_is_not_looked_up(trader, sent):
    response = by_id(trader, sent)
    assert fields_named(problem(response, 422, "invalid_input")) == ["client_order_id"]
    assert usage_of(response).calls == 1


def test_a_refused_order_leaves_its_id_free(trader):
    problem(trader.order("market_buy", "BTC", "100", client_order_id="once"), 422, "insufficient_funds")
    problem(by_id(trader, "once"), 404, "order_not_found")
    assert trader.buy("BTC", "1", client_order_id="once")["client_order_id"] == "once"


def test_a_year_later_it_is_still_that_order(trader):
    with clock.at(NOW):
        placed = trader.buy("BTC", "1", client_order_id="once", key="once")
    with clock.at(NOW + timedelta(days=400)):
        trader.log_in()
        assert trader.post("/orders", {**BUY, "client_order_id": "once"}, key="another").json["data"] == placed
        assert by_id(trader, "once").json["data"] == placed


KEYS = {
    "the same key": ({"key": "k"}, 201, ""),
    "no key": ({}, 201, ""),
    "another key": ({"key": "other"}, 201, ""),
    "the key with another id": ({"key": "k", "client_order_id": "two"}, 422, "idempotency_key_reused"),
    "the key without the id": ({"key": "k", "client_order_id": None}, 422, "idempotency_key_reused"),
}


@pytest.mark.parametrize(("sent", "status", "code"), KEYS.values(), ids=KEYS)
def test_beside_an_idempotency_key(trader, sent, status, code):
    first = trader.order(**BUY, client_order_id="one", key="k")
    answer = trader.order(**{**BUY, "client_order_id": "one", **sent})
    assert (answer.status_code, answer.json.get("code", "")) == (status, code)
    if status == 201:
        assert answer.json == first.json and answer.headers["Idempotent-Replayed"] == "true"
    assert len(trader.get("/orders").json["data"]) == 2


def test_what_it_costs(trader):
    """As much as an idempotency key; found again in two calls."""
    trader.order(**BUY)
    plain, named = (usage_of(trader.order(**BUY, client_order_id=name)) for name in (None, "one"))
    assert (named.calls, named.write_units) == (plain.calls, plain.write_units + 2)
    keyed = usage_of(trader.order(**BUY, client_order_id="two", key="two"))
    assert (keyed.calls, keyed.write_units) == (plain.calls, plain.write_units + 4)
    found = usage_of(by_id(trader, "one"))
    assert (found.calls, found.read_units) == (1 + 2, 1 + 2)


def test_many_at_once_are_one_order(trader):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: trader.order(**BUY, client_order_id="once"), range(64)))
    done = [answer.json["data"]["order_id"] for answer in answers if answer.status_code == 201]
    assert done and len(set(done)) == 1
    assert {answer.json["code"] for answer in answers if answer.status_code != 201} <= {"busy"}
    assert len(trader.get("/orders").json["data"]) == 2


def test_an_order_whose_answer_was_lost_is_found_by_its_id(faults, faulty_app, new_user):
    person = new_user(faulty_app)
    person.deposit("100000")
    faults.inject("TransactWriteItems", *[lose_answer] * 3)
    problem(person.order("market_buy", "BTC", "0.01", client_order_id="once"), 503, "store_unavailable")
    faults.heal()
    found = by_id(person, "once")
    assert found.status_code == 200
    again = person.order("market_buy", "BTC", "0.01", client_order_id="once")
    assert again.json == found.json and len(person.get("/orders").json["data"]) == 1
