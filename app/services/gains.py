"""The gains of a year: what each sale brought, what its units had cost, and what is between the two.

By average cost a sale says so itself. First in, first out, it is counted against the oldest purchases, a line for each.
Money is USD with 2 decimals, without fees; a gain is signed. Years and days are UTC. What is not known is None: the
cost of a sale of an older version, until the store is upgraded.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import chain, islice
from operator import attrgetter

from app.domain import clock, money
from app.domain.gains import CostMethod, Lots, sales_after_purchases
from app.domain.orders import Side
from app.domain.periods import BEGINNING, Period, period_of
from app.models import ledger
from app.models.ledger import Trade
from app.services.statements import csv_line

COLUMNS = ("asset_id", "sold_at", "quantity", "proceeds", "cost", "gain", "acquired_at", "days_held", "order_id")
# Of a report; its CSV has any number.
MOST_LINES = 500


@dataclass(frozen=True)
class GainLine:
    """A sale by average cost; first in, first out, the part of a sale that is counted against one purchase."""

    asset_id: str
    sold_at: datetime
    quantity: Decimal
    proceeds: Decimal
    cost: Decimal | None
    gain: Decimal | None
    order_id: str
    acquired_at: datetime | None = None

    @property
    def days_held(self) -> int | None:
        return (self.sold_at.date() - self.acquired_at.date()).days if self.acquired_at else None


@dataclass
class GainTotal:
    """The sum of lines; cost and gain are None where one of a line is."""

    proceeds: Decimal = money.ZERO
    cost: Decimal | None = money.ZERO
    gain: Decimal | None = money.ZERO

    def add(self, line: GainLine) -> None:
        self.proceeds = money.add(self.proceeds, line.proceeds)
        self.cost = money.known_total([self.cost, line.cost])
        self.gain = money.known_total([self.gain, line.gain])


@dataclass
class GainTotals:
    """The sums of the lines of each asset, and of all."""

    by_asset: dict[str, GainTotal] = field(default_factory=lambda: defaultdict(GainTotal))
    total: GainTotal = field(default_factory=GainTotal)

    def count(self, lines: Iterable[GainLine]) -> Iterator[GainLine]:
        """Hand lines on, and add them up."""
        for line in lines:
            self.by_asset[line.asset_id].add(line)
            self.total.add(line)
            yield line

    @property
    def assets(self) -> list[tuple[str, GainTotal]]:
        """By asset id."""
        return sorted(self.by_asset.items())


@dataclass(frozen=True)
class GainReport:
    """The sums of a year, and its first lines: `has_more` says that there are others, which the sums count too."""

    year: int
    method: CostMethod
    lines: list[GainLine]
    has_more: bool
    totals: GainTotals


def read_gains(username: str, year: int, method: CostMethod, *, rows: int = MOST_LINES) -> GainReport:
    """The gains of a year with at most `rows` lines. The calls of `open_gains`."""
    totals = GainTotals()
    lines = totals.count(open_gains(username, year, method))
    shown = list(islice(lines, rows))
    # The sums need the others too.
    others = sum(1 for _ in lines)
    return GainReport(year, method, shown, others > 0, totals)


def open_gains(username: str, year: int, method: CostMethod) -> Iterator[GainLine]:
    """The lines of a year by the time of sale, to be read as a stream.

    By average cost one call for each 500 trades of the year. First in, first out, besides one for each 500 trades since
    the account began, of each asset that was sold in the year. The index that finds the sales may lag by a moment.
    """
    within = period_of(date(year, 1, 1), date(year, 12, 31))
    sales = (each for each in ledger.iterate_trades(username, within) if each.transaction_type == Side.SELL)
    lines: Iterator[GainLine]
    if method is CostMethod.AVERAGE:
        lines = map(_line_of, sales)
    else:
        sold = sorted({each.asset_id for each in sales})
        parts = (_iterate_lots(username, asset_id, within) for asset_id in sold)
        lines = heapq.merge(*parts, key=attrgetter("sold_at"))
    # Read on at once: a database that does not answer must show before an answer has begun.
    return chain([*islice(lines, 1)], lines)


def _line_of(sale: Trade) -> GainLine:
    return GainLine(
        sale.asset_id, sale.traded_at, sale.quantity, sale.total_amount, sale.cost_total, sale.gain, sale.order_id
    )


def _iterate_lots(username: str, asset_id: str, within: Period) -> Iterator[GainLine]:
    lots = Lots()
    trades = ledger.iterate_trades(username, Period(BEGINNING, within.end), asset_id=asset_id)
    for trade in sales_after_purchases(trades, attrgetter("effect")):
        if trade.transaction_type == Side.BUY:
            lots.buy(trade.quantity, trade.total_amount, trade.traded_at)
            continue
        parts = lots.sell(trade.quantity, trade.total_amount)
        for each in parts if trade.traded_at >= within.start else ():
            figures = each.quantity, each.proceeds, each.cost_total, each.gain
            yield GainLine(asset_id, trade.traded_at, *figures, trade.order_id, each.acquired_at)


def write_gains_csv(lines: Iterable[GainLine]) -> Iterator[str]:
    """The lines as CSV (RFC 4180), then the totals of each asset and of all; one row in memory."""
    totals = GainTotals()
    yield csv_line(COLUMNS)
    for each in totals.count(lines):
        acquired_at = clock.to_text(each.acquired_at) if each.acquired_at else None
        yield csv_line(
            [
                *(each.asset_id, clock.to_text(each.sold_at), money.plain(each.quantity)),
                *(each.proceeds, each.cost, each.gain, acquired_at, each.days_held, each.order_id),
            ]
        )
    for asset_id, total in [*totals.assets, ("", totals.total)]:
        yield csv_line([asset_id, "total", "", total.proceeds, total.cost, total.gain, "", "", ""])


def file_name(year: int, method: CostMethod) -> str:
    """`gains-2026-fifo`"""
    return f"gains-{year}-{method.lower()}"
