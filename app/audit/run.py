"""The audit: every invariant of docs/architecture.md, recomputed from the items themselves.

One parallel scan reads each item of both tables once. It returns items in no order, so `RowSorter` sorts them on disk:
TMPDIR needs about twice the space of the tables. Memory does not grow with the tables; it keeps only the violations.

While the application runs, a scan sees a user's items at different moments. So a user who looks wrong is read again by
consistent queries, and only what is wrong there is reported. If the user's items are changing, several such readings
must agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.audit.account import check_account
from app.audit.reading import count_items, read_account, read_balance_and_holdings, scan
from app.audit.records import ItemKey, Violation
from app.audit.rows import NOBODY, changed_after
from app.audit.sorter import RowSorter, SortedRow
from app.audit.totals import Sums
from app.domain import clock

__all__ = ["Report", "Violation", "audit_all", "audit_user", "count_items"]

# An index follows its table within about a second.
SETTLED_AFTER = timedelta(seconds=10)
PAUSES_SECONDS = (0.1, 0.3, 1.0)


@dataclass
class Report:
    """How many user accounts and items an audit checked, and what it found.

    `sums` has what they have together, if all were audited: each item as it was when it was read, since `began_at`.
    """

    accounts: int = 0
    items: int = 0
    violations: list[Violation] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)
    began_at: datetime = field(default_factory=clock.now)


def audit_all(
    advance: Callable[[int], None] = lambda count: None, *, pauses: Iterable[float] = PAUSES_SECONDS
) -> Report:
    """Audit both tables. `advance` receives numbers of items: each item counts once when read, once when checked."""
    report = Report()
    with RowSorter() as sorter:
        for page in scan():
            sorter.add(page)
            report.items += len(page)
            advance(len(page))
        for owner, rows in sorter.accounts():
            report.accounts += owner != NOBODY
            suspects = {violation.item for violation in check_account(owner, _counted(rows, advance), report.sums)}
            if suspects:
                report.violations += _audit_account(owner, suspects, pauses).violations
    return report


def audit_user(username: str, *, pauses: Iterable[float] = PAUSES_SECONDS) -> Report:
    """Audit one user by queries. Only `audit_all` finds further e-mail claims that name the user."""
    return _audit_account(username, (), pauses)


def _counted(rows: Iterable[SortedRow], advance: Callable[[int], None]) -> Iterator[SortedRow]:
    for each in rows:
        if each.is_main:
            advance(1)
        yield each


def _audit_account(username: str, also: Iterable[ItemKey], pauses: Iterable[float]) -> Report:
    """Read a user and the items at `also`, and check them; while they look wrong and change, again after each pause."""
    reading = _Reading(username, also)
    report = reading.report
    for pause in pauses:
        if reading.has_settled or not report.violations:
            break
        time.sleep(pause)
        reading = _Reading(username, also)
        # A real fault has the same figures in each reading, even if money moves during all of them.
        before = {violation.identity: violation for violation in report.violations}
        report = replace(
            reading.report,
            violations=[
                each
                for each in reading.report.violations
                if each.identity in before and (reading.is_still or before[each.identity] == each)
            ],
        )
    return report


class _Reading:
    """One user, read and checked once.

    `is_still`: balance and holdings did not change meanwhile; every change of money changes one of them.
    `has_settled`: besides, no item had changed so recently that an index might not show it.
    """

    def __init__(self, username: str, also: Iterable[ItemKey]) -> None:
        settled = clock.now() - SETTLED_AFTER
        self.report = Report(accounts=1)
        self.has_settled = True
        before = read_balance_and_holdings(username)
        with RowSorter() as sorter:
            for page in read_account(username, also):
                # Items at `also` may belong to another user by their own keys.
                sorter.add(page, owner=username)
                self.has_settled = self.has_settled and not any(changed_after(row, settled) for row in page)
            self.is_still = read_balance_and_holdings(username) == before
            self.has_settled = self.has_settled and self.is_still
            for _, rows in sorter.accounts():
                self.report.violations += check_account(username, _counted(rows, self._count), self.report.sums)

    def _count(self, items: int) -> None:
        self.report.items += items
