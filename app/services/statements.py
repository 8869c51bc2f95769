"""Statements: the transactions of a period of whole days (UTC), between the balances before and after them.

The trades of a period are exported here too: they are what the cash of a statement paid for, or came from. All amounts
are USD with 2 decimals.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from operator import attrgetter

from app.domain import chain, clock, money
from app.domain.ledger import TransactionType
from app.domain.periods import SLACK, Bounds, Period, period_of
from app.models import ledger
from app.models.ledger import BalanceTransaction, Trade
from app.models.users import User

CSV_COLUMNS: Mapping[str, Callable[[BalanceTransaction], object]] = {
    "created_at": lambda each: clock.to_text(each.created_at),
    "transaction_id": attrgetter("transaction_id"),
    "transaction_type": lambda each: each.transaction_type.lower(),
    "amount": attrgetter("amount"),
    "effect": attrgetter("effect"),
    "previous_balance": attrgetter("previous_balance"),
    "new_balance": attrgetter("new_balance"),
    "description": lambda each: harmless(each.description or ""),
    "order_id": attrgetter("order_id"),
    "actor": attrgetter("actor"),
    "hash": attrgetter("hash"),
}

TRADE_COLUMNS: Mapping[str, Callable[[Trade], object]] = {
    "timestamp": lambda each: clock.to_text(each.traded_at),
    "asset_id": attrgetter("asset_id"),
    "transaction_type": attrgetter("transaction_type"),
    "quantity": lambda each: money.plain(each.quantity),
    "price": lambda each: money.plain(each.price),
    "total_amount": attrgetter("total_amount"),
    "order_id": attrgetter("order_id"),
    "cost_total": attrgetter("cost_total"),
    "gain": attrgetter("gain"),
}


@dataclass(frozen=True)
class Statement:
    """The transactions of a period, oldest first, and what is known of the whole period.

    `transactions` is an iterator that reads on while it is used (`open_statement`), or a list of the first ones
    (`read_statement`). Figures that were not read are None. `effects` is what all transactions of each type did to the
    balance together, signed. With the opening balance they make the closing balance. `opening_hash` is what the first
    transaction follows in the chain of hashes (`app.domain.chain`).
    """

    opening_balance: Decimal
    opening_hash: str
    transactions: Iterable[BalanceTransaction]
    closing_balance: Decimal | None = None
    effects: Mapping[TransactionType, Decimal] | None = None
    is_whole: bool = True


def open_statement(user: User, first_day: date | None, last_day: date | None) -> Statement:
    """The statement of a period, to be read as a stream; None leaves that end of the period open.

    The calls of `find_bounds_of`, and one for each 500 transactions.
    """
    period = period_of(first_day, last_day)
    return _open(user, period, ledger.find_bounds_of(user.username, period))


def read_statement(user: User, first_day: date, last_day: date, *, rows: int, slack: int = SLACK) -> Statement:
    """The statement of a period with its closing balance and at most `rows` transactions.

    `is_whole` says whether these are all of them. `effects` is None when there are many more. The
    calls of `find_bounds_of`, one for each 500 transactions up to about `rows`, and one more when there are many more.
    """
    period = period_of(first_day, last_day)
    bounds = ledger.find_bounds_of(user.username, period, slack=slack)
    opened = _open(user, period, bounds)
    opening, many = opened.opening_balance, rows + 2 * slack
    read = list(islice(opened.transactions, many + 1))
    if len(read) > many:
        last_rows = list(ledger.iterate_transactions(user.username, bounds.until.low, bounds.until.high))
        latest = _made_until(period.end, last_rows)[-1]
        return Statement(opening, opened.opening_hash, read[:rows], latest.new_balance, is_whole=False)
    return Statement(
        opening,
        opened.opening_hash,
        read[:rows],
        read[-1].new_balance if read else opening,
        effects={
            type_: money.total_of(each.effect for each in read if each.transaction_type == type_)
            for type_ in TransactionType
        },
        is_whole=len(read) <= rows,
    )


def _open(user: User, period: Period, bounds: Bounds) -> Statement:
    """The transactions of a period, after the balance of the last one that was made before it."""
    first = max(bounds.before.low, 1)
    rows = ledger.iterate_transactions(user.username, first, bounds.span.high)
    head = list(islice(rows, bounds.before.high - first + 1))
    earlier = _made_until(period.start - timedelta.resolution, head)
    opening, opening_hash = money.ZERO, chain.first_hash(user.username, user.created_at)
    if earlier:
        opening, opening_hash = earlier[-1].new_balance, earlier[-1].hash_before_next
    within = _without_later(itertools.chain(head[len(earlier) :], rows), bounds.until.low, period.end)
    # Read on at once: a database that does not answer must show before an answer has begun.
    return Statement(opening, opening_hash, itertools.chain([*islice(within, 1)], within))


def _without_later(rows: Iterable[BalanceTransaction], low: int, end: datetime) -> Iterator[BalanceTransaction]:
    """The rows up to the last one that was made up to `end`, which is not before number `low`."""
    tail = []
    for row in rows:
        if int(row.transaction_id) <= low:
            yield row
        else:
            tail.append(row)
    yield from _made_until(end, tail)


def _made_until(end: datetime, rows: Sequence[BalanceTransaction]) -> Sequence[BalanceTransaction]:
    """The rows up to the last one that was made up to `end`."""
    count = max((number for number, row in enumerate(rows, 1) if row.created_at <= end), default=0)
    return rows[:count]


def write_csv(statement: Statement) -> Iterator[str]:
    """The lines of a statement as CSV (RFC 4180), with the opening and closing balance and hash; one row in memory."""
    yield csv_line(CSV_COLUMNS)
    balance, hash_ = statement.opening_balance, statement.opening_hash
    yield csv_line(["", "", "opening_balance", "", "", "", balance, "", "", "", hash_])
    for transaction in statement.transactions:
        balance, hash_ = transaction.new_balance, transaction.hash_before_next
        yield csv_line(column(transaction) for column in CSV_COLUMNS.values())
    yield csv_line(["", "", "closing_balance", "", "", "", balance, "", "", "", hash_])


def open_trades(
    username: str, first_day: date | None, last_day: date | None, asset_id: str | None = None
) -> Iterator[Trade]:
    """The trades of a period, oldest first, to be read as a stream; None leaves an end open, or takes all assets.

    One call for each 500 trades, the first of them at once: where it fails, nothing has been answered yet.
    """
    trades = ledger.iterate_trades(username, period_of(first_day, last_day), asset_id=asset_id)
    first = next(trades, None)
    return itertools.chain([first] if first else [], trades)


def write_trades_csv(trades: Iterable[Trade]) -> Iterator[str]:
    """The lines of trades as CSV (RFC 4180), with the columns of the JSON list; one row in memory."""
    yield csv_line(TRADE_COLUMNS)
    for trade in trades:
        yield csv_line(column(trade) for column in TRADE_COLUMNS.values())


# Where a cell begins, also for a spreadsheet that takes another sign than the comma for the end of one; and what makes
# it a formula. Some locales accept the full-width signs of East Asia. An apostrophe that stands there already gets
# another, so that the text can be told from its cell (`app/static/verify.py`).
_FORMULA = re.compile(r"""(^|[;\t|])(?=[\s"']*[=+\-@＝＋－＠])|^(?='*[\t\r])""")


def harmless(text: str) -> str:
    """Text that a spreadsheet does not run as a formula (OWASP, "CSV Injection")."""
    return _FORMULA.sub(r"\1'", text)


def csv_line(values: Iterable[object]) -> str:
    """One line of CSV (RFC 4180). Text that a person wrote must be harmless already."""
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()
