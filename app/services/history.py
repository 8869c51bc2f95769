"""Portfolio history: the value of what a user owned, day by day, computed back from what the user owns now."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from app.domain import clock, gains, money
from app.domain.errors import PriceUnavailable
from app.models import ledger
from app.models.ledger import BalanceTransaction, Portfolio
from app.prices import MAX_HISTORY_DAYS, PricePoint, PriceSource
from app.services.portfolio import value_portfolio


@dataclass(frozen=True)
class HistoryPoint:
    """The value of what a user owned at the end of a day (UTC); the last one is of now. USD with 2 decimals.

    What open orders reserve is part of it: `cash` has the reserves of orders to buy, `assets` those of orders to sell.

    `net_deposits` is what was paid in until then and not taken out: deposits, less withdrawals, with adjustments.
    `gain` is the total beyond that, and None where something that was owned has no price. `return_percent` is since the
    first point, whatever was paid in or out (`app.domain.gains.returns`); None in all points if a gain is None in one.
    Before a store of an older version is upgraded, all three are None.
    """

    date: date
    cash: Decimal
    assets: Decimal
    total: Decimal
    net_deposits: Decimal | None = None
    gain: Decimal | None = None
    return_percent: Decimal | None = None


@dataclass(frozen=True)
class PortfolioHistory:
    """One point a day, oldest first; and the assets that were owned, but count as 0.00 for want of past prices.

    `gain_today` is what was gained since the day before ended (UTC), and `return_today` the same in percent as returns
    are. Both are None where the gain of either end is.
    """

    points: list[HistoryPoint]
    without_prices: list[str]
    gain_today: Decimal | None = None
    return_today: Decimal | None = None


class _Timeline:
    """An amount over time, from what it is now and its changes, each with its time and signed amount."""

    def __init__(self, now: Decimal, changes: list[tuple[datetime, Decimal]]) -> None:
        changes = sorted(changes)
        before = [now]
        for _, change in reversed(changes):
            before.append(money.subtract(before[-1], change))
        self._times = [time for time, _ in changes]
        self._values = before[::-1]

    def at(self, time: datetime) -> Decimal:
        return self._values[bisect_right(self._times, time)]

    @property
    def is_always_zero(self) -> bool:
        return not any(self._values)


class _Prices:
    """The price at any past time: the newest one known by then, or the oldest of all."""

    def __init__(self, points: list[PricePoint]) -> None:
        self._times = [point.time for point in points]
        self._prices = [points[0].price, *(point.price for point in points)]

    def at(self, time: datetime) -> Decimal:
        return self._prices[bisect_right(self._times, time)]


def get_portfolio_history(username: str, prices: PriceSource, *, days: int) -> PortfolioHistory:
    """One point for each of the last `days` days (1 to 365) and one for now, oldest first.

    Begins with what the user owns now, and takes back each trade and each flow of cash since the first day. What
    open orders reserve is owned all the time, so they are not read. The last point is worth what `get_portfolio` says.
    Reads the portfolio, and the transactions and trades of that time: the cost follows what happened in it, not the
    age of the account.
    """
    portfolio = ledger.get_portfolio(username)
    valued = value_portfolio(portfolio, prices, as_of=clock.now())
    # Not before the newest change: the clock of the machine that made it may be ahead.
    today = clock.now_after(portfolio.balance.updated_at).date()
    days_before = [today - timedelta(days=ago) for ago in range(days, 0, -1)]
    cash, owned, cash_flows = _read_changes(username, portfolio, clock.start_of(days_before[0]))
    past_prices, without_prices = _past_prices(owned, prices, days)
    paid = [(each.created_at, each.effect) for each in cash_flows]
    net_deposits = None if valued.net_deposits is None else _Timeline(valued.net_deposits, paid)
    points = []
    for day in days_before:
        time = clock.end_of(day)
        assets = money.total_of(
            money.value_of(owned[asset_id].at(time), past.at(time)) for asset_id, past in past_prices.items()
        )
        total = money.add(cash.at(time), assets)
        paid_in = net_deposits.at(time) if net_deposits else None
        is_priced = not any(owned[asset_id].at(time) for asset_id in without_prices)
        gain = money.subtract(total, paid_in) if is_priced and paid_in is not None else None
        points.append(HistoryPoint(day, cash.at(time), assets, total, paid_in, gain))
    now = valued.owned_cash, valued.assets_value, valued.total_value
    points.append(HistoryPoint(today, *now, valued.net_deposits, valued.total_gain))
    yesterday, latest = points[-2:]
    gain_today = return_today = None
    if yesterday.gain is not None and latest.gain is not None:
        gain_today = money.subtract(latest.gain, yesterday.gain)
        return_today = _returns([yesterday, latest], cash_flows)[-1]
    return PortfolioHistory(_with_returns(points, cash_flows), without_prices, gain_today, return_today)


def _with_returns(points: list[HistoryPoint], cash_flows: Sequence[BalanceTransaction]) -> list[HistoryPoint]:
    if any(point.gain is None for point in points):
        return points
    returns = _returns(points, cash_flows)
    return [replace(point, return_percent=each) for point, each in zip(points, returns, strict=True)]


def _returns(points: list[HistoryPoint], cash_flows: Sequence[BalanceTransaction]) -> list[Decimal]:
    paid: dict[date, list[Decimal]] = defaultdict(list)
    for flow in cash_flows:
        paid[flow.created_at.date()].append(flow.effect)
    return gains.returns(
        gains.Day(
            point.total,
            paid_in=money.total_of(effect for effect in paid[point.date] if effect > 0),
            paid_out=money.total_of(-effect for effect in paid[point.date] if effect < 0),
        )
        for point in points
    )


def _read_changes(
    username: str, portfolio: Portfolio, start: datetime
) -> tuple[_Timeline, dict[str, _Timeline], list[BalanceTransaction]]:
    """From `start` on: cash, the quantity of each asset that the user owned, and what was paid in and out.

    A trade changes both at one moment, whether its order waited or not. So of the transactions, only those that belong
    to no order matter. What changed after the portfolio was read is in none of its figures, and is left out.
    """
    balance = portfolio.balance
    read_at = {each.asset_id: ledger.read_until(each, balance) for each in portfolio.holdings}
    found = ledger.iterate_trades_between(username, start, max([start, *read_at.values()]))
    trades = [each for each in found if each.asset_id in read_at and each.traded_at <= read_at[each.asset_id]]
    newest = ledger.iterate_newest_transactions(username, int(balance.version))
    cash_flows = [each for each in takewhile(lambda each: each.created_at >= start, newest) if each.order_id is None]
    cash = [(trade.traded_at, trade.cash_effect) for trade in trades]
    cash += [(flow.created_at, flow.effect) for flow in cash_flows]
    changes: dict[str, list[tuple[datetime, Decimal]]] = defaultdict(list)
    for trade in trades:
        changes[trade.asset_id].append((trade.traded_at, trade.effect))
    owned = {each.asset_id: each.asset_account.owned_quantity for each in portfolio.holdings}
    return (
        _Timeline(money.add(balance.current_balance, balance.reserved_cash), cash),
        {asset_id: _Timeline(quantity, changes[asset_id]) for asset_id, quantity in owned.items()},
        cash_flows,
    )


def _past_prices(owned: dict[str, _Timeline], prices: PriceSource, days: int) -> tuple[dict[str, _Prices], list[str]]:
    """The past prices of what was owned, and the assets among these that have none."""
    found, missing = {}, []
    for asset_id, quantities in owned.items():
        if quantities.is_always_zero:
            continue
        try:
            found[asset_id] = _Prices(prices.history(asset_id, days=min(days + 1, MAX_HISTORY_DAYS)))
        except PriceUnavailable:
            missing.append(asset_id)
    return found, sorted(missing)
