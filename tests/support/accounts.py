"""Accounts and open orders made directly through the models, and prices that stand still: no HTTP, no bcrypt.

Everything here needs an application context.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from decimal import Decimal

from app.domain import clock
from app.domain.errors import PriceUnavailable
from app.domain.ledger import TransactionType
from app.domain.orders import NewOrder, PriceType, Side
from app.models import order_changes
from app.models.balance_changes import open_account, post_transaction
from app.models.orders import Order
from app.models.users import User
from app.prices import MarketStats, MarketSummary, PricePoint, Quote

_numbers = itertools.count(1)


class FixedPrices:
    """A price source that knows what it was told: the prices of some assets, ever the same, and which are stale."""

    def __init__(self, **prices: str) -> None:
        self.prices = {asset_id: Decimal(price) for asset_id, price in prices.items()}
        self.stale: set[str] = set()

    def quote(self, asset_id: str) -> Quote:
        if asset_id not in self.prices:
            raise PriceUnavailable()
        return Quote(asset_id, self._price(asset_id), clock.now(), asset_id in self.stale)

    def quotes(self) -> dict[str, Quote]:
        return {asset_id: self.quote(asset_id) for asset_id in self.prices}

    def history(self, asset_id: str, *, days: int) -> list[PricePoint]:
        now, price = clock.now(), self._price(asset_id)
        return [PricePoint(now - timedelta(days=days), price), PricePoint(now, price)]

    def stats(self, asset_id: str) -> MarketStats:
        raise NotImplementedError

    def summaries(self) -> dict[str, MarketSummary]:
        return {asset_id: MarketSummary(price, None, None, None) for asset_id, price in self.prices.items()}

    def _price(self, asset_id: str) -> Decimal:
        if asset_id not in self.prices:
            raise PriceUnavailable(asset_id=asset_id)
        return self.prices[asset_id]


def open_trader(cash: str = "0", **holdings: str) -> str:
    """A new account with so much cash and these quantities, each bought at 1.00: its username."""
    name, now = f"trader_{next(_numbers)}", clock.now()
    open_account(
        User(
            *User.key(name),
            username=name,
            email=f"{name}@example.com",
            password_hash="-",
            first_name="Ann",
            last_name="Smith",
            created_at=now,
            updated_at=now,
        )
    )
    for asset_id, quantity in holdings.items():
        post_transaction(name, TransactionType.DEPOSIT, Decimal(quantity).quantize(Decimal("0.01")))
        order_changes.place_order(
            name, NewOrder(Side.BUY, PriceType.MARKET, asset_id, Decimal(quantity)), lambda: Decimal(1)
        )
    if Decimal(cash):
        post_transaction(name, TransactionType.DEPOSIT, Decimal(cash))
    return name


def place_limit(
    username: str, side: Side, quantity: str, limit: str, *, asset_id: str = "BTC", expires_at: datetime | None = None
) -> Order:
    """An order that waits at its limit, until tomorrow if no end is given (which may be past)."""
    end = expires_at or clock.now() + timedelta(days=1)
    request = NewOrder(side, PriceType.LIMIT, asset_id, Decimal(quantity), Decimal(limit), end)
    unreached = Decimal(limit) * 2 if side is Side.BUY else Decimal(limit) / 2
    placed = order_changes.place_order(username, request, lambda: unreached).item
    assert placed.is_pending
    return placed
