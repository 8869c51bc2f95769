"""What belongs to somebody else answers exactly like what does not exist."""

from __future__ import annotations

import pytest

from tests.support.usage import usage_of


@pytest.fixture
def owner(new_user):
    person = new_user()
    person.deposit("100")
    person.deposit("100")
    person.buy("BTC", "0.0001")
    return person


@pytest.fixture
def other(new_user):
    return new_user()


def answer(person, method, path):
    """All of an answer but what differs between any two requests."""
    response = person.call(method, path, headers={"X-Request-ID": "same"})
    kept = {name: value for name, value in response.headers if name not in {"Server-Timing", "Date"}}
    return response.status_code, response.json, kept


@pytest.mark.parametrize(
    ("method", "route", "missing"),
    [
        ("GET", "/orders/{order_id}", "order_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("POST", "/orders/{order_id}/cancel", "order_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("GET", "/balance/transactions/{transaction_id}", "000000000099"),
    ],
)
def test_an_object_of_somebody_else(owner, other, method, route, missing):
    names = {
        "order_id": owner.get("/orders").json["data"][0]["order_id"],
        "transaction_id": owner.get("/balance/transactions").json["transactions"][0]["transaction_id"],
    }
    if "{order_id}" in route:
        nothing = route.replace("{order_id}", missing)
    else:
        nothing = route.replace("{transaction_id}", missing)
    foreign = answer(other, method, route.format(**names))
    assert foreign == answer(other, method, nothing)
    assert foreign[0] == 404


def test_lists_hold_what_is_one_s_own(owner, other):
    other.deposit("7")
    assert [row["amount"] for row in other.get("/balance/transactions").json["transactions"]] == ["7.00"]
    for path in ("/orders", "/assets/transactions", "/assets/BTC/transactions", "/balance/assets"):
        assert other.get(path).json["data"] == []
    assert other.get("/balance/asset/BTC").status_code == 404
    assert other.get("/portfolio").json["assets"] == []
    assert other.balance() == "7.00"


def test_a_name_that_begins_like_another(new_user):
    """Keys are made of names: `al` + `ice` must not read `alice`'s rows, in lists nor as a prefix."""
    short, long = new_user(username="name_12"), new_user(username="name_123")
    long.deposit("100")
    long.buy("BTC", "0.0001")
    assert short.balance() == "0.00"
    for path in ("/orders", "/assets/transactions", "/assets/BTC/transactions", "/balance/assets"):
        assert short.get(path).json["data"] == []


def test_a_body_cannot_name_another_account(owner, other):
    other.post("/balance/deposit", {"amount": "5", "username": owner.username, "PK": owner.username})
    other.post("/orders", {"order_type": "market_buy", "asset_id": "DOGE", "quantity": "1", "username": owner.username})
    assert len(owner.get("/balance/transactions").json["transactions"]) == 3
    assert len(other.get("/orders").json["data"]) == 1


def test_reading_an_order_of_somebody_else_costs_as_much_as_a_missing_one(owner, other):
    order_id = owner.get("/orders").json["data"][0]["order_id"]
    foreign, missing = other.get(f"/orders/{order_id}"), other.get("/orders/order_0123456789")
    assert usage_of(foreign).calls == usage_of(missing).calls
