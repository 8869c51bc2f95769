"""Periods: whole days in UTC, and the search for the transactions of one by their numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.domain import clock
from app.domain.periods import ALWAYS, BEGINNING, END, Period, Span, narrow, period_of

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
            span = narrow(count, period, days_after(START), slack=slack, probes=3)
            assert max(0, min(first - 1, count) - slack) <= span.low <= min(max(first - 1, 0), count)
            assert min(last, count) <= span.high <= min(last + slack, count)


def test_both_ends_of_a_period_are_in_it():
    period = Period(START + timedelta(days=2), START + timedelta(days=4))
    assert narrow(7, period, days_after(START), slack=0, probes=3) == Span(1, 4)


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

    span = narrow(count, period_of(*days), read_times)
    assert len(read) == reads
    assert max(map(len, read), default=0) <= most_numbers
    if days == (None, None):
        assert span == Span(0, count)
