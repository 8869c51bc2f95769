"""Dry runs: what a change would write, read from the batch that it has filled and not committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from app.domain.gains import Gain
from app.domain.holdings import AssetAccount
from app.models.batch import Written
from app.models.idempotency import Applied
from app.models.item import Item
from app.models.ledger import Balance, BalanceTransaction, Holding, Trade
from app.models.orders import Order

ItemT = TypeVar("ItemT", bound=Item)


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a change would write. Accounts are those before and after it, and None where it does not look at them.

    `order` is the order as it would be; a new one has no id. `gained` is what a sale gains. `price` is the market's,
    where the change asks for one.
    """

    entries: Sequence[BalanceTransaction]
    cash_before: Decimal | None
    cash_after: Decimal | None
    asset_before: AssetAccount | None
    asset_after: AssetAccount | None
    gained: Gain | None
    order: Order | None
    price: Decimal | None

    @property
    def holding_before(self) -> Decimal | None:
        """What can be sold of the asset."""
        return self.asset_before.quantity if self.asset_before else None

    @property
    def holding_after(self) -> Decimal | None:
        return self.asset_after.quantity if self.asset_after else None

    @property
    def cost_total(self) -> Decimal | None:
        """What the units of a sale had cost."""
        return self.gained.cost_total if self.gained else None

    @property
    def gain(self) -> Decimal | None:
        return self.gained.gain if self.gained else None


def read_dry_run(applied: Applied[Any]) -> DryRun:
    """What a change that was applied as a dry run would write. No call."""
    assert applied.uncommitted is not None, "it was committed"
    written, basis = applied.uncommitted.written(), applied.uncommitted.basis

    def find(kind: type[ItemT]) -> ItemT | None:
        return next((each.item for each in written if isinstance(each.item, kind)), None)

    balance, holding, trade = find(Balance), find(Holding), find(Trade)
    before: Balance | None = basis.get("balance")
    after = balance or before
    asset_before: AssetAccount | None = basis.get("asset")
    return DryRun(
        entries=[each.item for each in written if isinstance(each.item, BalanceTransaction)],
        cash_before=before.current_balance if before else None,
        cash_after=after.current_balance if after else None,
        asset_before=asset_before,
        asset_after=holding.asset_account if holding else asset_before,
        gained=Gain(trade.cost_total, trade.gain) if trade and trade.gain is not None else None,
        order=_order_of(written) or (applied.item if isinstance(applied.item, Order) else None),
        price=basis.get("price"),
    )


def _order_of(written: Sequence[Written]) -> Order | None:
    for each in written:
        if isinstance(each.item, Order):
            if each.is_new:
                # It is given when the order is placed.
                each.item.attribute_values.pop("order_id")
            return each.item
    return None
