"""What happened to a balance in a period of whole days (UTC): as a list, newest first, and as a statement to print."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.domain import clock, money
from app.domain.ledger import TransactionType
from app.models import ledger, transaction_periods
from app.models.ledger import BalanceTransaction
from app.models.paging import Page, PageRequest
from app.models.transaction_periods import BEGINNING, END, SLACK, Period, Span


@dataclass(frozen=True)
class ShortStatement:
    """The first transactions of a period, oldest first, and the balance before and after all of it.

    `money_in` and `money_out` (above zero) are None where the period has more transactions than were read.
    """

    opening_balance: Decimal
    closing_balance: Decimal
    transactions: list[BalanceTransaction]
    is_whole: bool
    money_in: Decimal | None
    money_out: Decimal | None


def period_of(first_day: date | None, last_day: date | None) -> Period:
    """From the start of the first day to the end of the last; None leaves that end open."""
    start = max(clock.start_of(first_day), BEGINNING) if first_day else BEGINNING
    end = max(clock.end_of(last_day), BEGINNING) if last_day else END
    return Period(start, end)


def list_transactions(
    username: str,
    first_day: date | None,
    last_day: date | None,
    request: PageRequest,
    *,
    transaction_type: TransactionType | None = None,
) -> Page[BalanceTransaction]:
    """Newest first. One call without a period; with one, two, or three in an account of over SLACK transactions."""
    if first_day is None and last_day is None:
        return ledger.list_transactions(username, request, transaction_type=transaction_type)
    period = period_of(first_day, last_day)
    return transaction_periods.list_transactions(username, period, request, transaction_type=transaction_type)


def read_statement(username: str, first_day: date, last_day: date, *, rows: int) -> ShortStatement:
    """The statement of a period with at most so many rows.

    Two calls, three in an account of over SLACK transactions, and one more when the period has many more than `rows`.
    """
    period = period_of(first_day, last_day)
    span = transaction_periods.find_span(username, period)
    last = min(span.high, span.low + rows + 2 * SLACK)
    read = list(ledger.iterate_transactions(username, max(span.low, 1), last))
    earlier = [each.new_balance for each in read if each.created_at < period.start]
    within = [each for each in read if each.created_at in period]
    opening = earlier[-1] if earlier else money.ZERO
    is_read = last == span.high
    closing = within[-1].new_balance if within else opening
    return ShortStatement(
        opening,
        closing if is_read else _closing_balance(username, period, span),
        within[:rows],
        is_whole=is_read and len(within) <= rows,
        money_in=_total(within, 1) if is_read else None,
        money_out=_total(within, -1) if is_read else None,
    )


def _closing_balance(username: str, period: Period, span: Span) -> Decimal:
    """The balance at the end of a period of more than SLACK transactions."""
    read = ledger.iterate_transactions(username, span.high - SLACK, span.high)
    return [each.new_balance for each in read if each.created_at in period][-1]


def _total(transactions: list[BalanceTransaction], direction: int) -> Decimal:
    """What came in (1) or went out (-1), above zero."""
    return money.total_of(abs(each.effect) for each in transactions if each.effect * direction > 0)
