"""Prices that a test sets.

`SetPrices` is for tests of the whole application: every asset but the `missing` ones has a price, as on the simulated
market.
`FixedPrices` is for tests of the worker and of models: an asset has the price that the test gave it, or none.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from app.domain import clock
from app.domain.errors import PriceUnavailable
from app.prices import MarketStats, MarketSummary, PricePoint, Quote
from app.prices.simulated import SimulatedMarket


class SetPrices(SimulatedMarket):
    """The simulated market, except for the prices that are given or set; history and changes stay simulated."""

    def __init__(self, **prices: str) -> None:
        super().__init__()
        self.prices = {asset_id: Decimal(price) for asset_id, price in prices.items()}
        self.stale: set[str] = set()
        self.missing: set[str] = set()

    def set(self, asset_id: str, price: str) -> None:
        self.prices[asset_id] = Decimal(price)

    def quote(self, asset_id: str) -> Quote:
        self._check(asset_id)
        price = self.prices.get(asset_id) or super().quote(asset_id).price
        return Quote(asset_id, price, clock.now(), asset_id in self.stale)

    def quotes(self) -> dict[str, Quote]:
        return {asset_id: self.quote(asset_id) for asset_id in super().quotes() if asset_id not in self.missing}

    def stats(self, asset_id: str) -> MarketStats:
        self._check(asset_id)
        simulated = super().stats(asset_id)
        price = self.prices.get(asset_id, simulated.price)
        return replace(simulated, price=price, is_stale=asset_id in self.stale)

    def summaries(self) -> dict[str, MarketSummary]:
        return {
            asset_id: replace(each, price=self.prices.get(asset_id, each.price), is_stale=asset_id in self.stale)
            for asset_id, each in super().summaries().items()
            if asset_id not in self.missing
        }

    def _check(self, asset_id: str) -> None:
        if asset_id in self.missing:
            raise PriceUnavailable(asset_id=asset_id)


class FixedPrices:
    """A price source of the assets that are given or set alone. A price was the same at all times."""

    def __init__(self, **prices: str) -> None:
        self.prices = {asset_id: Decimal(price) for asset_id, price in prices.items()}
        self.stale: set[str] = set()

    def set(self, asset_id: str, price: str) -> None:
        self.prices[asset_id] = Decimal(price)

    def quote(self, asset_id: str) -> Quote:
        return Quote(asset_id, self._price(asset_id), clock.now(), asset_id in self.stale)

    def quotes(self) -> dict[str, Quote]:
        return {asset_id: self.quote(asset_id) for asset_id in self.prices}

    def history(self, asset_id: str, *, days: int) -> list[PricePoint]:
        now, price = clock.now(), self._price(asset_id)
        return [PricePoint(now - timedelta(days=days), price), PricePoint(now, price)]

    def stats(self, asset_id: str) -> MarketStats:
        self._price(asset_id)
        raise NotImplementedError

    def summaries(self) -> dict[str, MarketSummary]:
        return {asset_id: MarketSummary(price, None, None, None) for asset_id, price in self.prices.items()}

    def _price(self, asset_id: str) -> Decimal:
        if asset_id not in self.prices:
            raise PriceUnavailable(asset_id=asset_id)
        return self.prices[asset_id]
