"""Statements: the transactions of a period with the balance before and after it, as rows and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from app.domain import clock, money
from app.models import ledger
from app.models.ledger import BalanceTransaction

CSV_COLUMNS = (
    "created_at", "transaction_id", "transaction_type", "amount", "effect", "previous_balance", "new_balance",
    "description", "order_id",
)


@dataclass(frozen=True)
class Statement:
    """The transactions of a period, oldest first, read as they are iterated, with the balance before them."""

    opening_balance: Decimal
    transactions: Iterator[BalanceTransaction]


def open_statement(username: str, first_day: date | None, last_day: date | None) -> Statement:
    """The statement from the start of `first_day` to the end of `last_day` (UTC); None leaves that end open.

    Costs two calls for each doubling of the account's history, then one for about 1 MB of transactions.
    """
    count = int(ledger.get_balance(username).version)
    earlier = first_day - timedelta(days=1) if first_day and first_day > date.min else None
    before = ledger.count_transactions_before(username, end_of(earlier), count) if earlier else 0
    last = ledger.count_transactions_before(username, end_of(last_day), count) if last_day else count
    opening = ledger.get_numbered_transaction(username, before).new_balance if before else money.ZERO
    return Statement(opening, ledger.iterate_transactions(username, before + 1, last))


def start_of(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def end_of(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)


def write_csv(statement: Statement) -> Iterator[str]:
    """The statement as lines of CSV (RFC 4180), with the opening and closing balance; one line in memory."""
    yield _csv_line(CSV_COLUMNS)
    balance = statement.opening_balance
    yield _csv_line(["", "", "opening_balance", "", "", "", balance, "", ""])
    for transaction in statement.transactions:
        balance = transaction.new_balance
        yield _csv_line([
            clock.to_text(transaction.created_at),
            transaction.transaction_id,
            transaction.transaction_type.lower(),
            transaction.amount,
            transaction.effect,
            transaction.previous_balance,
            transaction.new_balance,
            _harmless(transaction.description or ""),
            transaction.order_id or "",
        ])
    yield _csv_line(["", "", "closing_balance", "", "", "", balance, "", ""])


def _harmless(text: str) -> str:
    """Text that a spreadsheet will not run as a formula (OWASP, "CSV Injection")."""
    # Some locales of spreadsheets read the full-width signs of East Asia as the others.
    return f"'{text}" if text.startswith(("\t", "\r", *"=+-@＝＋－＠")) else text


def _csv_line(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()
