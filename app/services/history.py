"""Portfolio history: the value of what a user owned, day by day, computed from transactions, trades and orders."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate

from app.domain import clock, money
from app.domain.orders import MAX_LIFETIME, Side
from app.models import ledger
from app.models.orders import Order, iterate_orders_since
from app.prices import PriceSource
from app.services.statements import open_statement


@dataclass(frozen=True)
class HistoryPoint:
    """The value of what a user owned at the end of a day (UTC); the last one is of now. USD with 2 decimals.

    What open orders reserve is part of it: `cash` has the reserves of orders to buy, `assets` those of orders to sell.
    """

    date: date
    cash: Decimal
    assets: Decimal
    total: Decimal


class _Timeline:
    """A value that changes at known times, which are in order."""

    def __init__(self, before: Decimal, changes: list[tuple[datetime, Decimal]]) -> None:
        self._times = [time for time, _ in changes]
        self._values = [before, *(value for _, value in changes)]

    def at(self, time: datetime) -> Decimal:
        return self._values[bisect_right(self._times, time)]


def get_portfolio_history(username: str, prices: PriceSource, *, days: int) -> list[HistoryPoint]:
    """One point for each of the last `days` days (1 to 365) and one for now, oldest first.

    Reads the holdings and the transactions, trades and orders of that time. So the cost follows what happened in it,
    not the age of the account. Raises PriceUnavailable.
    """
    now = clock.now()
    first_day = now.date() - timedelta(days=days)
    # An order that was open on the first day was placed at most MAX_LIFETIME before it.
    orders = [
        order for order in iterate_orders_since(username, clock.start_of(first_day) - MAX_LIFETIME) if order.has_waited
    ]
    balance, reserved = _balance(username, first_day), _reserved_cash(orders)
    holdings = _holdings(username, first_day, orders)
    prices_of = {asset_id: _prices(prices, asset_id, days) for asset_id in holdings}
    points = []
    for day in (first_day + timedelta(days=passed) for passed in range(days + 1)):
        # The last day has not ended: its point has the newest values, even those read after `now`.
        time = clock.end_of(day)
        assets = money.total_of(
            money.value_of(held.at(time), prices_of[asset_id].at(time)) for asset_id, held in holdings.items()
        )
        cash = money.add(balance.at(time), reserved.at(time))
        points.append(HistoryPoint(day, cash, assets, money.add(cash, assets)))
    return points


def _balance(username: str, first_day: date) -> _Timeline:
    statement = open_statement(username, first_day, None)
    changes = [(transaction.created_at, transaction.new_balance) for transaction in statement.transactions]
    return _Timeline(statement.opening_balance, changes)


def _reserved_cash(orders: list[Order]) -> _Timeline:
    """The cash that orders to buy reserved, each from when it was placed until it ended."""
    steps = sorted(
        step
        for order in orders
        if order.side is Side.BUY
        for step in (
            (order.created_at, order.reserved_amount),
            *([] if order.is_pending else [(order.updated_at, -order.reserved_amount)]),
        )
    )
    totals = accumulate((amount for _, amount in steps), money.add)
    return _Timeline(money.ZERO, [(time, total) for (time, _), total in zip(steps, totals, strict=True)])


def _holdings(username: str, first_day: date, orders: list[Order]) -> dict[str, _Timeline]:
    """The quantity of each asset that was owned: from today's, each trade is undone, the newest first."""
    trades = list(ledger.iterate_trades_since(username, clock.start_of(first_day)))
    quantity = {holding.asset_id: holding.quantity for holding in ledger.list_holdings(username)}
    for order in orders:
        if order.is_pending and order.side is Side.SELL:
            quantity[order.asset_id] = money.add(quantity[order.asset_id], order.reserved_quantity)
    changes: dict[str, list[tuple[datetime, Decimal]]] = defaultdict(list)
    for trade in reversed(trades):
        changes[trade.asset_id].append((trade.traded_at, quantity[trade.asset_id]))
        quantity[trade.asset_id] = money.subtract(quantity[trade.asset_id], trade.effect)
    return {asset_id: _Timeline(before, changes[asset_id][::-1]) for asset_id, before in quantity.items()}


def _prices(prices: PriceSource, asset_id: str, days: int) -> _Timeline:
    points = prices.history(asset_id, days=min(days + 1, 365))
    return _Timeline(points[0].price, [(point.time, point.price) for point in points])
