"""The audit: every invariant of DESIGN.md, section 3, recomputed from the items themselves.

One parallel scan reads both tables, each item once: on AWS that costs what the tables weigh and no more, and small
accounts, of which there are most, need no queries of their own. A scan comes in no order, so the rows go through a
sorter on disk (`Spill`), out of which each account comes whole and in order. Memory stays the same for any number of
items, in any account; the disk (TMPDIR) must hold about twice the tables. Only violations are kept in memory.

A scan of a living store shows an account at different moments. So an account that looks wrong is read again by
consistent queries, and only what is wrong there is reported; if it is changing, only what several such readings
agree on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from app.audit.account import check_account
from app.audit.checks import ItemKey, Violation
from app.audit.rows import NOBODY, changed_after, count_items, read_account, read_balance_and_holdings, scan
from app.audit.sorter import RowSorter, SortedRow
from app.domain import clock

__all__ = ["Report", "Violation", "audit_all", "audit_user", "count_items"]

# A change reaches every index within about a second.
SETTLED_AFTER = timedelta(seconds=10)
PAUSES_SECONDS = (0.1, 0.3, 1.0)


@dataclass
class Report:
    """What an audit looked at and found."""

    accounts: int = 0
    items: int = 0
    violations: list[Violation] = field(default_factory=list)


def audit_all(
    advance: Callable[[int], None] = lambda count: None, *, pauses: Iterable[float] = PAUSES_SECONDS
) -> Report:
    """Audit everything in both tables. `advance` is told of each item twice: as it is read, and as it is checked."""
    report = Report()
    with RowSorter() as spill:
        for page in scan():
            spill.add(page)
            report.items += len(page)
            advance(len(page))
        for owner, rows in spill.accounts():
            report.accounts += owner != NOBODY
            suspects = {violation.item for violation in check_account(owner, _counted(rows, advance))}
            if suspects:
                report.violations += _audit_account(owner, suspects, pauses).violations
    return report


def audit_user(username: str, *, pauses: Iterable[float] = PAUSES_SECONDS) -> Report:
    """Audit one account by its own queries. A claim that names the user beside the right one is seen by `audit_all`."""
    return _audit_account(username, (), pauses)


def _counted(rows: Iterable[SortedRow], advance: Callable[[int], None]) -> Iterator[SortedRow]:
    for placed in rows:
        if placed.is_main:
            advance(1)
        yield placed


def _audit_account(username: str, also: Iterable[ItemKey], pauses: Iterable[float]) -> Report:
    """Read an account and check it; while it looks wrong and is changing, again after each pause."""
    reading = _Reading(username, also)
    report = reading.report
    for pause in pauses:
        if reading.has_settled or not report.violations:
            break
        time.sleep(pause)
        reading = _Reading(username, also)
        # While money moves during every reading, what is really wrong is wrong by the same figures each time.
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
    """One account, read and checked once.

    `is_still`: neither balance nor holdings changed meanwhile, and every change of money changes one of them.
    `has_settled`: nor had anything in it changed for long enough to have reached every index.
    """

    def __init__(self, username: str, also: Iterable[ItemKey]) -> None:
        settled = clock.now() - SETTLED_AFTER
        self.report = Report(accounts=1)
        self.has_settled = True
        before = read_balance_and_holdings(username)
        with RowSorter() as spill:
            for page in read_account(username, also):
                # Also what belongs to another account by itself, when it is asked for.
                spill.add(page, owner=username)
                self.has_settled = self.has_settled and not any(changed_after(row, settled) for row in page)
            self.is_still = read_balance_and_holdings(username) == before
            self.has_settled = self.has_settled and self.is_still
            for _, rows in spill.accounts():
                self.report.violations += check_account(username, _tallied(rows, self.report))


def _tallied(rows: Iterable[SortedRow], report: Report) -> Iterator[SortedRow]:
    for placed in rows:
        report.items += placed.is_main
        yield placed


# Checking one account
