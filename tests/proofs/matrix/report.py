"""The matrix as text: a row for each call of each use case, a column for each fault, an outcome in each cell."""

from __future__ import annotations

from collections import Counter

from tests.proofs.matrix.columns import Column, columns_of
from tests.support.faults import Call

# What a caller was told, and what had happened then.
OUTCOMES = {
    ("done", "once"): "done",
    ("busy", "before"): "busy",
    ("store_unavailable", "before"): "?0",
    ("store_unavailable", "once"): "?1",
    ("failed", "before"): "next0",
    ("failed", "once"): "next1",
    ("killed", "before"): "dead0",
    ("killed", "once"): "dead1",
}
LEGEND = """\
done: answered with success, applied once      busy: answered that nothing was changed, nothing was
?0 ?1: answered that the outcome is unknown; it was not applied, or was applied once; sending it again brings it to once
next0 next1: the worker left it to its next round, and it was not applied, was applied once
dead0 dead1: the process was killed, and it was not applied, was applied once
1: the first send fails, a resend heals it   *: every send of the call fails   >: and every call after it"""


class Report:
    """Outcomes by use case and call, and by fault; the items of one transaction share a cell."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], dict[str, str]] = {}

    def add(self, use_case: str, call: Call, column: Column, code: str, state: str = "") -> None:
        """Note an outcome; that of the same cell before is forgotten."""
        steps = f" of {call.steps}" if call.steps else ""
        row = self._cells.setdefault((use_case, f"{call.number} {call.operation}{steps}"), {})
        row[column.name] = OUTCOMES.get((code, state), code)

    def __str__(self) -> str:
        seen = {_short(name) for cells in self._cells.values() for name in cells}
        names = [name for name in ORDER if name in seen]
        places = {use_case: place for place, (use_case, _) in reversed(list(enumerate(self._cells)))}
        lines = [["use case", "call", *names]]
        for (use_case, call), cells in sorted(self._cells.items(), key=lambda row: (places[row[0][0]], row[0][1])):
            shown: dict[str, list[str]] = {}
            for name, outcome in cells.items():
                shown.setdefault(_short(name), []).append(outcome)
            lines.append([use_case, call, *(_together(shown.get(name, [])) for name in names)])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
        return f"{table}\n\n{self.totals}\n\n{LEGEND}"

    @property
    def totals(self) -> str:
        counted = Counter(outcome for cells in self._cells.values() for outcome in cells.values())
        rows, cells = len(self._cells), sum(counted.values())
        return f"{cells} cells, {rows} calls: " + ", ".join(f"{count} {name}" for name, count in counted.most_common())


def _short(name: str) -> str:
    """`conflict at 3` stands under `conflict at`."""
    return name.rstrip("0123456789").rstrip() if " at " in name else name


# The columns from left to right: first those of reads, then those that only writes have.
ORDER = list(
    dict.fromkeys(
        _short(column.name)
        for call in (Call(1, "BatchGetItem", {}), Call(1, "TransactWriteItems", {"TransactItems": [{}]}))
        for column in columns_of(call)
    )
)


def _together(outcomes: list[str]) -> str:
    return " ".join(f"{count}x{outcome}" if count > 1 else outcome for outcome, count in Counter(outcomes).items())
