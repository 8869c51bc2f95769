"""The meter: calls, resends, seconds and capacity units of what DynamoDB was asked for. It only counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"})


@dataclass
class Usage:
    """Calls (requests sent, resends included), the seconds they took, and capacity units."""

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
    """What DynamoDB was asked for since the meter was made: in all, in order, and by operation.

    `conflicts` counts how often each change (by the name of its function) was tried again while it was busy.
    """

    operations: list[str] = field(default_factory=list)
    by_operation: dict[str, Usage] = field(default_factory=dict)
    conflicts: Counter[str] = field(default_factory=Counter)

    def record(self, operation: str, response: Mapping[str, Any], seconds: float, *, resends: int) -> None:
        """Add one operation with all its sends; `response` has its ConsumedCapacity, if it was answered."""
        used = Usage(1 + resends, resends, seconds)
        consumed = response.get("ConsumedCapacity") or []
        parts = [consumed] if isinstance(consumed, dict) else consumed
        units = sum((Decimal(str(part["CapacityUnits"])) for part in parts), Decimal(0))
        if operation in READS:
            used.read_units = units
        else:
            used.write_units = units
        self.add(used)
        self.operations.append(operation)
        self.by_operation.setdefault(operation, Usage()).add(used)
