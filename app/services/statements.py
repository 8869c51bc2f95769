"""Statements: the transactions of a period with the balance before and after it, as rows and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import chain, takewhile

from app.domain import clock, money
from app.models import ledger
from app.models.ledger import BalanceTransaction
from app.models.transaction_periods import find_span
from app.services.periods import period_of

CSV_COLUMNS = (
    "created_at",
    "transaction_id",
    "transaction_type",
    "amount",
    "effect",
    "previous_balance",
    "new_balance",
    "description",
    "order_id",
)


@dataclass(frozen=True)
class Statement:
    """The transactions of a period, oldest first, read as they are iterated, with the balance before them."""

    opening_balance: Decimal
    transactions: Iterator[BalanceTransaction]


def open_statement(username: str, first_day: date | None, last_day: date | None) -> Statement:
    """The statement from the start of `first_day` to the end of `last_day` (UTC); None leaves that end open.

    Two calls, three in an account of over SLACK transactions, and one more for each 500 transactions.
    """
    period = period_of(first_day, last_day)
    span = find_span(username, period)
    rows = ledger.iterate_transactions(username, max(span.low, 1), span.high)
    opening, first = money.ZERO, next(rows, None)
    while first and first.created_at < period.start:
        opening, first = first.new_balance, next(rows, None)
    within = takewhile(lambda row: row.created_at <= period.end, chain([first] if first else [], rows))
    return Statement(opening, within)


def write_csv(statement: Statement) -> Iterator[str]:
    """The statement as lines of CSV (RFC 4180), with the opening and closing balance; one line in memory."""
    yield _csv_line(CSV_COLUMNS)
    balance = statement.opening_balance
    yield _csv_line(["", "", "opening_balance", "", "", "", balance, "", ""])
    for transaction in statement.transactions:
        balance = transaction.new_balance
        yield _csv_line(
            [
                clock.to_text(transaction.created_at),
                transaction.transaction_id,
                transaction.transaction_type.lower(),
                transaction.amount,
                transaction.effect,
                transaction.previous_balance,
                transaction.new_balance,
                _harmless(transaction.description or ""),
                transaction.order_id or "",
            ]
        )
    yield _csv_line(["", "", "closing_balance", "", "", "", balance, "", ""])


def _harmless(text: str) -> str:
    """Text that a spreadsheet will not run as a formula (OWASP, "CSV Injection")."""
    # Some locales of spreadsheets read the full-width signs of East Asia as the others.
    return f"'{text}" if text.startswith(("\t", "\r", *"=+-@＝＋－＠")) else text


def _csv_line(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()
