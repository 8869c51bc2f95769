"""The checks of what a user owns and has reserved, against trades and open orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from app.audit.records import (
    HoldingRecord,
    ItemKey,
    OrderRecord,
    TradeRecord,
    Violation,
    differs,
    negative,
    unknown_asset,
)
from app.domain import money
from app.domain.orders import Side


@dataclass
class HoldingsCheck:
    """What a user should own and have reserved of each asset, and in cash; keeps only these sums."""

    owned: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    reserved: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    reserved_cash: Decimal = money.ZERO

    def add_trade(self, trade: TradeRecord) -> None:
        change = trade.quantity if trade.transaction_type == Side.BUY else -trade.quantity
        self.owned[trade.asset_id] = money.add(self.owned[trade.asset_id], change)

    def add_order(self, order: OrderRecord) -> None:
        if not order.is_pending:
            return
        if order.is_buy:
            self.reserved_cash = money.add(self.reserved_cash, order.reserved_amount or money.ZERO)
        else:
            reserved = order.reserved_quantity or Decimal(0)
            self.reserved[order.asset_id] = money.add(self.reserved[order.asset_id], reserved)

    def finish(self, holdings: Sequence[HoldingRecord], balance: ItemKey) -> Iterator[Violation]:
        """The violations of all holdings. A missing holding is reported at the key of the balance."""
        for holding in holdings:
            item, owned, reserved = holding.item, self.owned[holding.asset_id], self.reserved[holding.asset_id]
            found = holding.reserved_quantity or Decimal(0)
            yield from unknown_asset(item, holding.asset_id)
            yield from negative("negative_quantity", item, "quantity", holding.quantity)
            yield from negative("negative_quantity", item, "reserved_quantity", found)
            what, expected = "quantity (bought - sold - reserved)", money.subtract(owned, reserved)
            yield from differs("holding_mismatch", item, what, found=holding.quantity, expected=expected)
            what = "reserved_quantity (of the open orders to sell)"
            yield from differs("holding_reserve_mismatch", item, what, found=found, expected=reserved)
        for asset_id in sorted({*self.owned, *self.reserved} - {holding.asset_id for holding in holdings}):
            what, expected = f"The holding of {asset_id}", self.owned[asset_id]
            yield from differs("holding_missing", balance, what, found=None, expected=expected)
