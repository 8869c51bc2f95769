"""The meter: calls, seconds and capacity units that DynamoDB was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"})


@dataclass
class Usage:
    """Calls (requests sent, so resends are calls too), the seconds they took, and capacity units."""

    calls: int = 0
    resends: int = 0
    seconds: float = 0
    read_units: Decimal = Decimal(0)
    write_units: Decimal = Decimal(0)

    def add(self, more: Usage) -> None:
        self.calls += more.calls
        self.resends += more.resends
        self.seconds += more.seconds
        self.read_units += more.read_units
        self.write_units += more.write_units


@dataclass
class Meter(Usage):
    """What DynamoDB was asked since the database was last put in use: in all, in order, and by operation.

    `conflicts` counts, by the name of the change, how often one was tried again after a lost race.
    """

    operations: list[str] = field(default_factory=list)
    by_operation: dict[str, Usage] = field(default_factory=dict)
    conflicts: Counter[str] = field(default_factory=Counter)
    # Of the operation that is under way: requests that left, and whether one was answered otherwise than by a refusal.
    sent: int = 0
    may_have_applied: bool = False

    def record(self, operation: str, response: Mapping[str, Any], seconds: float) -> None:
        resends, self.sent, self.may_have_applied = max(self.sent - 1, 0), 0, False
        used = Usage(1 + resends, resends, seconds)
        consumed = response.get("ConsumedCapacity") or []
        units = sum(
            (Decimal(str(part["CapacityUnits"])) for part in ([consumed] if isinstance(consumed, dict) else consumed)),
            Decimal(0),
        )
        if operation in READS:
            used.read_units = units
        else:
            used.write_units = units
        self.add(used)
        self.operations.append(operation)
        self.by_operation.setdefault(operation, Usage()).add(used)
