"""The market: the catalogue with current and past prices, in USD for one unit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from app.domain import money
from app.domain.assets import CATALOGUE, Asset, get_asset
from app.domain.errors import PriceUnavailable
from app.prices import MarketStats, MarketSummary, PricePoint, PriceSource


@dataclass(frozen=True)
class ListedAsset:
    """An asset and its current market, which is None while the source has no price for it.

    `market_cap_rank` is its place by market capitalisation in the whole catalogue, from 1.
    """

    asset: Asset
    market: MarketSummary | None
    market_cap_rank: int

    @property
    def symbol(self) -> str:
        return self.asset.asset_id

    @property
    def price(self) -> Decimal | None:
        return self.market.price if self.market else None


@dataclass(frozen=True)
class AssetDetail:
    """An asset and everything that is known of its market; ranked as in the list."""

    asset: Asset
    market: MarketStats
    market_cap_rank: int

    @property
    def symbol(self) -> str:
        return self.asset.asset_id

    @property
    def itself(self) -> Self:
        return self

    @property
    def availability_status(self) -> str:
        return "available" if self.asset.is_active else "unavailable"


SORTS: Mapping[str, Callable[[ListedAsset], Any]] = {
    "size": lambda each: each.market_cap_rank,
    "name": lambda each: each.asset.name.casefold(),
    "price": lambda each: each.price,
    "change": lambda each: each.market and each.market.price_change_percentage_24h,
}
"""What assets can be sorted by: None where it is not known."""


def list_assets(prices: PriceSource, *, active_only: bool = False, limit: int = 250) -> list[ListedAsset]:
    """The first `limit` assets by market capitalisation, largest first; last those of which it is not known."""
    markets = prices.summaries()
    ranked = sorted(CATALOGUE.values(), key=lambda asset: _size(markets.get(asset.asset_id)), reverse=True)
    listed = [ListedAsset(asset, markets.get(asset.asset_id), rank) for rank, asset in enumerate(ranked, start=1)]
    return [each for each in listed if each.asset.is_active or not active_only][:limit]


def find_assets(
    prices: PriceSource, *, text: str = "", sort: str = "size", ids: Collection[str] | None = None
) -> list[ListedAsset]:
    """The assets whose name or id has `text` in it, in any case; of `ids` alone, if given.

    `sort` is a key of SORTS, after a `-` where the largest comes first. Those of which it is not known come last.
    """
    key = SORTS[sort.removeprefix("-")]
    wanted = text.casefold()
    found = [
        each
        for each in list_assets(prices)
        if wanted in f"{each.asset.name} {each.symbol}".casefold() and (ids is None or each.symbol in ids)
    ]
    known = sorted((each for each in found if key(each) is not None), key=key, reverse=sort.startswith("-"))
    return known + [each for each in found if key(each) is None]


def _size(summary: MarketSummary | None) -> Decimal:
    return summary.market_cap or money.ZERO if summary else money.ZERO


def get_asset_detail(asset_id: str, prices: PriceSource) -> AssetDetail:
    """One asset, its id in any case. Raises AssetNotFound, PriceUnavailable."""
    asset = get_asset(asset_id)
    stats = prices.stats(asset.asset_id)
    rank = next(each.market_cap_rank for each in list_assets(prices) if each.asset is asset)
    return AssetDetail(asset, stats, rank)


def find_stats(asset_id: str, prices: PriceSource) -> MarketStats | None:
    """The figures of an asset's market; None while the source has no price for it. Raises AssetNotFound."""
    try:
        return prices.stats(get_asset(asset_id).asset_id)
    except PriceUnavailable:
        return None


def get_history(asset_id: str, prices: PriceSource, *, days: int) -> list[PricePoint]:
    """Past prices, oldest first; `days` is 1 to 365. Raises AssetNotFound, PriceUnavailable."""
    return prices.history(get_asset(asset_id).asset_id, days=days)


def find_history(asset_id: str, prices: PriceSource, *, days: int) -> list[PricePoint]:
    """As `get_history`, but empty while the source has no past prices. Raises AssetNotFound."""
    try:
        return get_history(asset_id, prices, days=days)
    except PriceUnavailable:
        return []
