"""Market prices, in US dollars: what a price source promises, and the choice of one.

A quote is the price of one unit at an instant. Every price is above zero, and has at least the asset's
`price_decimals` and at most 8 decimals. Times are aware UTC, and days are days of the real clock. Prices are
computed or fetched on request. This package knows nothing about users, orders, tables or the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from app.domain.assets import Asset, find_asset
from app.domain.errors import PriceUnavailable

if TYPE_CHECKING:
    from app.prices.sharing import SharedText

MAX_HISTORY_DAYS = 365


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of one unit. A stale quote is too old to trade on; it may be shown, marked as stale."""

    asset_id: str
    price: Decimal
    as_of: datetime
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class PricePoint:
    """The price at one past instant."""

    time: datetime
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStats:
    """One asset's market at `last_updated`. Percentages, market_cap and total_volume_24h have 2 decimals.

    `ath` and `atl` are the highest and lowest price that the source knows; the simulated market looks back
    365 days. A figure is None if the source does not know it; the simulated market knows all. Stale as in Quote.
    """

    asset_id: str
    price: Decimal
    price_change_24h: Decimal | None
    price_change_percentage_24h: Decimal | None
    price_change_percentage_7d: Decimal | None
    price_change_percentage_30d: Decimal | None
    high_24h: Decimal | None
    low_24h: Decimal | None
    market_cap: Decimal | None
    total_volume_24h: Decimal | None
    ath: Decimal | None
    ath_change_percentage: Decimal | None
    ath_date: datetime | None
    atl: Decimal | None
    atl_change_percentage: Decimal | None
    atl_date: datetime | None
    last_updated: datetime
    is_stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSummary:
    """The figures of an asset's market that a list shows; as in MarketStats."""

    price: Decimal
    price_change_percentage_24h: Decimal | None
    market_cap: Decimal | None
    total_volume_24h: Decimal | None
    is_stale: bool = False


class CoinGeckoPlan(StrEnum):
    """Which of CoinGecko's plans a key is from. Without a key, the public API of DEMO answers too."""

    DEMO = "demo"
    PRO = "pro"

    @property
    def url(self) -> str:
        """Where this plan is served; the other one's address refuses its keys."""
        return f"https://{'pro-' if self is CoinGeckoPlan.PRO else ''}api.coingecko.com/api/v3"

    @property
    def key_header(self) -> str:
        """The header in which its key is sent."""
        return f"x-cg-{self}-api-key"


@dataclass(frozen=True, kw_only=True)
class CoinGeckoSettings:
    """How to call CoinGecko."""

    plan: CoinGeckoPlan = CoinGeckoPlan.DEMO
    # Another address than the plan's own, such as a proxy's.
    url: str | None = None
    # A demo key is free of charge and raises the limit of calls a minute. None calls without a key.
    api_key: str | None = field(default=None, repr=False)
    # How long all processes use one answer for all their requests: less than `max_age_seconds`.
    cache_seconds: int = 30
    # An older price is shown as stale and not traded on. CoinGecko's own prices are up to about a minute old.
    max_age_seconds: int = 120

    @property
    def root(self) -> str:
        """The address that paths are added to."""
        return self.url or self.plan.url


class PriceSource(Protocol):
    """Where prices come from. An asset id may be in any case.

    For an asset without a price, or an unknown one, methods with an `asset_id` raise PriceUnavailable; the
    others leave it out.
    """

    def quote(self, asset_id: str) -> Quote:
        """The current price. Raises PriceUnavailable."""

    def quotes(self) -> dict[str, Quote]:
        """The current prices of the whole catalogue by asset id, inactive assets included."""

    def history(self, asset_id: str, *, days: int) -> list[PricePoint]:
        """About evenly spaced prices of the last `days` days, oldest first, at most 200, the last one recent.

        Raises PriceUnavailable, and ValueError unless `days` is 1 to 365.
        """

    def stats(self, asset_id: str) -> MarketStats:
        """The current price and the figures of the market. Raises PriceUnavailable."""

    def summaries(self) -> dict[str, MarketSummary]:
        """The markets of the whole catalogue by asset id, inactive assets included."""


def get_tradeable_price(prices: PriceSource, asset_id: str) -> Decimal:
    """The current price if one may trade on it. Raises PriceUnavailable when there is none, or only a stale one."""
    quote = prices.quote(asset_id)
    if quote.is_stale:
        raise PriceUnavailable()
    return quote.price


def get_priced_asset(asset_id: str) -> Asset:
    """The asset with this id, in any case. Raises PriceUnavailable for an unknown one."""
    asset = find_asset(asset_id)
    if asset is None:
        raise PriceUnavailable(asset_id=asset_id)
    return asset


def check_history_days(days: int) -> None:
    """Raises ValueError unless a history can cover this number of days."""
    if not 1 <= days <= MAX_HISTORY_DAYS:
        raise ValueError(f"A price history covers 1 to {MAX_HISTORY_DAYS} days, not {days}.")


def create_price_source(
    name: str, *, speed: Decimal, coingecko: CoinGeckoSettings = CoinGeckoSettings(), shared: SharedText | None = None
) -> PriceSource:
    """The price source with this name. Raises ValueError for an unknown name.

    `speed` is for `simulated`. Every process with the same `shared` text shares the quotes of `coingecko`.
    """
    # Imported here: the sources import this package, and only the chosen one is needed.
    if name == "simulated":
        from app.prices.simulated import SimulatedMarket

        return SimulatedMarket(speed=speed)
    if name == "coingecko":
        from app.prices.coingecko import CoinGecko

        return CoinGecko(coingecko, shared)
    raise ValueError(f"There is no price source {name!r}. Choose one of: simulated, coingecko.")
