"""Periods of whole days (UTC), and the search for the transactions of one among the numbered ones of an account.

Transactions are numbered 1, 2, 3, ... in the order of time, and only a number can be looked up. So the search reads the
times of a few numbers. It repeats that between the two that enclose each end of the period.

A period has the transactions after the last one that was made before it, up to the last one made before its end. So
its rows have no gap, even where an older version, on machines whose clocks differ, wrote times that go back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from app.domain import clock

# How many transactions outside the period a span may hold at each end. They are read and thrown away.
SLACK = 400
# How many numbers are read together for each end: DynamoDB reads at most 100 items in one call.
PROBES = 50


@dataclass(frozen=True)
class Period:
    """From one moment to another, both included."""

    start: datetime
    end: datetime


# Where a period is open. Years before 1000 would be out of order as text.
BEGINNING, END = clock.start_of(date(1970, 1, 1)), clock.end_of(date.max)
ALWAYS = Period(BEGINNING, END)


def period_of(first_day: date | None, last_day: date | None) -> Period:
    """From the start of the first day to the end of the last; None leaves that end open."""
    start = max(clock.start_of(first_day), BEGINNING) if first_day else BEGINNING
    end = max(clock.end_of(last_day), BEGINNING) if last_day else END
    return Period(start, end)


@dataclass(frozen=True)
class Span:
    """The transaction numbers above `low`, up to `high`; empty when both are equal."""

    low: int
    high: int


@dataclass(frozen=True)
class Bounds:
    """Where a period begins and ends.

    In `before` lies the last transaction that was made before the period, in `until` the last one made up to its end.
    Where there is none, the number is that of `low`.
    """

    before: Span
    until: Span

    @property
    def span(self) -> Span:
        """All transactions of the period, and some others at each end."""
        return Span(self.before.low, self.until.high)


def find_bounds(
    count: int,
    period: Period,
    read_times: Callable[[Collection[int]], Mapping[int, datetime]],
    *,
    slack: int = SLACK,
    probes: int = PROBES,
) -> Bounds:
    """The bounds of a period among the transactions 1 to `count`, each at most `slack` wide.

    `read_times` gets up to `probes` numbers for each end. It is not called for up to `slack` transactions or when both
    ends are open. Else it is called once, and once more for each further factor of `probes`. Where it finds nothing,
    because transactions are missing, the bounds stay wider.
    """
    bounds = Bounds(
        before=Span(0, count if period.start > BEGINNING else 0), until=Span(0 if period.end < END else count, count)
    )
    while numbers := {*_probe(bounds.before, slack, probes), *_probe(bounds.until, slack, probes)}:
        times = read_times(numbers)
        narrowed = Bounds(
            _enclose(bounds.before, {number: time < period.start for number, time in times.items()}),
            _enclose(bounds.until, {number: time <= period.end for number, time in times.items()}),
        )
        if narrowed == bounds:
            break
        bounds = narrowed
    return bounds


def _probe(span: Span, slack: int, probes: int) -> range:
    """At most `probes` numbers of a span at even distances; none when it is narrow enough."""
    width = span.high - span.low
    if width <= slack:
        return range(0)
    step = -(-width // probes)
    return range(span.low + step, span.high + 1, step)


def _enclose(span: Span, has_happened: Mapping[int, bool]) -> Span:
    """The part of a span from the last number that had happened to the first after it that had not."""
    within = {number: happened for number, happened in has_happened.items() if span.low < number <= span.high}
    low = max((number for number, happened in within.items() if happened), default=span.low)
    return Span(low, min((number for number in within if number > low), default=span.high + 1) - 1)
