"""The asset account of a user in one asset: what buying, selling and waiting do to it.

`quantity` can be sold now. What an open order to sell reserves has moved from it to `reserved_quantity`. Both together
are what the user owns, and `basis` is what that cost. Quantities are units of the asset with up to 8 decimals.
Invariant: no quantity is below zero; see `gains.py` for the cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from app.domain import gains, money
from app.domain.errors import InsufficientHolding
from app.domain.gains import Basis, Gain


@dataclass(frozen=True, slots=True)
class AssetAccount:
    """The units of one asset that a user can sell, and those that open orders to sell reserve.

    `basis` is None while the cost is not known: until a store of an older version is upgraded.
    """

    asset_id: str
    quantity: Decimal = Decimal(0)
    reserved_quantity: Decimal = Decimal(0)
    basis: Basis | None = Basis()

    @property
    def owned_quantity(self) -> Decimal:
        return money.add(self.quantity, self.reserved_quantity)


@dataclass(frozen=True, slots=True)
class Traded:
    """The asset account after a trade; and what a sale gained, None for a purchase and where the cost is not known."""

    after: AssetAccount
    gained: Gain | None = None


def buy(account: AssetAccount, quantity: Decimal, total_amount: Decimal) -> Traded:
    """Add what was bought."""
    basis = gains.buy(account.basis, total_amount) if account.basis else None
    return Traded(replace(_add(account, quantity), basis=basis))


def sell(account: AssetAccount, quantity: Decimal, total_amount: Decimal) -> Traded:
    """Take out what is sold. Raises InsufficientHolding."""
    return _sold(account, _take(account, quantity), quantity, total_amount)


def sell_reserved(account: AssetAccount, quantity: Decimal, total_amount: Decimal) -> Traded:
    """Take out what an open order sold: its whole reserve."""
    return _sold(account, _release(account, quantity), quantity, total_amount)


def reserve(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    """Move what an order to sell may need into its reserve. Raises InsufficientHolding."""
    after = _take(account, quantity)
    return replace(after, reserved_quantity=money.add(after.reserved_quantity, quantity))


def give_back(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    """Return what an order to sell reserved and does not need: all of it, where the order ended without selling."""
    return _add(_release(account, quantity), quantity)


def change_reserve(account: AssetAccount, difference: Decimal) -> AssetAccount:
    """Move a difference into the reserve of an order to sell; below zero, out of it. Raises InsufficientHolding."""
    return reserve(account, difference) if difference > 0 else give_back(account, abs(difference))


def _sold(before: AssetAccount, after: AssetAccount, quantity: Decimal, total_amount: Decimal) -> Traded:
    if before.basis is None:
        return Traded(after)
    basis, gained = gains.sell(before.basis, quantity, before.owned_quantity, total_amount)
    return Traded(replace(after, basis=basis), gained)


def _add(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    return replace(account, quantity=money.add(account.quantity, quantity))


def _take(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    if quantity > account.quantity:
        available, required = money.plain(account.quantity), money.plain(quantity)
        raise InsufficientHolding(asset_id=account.asset_id, available=available, required=required)
    return replace(account, quantity=money.subtract(account.quantity, quantity))


def _release(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    return replace(account, reserved_quantity=money.subtract(account.reserved_quantity, quantity))
