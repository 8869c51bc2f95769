"""The sums of all accounts, from the stored words of the items: nothing here knows the audit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from app.models.system import Totals

BALANCES = {
    "cash": "current_balance",
    "reserved": "reserved_cash",
    "deposits": "total_deposits",
    "withdrawals": "total_withdrawals",
}
Row = dict[str, Any]


def sums_of(users: Sequence[Row], orders: Sequence[Row]) -> dict[str, Any]:
    """By the names of Totals; the assets that somebody owns as owned and reserved quantity, by id."""

    def of_kind(kind: str) -> list[Row]:
        return [row for row in users if row["entity_type"] == kind]

    sums: dict[str, Any] = {
        name: sum((Decimal(row[stored]) for row in of_kind("BALANCE")), Decimal(0)) for name, stored in BALANCES.items()
    }
    adjusted = [row for row in of_kind("TRANSACTION") if row["transaction_type"] == "SYSTEM_ADJUSTMENT"]
    sums["adjustments"] = sum((Decimal(row["amount"]) for row in adjusted), Decimal(0))
    status = Counter(row["status"] for row in of_kind("USER"))
    sums |= {"accounts": status.total(), "suspended": status["SUSPENDED"], "closed": status["CLOSED"]}
    sums["open_orders"] = sum(row.get("status") == "PENDING" for row in orders)
    owned: defaultdict[str, Decimal] = defaultdict(Decimal)
    reserved: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in of_kind("ASSET"):
        held = Decimal(row.get("reserved_quantity", "0"))
        owned[row["asset_id"]] += Decimal(row["quantity"]) + held
        reserved[row["asset_id"]] += held
    sums["assets"] = {asset_id: (owned[asset_id], reserved[asset_id]) for asset_id in owned if owned[asset_id]}
    return sums


def sums_in(totals: Totals) -> dict[str, Any]:
    """What an audit kept, in the same form."""
    names = [*BALANCES, "adjustments", "accounts", "suspended", "closed", "open_orders"]
    assets = {each.asset_id: (each.owned, each.reserved) for each in totals.assets}
    return {**{name: getattr(totals, name) for name in names}, "assets": assets}
