"""Table `users`: security events, each what was done to one account; and the lines of the log that say the same.

| item | PK | SK |
|---|---|---|
| SecurityEvent | `{username}` | `EVENT#{created_at}#{event_id}` |

What was done is an item and a line. What was refused is a line alone. A refusal writes nothing, so nobody can fill the
items of another, or cost writes.

| access pattern | operation |
|---|---|
| events of a user, newest first | Query PK, SK begins with `EVENT#` |
| acts of a month, newest first | Query OperatorActsIndex |
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from app.domain import clock
from app.domain.errors import Busy, StoreUnavailable
from app.domain.events import DONE, EVENT_LIFETIME, EventKind, Means
from app.models.attributes import TimeAttribute, TTLAttribute, UnicodeAttribute
from app.models.batch import Batch, Steps, write_if
from app.models.item import Key
from app.models.paging import FIRST_PAGE, Page, PageRequest, list_page
from app.models.users import UsersItem, month_of

# How much of a browser's description of itself is kept.
AGENT_LENGTH = 200

log = structlog.get_logger("app.security")


@dataclass(frozen=True)
class Caller:
    """Who acts, by what means, and from where: of a request, or else the command line."""

    actor: str | None = None
    via: Means | None = None
    address: str | None = None
    agent: str | None = None
    request_id: str | None = None


COMMAND_LINE = Caller(actor="command line", via=Means.COMMAND_LINE)
_caller: ContextVar[Caller] = ContextVar("caller", default=COMMAND_LINE)


def begin_request(*, address: str, agent: str, request_id: str) -> None:
    """What is recorded from now on comes from here, and from nobody who is known yet."""
    _caller.set(Caller(address=address or None, agent=agent[:AGENT_LENGTH] or None, request_id=request_id))


def end_request() -> None:
    """The thread goes on to something else."""
    _caller.set(COMMAND_LINE)


def identify(username: str, via: Means | str) -> None:
    """From now on this user acts in the request, as shown by a credential. On the command line nobody logs in."""
    if _caller.get() is not COMMAND_LINE:
        _caller.set(replace(_caller.get(), actor=username, via=Means(via)))


def actor() -> str | None:
    """Who acts, if that is known."""
    return _caller.get().actor


class SecurityEvent(UsersItem, discriminator="EVENT"):
    """Something that was done to the account of `username`. Counts as gone once its `ttl` is past.

    Without `actor`, nobody was logged in who did it.
    """

    username = UnicodeAttribute()
    event_id = UnicodeAttribute()
    kind = UnicodeAttribute()
    outcome = UnicodeAttribute()
    actor = UnicodeAttribute(null=True)
    via = UnicodeAttribute(null=True)
    address = UnicodeAttribute(null=True)
    agent = UnicodeAttribute(null=True)
    request_id = UnicodeAttribute(null=True)
    # That of `created_at`, of an act alone.
    act_month = UnicodeAttribute(null=True)
    created_at = TimeAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(username: str, created_at: datetime, event_id: str) -> Key:
        return username, f"EVENT#{clock.to_text(created_at)}#{event_id}"

    @property
    def is_by_another(self) -> bool:
        """Whether an administrator or the command line did it."""
        return self.actor not in {None, self.username}

    @property
    def device(self) -> str | None:
        return device_of(self.agent)

    def hide_administrator(self) -> SecurityEvent:
        """The event as its owner sees it: not by what means and from where another one acted. Never save it."""
        if self.is_by_another:
            self.via = self.address = self.agent = self.request_id = None
        return self


def device_of(agent: str | None) -> str | None:
    """A short word for a browser's description of itself, which a client may fill with anything."""
    return hashlib.sha256(agent.encode()).hexdigest()[:8] if agent else None


def add_event(batch: Batch, username: str, kind: EventKind, *, outcome: str = DONE, via_link: bool = False) -> None:
    """Add an event to the batch of what it tells of: 2 write units, 3 for an act.

    The line follows when that is applied.
    """
    event = _new(username, kind, outcome, via_link=via_link)
    batch.put(f"event {kind}", event)
    batch.afterwards(lambda: _log(kind, event, subject=username, outcome=outcome))


def event_of(username: str, kind: EventKind) -> Steps:
    """The step of a batch that is made elsewhere: see `add_event`."""
    return lambda batch: add_event(batch, username, kind)


def record(username: str, kind: EventKind) -> None:
    """Keep what was done by one write rather than a batch. One call and 1 write unit.

    Raises nothing: where the database does not take the item now, the log alone has it.
    """
    event = _new(username, kind, DONE)
    _log(kind, event, subject=username, outcome=DONE)
    with suppress(Busy, StoreUnavailable):
        write_if(lambda: event.save(condition=SecurityEvent.absent()))


def note(kind: EventKind, *, subject: str | None = None, outcome: str) -> None:
    """Log what was refused, or what must cost nothing. `subject` is a user's name, never what somebody typed."""
    _log(kind, _caller.get(), subject=subject, outcome=outcome)


def list_acts(month: str, page: PageRequest = FIRST_PAGE) -> Page[SecurityEvent]:
    """The acts of a month (`2026-11`), newest first, for EVENT_LIFETIME. One call.

    Eventually consistent. No event says from where.
    """
    return _living(list_page(SecurityEvent, month, page, index=SecurityEvent.operator_acts_index))


def list_events(username: str, page: PageRequest = FIRST_PAGE) -> Page[SecurityEvent]:
    """What was done to an account in EVENT_LIFETIME, newest first. One call."""
    return _living(list_page(SecurityEvent, username, page, keys=SecurityEvent.SK.startswith("EVENT#")))


def _living(found: Page[SecurityEvent]) -> Page[SecurityEvent]:
    living = [event for event in found.items if event.ttl > clock.now()]
    # The oldest come last: what follows is past its time too.
    return found if len(living) == len(found.items) else Page(living, None)


def iterate_events(username: str) -> Iterator[SecurityEvent]:
    """What was done to an account in EVENT_LIFETIME, oldest first, 500 in a call."""
    found = SecurityEvent.query(username, SecurityEvent.SK.startswith("EVENT#"), page_size=500)
    now = clock.now()
    return (event for event in found if event.ttl > now)


def _new(username: str, kind: EventKind, outcome: str, *, via_link: bool = False) -> SecurityEvent:
    caller = _caller.get()
    if via_link:
        # A link shows nothing but that its holder has it. Another user may be logged in at that browser.
        caller = replace(caller, actor=None, via=Means.LINK)
    now = clock.now()
    # At one moment there may be several.
    event_id = secrets.token_hex(8)
    event = SecurityEvent(
        *SecurityEvent.key(username, now, event_id),
        username=username,
        event_id=event_id,
        kind=kind.value,
        outcome=outcome,
        actor=caller.actor,
        via=caller.via,
        address=caller.address,
        agent=caller.agent,
        request_id=caller.request_id,
        created_at=now,
        ttl=now + EVENT_LIFETIME,
    )
    event.act_month = month_of(now) if event.is_by_another else None
    return event


def _log(kind: EventKind, by: Caller | SecurityEvent, *, subject: str | None, outcome: str) -> None:
    # The request id stands on every line of a request.
    log.info(
        kind.value,
        actor=by.actor,
        subject=subject,
        address=by.address,
        device=device_of(by.agent),
        outcome=outcome,
        via=by.via,
    )
