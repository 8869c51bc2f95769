"""The asset account of a user in one asset: what buying, selling and waiting do to it.

`quantity` can be sold now. What an open order to sell reserves has moved from it to `reserved_quantity`. Both together
are what the user owns. Quantities are units of the asset with up to 8 decimals.
Invariant: neither figure is below zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from app.domain import money
from app.domain.errors import InsufficientHolding


@dataclass(frozen=True, slots=True)
class AssetAccount:
    """The units of one asset that a user can sell, and those that open orders to sell reserve."""

    asset_id: str
    quantity: Decimal = Decimal(0)
    reserved_quantity: Decimal = Decimal(0)

    @property
    def owned_quantity(self) -> Decimal:
        return money.add(self.quantity, self.reserved_quantity)


def buy(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    """Add what was bought."""
    return replace(account, quantity=money.add(account.quantity, quantity))


def sell(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    """Take out what is sold. Raises InsufficientHolding."""
    if quantity > account.quantity:
        available, required = money.plain(account.quantity), money.plain(quantity)
        raise InsufficientHolding(asset_id=account.asset_id, available=available, required=required)
    return replace(account, quantity=money.subtract(account.quantity, quantity))


def reserve(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    """Move what an order to sell may need into its reserve. Raises InsufficientHolding."""
    after = sell(account, quantity)
    return replace(after, reserved_quantity=money.add(after.reserved_quantity, quantity))


def release(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    """Take out what an open order sold: its whole reserve."""
    return replace(account, reserved_quantity=money.subtract(account.reserved_quantity, quantity))


def give_back(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    """Return the whole reserve of an order that ended without selling."""
    return buy(release(account, quantity), quantity)
