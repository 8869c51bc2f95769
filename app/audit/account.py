"""Checking all items of one user: its sorted rows go through the checks in one pass, so memory stays small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import TypeVar

from app.audit.account_events import EventsCheck, check_adjustment, check_changes_told, check_told
from app.audit.approvals import check_booked, check_decision
from app.audit.closing import check_closing
from app.audit.factors import check_factor
from app.audit.holdings import HoldingsCheck
from app.audit.ledger import LedgerCheck
from app.audit.orders import check_changes, check_client_id, check_order, check_trade
from app.audit.reading import find_row
from app.audit.records import (
    AccountEventRecord,
    ApprovalRecord,
    BalanceRecord,
    ChangeRecord,
    ClientOrderRecord,
    EventRecord,
    FactorRecord,
    HoldingRecord,
    ItemKey,
    OrderRecord,
    Record,
    TradeRecord,
    TransactionRecord,
    UserRecord,
    Violation,
    as_text,
    differs,
    violation,
)
from app.audit.rows import NOBODY, Row, decode
from app.audit.sorter import EVENTS, HEAD, TRANSACTIONS, SortedRow
from app.audit.totals import Sums
from app.domain import clock
from app.domain.identifiers import APPROVAL_ID, ORDER_ID, matches
from app.models.adjustments import Approval
from app.models.idempotency import PLAN
from app.models.ledger import BalanceTransaction
from app.models.orders import Order
from app.models.users import EmailClaim, month_of

RecordT = TypeVar("RecordT", UserRecord, BalanceRecord, FactorRecord)


def check_account(username: str, rows: Iterable[SortedRow], sums: Sums) -> list[Violation]:
    """Every violation of one user, or of NOBODY. `rows` are the user's, as `RowSorter` orders them.

    What the user has is added to `sums`.
    """
    return list(_AccountCheck(username, sums).run(rows))


class _AccountCheck:
    """One pass over the rows of a user. Keeps user, balance, holdings and e-mail claims; of the rest, only sums."""

    def __init__(self, username: str, sums: Sums) -> None:
        self._username = username
        self._sums = sums
        self._ledger = LedgerCheck()
        self._events = EventsCheck()
        self._holdings = HoldingsCheck()
        self._head: dict[str, list[Record | None]] = {}
        self._claims: dict[ItemKey, str | None] = {}
        self._held: list[HoldingRecord] = []

    def run(self, rows: Iterable[SortedRow]) -> Iterator[Violation]:
        if self._username == NOBODY:
            for each in rows:
                yield from _check_nobodys(each.row)
            return
        for (section, group), sorted_rows in groupby(rows, key=lambda each: (each.section, each.group)):
            if section == HEAD:
                for each in sorted_rows:
                    yield from self._check_head(each.row)
            elif section == EVENTS:
                yield from self._check_events([each.row for each in sorted_rows])
            elif section == TRANSACTIONS:
                yield from self._check_transactions([each.row for each in sorted_rows])
            else:
                yield from self._check_order(group, list(sorted_rows))
        yield from self._finish()

    def _check_head(self, row: Row) -> Iterator[Violation]:
        record, problems = _record(row)
        yield from problems
        self._count(record)
        if isinstance(record, EventRecord):
            yield from _check_act(record)
        if row.kind == "EMAIL" and row.text("username") == self._username:
            self._claims[row.item] = row.text("unconfirmed_since")
        elif isinstance(record, ApprovalRecord):
            yield from check_decision(record)
        elif isinstance(record, HoldingRecord):
            self._held.append(record)
        elif row.item.SK in ("USER", "BALANCE", "FACTOR"):
            if isinstance(record, BalanceRecord):
                self._ledger.begin(record)
            self._head.setdefault(row.item.SK, []).append(record)

    def _check_events(self, rows: Iterable[Row]) -> Iterator[Violation]:
        for row in rows:
            record, problems = _record(row)
            yield from problems
            self._count(record)
            if isinstance(record, AccountEventRecord):
                yield from self._events.add(record)

    def _check_transactions(self, rows: Sequence[Row]) -> Iterator[Violation]:
        """The transaction with one number, and the idempotency claims, approvals and events that refer to it."""
        transaction, approvals, events = None, [], []
        for row in rows:
            record, problems = _record(row)
            if isinstance(record, AccountEventRecord):
                # Counted at its main place.
                events.append(record)
                continue
            yield from problems
            self._count(record)
            if isinstance(record, TransactionRecord):
                transaction = record
                yield from self._ledger.add(record)
            elif isinstance(record, ApprovalRecord):
                approvals.append(record)
                yield from check_decision(record)
        if transaction:
            yield from check_booked(transaction, approvals)
            yield from check_adjustment(transaction, events)
        if not any(row.kind == "TRANSACTION" for row in rows):
            yield from (_lost_reference(row) for row in rows if not _is_found_elsewhere(row))

    def _check_order(self, order_id: str, rows: Sequence[SortedRow]) -> Iterator[Violation]:
        """An order, if it is there, with the trades, transactions and idempotency claims that name it."""
        records: list[Record | None] = []
        for each in rows:
            record, problems = _record(each.row)
            records.append(record)
            if each.is_main:
                self._count(record)
                yield from problems
        orders = [record for record in records if isinstance(record, OrderRecord)]
        trades = [record for record in records if isinstance(record, TradeRecord)]
        transactions = [record for record in records if isinstance(record, TransactionRecord)]
        client_ids = [record for record in records if isinstance(record, ClientOrderRecord)]
        events = [record for record in records if isinstance(record, AccountEventRecord)]
        changes = [record for record in records if isinstance(record, ChangeRecord)]
        for trade in trades:
            yield from check_trade(trade)
            self._holdings.add_trade(trade)
        for order in orders:
            if order.username == self._username:
                self._holdings.add_order(order)
                yield from check_order(order, trades, transactions, changes)
                yield from check_changes(order, changes)
                yield from check_client_id(order, client_ids)
                yield from check_told(order, events)
                yield from check_changes_told(order, changes, events)
        if not any(each.row.kind == "ORDER" and each.row.owner == self._username for each in rows):
            yield from self._check_lost_order(order_id, [each.row for each in rows])

    def _count(self, record: Record | None) -> None:
        if record:
            self._sums.add(record)

    def _check_lost_order(self, order_id: str, rows: Sequence[Row]) -> Iterator[Violation]:
        """The rows that name an order which is not among the user's own."""
        row = find_row(ItemKey("orders", *Order.key(order_id)))
        owner = row.owner if row else None
        if owner == self._username:  # placed since the rows were read, or not yet in the index
            return
        for each in rows:
            if each.kind == "REQUEST":
                yield _lost_reference(each)
            elif each.kind != "ORDER" and owner is None:
                yield violation("order_unknown", each.item, f"There is no order {order_id}.", order_id=order_id)
            elif each.kind != "ORDER":
                message = f"The order {order_id} belongs to {owner!r}."
                yield violation("order_of_another_user", each.item, message, order_id=order_id, found=owner or "")

    def _finish(self) -> Iterator[Violation]:
        for key, check in (("USER", "user_missing"), ("BALANCE", "balance_missing")):
            if key not in self._head:
                item = ItemKey("users", self._username, key)
                yield violation(check, item, f"{self._username} has items, but not this one.")
        user = self._first(UserRecord)
        yield from check_closing((user, self._first(BalanceRecord)), self._held)
        yield from check_factor(user, self._first(FactorRecord), is_unread="FACTOR" in self._head)
        for record in chain.from_iterable(self._head.values()):
            if isinstance(record, UserRecord):
                yield from self._check_claims(record)
            if isinstance(record, BalanceRecord):
                yield from self._ledger.finish(record, reserved=self._holdings.reserved_cash)
                yield from self._events.finish(record)
        for claim in self._claims if "USER" not in self._head else ():
            message = f"It names {self._username}, but there is no such user."
            yield violation("email_claim_stray", claim, message, found=self._username)
        yield from self._holdings.finish(self._held, ItemKey("users", self._username, "BALANCE"))

    def _first(self, kind: type[RecordT]) -> RecordT | None:
        records = chain.from_iterable(self._head.values())
        return next((record for record in records if isinstance(record, kind)), None)

    def _check_claims(self, user: UserRecord) -> Iterator[Violation]:
        """The user's e-mail address is claimed for this user, and no other address is.

        An address that the user did not confirm may be another's: it falls to who confirms it. A closed account has
        none.
        """
        if user.email is None:
            for claim in self._claims:
                message = f"It names {user.username}, whose account has no address."
                yield violation("email_claim_stray", claim, message, found=user.username)
            return
        own = ItemKey("users", *EmailClaim.key(user.email))
        since = user.email_unconfirmed_since and clock.to_text(user.email_unconfirmed_since)
        if own in self._claims:
            what = f"The time since which {user.email} is not confirmed"
            yield from differs("email_claim_differs", own, what, found=self._claims[own], expected=since)
        for claim in self._claims:
            what = f"The address claimed for {user.username}"
            yield from differs("email_claim_stray", claim, what, found=claim.PK, expected=own.PK)
        if since:
            return
        if own.PK not in {claim.PK for claim in self._claims}:
            message = f"No claim of {user.email} names this user."
            yield violation("email_claim_missing", user.item, message, expected=own.PK)
        row = None if own in self._claims else find_row(own)
        if row and row.text("username") != user.username:
            named = row.text("username") or "nobody"
            message = f"It names {named}, and is the address of {user.username}."
            yield violation("email_claim_of_another", own, message, found=named, expected=user.username)


def _check_nobodys(row: Row) -> Iterator[Violation]:
    record, problems = _record(row)
    yield from problems
    if isinstance(record, ChangeRecord):
        yield from _check_stray(record)


def _check_stray(change: ChangeRecord) -> Iterator[Violation]:
    """A change of an order that did not say, when it was read, that it had any."""
    order = find_row(ItemKey("orders", *Order.key(change.order_id)))
    revision = int(order.raw.get("revision", {}).get("N", 1)) if order else 0
    if change.revision >= revision:
        message = f"The order {change.order_id} has no change of its revision {as_text(change.revision)}."
        yield violation("change_unexpected", change.item, message, found=change.revision)


def _is_found_elsewhere(claim: Row) -> bool:
    """Whether a claim refers elsewhere: to a transaction of another user, an Approval, or all orders of a plan."""
    username, reference = claim.text("username"), claim.text("reference") or ""
    if reference.split()[:1] == [PLAN]:
        orders = [word for word in reference.split() if matches(ORDER_ID, word)]
        return all(find_row(ItemKey("orders", *Order.key(order_id))) is not None for order_id in orders)
    if matches(APPROVAL_ID, reference):
        return find_row(ItemKey("users", *Approval.key(reference))) is not None
    key = username and BalanceTransaction.key(username, reference)
    return bool(key and find_row(ItemKey("users", *key)))


def _lost_reference(row: Row) -> Violation:
    reference = row.text("reference") or row.text("transaction_id") or ""
    message = f"It refers to {reference!r}, which the user does not have."
    return violation("reference_missing", row.item, message, found=reference)


def _check_act(event: EventRecord) -> Iterator[Violation]:
    """An act is in the list of acts, and no other event is."""
    is_act = event.actor not in {None, event.username}
    expected = month_of(event.created_at) if is_act else None
    yield from differs("act_month_wrong", event.item, "act_month", found=event.act_month, expected=expected)


_RECORDS: dict[str, type[Record]] = {
    "USER": UserRecord,
    "EVENT": EventRecord,
    "ACCOUNT_EVENT": AccountEventRecord,
    "BALANCE": BalanceRecord,
    "FACTOR": FactorRecord,
    "TRANSACTION": TransactionRecord,
    "APPROVAL": ApprovalRecord,
    "ASSET": HoldingRecord,
    "ASSET_TRANSACTION": TradeRecord,
    "CLIENT": ClientOrderRecord,
    "ORDER": OrderRecord,
    "CHANGE": ChangeRecord,
}


def _record(row: Row) -> tuple[Record | None, list[Violation]]:
    """The values of an item, or None if a needed one cannot be decoded; and the violations of its form."""
    values, problems = decode(row)
    kind = _RECORDS.get(row.kind)
    if kind is None:
        return None, problems
    needed = kind._fields[1:]
    if any(problem.figures.get("name") in needed for problem in problems):
        return None, problems
    return kind._make((row.item, *(values.get(name) for name in needed))), problems
