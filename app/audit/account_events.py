"""The checks of account events: their numbers, and that each change has its event and each event its change.

What an earlier version ended or booked names no event, and has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.audit.records import (
    AccountEventRecord,
    BalanceRecord,
    ChangeRecord,
    OrderRecord,
    TransactionRecord,
    Violation,
    as_text,
    differs,
    violation,
)
from app.domain import clock
from app.domain.account_events import ENDS, KEPT_FOR, AccountEventType, event_number
from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus


@dataclass
class EventsCheck:
    """Follows the events of one account in the order of their numbers."""

    last: int | None = None
    time: datetime | None = None

    def add(self, event: AccountEventRecord) -> Iterator[Violation]:
        """The violations of the next event, by itself and against the one before it."""
        number = int(event.event_number) if event.event_number.isdecimal() else 0
        yield from _check_subject(event)
        end = event.created_at + KEPT_FOR
        yield from differs("event_end_wrong", event.item, "ttl", found=int(event.ttl), expected=int(end.timestamp()))
        if end <= clock.now():
            # Its neighbours may be deleted already.
            return
        if self.last is not None:
            yield from differs("event_gap", event.item, "Its number", found=number, expected=self.last + 1)
        if self.time and event.created_at < self.time:
            message = f"Its time is before {as_text(self.time)}, that of the event before it."
            yield violation("event_time_went_back", event.item, message, found=event.created_at, expected=self.time)
        self.last, self.time = number, event.created_at

    def finish(self, balance: BalanceRecord) -> Iterator[Violation]:
        """The violations of what the balance says about the events."""
        version = balance.event_version
        if self.last is not None:
            yield from differs(
                "event_version_mismatch", balance.item, "event_version", found=version, expected=self.last
            )


def check_told(order: OrderRecord, events: Sequence[AccountEventRecord]) -> Iterator[Violation]:
    """An order that waited and has ended names the one event of its end; any other names none and has none."""
    waited = not order.is_market and order.executed_at != order.created_at
    expected = ENDS.get(OrderStatus(order.status)) if waited else None
    found = [event for event in events if event.event_type in ENDS.values()]
    for event in found:
        what = f"event_type for {order.item.PK}"
        yield from differs("event_differs", event.item, what, found=event.event_type, expected=expected)
    if expected is None and order.event_number is not None:
        message = f"A {order.status} order that did not wait names no event."
        yield violation("event_unexpected", order.item, message, found=order.event_number)
    yield from _check_named(order, found, happened_at=order.updated_at)


def check_changes_told(
    order: OrderRecord, changes: Sequence[ChangeRecord], events: Sequence[AccountEventRecord]
) -> Iterator[Violation]:
    """Each change of an order names its own event."""
    told = [event for event in events if event.event_type == AccountEventType.ORDER_CHANGED]
    for change in changes:
        own = [event for event in told if event.event_number == change.event_number]
        yield from _check_named(change, own, happened_at=change.created_at)
    named = {change.event_number for change in changes}
    for event in told:
        if event.event_number not in named:
            message = f"No change of {order.item.PK} names it."
            yield violation("event_unexpected", event.item, message, found=event.event_number)


def check_adjustment(transaction: TransactionRecord, events: Sequence[AccountEventRecord]) -> Iterator[Violation]:
    """An adjustment names its one event; any other transaction names none and has none."""
    if transaction.transaction_type != TransactionType.SYSTEM_ADJUSTMENT and transaction.event_number is not None:
        message = f"{transaction.transaction_type} names no event."
        yield violation("event_unexpected", transaction.item, message, found=transaction.event_number)
    yield from _check_named(transaction, events, happened_at=transaction.created_at)


def _check_named(
    change: OrderRecord | ChangeRecord | TransactionRecord,
    events: Sequence[AccountEventRecord],
    *,
    happened_at: datetime,
) -> Iterator[Violation]:
    """A change has the event that it names, as long as that is kept, and no other."""
    for event in events:
        what = f"The number for {change.item}"
        yield from differs("event_differs", event.item, what, found=event.event_number, expected=change.event_number)
        what = f"created_at for {change.item}"
        yield from differs("event_differs", event.item, what, found=event.created_at, expected=happened_at)
    if change.event_number is not None and not events and clock.now() < happened_at + KEPT_FOR:
        message = f"There is no event {change.event_number}, which it names."
        yield violation("event_missing", change.item, message, expected=change.event_number)


def _check_subject(event: AccountEventRecord) -> Iterator[Violation]:
    """The event of an order names it, that of an adjustment its transaction, and any other neither."""
    if event.event_number != event_number(int(event.event_number) if event.event_number.isdecimal() else 0):
        message = f"event_number {event.event_number!r} is not a number of 12 digits."
        yield violation("event_number_malformed", event.item, message, found=event.event_number)
    named = event.order_id is not None, event.transaction_id is not None
    expected = event.event_type.startswith("order_"), event.event_type == AccountEventType.ADJUSTED
    what = "Whether it names an order, and a transaction,"
    yield from differs("event_subject_wrong", event.item, what, found=named, expected=expected)
