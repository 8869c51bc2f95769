"""What an administrator changes: adjustments, and suspending and reinstating."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.admin.routes import run
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, fields_named, problem
from tests.support.texts import MISLEADING, UNSEEN
from tests.support.usage import AUTHENTICATION, usage, usage_of


def change_status(admin, username, status):
    return admin.call("PATCH", f"/admin/users/{username}", json={"status": status})


def test_suspend_and_reinstate(admin, app, person, client):
    """Sessions, login tokens and personal tokens end at once; reinstated, only the personal ones live again."""
    person.deposit("10")
    personal = person.post("/auth/tokens", {"name": "script", "scopes": "read"}).json["access_token"]
    login, browser = person.token, Browser(app)
    browser.log_in(person.username)
    assert browser.get("/dashboard").status == 200

    answer = change_status(admin, person.username, "suspended")
    assert (answer.status_code, answer.json["status"], answer.json["username"]) == (200, "suspended", person.username)
    problem(person.get("/balance"), 401, "not_authenticated")
    person.token = personal
    problem(person.get("/balance"), 403, "account_suspended")
    assert browser.get("/dashboard", status=303).location.startswith("/login")
    credentials = {"username": person.username, "password": PASSWORD}
    problem(client.post("/api/v1/auth/login", json=credentials), 403, "account_suspended")

    assert change_status(admin, person.username, "active").json["status"] == "active"
    assert person.balance() == "10.00"
    person.token = login
    problem(person.get("/balance"), 401, "not_authenticated")
    assert browser.get("/dashboard", status=303).location.startswith("/login")
    assert person.log_in() and person.balance() == "10.00"


def test_an_admin_cannot_suspend_itself(admin, new_user, app):
    problem(change_status(admin, admin.username, "suspended"), 409, "own_account")
    assert admin.get("/auth/profile").status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"status": "deleted"}, {"status": ""}, {"status": None}, {"status": True}, {"status": ["suspended"]}],
    ids=str,
)
def test_no_such_status(admin, person, body):
    response = admin.call("PATCH", f"/admin/users/{person.username}", json=body)
    assert fields_named(problem(response, 422, "invalid_input")) == ["status"]
    assert person.get("/balance").status_code == 200


def adjust(admin, person, amount, reason="correction", **more):
    return admin.post(f"/admin/users/{person.username}/adjustments", {"amount": amount, "reason": reason}, **more)


def test_adjustments_are_signed_and_recorded_with_reason_and_actor(admin, person, store):
    person.deposit("100")
    for amount, after in (("25.5", "125.50"), ("-125.49", "0.01"), ("-0.01", "0.00"), (7, "7.00"), (-7, "0.00")):
        response = adjust(admin, person, amount, reason="Double deposit of 1 May")
        assert response.status_code == 201 and set(response.json) == {"data"}
        made = response.json["data"]
        assert (made["transaction_type"], made["new_balance"]) == ("system_adjustment", after)
        assert Decimal(made["amount"]) == Decimal(str(amount))
        assert (made["actor"], made["description"]) == (admin.username, "Double deposit of 1 May")
        assert person.balance() == after
    body = person.get("/balance").json
    assert (body["total_deposits"], body["total_withdrawals"]) == ("100.00", "0.00"), "neither in nor out"
    [newest, *_] = person.get("/balance/transactions?transaction_type=system_adjustment").json["transactions"]
    assert newest["description"] == "Double deposit of 1 May" and newest["amount"] == "-7.00"
    raw = store.get_item(TableName="users", Key={"PK": {"S": person.username}, "SK": {"S": "TRANS#000000000006"}})[
        "Item"
    ]
    assert raw["actor"]["S"] == admin.username and raw["amount"]["S"] == "-7.00"


def test_an_adjustment_never_takes_more_than_there_is(admin, trader):
    body = problem(adjust(admin, trader, "-890.01"), 422, "insufficient_funds")
    assert (body["available"], body["required"]) == ("890.00", "890.01")
    assert adjust(admin, trader, "-890.00").status_code == 201
    assert trader.balance() == "0.00" and trader.get("/portfolio").json["reserved_cash"] == "50.00"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["amount", "reason"]),
        ({"amount": "5"}, ["reason"]),
        ({"reason": "x"}, ["amount"]),
        ({"amount": "5", "reason": ""}, ["reason"]),
        ({"amount": "5", "reason": "  "}, ["reason"]),
        ({"amount": "5", "reason": None}, ["reason"]),
        ({"amount": "5", "reason": "x" * 201}, ["reason"]),
        ({"amount": "5", "reason": "a\nb"}, ["reason"]),
        *(({"amount": "5", "reason": text}, ["reason"]) for text in UNSEEN.values()),
        *(({"amount": "5", "reason": f"a{char}b"}, ["reason"]) for char in MISLEADING.values()),
        ({"amount": "0", "reason": "x"}, ["amount"]),
        ({"amount": "-0", "reason": "x"}, ["amount"]),
        ({"amount": "-0.00", "reason": "x"}, ["amount"]),
        ({"amount": "+5", "reason": "x"}, ["amount"]),
        ({"amount": "--5", "reason": "x"}, ["amount"]),
        ({"amount": "- 5", "reason": "x"}, ["amount"]),
        ({"amount": "−5", "reason": "x"}, ["amount"]),
        ({"amount": "0.001", "reason": "x"}, ["amount"]),
        ({"amount": "-1000000.01", "reason": "x"}, ["amount"]),
        ({"amount": "NaN", "reason": "x"}, ["amount"]),
        ({"amount": "-Infinity", "reason": "x"}, ["amount"]),
        ({"amount": "-1e2", "reason": "x"}, ["amount"]),
        ({"amount": True, "reason": "x"}, ["amount"]),
        ({"amount": None, "reason": "x"}, ["amount"]),
        ({"amount": -0.0, "reason": "x"}, ["amount"]),
    ],
    ids=str,
)
def test_malformed_adjustments(admin, person, body, fields):
    response = admin.post(f"/admin/users/{person.username}/adjustments", body)
    assert fields_named(problem(response, 422, "invalid_input")) == fields
    assert person.balance() == "0.00"


def test_keyed_adjustments(admin, person, new_user, app):
    """One key of the owner, of one admin and of another are three keys; each is for one request."""
    second = new_user()
    run(app, "promote", second.username)
    second.log_in()
    assert person.deposit("100", key="k").status_code == 201
    first = adjust(admin, person, "5", key="k")
    again = adjust(admin, person, "5.00", key="k")
    assert again.json == first.json and again.headers["Idempotent-Replayed"] == "true"
    assert adjust(second, person, "5", key="k").status_code == 201
    assert person.balance() == "110.00"
    for changed in ({"amount": "6"}, {"amount": "-5"}, {"amount": "5", "reason": "another"}):
        problem(adjust(admin, person, **changed, key="k"), 422, "idempotency_key_reused")
    problem(adjust(admin, second, "5", key="k"), 422, "idempotency_key_reused")
    assert second.balance() == "0.00"
    problem(admin.post("/balance/deposit", {"amount": "5"}, key="k"), 422, "idempotency_key_reused")
    replayed = person.deposit("100", key="k")
    assert replayed.headers["Idempotent-Replayed"] == "true" and person.balance() == "110.00"


def test_nobody_adjusts_their_own_balance(admin):
    problem(adjust(admin, admin, "5"), 409, "own_account")
    assert admin.balance() == "0.00"


def test_a_replayed_adjustment_that_emptied_the_balance(admin, person):
    person.deposit("5")
    first = adjust(admin, person, "-5", key="k")
    assert adjust(admin, person, "-5", key="k").json == first.json
    assert person.balance() == "0.00"


def test_what_adjusting_and_suspending_cost(admin, person):
    assert usage_of(adjust(admin, person, "5")) - AUTHENTICATION == usage(3, 2, 4 + 2 + 1 + 2)
    used = usage_of(change_status(admin, person.username, "suspended")) - AUTHENTICATION
    assert used == usage(3, 2, 2 + 1 + 2 + 1 + 4)
