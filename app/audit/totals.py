"""What all accounts have together, added up while the audit reads them, and how that is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from app.audit.records import BalanceRecord, HoldingRecord, OrderRecord, Record, TransactionRecord, UserRecord
from app.domain import money
from app.domain.ledger import TransactionType
from app.domain.totals import AssetTotal
from app.domain.users import UserStatus
from app.models.batch import write_if
from app.models.system import Totals


@dataclass
class Sums:
    """Sums of single items. Where money moves meanwhile, two items of one account may be of two moments."""

    accounts: int = 0
    suspended: int = 0
    closed: int = 0
    cash: Decimal = money.ZERO
    reserved: Decimal = money.ZERO
    deposits: Decimal = money.ZERO
    withdrawals: Decimal = money.ZERO
    adjustments: Decimal = money.ZERO
    assets: dict[str, AssetTotal] = field(default_factory=dict)
    open_orders: int = 0

    def add(self, record: Record) -> None:
        """Count one item of an account."""
        if isinstance(record, UserRecord):
            self.accounts += 1
            self.suspended += record.status == UserStatus.SUSPENDED
            self.closed += record.is_closed
        elif isinstance(record, BalanceRecord):
            self.cash = money.add(self.cash, record.current_balance)
            self.reserved = money.add(self.reserved, record.reserved_cash)
            self.deposits = money.add(self.deposits, record.total_deposits)
            self.withdrawals = money.add(self.withdrawals, record.total_withdrawals)
        elif isinstance(record, TransactionRecord):
            if record.transaction_type == TransactionType.SYSTEM_ADJUSTMENT:
                self.adjustments = money.add(self.adjustments, record.amount)
        elif isinstance(record, HoldingRecord):
            self._add_holding(record)
        elif isinstance(record, OrderRecord):
            self.open_orders += record.is_pending

    def _add_holding(self, holding: HoldingRecord) -> None:
        asset_id, reserved = holding.asset_id, holding.reserved_quantity or Decimal(0)
        before = self.assets.get(asset_id, AssetTotal(asset_id))
        self.assets[asset_id] = AssetTotal(
            asset_id,
            owned=money.total_of([before.owned, holding.quantity, reserved]),
            reserved=money.add(before.reserved, reserved),
        )

    @property
    def owned_assets(self) -> tuple[AssetTotal, ...]:
        """By id, without what nobody owns."""
        return tuple(total for _, total in sorted(self.assets.items()) if total.owned)


def save_totals(sums: Sums, *, taken_at: datetime, seconds: int, items: int, violations: int) -> None:
    """Keep what an audit that began at `taken_at` saw. One call."""
    totals = Totals(
        *Totals.key(taken_at),
        taken_at=taken_at,
        seconds=seconds,
        accounts=sums.accounts,
        suspended=sums.suspended,
        closed=sums.closed,
        cash=sums.cash,
        reserved=sums.reserved,
        deposits=sums.deposits,
        withdrawals=sums.withdrawals,
        adjustments=sums.adjustments,
        assets=sums.owned_assets,
        open_orders=sums.open_orders,
        items=items,
        violations=violations,
    )
    write_if(lambda: totals.save(condition=Totals.absent()))
