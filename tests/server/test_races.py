"""Many requests at once, over the threads of two workers: each rule holds as if they had come one by one."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from tests.support.books import check_books
from tests.support.people import registration
from tests.support.server import Caller, at_once

pytestmark = pytest.mark.engine


def test_withdrawals_of_16_threads_never_overdraw(running, record_property):
    """100.00 in the account, 160 attempts to take 1.00."""
    server, store = running
    with server.account(callers=16, deposit="100") as account:

        def withdraw(caller):
            return [caller.post("/balance/withdraw", {"amount": "1.00"}).status_code for _ in range(10)]

        answers = Counter(
            status
            for each in at_once([lambda caller=caller: withdraw(caller) for caller in account.callers])
            for status in each
        )
        record_property("withdrawals", dict(answers))
        print("withdrawals", dict(answers))
        assert set(answers) <= {201, 422, 503}
        left = Decimal(account.get("/balance").json()["current_balance"])
        assert left >= 0 and answers[201] == 100 - left
        assert answers[201] == 100 or answers[503], "refused while there was money"
        check_books(store, account.username)


def test_of_two_purchases_that_only_one_can_pay_one_succeeds(running, record_property):
    """12 rounds: 100.00 in the account, two purchases of about 80.00 at the same moment."""
    server, store = running
    outcomes = Counter()
    with server.account(callers=2, deposit="100") as account:
        for _ in range(12):
            price = Decimal(str(account.get("/inventory/assets/LTC").json()["price_usd"]))
            order = {"order_type": "market_buy", "asset_id": "LTC", "quantity": str(round(80 / price, 6))}
            answers = at_once([lambda caller=caller: caller.post("/orders", order) for caller in account.callers])
            outcomes[tuple(sorted(answer.status_code for answer in answers))] += 1
            [refused] = [answer.json() for answer in answers if answer.status_code != 201]
            assert refused["code"] == "insufficient_funds"
            left = Decimal(account.get("/balance").json()["current_balance"])
            assert 19 < left < 21
            assert account.post("/balance/deposit", {"amount": str(100 - left)}).status_code == 201
        record_property("purchases", dict(outcomes))
        print("purchases", dict(outcomes))
        assert outcomes == {(201, 422): 12}
        check_books(store, account.username)


def test_of_two_sales_of_one_holding_one_succeeds(running):
    server, store = running
    with server.account(callers=4, deposit="1000") as account:
        for _ in range(8):
            bought = account.post("/orders", {"order_type": "market_buy", "asset_id": "ETH", "quantity": "0.01"})
            assert bought.status_code == 201
            sale = {"order_type": "market_sell", "asset_id": "ETH", "quantity": "0.01"}
            answers = at_once([lambda caller=caller: caller.post("/orders", sale) for caller in account.callers])
            assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
        check_books(store, account.username)


def until_not_busy(send):
    """The first other answer: few passwords may wait to be hashed."""
    while (answer := send()).status_code == 503:
        assert answer.json()["code"] == "busy"
    return answer


def test_one_address_is_registered_once(running, record_property):
    """3 rounds of 8 registrations of the same e-mail under different usernames, then of the same username."""
    server, _ = running
    callers = [Caller(server.address) for _ in range(8)]
    outcomes = Counter()
    for shared in ["email"] * 3 + ["username"] * 2:
        same = registration()[shared]
        bodies = [registration(**{shared: same}) for _ in callers]
        answers = at_once(
            [
                lambda caller=caller, body=body: until_not_busy(lambda: caller.post("/auth/register", body))
                for caller, body in zip(callers, bodies, strict=True)
            ]
        )
        outcomes[tuple(sorted(answer.status_code for answer in answers))] += 1
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {f"{shared}_taken"}
    for caller in callers:
        caller.close()
    record_property("registrations", dict(outcomes))
    print("registrations", dict(outcomes))
    assert outcomes == {(201, *[409] * 7): 5}


def test_one_key_makes_one_entry(running):
    server, store = running
    with server.account(callers=16, deposit="100") as account:
        for number, (path, body) in enumerate(
            [
                ("/balance/withdraw", {"amount": "60"}),
                ("/balance/deposit", {"amount": "5"}),
                ("/orders", {"order_type": "market_buy", "asset_id": "DOGE", "quantity": "10"}),
            ]
        ):
            answers = at_once(
                [lambda caller=caller: caller.post(path, body, key=f"key-{number}") for caller in account.callers]
            )
            assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
            assert all(answer.json() == answers[0].json() for answer in answers)
            assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
        assert len(check_books(store, account.username).transactions) == 4


def test_everything_at_once_keeps_the_books(running):
    """Deposits, withdrawals, purchases and sales of one account from 16 threads."""
    server, store = running
    requests = [
        ("/balance/deposit", {"amount": "3.33"}),
        ("/balance/withdraw", {"amount": "2.22"}),
        ("/orders", {"order_type": "market_buy", "asset_id": "BTC", "quantity": "0.00002"}),
        ("/orders", {"order_type": "market_sell", "asset_id": "BTC", "quantity": "0.00001"}),
    ]
    with server.account(callers=16, deposit="20") as account:

        def act(caller, number):
            return [caller.post(*requests[(number + turn) % 4]).status_code for turn in range(6)]

        answers = at_once(
            [lambda caller=caller, number=number: act(caller, number) for number, caller in enumerate(account.callers)]
        )
        done = Counter(status for each in answers for status in each)
        print("mixed", dict(done))
        assert set(done) <= {201, 422, 503}
        books = check_books(store, account.username)
        assert len(books.transactions) == done[201] + 1
