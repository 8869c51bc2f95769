"""Which orders a round ends: those of today, of earlier days, and of a clock that was wrong."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.domain import clock
from app.domain.orders import Side
from app.services.worker import Worker
from tests.orders.worker.rounds import books_of, done_of, status_of, write_order
from tests.support.accounts import place_limit
from tests.support.people import NOON
from tests.support.prices import FixedPrices
from tests.support.usage import metered

MOMENTS = {
    "a moment ago": timedelta(milliseconds=1),
    "an hour ago": timedelta(hours=1),
    "a day ago": timedelta(days=1),
    "40 days ago": timedelta(days=40),
    "99 days ago": timedelta(days=99),
}


def test_a_worker_that_starts_ends_what_is_past_its_time_also_from_earlier_days(prices, trader, store):
    now = clock.now()
    with clock.at(now):
        late = [
            place_limit(trader, side, "0.1", "100", expires_at=now - ago)
            for ago in reversed(MOMENTS.values())
            for side in Side
        ]
        waits = place_limit(trader, Side.BUY, "0.1", "100", expires_at=now + timedelta(minutes=1))
        cash = books_of(store, trader).balance["current_balance"]
        done = Worker(FixedPrices(BTC="100"), is_stopping=lambda: False).run_round()
    assert (done.filled, done.expired, done.lost, done.failed) == (1, len(late), 0, 0), "past its time: not filled"
    assert {status_of(order) for order in late} == {"EXPIRED"} and status_of(waits) == "COMPLETED"
    balance = books_of(store, trader).balance
    assert (balance["reserved_cash"], Decimal(balance["current_balance"])) == ("0.00", Decimal(cash) + 50)


def test_a_worker_that_runs_ends_what_is_past_its_time(worker, trader):
    end = clock.now() + timedelta(minutes=1)
    soon = place_limit(trader, Side.SELL, "1", "100", expires_at=end)
    assert done_of(worker) == (0, 0, 0, 0)
    with clock.at(end):
        assert done_of(worker) == (0, 1, 0, 0)
        assert status_of(soon) == "EXPIRED"
        assert done_of(worker) == (0, 0, 0, 0)


def test_the_last_moment_of_yesterday_is_ended_by_a_worker_that_ran_yesterday(trader):
    """A worker looks at the day of its last round again: orders end until its last microsecond."""
    end, moment = clock.end_of(NOON.date()), timedelta(microseconds=1)
    with clock.at(end - moment):
        order = place_limit(trader, Side.BUY, "1", "100", expires_at=end)
        new_worker = Worker(FixedPrices())
        assert done_of(new_worker) == (0, 0, 0, 0)
    with clock.at(end + moment):
        assert done_of(new_worker) == (0, 1, 0, 0) and status_of(order) == "EXPIRED"


def test_an_order_of_an_earlier_day_that_failed_is_tried_again(worker, store):
    """As it would be with a store that was busy in the first round after midnight."""
    ended = clock.now() - timedelta(days=2)
    order = write_order("nobody", expires_at=ended, expiry_day=ended.date().isoformat())
    try:
        new_worker = Worker(FixedPrices())
        assert done_of(new_worker) == (0, 0, 0, 1)
        assert done_of(new_worker) == (0, 0, 0, 1)
    finally:
        order.delete()


def test_what_is_left_to_another_worker_on_an_earlier_day_is_looked_at_again(worker, trader):
    """A worker that comes second to an order leaves it some more; but the other one may have died."""
    ended = clock.now() - timedelta(days=2)
    left = place_limit(trader, Side.BUY, "1", "100", expires_at=ended)
    first = ended - timedelta(seconds=1)
    lost = write_order(trader, status="CANCELLED", expires_at=first, expiry_day=first.date().isoformat())
    random.seed(1)  # so that it leaves more than none
    try:
        new_worker = Worker(FixedPrices())
        assert done_of(new_worker) == (0, 0, 1, 0) and status_of(left) == "PENDING"
    finally:
        lost.delete()
    assert done_of(new_worker) == (0, 1, 0, 0) and status_of(left) == "EXPIRED"


def test_a_worker_that_slept_for_days_ends_what_ended_meanwhile(prices, trader):
    """As the process of a laptop does over a weekend: it is the same worker afterwards."""
    now = clock.now()
    order = place_limit(trader, Side.BUY, "1", "100", expires_at=now + timedelta(days=2))
    new_worker = Worker(prices)
    assert done_of(new_worker) == (0, 0, 0, 0)
    with clock.at(now + timedelta(days=5)):
        assert done_of(new_worker) == (0, 1, 0, 0)
    assert status_of(order) == "EXPIRED"


JUMPS = {
    "ten days ahead": NOON + timedelta(days=10),
    "years ahead": NOON + timedelta(days=3000),
    "ten days back": NOON - timedelta(days=10),
    "1970": datetime(1970, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
def test_a_clock_that_was_wrong_for_a_round_leaves_no_order_open(trader, jump):
    new_worker = Worker(FixedPrices())
    for moment in (NOON, jump, NOON):
        with clock.at(moment), metered() as meter:
            new_worker.run_round()
        assert meter.calls <= 101, "a query for each day on which an order may end, and not for all that passed"
    with clock.at(NOON):
        order = place_limit(trader, Side.BUY, "1", "100", expires_at=NOON + timedelta(days=1))
    with clock.at(NOON + timedelta(days=3)):
        assert done_of(new_worker) == (0, 1, 0, 0) and status_of(order) == "EXPIRED"


def test_a_worker_that_starts_with_a_wrong_clock_asks_for_no_more_days(trader):
    with clock.at(JUMPS["1970"]):
        new_worker = Worker(FixedPrices())
        new_worker.run_round()
    with clock.at(NOON), metered() as meter:
        new_worker.run_round()
    assert meter.calls <= 101


def test_an_order_that_was_passed_over_is_ended_within_half_an_hour(trader):
    """Whatever the reason: all earlier days are looked at again."""
    new_worker = Worker(FixedPrices())
    with clock.at(NOON):
        new_worker.run_round()
        order = place_limit(trader, Side.BUY, "1", "100", expires_at=NOON - timedelta(days=50))
    with clock.at(NOON + timedelta(minutes=29)):
        assert done_of(new_worker) == (0, 0, 0, 0)
    with clock.at(NOON + timedelta(minutes=30)):
        assert done_of(new_worker) == (0, 1, 0, 0) and status_of(order) == "EXPIRED"


def test_an_order_that_shows_in_its_index_after_midnight_is_ended(trader):
    """An index shows what was written a moment later: maybe only when its day is over, and was looked at."""
    midnight = clock.start_of((clock.now() + timedelta(days=1)).date())
    new_worker = Worker(FixedPrices())
    with clock.at(midnight + timedelta(seconds=1)):
        new_worker.run_round()
        order = place_limit(trader, Side.BUY, "1", "100", expires_at=midnight - timedelta(seconds=1))
        new_worker.run_round()
    assert status_of(order) == "EXPIRED"
