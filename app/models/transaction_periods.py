"""Table `users`: the balance transactions of a period, found without reading the others.

Their keys follow time, but hold a number. So a period is looked for by reading some transactions of known numbers
together, until it is known to lie between two numbers, with at most SLACK others on either side.

| access pattern | operation |
|---|---|
| between which numbers a period lies | GetItem Balance; BatchGetItem for accounts of more than SLACK transactions |
| transactions of a period, newest first, also by type | Query PK, SK between two numbers |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from app.domain import clock
from app.domain.ledger import TransactionType, transaction_id
from app.models.ledger import BalanceTransaction, get_balance
from app.models.paging import Page, PageRequest, list_page

SLACK = 400
# The ends of a period that is open there: years before 1000 would be out of order as text.
BEGINNING, END = clock.start_of(date(1970, 1, 1)), clock.end_of(date.max)
# For each end of the period; DynamoDB reads at most 100 items together.
PROBES = 50


@dataclass(frozen=True)
class Period:
    """From one moment to another, both included."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment <= self.end


@dataclass(frozen=True)
class Span:
    """The numbers above `low`, up to `high`; transaction `low`, if any, was made before the period."""

    low: int
    high: int


def find_span(username: str, period: Period) -> Span:
    """Between which numbers the transactions of a period lie.

    One call if the account has up to SLACK transactions or both ends are open; one more for longer ones, and again
    for each fiftyfold of that.
    """
    count = int(get_balance(username).version)
    # An end that is left open needs no looking for.
    before = Span(0, count if period.start > BEGINNING else 0)
    until = Span(0 if period.end < END else count, count)
    while probes := {*_probes(before), *_probes(until)}:
        times = _read_times(username, probes)
        before = _narrow(before, {number: time < period.start for number, time in times.items()})
        until = _narrow(until, {number: time <= period.end for number, time in times.items()})
    return Span(before.low, until.high)


def _probes(span: Span) -> Iterable[int]:
    width = span.high - span.low
    step = -(-width // PROBES)
    return range(span.low + step, span.high + 1, step) if width > SLACK else ()


def _read_times(username: str, numbers: Iterable[int]) -> dict[int, datetime]:
    keys = [BalanceTransaction.key(username, transaction_id(number)) for number in numbers]
    found = BalanceTransaction.batch_get(keys, consistent_read=True)
    return {int(transaction.transaction_id): transaction.created_at for transaction in found}


def _narrow(span: Span, has_happened: Mapping[int, bool]) -> Span:
    """What is left of a span that holds the number of the last transaction that had happened by some moment."""
    within = {number: happened for number, happened in has_happened.items() if span.low < number <= span.high}
    return Span(
        max((number for number, happened in within.items() if happened), default=span.low),
        min((number for number, happened in within.items() if not happened), default=span.high + 1) - 1,
    )


def list_transactions(
    username: str, period: Period, page: PageRequest, *, transaction_type: TransactionType | None = None
) -> Page[BalanceTransaction]:
    """Newest first; of one type if given. The calls of `find_span` and one."""
    span = find_span(username, period)
    # Not as a start key, which must lie in the span: the next page's span may be another one.
    last = _number(page) - 1 if page.start_key else span.high
    if min(last, span.high) <= span.low:
        return Page([], None)
    filters = BalanceTransaction.created_at.between(period.start, period.end)
    if transaction_type:
        filters = filters & (BalanceTransaction.transaction_type == transaction_type.value)
    keys = BalanceTransaction.SK.between(_sort_key(span.low + 1), _sort_key(min(last, span.high)))
    return list_page(BalanceTransaction, username, PageRequest(limit=page.limit), keys=keys, filters=filters)


def _number(page: PageRequest) -> int:
    assert page.start_key is not None
    return int(page.start_key["SK"]["S"].removeprefix("TRANS#"))


def _sort_key(number: int) -> str:
    return BalanceTransaction.key("", transaction_id(number))[1]
