"""Deposits and withdrawals by JSON: what they answer, and in which notations they take amounts and descriptions."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from app.domain import clock
from tests.support.people import TIME, TRANSACTION


@pytest.mark.parametrize(
    ("route", "kind", "new_balance"), [("deposit", "deposit", "1100.10"), ("withdraw", "withdraw", "899.90")]
)
def test_deposit_and_withdraw(person, route, kind, new_balance):
    person.deposit("1000")
    response = person.post(f"/balance/{route}", {"amount": "100.1", "description": " Für später "})
    assert response.status_code == 201
    body = response.json
    assert set(body) == {"success", "message", "transaction_id", "timestamp", "transaction"}
    assert body["success"] is True and body["message"]
    transaction = body["transaction"]
    assert set(transaction) == TRANSACTION
    assert body["transaction_id"] == transaction["transaction_id"] == "000000000002"
    assert body["timestamp"] == transaction["created_at"]
    assert re.fullmatch(TIME, body["timestamp"])
    assert {name: transaction[name] for name in TRANSACTION - {"created_at", "transaction_id", "hash"}} == {
        "transaction_type": kind,
        "amount": "100.10",
        "previous_balance": "1000.00",
        "new_balance": new_balance,
        "status": "completed",
        "description": "Für später",
        "order_id": None,
        "actor": None,
    }
    assert person.get("/balance/transactions/000000000002").json == transaction


@pytest.mark.parametrize(
    "description",
    [
        None,
        "",
        "   ",
        "x" * 200,
        "=1+1",
        "<script>alert(1)</script>",
        "🪙",
        "a'b\"c\\",
        "👩\u200d🚀",
        "می\u200cنا",
        "\u200fא",
    ],
)
def test_a_description_comes_back_as_it_was_sent(person, description):
    sent = {"amount": "1", "description": description}
    response = person.post("/balance/deposit", sent)
    assert response.status_code == 201
    expected = description if description and description.strip() else None
    assert response.json["transaction"]["description"] == expected


def test_a_description_typed_in_two_forms_is_the_same(person):
    """One keyboard sends ü as one letter, another as u and a diaeresis."""
    first = person.post("/balance/deposit", {"amount": "1", "description": "fu\u0308r später"}, key="once")
    again = person.post("/balance/deposit", {"amount": "1", "description": "für später"}, key="once")
    assert (first.status_code, again.status_code, again.headers["Idempotent-Replayed"]) == (201, 201, "true")
    assert first.json["transaction"]["description"] == "für später"
    assert person.balance() == "1.00"


NOTATIONS = ["1000", '"1000"', '"1000.0"', '"1000.00"', "1000.0", '"01000.00"', "1e3", "1E+3", "1.00000e3", "10000e-1"]


@pytest.mark.parametrize("amount", NOTATIONS)
def test_the_same_amount_in_other_notations(person, amount):
    response = person.post("/balance/deposit", data=f'{{"amount": {amount}}}', content_type="application/json")
    assert response.status_code == 201 and person.balance() == "1000.00"


def test_a_json_number_never_goes_through_float(person):
    """As floats these lose their cents or their last digits."""
    for amount in ("0.29", "999999.99", "1.10", "0.01"):
        assert (
            person.post("/balance/deposit", data=f'{{"amount": {amount}}}', content_type="application/json").json[
                "transaction"
            ]["amount"]
            == amount
        )
    assert person.balance() == "1000001.39"


def test_a_new_account_is_empty(person):
    assert person.balance() == "0.00"
    assert person.get("/balance/assets").json == {"data": []}
    assert person.get("/portfolio").json["total_value"] == "0.00"
    for path in ("/orders", "/assets/transactions", "/assets/BTC/transactions"):
        assert person.get(path).json == {"data": [], "has_more": False, "next_cursor": None}


def test_time_never_goes_back_in_an_account(person):
    """Where the clocks of two machines differ, the numbers and the times of transactions have one order."""
    now = clock.now()
    with clock.at(now):
        first = person.deposit("5").json["timestamp"]
    with clock.at(now - timedelta(days=1)):
        second, third = person.withdraw("1").json["timestamp"], person.deposit("1").json["timestamp"]
    with clock.at(now + timedelta(seconds=1)):
        fourth = person.deposit("1").json["timestamp"]
    assert first < second < third < fourth
    assert clock.from_text(third) == now + 2 * timedelta.resolution
