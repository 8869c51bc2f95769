"""Prices that a test sets."""

from __future__ import annotations

from decimal import Decimal

from app.domain.clock import now
from app.prices import Quote
from app.prices.simulated import SimulatedMarket


class SetPrices(SimulatedMarket):
    """The simulated market, but where a test sets a price, that is the price."""

    def __init__(self) -> None:
        super().__init__()
        self.prices: dict[str, Decimal] = {}
        self.stale: set[str] = set()

    def set(self, asset_id: str, price: str) -> None:
        self.prices[asset_id] = Decimal(price)

    def quote(self, asset_id: str) -> Quote:
        price = self.prices.get(asset_id) or super().quote(asset_id).price
        return Quote(asset_id, price, now(), asset_id in self.stale)

    def quotes(self) -> dict[str, Quote]:
        return {asset_id: self.quote(asset_id) for asset_id in super().quotes()}
