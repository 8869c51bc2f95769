"""What a caller sees, and what stands in the store, when the store is slow, busy, broken or gone."""

from __future__ import annotations

import re
import time

import pytest

from app.factory import create_app
from tests.support.applications import config
from tests.support.faults import cancel, drop, lose_answer, refuse, truncate
from tests.support.people import PASSWORD, problem

CONFLICT = cancel("TransactionConflict", "None", "None", "None", "None", "None")
THROTTLED_STEP = cancel("None", "ThrottlingError")


@pytest.fixture
def person(new_user, faulty_app, faults):
    """Someone with 100.00 whose requests go through `faults`."""
    person = new_user(faulty_app)
    person.deposit("100")
    faults.heal()
    return person


MOVES = {
    "deposit": lambda person, key: person.deposit("30", key=key),
    "withdraw": lambda person, key: person.withdraw("30", key=key),
    "buy": lambda person, key: person.order("market_buy", "DOGE", "50", key=key),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
@pytest.mark.parametrize("fault", [CONFLICT, THROTTLED_STEP], ids=["conflict", "throttled"])
def test_a_lost_race_is_run_again_with_a_fresh_read(person, faults, move, fault):
    faults.inject("TransactWriteItems", fault, fault)
    assert move(person, "k").status_code == 201
    # Authentication, which reads for the first of three attempts too.
    reads = [each for each in faults.operations if each != "TransactWriteItems"]
    assert faults.operations.count("TransactWriteItems") == 3 and len(reads) == 3
    assert len(person.get("/balance/transactions").json["transactions"]) == 2


def test_another_change_in_between_is_seen(person, faults):
    """The version that was read has moved on: the condition refuses, and the next attempt reads the new balance."""

    def other_change(forwarder, sent):
        assert person.withdraw("90").status_code == 201
        return forwarder.forward(sent)

    faults.inject("TransactWriteItems", other_change)
    problem(person.withdraw("30"), 422, "insufficient_funds")
    assert person.balance() == "10.00"


def test_every_write_of_a_change_carries_its_condition(person, faults):
    """A key's claim may replace an expired one; what changes money or a holding names what was read."""
    for move in [*MOVES.values(), lambda person, key: person.order("market_sell", "DOGE", "1", key=key)]:
        assert move(person, f"k{len(faults.bodies)}").status_code == 201
    steps = [step for body in faults.bodies for item in body.get("TransactItems", []) for step in item.items()]
    assert len(steps) == 3 + 3 + 6 + 6
    for action, step in steps:
        condition, names = step["ConditionExpression"], step["ExpressionAttributeNames"]
        compared = {names[each] for each in re.findall(r"(#\w+) = :\w+", condition)}
        if action == "Update" and step["Key"]["SK"]["S"] == "BALANCE":
            assert "version" in compared
        elif action == "Update":
            assert "quantity" in compared
        else:
            [absent] = re.findall(r"attribute_not_exists \((#\w+)\)", condition)
            assert action == "Put" and names[absent] == "PK"


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_a_race_that_is_never_won_is_busy(person, faults, move):
    faults.inject("TransactWriteItems", *[CONFLICT] * 40)
    response = move(person, "k")
    problem(response, 503, "busy")
    assert int(response.headers["Retry-After"]) >= 1
    assert 3 <= 40 - faults.waiting <= 20
    faults.heal()
    assert person.balance() == "100.00"
    assert move(person, "k").status_code == 201, "a refused request leaves no claim"


@pytest.mark.parametrize("impatient", [None], ids=["at the pace of the product"])  # in place of the fixture
def test_throttling_without_end(person, faults):
    """Bounded in sends and seconds: a thread that waits serves nobody."""
    faults.inject("TransactWriteItems", *[refuse("ThrottlingException")] * 100)
    started = time.monotonic()
    response = person.deposit("1")
    problem(response, 503, "busy")
    assert "Retry-After" in response.headers
    assert 100 - faults.waiting <= 15
    assert 3 <= time.monotonic() - started < 10


READS = [
    "/balance",
    "/balance/transactions",
    "/balance/transactions/000000000001",
    "/balance/assets",
    "/balance/asset/BTC",
    "/portfolio",
    "/orders",
    "/orders/order_0123456789",
    "/assets/transactions",
    "/assets/BTC/transactions",
    "/auth/profile",
]


@pytest.mark.parametrize("path", READS)
def test_reads_survive_one_broken_connection(person, faults, path):
    whole = person.get(path)
    for fault in (drop, truncate, refuse("InternalServerError", status=500)):
        faults.inject("*", fault)
        again = person.get(path)
        assert again.status_code == whole.status_code and faults.waiting == 0


@pytest.mark.parametrize("path", READS)
def test_reads_of_a_broken_store(person, faults, path):
    faults.inject("*", *[drop] * 20)
    response = person.get(path)
    problem(response, 503, "store_unavailable")
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
@pytest.mark.parametrize("fault", [lose_answer, truncate], ids=["lost", "cut short"])
@pytest.mark.parametrize("key", ["k", None], ids=["with a key", "without a key"])
def test_a_lost_answer_applies_once(person, faults, move, fault, key):
    """The engine had applied it: the resend carries the same token and changes nothing more."""
    faults.inject("TransactWriteItems", fault)
    response = move(person, key)
    assert response.status_code == 201
    assert faults.operations.count("TransactWriteItems") == 2
    listed = person.get("/balance/transactions").json["transactions"]
    assert len(listed) == 2
    if "transaction" in response.json:
        assert listed[0] == response.json["transaction"]


def test_a_registration_whose_answer_is_lost_is_made_once(faulty_app, faults, new_user):
    faults.inject("TransactWriteItems", lose_answer)
    assert new_user(faulty_app).balance() == "0.00"


def test_a_keyed_request_whose_fate_is_unknown_can_be_repeated(person, faults):
    """Every answer is lost, so the outcome is unknown; the same key then finds what was done."""
    faults.inject("TransactWriteItems", *[lose_answer] * 3)
    problem(person.withdraw("100", key="k"), 503, "store_unavailable")
    again = person.withdraw("100", key="k")
    assert again.status_code == 201 and again.headers["Idempotent-Replayed"] == "true"
    assert again.json["transaction"]["new_balance"] == "0.00"
    assert len(person.get("/balance/transactions").json["transactions"]) == 2


def test_an_order_whose_fate_is_unknown_can_be_repeated(person, faults):
    faults.inject("TransactWriteItems", *[lose_answer] * 3)
    problem(person.order("market_buy", "DOGE", "50", key="k"), 503, "store_unavailable")
    again = person.order("market_buy", "DOGE", "50", key="k")
    assert again.status_code == 201 and again.headers["Idempotent-Replayed"] == "true"
    assert person.get("/orders").json["data"] == [again.json["data"]]


def test_the_store_is_down(impatient):
    """Nothing listens at the address: every route that needs the store says so, the others work."""
    down = create_app(config("http://127.0.0.1:9")).test_client()
    body = {
        "username": "down",
        "email": "down@example.com",
        "password": "seven green kettles",
        "first_name": "A",
        "last_name": "B",
    }
    for response in (
        down.get("/ready"),
        down.post("/api/v1/auth/register", json=body),
        down.post("/api/v1/auth/login", json={"username": "down", "password": "x"}),
        down.get("/api/v1/balance", headers={"Authorization": f"Bearer down.{'0' * 16}.{'x' * 43}"}),
    ):
        problem(response, 503, "store_unavailable")
        assert int(response.headers["Retry-After"]) >= 1
        assert "127.0.0.1" not in response.text
    for path in ("/health", "/api/v1/inventory/assets", "/api/v1/inventory/assets/btc"):
        assert down.get(path).status_code == 200


def test_tables_that_are_missing(endpoint):
    """Not ready, and no secret of the store in the answer."""
    lost = create_app(config(endpoint, users_table="missing_users", orders_table="missing_orders")).test_client()
    assert lost.get("/ready").status_code == 503
    response = lost.post("/api/v1/auth/login", json={"username": "down", "password": "x"})
    assert response.status_code in {500, 503}
    assert "missing_users" not in response.text and "ResourceNotFound" not in response.text


def test_calls_that_were_resent_are_counted(person, faults):
    faults.inject("BatchGetItem", drop)
    response = person.get("/balance")
    assert "2 calls" in response.headers["Server-Timing"] and len(faults.operations) == 2


THROTTLE = refuse("ThrottlingException")
BROKEN = refuse("InternalServerError", status=500)
BOOKKEEPING_FAULTS = {"broken": BROKEN, "throttled": THROTTLE, "dropped": drop, "lost answer": lose_answer}


@pytest.mark.parametrize("fault", BOOKKEEPING_FAULTS.values(), ids=BOOKKEEPING_FAULTS)
def test_a_request_does_not_depend_on_noting_the_use_of_its_token(person, faults, fault):
    made = person.post("/auth/tokens", {"name": "script", "scopes": "read"}).json
    headers = {"Authorization": f"Bearer {made['access_token']}"}
    faults.inject("UpdateItem", *[fault] * 3)
    assert person.get("/balance", headers=headers).status_code == 200
    assert faults.waiting == 0, "the use was to be noted"
    assert person.get("/balance", headers=headers).status_code == 200
    [token] = person.get("/auth/tokens").json["data"]
    assert token["last_used_at"], "the next request notes it"


def calls_of(faults, operation):
    return [call for call in faults.calls if call.operation == operation]


def test_a_wrong_password_counts_once_also_while_counting_fails(person, faults):
    body = {"current_password": "not the password", "new_password": "nine purple lanterns"}
    # Authentication, the user with the failures so far, and the first of three counting writes; the second one fails.
    faults.break_call(4, THROTTLE, onward=True)
    problem(person.post("/auth/password", body), 503, "busy")
    assert len(calls_of(faults, "UpdateItem")) == 2
    assert len(calls_of(faults, "BatchGetItem")) == 2, "the password is looked at once"


def test_only_the_write_of_a_new_password_is_tried_again(person, faults):
    faults.heal()
    faults.inject("TransactWriteItems", *[THROTTLE] * 6)
    body = {"current_password": PASSWORD, "new_password": "nine purple lanterns"}
    assert person.post("/auth/password", body).status_code == 204
    # Authentication, the user with the failures so far, and these again before the password is let in.
    assert len(calls_of(faults, "TransactWriteItems")) == 3 and len(calls_of(faults, "BatchGetItem")) == 3
