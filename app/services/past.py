"""The portfolio of a past moment, at the prices of that moment.

A price is the newest one that the source knows of the time before; each says its own time, which may be days earlier.
What has no price then counts as 0.00. Prices reach back 365 days, or some days less where a source has one for days.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from app.domain import clock, money
from app.domain.errors import PriceUnavailable
from app.domain.periods import period_of
from app.models import past
from app.models.ledger import Holding
from app.prices import MAX_HISTORY_DAYS, PriceSource, Quote
from app.services.portfolio import ValuedHolding, ValuedPortfolio, get_portfolio, value_at, value_holdings


def get_portfolio_at(username: str, prices: PriceSource, time: datetime) -> ValuedPortfolio:
    """What a user owned at a past moment; for one that is not past, the portfolio of now.

    The calls of `app.models.past`; one for the portfolio of now.
    """
    now = clock.now()
    if time >= now:
        return get_portfolio(username, prices, now=now)
    portfolio = past.get_portfolio_at(username, time)
    return value_at(portfolio, _quotes_at(prices, portfolio.holdings, time, now=now), as_of=time)


@dataclass(frozen=True)
class OwnedThen:
    """What was owned at a moment, the most valuable first, and what it was worth together."""

    time: datetime
    holdings: list[ValuedHolding]

    @property
    def total_value(self) -> Decimal:
        return money.total_of(each.counted_value for each in self.holdings)


def list_owned_around(username: str, prices: PriceSource, first_day: date, last_day: date) -> list[OwnedThen]:
    """What was owned before a period of days (UTC), and at its end or now. The calls of `past.list_owned_at`."""
    now, period = clock.now(), period_of(first_day, last_day)
    times = [min(period.start - datetime.resolution, now), min(period.end, now)]
    return [
        OwnedThen(
            time,
            value_holdings([each for each in holdings if each.quantity], _quotes_at(prices, holdings, time, now=now)),
        )
        for time, holdings in zip(times, past.list_owned_at(username, times), strict=True)
    ]


def _quotes_at(prices: PriceSource, holdings: Iterable[Holding], time: datetime, *, now: datetime) -> dict[str, Quote]:
    """The newest price before a moment, or the current one where that is `now`, of each asset that was owned then."""
    owned = [each.asset_id for each in holdings if each.asset_account.owned_quantity]
    if time >= now:
        return prices.quotes() if owned else {}
    days = (now - time).days + 1
    found = (_quote_at(prices, asset_id, time, days) for asset_id in owned if days <= MAX_HISTORY_DAYS)
    return {quote.asset_id: quote for quote in found if quote}


def _quote_at(prices: PriceSource, asset_id: str, time: datetime, days: int) -> Quote | None:
    """`days` is the shortest window that begins before the moment: of it a source has the most prices."""
    # Long windows have a price for each second day: then the one before the moment may be before the window.
    for window in (days, min(days + 3, MAX_HISTORY_DAYS)):
        with suppress(PriceUnavailable):
            points = prices.history(asset_id, days=window)
            place = bisect_right(points, time, key=lambda point: point.time)
            if place:
                return Quote(asset_id, points[place - 1].price, points[place - 1].time)
    return None
