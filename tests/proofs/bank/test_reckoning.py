"""The reckoning itself: it finds nothing in sound books, and each fault that is planted in them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from app.factory import create_app
from tests.proofs.bank.calls import Answer, Call, in_process
from tests.proofs.bank.customers import Bank, open_bank
from tests.proofs.bank.histories import history_of
from tests.proofs.bank.linearizable import linearize
from tests.proofs.bank.reckoning import reckon
from tests.proofs.bank.sequential import Account
from tests.support.applications import config
from tests.support.books import Books, check_books
from tests.support.people import caller
from tests.support.prices import FixedPrices

NO_ANSWER = None
AWAY = Answer(503, {"code": "store_unavailable"})
BUSY = Answer(503, {"code": "busy"})
POOR = Answer(422, {"code": "insufficient_funds", "available": "1.00", "required": "2.00"})


KINDS = ("deposit", "withdraw", "adjust", "market buy", "market sell", "limit buy", "cancel", "balance", "portfolio")


@pytest.fixture(scope="module")
def sound(app, endpoint, store):
    """Calls of one customer, one of each kind at least, and the books after them. `app` made the tables."""
    app = create_app(config(endpoint, log_level="WARNING"))
    prices = app.extensions["prices"] = FixedPrices(BTC="60000.00", ETH="2600.00")
    bank = Bank(price=lambda asset_id: prices.prices[asset_id], prefix="sound")
    customer = open_bank(bank, in_process(caller(app)), app, accounts=1)
    while not {call.kind for call in bank.calls if call.outcome == "done"} >= {*KINDS}:
        customer.act(dict.fromkeys(KINDS, 1))
    [person] = bank.people
    calls = [call for call in bank.calls if call.request.username == person.username]
    return calls, check_books(store, person.username, admin=bank.admin), bank.admin


def first(calls: list[Call], kind: str, outcome: str = "done") -> Call:
    return next(call for call in calls if call.kind == kind and call.outcome == outcome)


def with_answers(calls: list[Call], call: Call, *answers: Answer | None) -> list[Call]:
    return [replace(each, answers=answers) if each is call else each for each in calls]


def with_body(call: Call, **figures: Any) -> Answer:
    """The call's answer, with other figures in it."""
    body = deepcopy(call.body)
    (body.get("transaction") or body.get("data")).update(figures)
    return Answer(201, body)


def test_sound_books_are_found_sound(sound):
    calls, books, admin = sound
    assert reckon(calls, books, admin=admin) == []
    assert linearize(history_of(calls, books, admin=admin), Account()).is_linearizable


@pytest.mark.parametrize(
    "answers, outcome",
    [
        ([Answer(201, {})], "done"),
        ([POOR], "insufficient_funds"),
        ([BUSY], "untouched"),
        ([AWAY], "unknown"),
        ([NO_ANSWER], "unknown"),
        ([AWAY, BUSY], "unknown"),
        ([NO_ANSWER, Answer(201, {})], "done"),
        ([BUSY, POOR], "insufficient_funds"),
    ],
)
def test_the_fate_of_a_call(sound, answers, outcome):
    assert replace(sound[0][0], answers=tuple(answers)).outcome == outcome


@pytest.mark.parametrize("kind", ["deposit", "adjust", "market buy", "limit buy", "cancel"])
def test_a_change_of_unknown_fate_may_be_there(sound, kind):
    calls, books, admin = sound
    assert reckon(with_answers(calls, first(calls, kind), AWAY), books, admin=admin) == []


def test_a_change_of_unknown_fate_may_not_be_there(sound):
    calls, books, admin = sound
    lost = replace(first(calls, "deposit"), key="never arrived", answers=(NO_ANSWER,))
    assert reckon([*calls, lost], books, admin=admin) == []


@pytest.mark.parametrize("kind", ["deposit", "withdraw", "adjust", "market buy", "limit buy", "cancel"])
@pytest.mark.parametrize("answer", [POOR, BUSY])
def test_what_was_refused_is_not_there(sound, kind, answer):
    calls, books, admin = sound
    [found] = reckon(with_answers(calls, first(calls, kind), answer), books, admin=admin)
    assert "and is there as" in found


@pytest.mark.parametrize("kind", ["deposit", "withdraw", "adjust", "market buy", "limit buy", "cancel"])
def test_what_was_done_is_there(sound, kind):
    calls, books, admin = sound
    lost = replace(first(calls, kind), key="was lost")
    assert f"{kind} was lost was done, and is not there" in reckon([*calls, lost], books, admin=admin)


def drop_claim(books: Books) -> None:
    del books.claims[3]


def drop_transaction(books: Books) -> None:
    books.transactions[:] = [row for row in books.transactions if row["transaction_type"] != "WITHDRAW"]


def double_transaction(books: Books) -> None:
    row = next(row for row in books.transactions if row["transaction_type"] == "DEPOSIT")
    books.transactions.append({**row, "transaction_id": "000000000999"})


def double_order(books: Books) -> None:
    books.orders.append({**books.orders[0], "order_id": "order_twice"})


def change(kind: str, **figures: str) -> Any:
    def damage(books: Books) -> None:
        rows = getattr(books, kind)
        row = next(row for row in rows if all(name in row for name in figures))
        row.update(figures)

    return damage


def wrong_order(books: Books) -> None:
    ids = {row["order_id"] for row in books.orders}
    one, other, *_ = {row["reference"]: row for row in books.claims if row["reference"] in ids}.values()
    one["reference"] = other["reference"]


def worse_price(books: Books) -> None:
    next(row for row in books.orders if row["price_type"] == "LIMIT").update(status="COMPLETED", order_price="60999")


def expired_too_early(books: Books) -> None:
    next(row for row in books.orders if row["status"] == "PENDING").update(status="EXPIRED")


@pytest.mark.parametrize(
    "damage, noticed",
    [
        (worse_price, "worse than"),
        (expired_too_early, "before its time"),
        (drop_claim, "was done, and is not there"),
        (drop_transaction, "was made, and is not there"),
        (double_transaction, "no key made 000000000999"),
        (double_order, "no key made order_twice"),
        (wrong_order, "and the claim says"),
        (change("transactions", amount="7777.77"), "7777.77"),
        (change("transactions", description="nobody's"), "nobody's"),
        (change("orders", quantity="99"), "99"),
        (change("orders", asset_id="LTC"), "LTC"),
        (change("orders", status="CANCELLED"), "no key cancelled it"),
        (change("claims", SK="REQUEST#x"), "nobody asked for x"),
    ],
)
def test_damaged_books_are_noticed(sound, damage, noticed):
    calls, books, admin = sound
    damaged = deepcopy(books)
    damage(damaged)
    assert noticed in " ".join(reckon(calls, damaged, admin=admin))


@pytest.mark.parametrize(
    "kind, figures",
    [
        ("deposit", {"amount": "7777.77"}),
        ("withdraw", {"new_balance": "0.00"}),
        ("adjust", {"previous_balance": "1.00"}),
        ("market buy", {"total_amount": "0.01"}),
        ("limit buy", {"quantity": "1"}),
    ],
)
def test_an_answer_that_is_not_in_the_books_is_noticed(sound, kind, figures):
    calls, books, admin = sound
    call = first(calls, kind)
    assert reckon(with_answers(calls, call, with_body(call, **figures)), books, admin=admin)


@pytest.mark.parametrize("kind, field", [("balance", "current_balance"), ("portfolio", "cash_balance")])
def test_a_read_that_never_was_so_is_not_linearizable(sound, kind, field):
    calls, books, admin = sound
    call = first(calls, kind)
    wrong = with_answers(calls, call, Answer(200, {**call.body, field: "7777.77"}))
    assert not linearize(history_of(wrong, books, admin=admin), Account()).is_linearizable


def test_a_second_cancellation_is_noticed(sound):
    calls, books, admin = sound
    done = first(calls, "cancel")
    claim = next(row for row in books.claims if row["SK"] == f"REQUEST#{done.key}")
    twice = deepcopy(books)
    twice.claims.append({**claim, "SK": "REQUEST#again"})
    assert reckon([*calls, replace(done, key="again")], twice, admin=admin) == ["two keys made the same"]
