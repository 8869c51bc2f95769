"""The checks of what a user owns and has reserved, and what that cost, against trades and open orders."""

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


@dataclass
class HoldingsCheck:
    """What a user should own and have reserved of each asset, and in cash; keeps only these sums.

    `paid` is what was bought less what sales brought, and `gained` the gain of all sales.
    """

    owned: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    reserved: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    paid: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: money.ZERO))
    gained: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: money.ZERO))
    reserved_cash: Decimal = money.ZERO

    def add_trade(self, trade: TradeRecord) -> None:
        sign, asset_id = Decimal(1 if trade.is_buy else -1), trade.asset_id
        for sums, amount in (
            (self.owned, sign * trade.quantity),
            (self.paid, sign * trade.total_amount),
            (self.gained, trade.gain or money.ZERO),
        ):
            sums[asset_id] = money.add(sums[asset_id], amount)

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
            yield from self._check_cost(holding)
        for asset_id in sorted({*self.owned, *self.reserved} - {holding.asset_id for holding in holdings}):
            what, expected = f"The holding of {asset_id}", self.owned[asset_id]
            yield from differs("holding_missing", balance, what, found=None, expected=expected)

    def _check_cost(self, holding: HoldingRecord) -> Iterator[Violation]:
        """What is owned cost what was paid and not sold; nothing owned cost nothing."""
        item, asset_id, cost = holding.item, holding.asset_id, holding.cost_total
        if cost is not None:
            yield from negative("negative_cost", item, "cost_total", cost)
        if cost and not self.owned[asset_id]:
            yield from differs("cost_of_nothing", item, "cost_total of nothing", found=cost, expected=money.ZERO)
        gained = self.gained[asset_id]
        what = "realised_gain (of all sales)"
        yield from differs("realised_gain_mismatch", item, what, found=holding.realised_gain, expected=gained)
        what, expected = "cost_total (bought - sold + realised_gain)", money.add(self.paid[asset_id], gained)
        yield from differs("cost_mismatch", item, what, found=cost, expected=expected)
