"""Table `users`: rate windows, which count how often something happened.

| item | PK | SK |
|---|---|---|
| RateWindow | `RATE#{scope}#{subject}` | start of the window in seconds since 1970 |
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pynamodb.expressions.update import Action

from app.models.attributes import NumberAttribute, TTLAttribute
from app.models.batch import write_if
from app.models.item import Key
from app.models.reading import Found, Place
from app.models.users import UsersItem


@dataclass(frozen=True)
class RateLimit:
    """At most `hits` of one kind (`scope`) for one subject in each window of `seconds`."""

    scope: str
    hits: int
    seconds: int


class RateWindow(UsersItem, discriminator="RATE"):
    """How often something happened in one window. Counts as gone once the window is over."""

    hits = NumberAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(rate: RateLimit, subject: str, now: datetime) -> Key:
        # A subject may be personal, or anything that was typed: only its digest is kept.
        digest = hashlib.sha256(subject.encode()).hexdigest()[:32]
        return f"RATE#{rate.scope}#{digest}", f"{_start(rate, now):012d}"


def _start(rate: RateLimit, now: datetime) -> int:
    return int(now.timestamp()) // rate.seconds * rate.seconds


def seconds_left(rate: RateLimit, now: datetime) -> int:
    """How many seconds the current window still lasts, at least 1."""
    return _start(rate, now) + rate.seconds - int(now.timestamp())


def window_of(rate: RateLimit, subject: str, *, now: datetime) -> Place:
    """Where the hits of the current window are, to be read with other items."""
    return RateWindow, RateWindow.key(rate, subject, now)


def hits_left(found: Found, rate: RateLimit, subject: str, *, now: datetime) -> int:
    """How many hits the current window still takes, by what was read at `window_of`; 0 or less when it is full."""
    window = found.get(RateWindow, RateWindow.key(rate, subject, now))
    return rate.hits - (int(window.hits) if window else 0)


def add_hit(rate: RateLimit, subject: str, *, now: datetime) -> bool:
    """Count one more hit, up to the limit; False when it was reached before. One call."""
    window = RateWindow(*RateWindow.key(rate, subject, now))
    end = datetime.fromtimestamp(_start(rate, now), UTC) + timedelta(seconds=rate.seconds)
    # The first update makes the item, so it must set the entity type too.
    actions: list[Action] = [RateWindow.hits.add(1), RateWindow.ttl.set(end), RateWindow.entity_type.set(RateWindow)]
    return write_if(lambda: window.update(actions, condition=RateWindow.absent() | (RateWindow.hits < rate.hits)))
