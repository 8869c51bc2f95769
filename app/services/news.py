"""What happened to an account since its owner last saw the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from app.domain.account_events import UNASKED, AccountEventType
from app.domain.errors import Busy, StoreUnavailable
from app.models.account_events import AccountEvent, read_events_since
from app.models.ledger import Balance
from app.models.users import User, note_events_seen

# How many events are counted, in one call.
MOST_COUNTED = 500


@dataclass(frozen=True)
class News:
    """The events of each type, oldest first, that nobody had asked for. `is_cut` says that older ones are left out."""

    events: Mapping[AccountEventType, list[AccountEvent]]
    is_cut: bool = False


NO_NEWS = News({})


def read_news(user: User, balance: Balance) -> News:
    """The news that the dashboard has not told yet, which are then told. No call where nothing happened, else two.

    What was told is an attribute of the user, who is read with each page. So it counts for all devices, and is written
    only after something happened. Where that cannot be written now, the news come again.
    """
    seen, newest = int(user.events_seen or 0), balance.events
    if newest <= seen:
        return NO_NEWS
    first = max(seen, newest - MOST_COUNTED)
    events = read_events_since(user.username, first, limit=MOST_COUNTED)
    with suppress(Busy, StoreUnavailable):
        note_events_seen(user, max([newest, *(event.number for event in events)]))
    told = {kind: [event for event in events if event.event_type == kind] for kind in UNASKED}
    return News({kind: those for kind, those in told.items() if those}, is_cut=first > seen)
