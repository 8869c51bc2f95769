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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain, groupby

from app.domain import clock
from app.domain.audit import (
    BalanceRecord,
    HoldingRecord,
    HoldingsCheck,
    ItemKey,
    LedgerCheck,
    OrderRecord,
    Record,
    TradeRecord,
    TransactionRecord,
    UserRecord,
    Violation,
    check_order,
    check_trade,
    check_user,
)
from app.models.audit import (
    NOBODY,
    Row,
    changed_after,
    count_items,
    decode,
    find_row,
    read_account,
    read_standing,
    scan,
)
from app.models.orders import Order
from app.models.users import EmailClaim
from app.services.spill import HEAD, TRANSACTIONS, Placed, Spill

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
    with Spill() as spill:
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


def _counted(rows: Iterable[Placed], advance: Callable[[int], None]) -> Iterator[Placed]:
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
        before = read_standing(username)
        with Spill() as spill:
            for page in read_account(username, also):
                # Also what belongs to another account by itself, when it is asked for.
                spill.add(page, owner=username)
                self.has_settled = self.has_settled and not any(changed_after(row, settled) for row in page)
            self.is_still = read_standing(username) == before
            self.has_settled = self.has_settled and self.is_still
            for _, rows in spill.accounts():
                self.report.violations += check_account(username, _tallied(rows, self.report))


def _tallied(rows: Iterable[Placed], report: Report) -> Iterator[Placed]:
    for placed in rows:
        report.items += placed.is_main
        yield placed


# Checking one account


def check_account(username: str, rows: Iterable[Placed]) -> list[Violation]:
    """Every violation of one account, whose rows come in order."""
    return list(_AccountCheck(username).run(rows))


class _AccountCheck:
    """Takes the rows of an account through the checks of `app.domain.audit`; keeps its head and sums."""

    def __init__(self, username: str) -> None:
        self._username = username
        self._ledger = LedgerCheck()
        self._holdings = HoldingsCheck()
        self._head: dict[str, list[Record | None]] = {}
        self._claims: list[ItemKey] = []
        self._held: list[HoldingRecord] = []

    def run(self, rows: Iterable[Placed]) -> Iterator[Violation]:
        for (section, group), placed in groupby(rows, key=lambda each: (each.section, each.group)):
            if self._username == NOBODY or section == HEAD:
                for each in placed:
                    yield from self._check_head(each.row)
            elif section == TRANSACTIONS:
                yield from self._check_transactions([each.row for each in placed])
            else:
                yield from self._check_order(group, list(placed))
        if self._username != NOBODY:
            yield from self._finish()

    def _check_head(self, row: Row) -> Iterator[Violation]:
        record, problems = _record(row)
        yield from problems
        if self._username == NOBODY:
            return
        if row.kind == "EMAIL" and row.text("username") == self._username:
            self._claims.append(row.item)
        elif isinstance(record, HoldingRecord):
            self._held.append(record)
        elif row.item.SK in ("USER", "BALANCE"):
            self._head.setdefault(row.item.SK, []).append(record)

    def _check_transactions(self, rows: Sequence[Row]) -> Iterator[Violation]:
        """The transaction of one number, and the request claims that refer to it."""
        for row in rows:
            record, problems = _record(row)
            yield from problems
            if isinstance(record, TransactionRecord):
                yield from self._ledger.add(record)
        if not any(row.kind == "TRANSACTION" for row in rows):
            yield from (_lost_reference(row) for row in rows)

    def _check_order(self, order_id: str, placed: Sequence[Placed]) -> Iterator[Violation]:
        """An order, or the place of one, with the trades, transactions and claims that name it."""
        records: list[Record | None] = []
        for each in placed:
            record, problems = _record(each.row)
            records.append(record)
            yield from problems if each.is_main else ()
        orders = [record for record in records if isinstance(record, OrderRecord)]
        trades = [record for record in records if isinstance(record, TradeRecord)]
        transactions = [record for record in records if isinstance(record, TransactionRecord)]
        for trade in trades:
            yield from check_trade(trade)
            self._holdings.add_trade(trade)
        for order in orders:
            if order.username == self._username:
                self._holdings.add_order(order)
                yield from check_order(order, trades, transactions)
        if not any(each.row.kind == "ORDER" and each.row.owner == self._username for each in placed):
            yield from self._check_without_order(order_id, [each.row for each in placed])

    def _check_without_order(self, order_id: str, rows: Sequence[Row]) -> Iterator[Violation]:
        """What names an order that is not among the account's own."""
        row = find_row(ItemKey("orders", *Order.key(order_id)))
        owner = row.owner if row else None
        if owner == self._username:  # the index had not shown it yet, or it was made since
            return
        for each in rows:
            if each.kind == "REQUEST":
                yield _lost_reference(each)
            elif each.kind != "ORDER" and owner is None:
                yield Violation("order_unknown", each.item, f"There is no order {order_id}.", {"order_id": order_id})
            elif each.kind != "ORDER":
                yield Violation(
                    "order_of_another_user",
                    each.item,
                    f"The order {order_id} belongs to {owner!r}.",
                    {"order_id": order_id, "found": owner or ""},
                )

    def _finish(self) -> Iterator[Violation]:
        for key, check in (("USER", "user_missing"), ("BALANCE", "balance_missing")):
            if key not in self._head:
                item = ItemKey("users", self._username, key)
                yield Violation(check, item, f"Items of {self._username} exist, and there is no such item.")
        for record in chain.from_iterable(self._head.values()):
            if isinstance(record, UserRecord):
                yield from check_user(record, self._claims)
                yield from self._check_claim(record)
            if isinstance(record, BalanceRecord):
                yield from self._ledger.finish(record, reserved=self._holdings.reserved_cash)
        for claim in self._claims if "USER" not in self._head else ():
            yield Violation(
                "email_claim_stray", claim, f"It names {self._username}, who is no user.", {"found": self._username}
            )
        yield from self._holdings.finish(self._held, ItemKey("users", self._username, "BALANCE"))

    def _check_claim(self, user: UserRecord) -> Iterator[Violation]:
        """The claim of the user's address, if it is not the user's own, is named as what it is."""
        key = ItemKey("users", *EmailClaim.key(user.email))
        row = None if key in self._claims else find_row(key)
        if row and row.text("username") != user.username:
            named = row.text("username") or "nobody"
            yield Violation(
                "email_claim_of_another",
                key,
                f"It names {named}, and is the address of {user.username}.",
                {"found": named, "expected": user.username},
            )


def _lost_reference(row: Row) -> Violation:
    reference = row.text("reference") or ""
    return Violation(
        "reference_missing",
        row.item,
        f"It refers to {reference!r}, which the account does not have.",
        {"found": reference},
    )


_RECORDS: dict[str, type[Record]] = {
    "USER": UserRecord,
    "BALANCE": BalanceRecord,
    "TRANSACTION": TransactionRecord,
    "ASSET": HoldingRecord,
    "ASSET_TRANSACTION": TradeRecord,
    "ORDER": OrderRecord,
}


def _record(row: Row) -> tuple[Record | None, list[Violation]]:
    """The plain values of an item, None where a needed one cannot be decoded; and what is wrong with its form."""
    values, problems = decode(row)
    kind = _RECORDS.get(row.kind)
    if kind is None:
        return None, problems
    needed = kind._fields[1:]
    if any(problem.figures.get("name") in needed for problem in problems):
        return None, problems
    return kind._make((row.item, *(values.get(name) for name in needed))), problems
