"""Closing an account: what must be gone before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.domain import money
from app.domain.errors import AccountNotEmpty
from app.domain.holdings import AssetAccount
from app.domain.ledger import CashAccount


@dataclass(frozen=True)
class Remains:
    """What an account still has: its cash, and the assets of which it owns some."""

    cash: CashAccount
    assets: tuple[AssetAccount, ...]

    @property
    def sellable(self) -> list[AssetAccount]:
        return [each for each in self.assets if each.quantity]

    @property
    def in_orders(self) -> list[AssetAccount]:
        """What open orders to sell reserve."""
        return [each for each in self.assets if each.reserved_quantity]

    def __bool__(self) -> bool:
        return bool(self.cash.current_balance or self.cash.reserved_cash or self.assets)


def remains_of(cash: CashAccount, assets: Iterable[AssetAccount]) -> Remains:
    return Remains(cash, tuple(each for each in assets if each.owned_quantity))


def check_is_empty(remains: Remains) -> None:
    """Raises AccountNotEmpty, which names all that is left."""
    if remains:
        cash = remains.cash
        raise AccountNotEmpty(
            cash=str(cash.current_balance) if cash.current_balance else "",
            reserved_cash=str(cash.reserved_cash) if cash.reserved_cash else "",
            holdings=", ".join(f"{money.plain(each.quantity)} {each.asset_id}" for each in remains.sellable),
            reserved_holdings=", ".join(
                f"{money.plain(each.reserved_quantity)} {each.asset_id}" for each in remains.in_orders
            ),
        )
