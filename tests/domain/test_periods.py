"""Periods: whole days in UTC, and the search for the transactions of one by their numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.domain import clock
from app.domain.periods import ALWAYS, BEGINNING, END, Bounds, Period, Span, find_bounds, period_of

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = date(2026, 1, 31)

PERIODS = {
    "open": (None, None, ALWAYS),
    "from a day": (DAY, None, Period(clock.start_of(DAY), END)),
    "to a day": (None, DAY, Period(BEGINNING, clock.end_of(DAY))),
    "one day": (DAY, DAY, Period(clock.start_of(DAY), clock.end_of(DAY))),
    "years that text would put out of order": (date(1, 1, 1), date(500, 1, 1), Period(BEGINNING, BEGINNING)),
}


@pytest.mark.parametrize(("first", "last", "period"), PERIODS.values(), ids=PERIODS)
def test_a_period_is_of_whole_days(first, last, period):
    assert period_of(first, last) == period


def days_after(start):
    """The transaction of each number was made that many days after the start."""
    return lambda numbers: {number: start + timedelta(days=number) for number in numbers}


@pytest.mark.parametrize("count", [0, 1, 2, 7, 60])
@pytest.mark.parametrize("slack", [0, 1, 5])
def test_a_span_holds_the_whole_period_and_little_else(count, slack):
    """Against every period of an account with one transaction a day."""
    for first in range(count + 2):
        for last in (first, first + 2, count + 5):
            period = period_of((START + timedelta(days=first)).date(), (START + timedelta(days=last)).date())
            bounds = find_bounds(count, period, days_after(START), slack=slack, probes=3)
            for span, number in ((bounds.before, min(max(first - 1, 0), count)), (bounds.until, min(last, count))):
                assert span.low <= number <= span.high <= span.low + slack


def test_both_ends_of_a_period_are_in_it():
    period = Period(START + timedelta(days=2), START + timedelta(days=4))
    assert find_bounds(7, period, days_after(START), slack=0, probes=3) == Bounds(Span(1, 1), Span(4, 4))


@pytest.mark.parametrize("slack", [0, 2])
def test_times_that_go_back_do_not_tear_a_period_from_the_one_before_it(slack):
    """Older versions wrote such times where the clocks of two machines differed."""
    midnight, second = clock.start_of(DAY), timedelta(seconds=1)
    times = [midnight + second * number for number in (-9, -8, -7, 2, -1, 1, -2, 7, 8, 9)]
    day_before = DAY - timedelta(days=1)

    def read_times(numbers):
        return {number: times[number - 1] for number in numbers}

    earlier = find_bounds(10, period_of(day_before, day_before), read_times, slack=slack, probes=3)
    later = find_bounds(10, period_of(DAY, DAY), read_times, slack=slack, probes=3)
    assert earlier.until == later.before and 3 <= later.before.low <= later.before.high <= 7


@pytest.mark.parametrize("missing", [range(1, 1001), range(1, 900), range(2, 1000, 2), [500]])
def test_a_search_ends_where_transactions_are_missing(missing):
    read = []

    def read_times(numbers):
        read.append(numbers)
        return {number: START + timedelta(days=number) for number in numbers if number not in missing}

    find_bounds(1000, Period(START + timedelta(days=500), END), read_times, slack=1, probes=10)
    assert len(read) < 10


# Transactions, one a minute; the period; how often times are read, and how many numbers together.
SEARCHES = {
    "a short account": (400, (DAY, DAY), 0, 0),
    "an open period": (10**9, (None, None), 0, 0),
    "a longer account": (401, (DAY, DAY), 1, 45),
    "one end": (20_000, (DAY, None), 1, 50),
    "both ends": (20_000, (date(2026, 1, 2), date(2026, 1, 9)), 1, 50),
    "fifty times as long": (1_000_000, (DAY, DAY), 2, 100),
    "fifty times as long again": (50_000_000, (DAY, date(2026, 3, 1)), 3, 100),
}


@pytest.mark.parametrize(("count", "days", "reads", "most_numbers"), SEARCHES.values(), ids=SEARCHES)
def test_what_a_search_reads(count, days, reads, most_numbers):
    """DynamoDB reads at most 100 items in one call."""
    read = []

    def read_times(numbers):
        read.append(numbers)
        return {number: START + timedelta(minutes=number) for number in numbers}

    span = find_bounds(count, period_of(*days), read_times).span
    assert len(read) == reads
    assert max(map(len, read), default=0) <= most_numbers
    if days == (None, None):
        assert span == Span(0, count)
