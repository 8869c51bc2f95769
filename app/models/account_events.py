"""Table `users`: account events, which scripts follow by their numbers. `balance_changes.py` writes them.

| item | PK | SK |
|---|---|---|
| AccountEvent | `{username}` | `ACCOUNT_EVENT#{event_number}` |

The number is one more than the `event_version` of the Balance. The batch of the change raises that, on condition that
it is the one read. So a number is there exactly if its change is, and no later one is there before it. Times or ULIDs
would not do. Two batches may be applied in the other order, and a reader would have passed the first.

| access pattern | operation |
|---|---|
| those after a number, oldest first | Query PK, SK between two numbers |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pynamodb.expressions.condition import Condition

from app.domain import clock
from app.domain.account_events import KEPT_FOR, AccountEventType, event_number
from app.domain.errors import EventsAhead, EventsExpired
from app.models.attributes import TimeAttribute, TTLAttribute, UnicodeAttribute
from app.models.item import Key
from app.models.ledger import Balance, get_balance
from app.models.reading import NOTHING, Found
from app.models.users import UsersItem

LAST_NUMBER = 10**12 - 1


class AccountEvent(UsersItem, discriminator="ACCOUNT_EVENT"):
    """Something that happened to an order or to the account itself; never changed. Past its `ttl` it counts as gone."""

    username = UnicodeAttribute()
    event_number = UnicodeAttribute()
    event_type = UnicodeAttribute()
    order_id = UnicodeAttribute(null=True)
    # Of an adjustment.
    transaction_id = UnicodeAttribute(null=True)
    created_at = TimeAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(username: str, number: str) -> Key:
        return username, f"ACCOUNT_EVENT#{number}"

    @property
    def number(self) -> int:
        return int(self.event_number)


def new_event(
    balance: Balance,
    event_type: AccountEventType,
    now: datetime,
    *,
    order_id: str | None = None,
    transaction_id: str | None = None,
) -> AccountEvent:
    """The event after those that a balance counts."""
    number = balance.next_event_number
    return AccountEvent(
        *AccountEvent.key(balance.username, number),
        username=balance.username,
        event_number=number,
        event_type=event_type.value,
        order_id=order_id,
        transaction_id=transaction_id,
        created_at=now,
        # Not after `clock.latest()`: ends have the order of the numbers, so the oldest go first.
        ttl=now + KEPT_FOR,
    )


@dataclass(frozen=True)
class Feed:
    """Some events, oldest first. `last` is the number of the last one, or else where the reader is.

    `is_all` says that there was nothing more.
    """

    events: list[AccountEvent]
    last: int
    is_all: bool


def follow_events(username: str, after: int | None, *, limit: int, found: Found = NOTHING) -> Feed:
    """The events after a number, or from the oldest that is kept; each number once, in order, and none left out.

    No call where the balance in `found` counts no more, else those of `read_events_since`. One more where nothing is in
    `found`, or where it is so old that it does not count the event `after`. Raises EventsExpired, EventsAhead.
    """
    newest = get_balance(username, found).events
    if after is not None and after > newest:
        # What was read cheaply may be old: it cannot refuse.
        newest = get_balance(username).events
    if after is not None and after > newest:
        raise EventsAhead(event_number(newest))
    if newest == (after or 0):
        return Feed([], newest, is_all=True)
    # After the balance: all that it counts is there now, or is gone for good.
    there = read_events_since(username, after or 0, limit=limit)
    oldest = there[0].number if there else newest + 1
    if after is not None and oldest != after + 1:
        raise EventsExpired(event_number(oldest))
    # Clocks that differ may let a later one go first.
    events = [event for place, event in enumerate(there) if event.number == oldest + place]
    return Feed(events, oldest + len(events) - 1, is_all=len(there) < limit)


def read_events_since(username: str, number: int, *, limit: int) -> list[AccountEvent]:
    """The first events after a number, without those that are gone. One call; one more where some are past their time.

    Beyond 5,000 of these, which the database has not deleted yet, it takes a call for each 5,000.
    """
    now = clock.now()
    there = list(_query(username, number + 1, limit=limit))
    if all(event.ttl > now for event in there):
        return there
    return list(_query(username, number + 1, filters=AccountEvent.ttl > now, limit=limit, page_size=5000))


def iterate_account_events(username: str) -> Iterator[AccountEvent]:
    """All events that are kept, oldest first, 500 in a call."""
    return _query(username, 1, filters=AccountEvent.ttl > clock.now(), page_size=500)


def _query(
    username: str,
    first: int,
    *,
    filters: Condition | None = None,
    limit: int | None = None,
    page_size: int | None = None,
) -> Iterator[AccountEvent]:
    low, high = (AccountEvent.key(username, event_number(number))[1] for number in (first, LAST_NUMBER))
    keys = AccountEvent.SK.between(low, high)
    return AccountEvent.query(
        username, keys, filter_condition=filters, consistent_read=True, limit=limit, page_size=page_size
    )
