"""The same key, the same request: applied once, answered alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest

from app.domain import clock
from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.models.balance_changes import post_transaction
from app.models.idempotency import IdempotencyClaim
from tests.support.people import problem
from tests.support.usage import usage_of


@pytest.fixture
def trader(new_user, market_app, market):
    """Someone with 1000.00 and BTC at 100."""
    market.set("BTC", "100")
    person = new_user(market_app)
    person.deposit("1000")
    return person


def assert_replay(first, again):
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json == first.json
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert usage_of(again).write_units == 0


REQUESTS = {
    "deposit": lambda person: person.deposit("10", key="k"),
    "withdraw": lambda person: person.withdraw("10", key="k"),
    "withdraw everything": lambda person: person.withdraw("1000", key="k"),
    "buy": lambda person: person.order("market_buy", "BTC", "1", key="k"),
    "buy for everything": lambda person: person.order("market_buy", "BTC", "10", key="k"),
    "buy at a worst price": lambda person: person.order("market_buy", "BTC", "1", price="100", key="k"),
    "limit buy": lambda person: person.order("limit_buy", "BTC", "10", price="90", key="k"),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_replayed_at_once_and_later(trader, market, request_):
    """Whatever the first run spent, and wherever the price has gone."""
    first = request_(trader)
    assert_replay(first, request_(trader))
    market.set("BTC", "500")
    assert_replay(first, request_(trader))
    if trader.balance() != "0.00":
        assert trader.withdraw(trader.balance()).status_code == 201
    assert_replay(first, request_(trader))
    market.stale.add("BTC")
    assert_replay(first, request_(trader))


def test_a_sale_of_everything_is_replayed(trader):
    trader.buy("BTC", "2")
    first = trader.order("market_sell", "BTC", "2", key="k")
    assert_replay(first, trader.order("market_sell", "BTC", "2", key="k"))
    assert trader.balance() == "1000.00"


@pytest.mark.parametrize("amount", ["10", "10.0", "10.00", "010", 10])
def test_the_same_amount_in_another_notation_is_the_same_request(trader, amount):
    first = trader.post("/balance/deposit", {"amount": "10"}, key="k")
    assert_replay(first, trader.post("/balance/deposit", {"amount": amount}, key="k"))


@pytest.mark.parametrize(
    "again",
    [
        {"order_type": "market_buy", "asset_id": "btc", "quantity": 1.0},
        {"order_type": "market_buy", "asset_id": "BTC", "quantity": "1.00000000", "price": None},
        {"order_type": "market_buy", "asset_id": "Btc", "quantity": "01", "more": True},
    ],
)
def test_the_same_order_in_another_notation_is_the_same_request(trader, again):
    first = trader.order("market_buy", "BTC", "1", key="k")
    assert_replay(first, trader.post("/orders", again, key="k"))


OTHERS = {
    "another amount": lambda person: person.deposit("10.01", key="k"),
    "another route": lambda person: person.withdraw("10", key="k"),
    "a description": lambda person: person.post("/balance/deposit", {"amount": "10", "description": "x"}, key="k"),
    "an order": lambda person: person.order("market_buy", "BTC", "1", key="k"),
    "what cannot be paid": lambda person: person.withdraw("100000", key="k"),
    "an order that cannot be paid": lambda person: person.order("market_buy", "BTC", "1000", key="k"),
    "a sale of what is not held": lambda person: person.order("market_sell", "BTC", "1", key="k"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_another_request_with_the_key_is_refused(trader, other):
    trader.deposit("10", key="k")
    response = other(trader)
    problem(response, 422, "idempotency_key_reused")
    assert usage_of(response).write_units == 0 or response.status_code == 422
    assert trader.balance() == "1010.00"


def test_another_withdrawal_with_the_key_is_refused(trader):
    assert trader.withdraw("10", key="k").status_code == 201
    problem(trader.withdraw("10.01", key="k"), 422, "idempotency_key_reused")
    assert trader.balance() == "990.00"


ORDERS = {
    "another quantity": {"quantity": "1.1"},
    "another asset": {"asset_id": "ETH"},
    "the other side": {"order_type": "market_sell"},
    "a worst price": {"price": "200"},
}


@pytest.mark.parametrize("change", ORDERS.values(), ids=ORDERS.keys())
def test_another_order_with_the_key_is_refused(trader, change):
    order = {"order_type": "market_buy", "asset_id": "BTC", "quantity": "1"}
    assert trader.post("/orders", order, key="k").status_code == 201
    problem(trader.post("/orders", {**order, **change}, key="k"), 422, "idempotency_key_reused")
    assert len(trader.get("/orders").json["data"]) == 1


def test_keys_belong_to_one_user(new_user):
    one, other = new_user(), new_user()
    for person, amount in ((one, "10"), (other, "20")):
        response = person.deposit(amount, key="shared")
        assert response.status_code == 201 and "Idempotent-Replayed" not in response.headers
    assert (one.balance(), other.balance()) == ("10.00", "20.00")


@pytest.mark.parametrize("key", ["a", "A", "!", "~", "x" * 255, "#", "a#b", "BALANCE", '"quoted"', "k,k"])
def test_any_visible_ascii_is_a_key(person, key):
    assert person.deposit("1", key=key).status_code == 201
    assert person.deposit("1", key=key).headers["Idempotent-Replayed"] == "true"
    assert person.deposit("1", key=key.swapcase() if key.isalpha() else key + "x"[: 255 - len(key)]).status_code == 201


def test_without_a_key_each_request_counts(person):
    for _ in range(2):
        assert "Idempotent-Replayed" not in person.deposit("1").headers
    assert person.balance() == "2.00"


def test_a_refused_request_leaves_its_key_free(trader):
    problem(trader.withdraw("1001", key="k"), 422, "insufficient_funds")
    problem(trader.withdraw("x", key="k"), 422, "invalid_input")
    trader.deposit("1")
    response = trader.withdraw("1001", key="k")
    assert response.status_code == 201 and "Idempotent-Replayed" not in response.headers


@pytest.mark.parametrize("seconds_past", [0, 2])
def test_a_claim_past_its_time_counts_as_gone(app, trader, seconds_past):
    """Whether or not DynamoDB has deleted it yet; and the new claim holds."""
    trader.deposit("10", key="k")
    key = IdempotencyClaim.key(trader.username, "k")
    end = clock.now().replace(microsecond=0)
    with app.app_context():
        claim = IdempotencyClaim.find(key)
        assert timedelta(days=29) < claim.ttl - clock.now() <= timedelta(days=30)
        claim.update(actions=[IdempotencyClaim.ttl.set(end)])
    with clock.at(end + timedelta(seconds=seconds_past)):
        second = trader.deposit("20", key="k")
    assert second.status_code == 201 and "Idempotent-Replayed" not in second.headers
    assert trader.balance() == "1030.00"
    assert_replay(second, trader.deposit("20", key="k"))
    problem(trader.deposit("10", key="k"), 422, "idempotency_key_reused")


@pytest.mark.parametrize("days", [-400, -31, 0, 31])
def test_a_claim_for_a_moment_of_the_past_outlives_the_present(app, trader, days):
    """The demonstration acts in the past, and what is past its `ttl` may be deleted at once."""
    moment = clock.now() + timedelta(days=days)
    with app.app_context(), clock.at(moment):
        post_transaction(
            trader.username, TransactionType.DEPOSIT, Decimal("1.00"), idempotency=identify("past", "deposit")
        )
    with app.app_context():
        claim = IdempotencyClaim.find(IdempotencyClaim.key(trader.username, "past"))
    assert claim.ttl - max(moment, clock.now()) > timedelta(days=29, hours=23) and claim.created_at == moment


@pytest.mark.parametrize("seconds_past", [0, 2])
def test_an_expired_claim_does_not_answer_a_refused_request(app, trader, seconds_past):
    trader.withdraw("1000", key="k")
    end = clock.now().replace(microsecond=0)
    with app.app_context():
        claim = IdempotencyClaim.find(IdempotencyClaim.key(trader.username, "k"))
        claim.update(actions=[IdempotencyClaim.ttl.set(end)])
    with clock.at(end + timedelta(seconds=seconds_past)):
        problem(trader.withdraw("1000", key="k"), 422, "insufficient_funds")


@pytest.mark.parametrize(
    "request_",
    [REQUESTS["deposit"], REQUESTS["withdraw everything"], REQUESTS["buy for everything"]],
    ids=["deposit", "withdraw everything", "buy for everything"],
)
def test_threads_with_one_key_make_one_entry(trader, request_):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: request_(trader), range(16)))
    assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
    assert all(answer.json == answers[0].json for answer in answers)
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert len(trader.get("/balance/transactions").json["transactions"]) == 2
