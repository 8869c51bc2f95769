"""Time: always aware UTC, written as ISO 8601 with microseconds and `Z`. So the order of text is the order of time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, time, timedelta

_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_set_moment: ContextVar[datetime | None] = ContextVar("moment", default=None)


def now() -> datetime:
    """The current time, or the one that `at` has set in this context."""
    return _set_moment.get() or datetime.now(UTC)


def now_after(*moments: datetime | None) -> datetime:
    """The current time, or the microsecond after the latest of these moments where the clock is not past it.

    So time never goes back within an account, even if the clocks of two machines differ.
    """
    return max([now(), *(moment + timedelta(microseconds=1) for moment in moments if moment)])


def latest() -> datetime:
    """The current time, or the one that `at` has set if that is later: for what must outlast the real present."""
    return max(now(), datetime.now(UTC))


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Make `now` return an aware moment, in this context only: for demonstration data of the past, and for tests."""
    token = _set_moment.set(moment)
    try:
        yield
    finally:
        _set_moment.reset(token)


def start_of(day: date) -> datetime:
    """The first microsecond of a day in UTC."""
    return datetime.combine(day, time.min, UTC)


def end_of(day: date) -> datetime:
    """The last microsecond of a day in UTC."""
    return datetime.combine(day, time.max, UTC)


def end_advice(max_ahead: timedelta) -> str:
    """What to do about an end that has passed or is too far ahead. Days end in UTC, which may be another day here."""
    return (
        f"Choose a time in the future, at most {max_ahead.days} days ahead. "
        f"Days end at midnight UTC, where it is now {now():%Y-%m-%d %H:%M}."
    )


def to_text(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000000Z`; the moment must be aware."""
    # What is in UTC already, as nearly all here is, ends in `+00:00`.
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds")[:-6] + "Z"


def from_text(text: str) -> datetime:
    """The reverse of `to_text`. Raises ValueError for any other format."""
    # fromisoformat reads many other formats, and texts without an offset.
    if not _WRITTEN.fullmatch(text):
        raise ValueError(f"time {text!r} does not match YYYY-MM-DDTHH:MM:SS.ffffffZ")
    return datetime.fromisoformat(text)
