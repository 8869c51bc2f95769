"""One answer for all processes: one of them asks for it, and the others read what that one was told.

What they share is a text, which is replaced only while it is the one that was read. It says when the next request is
due. A process that finds it due first moves that time ahead: of any number of processes one can, and that one asks.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from app.domain import clock as clocks
from app.prices.fetching import MAX_ASKED_PAUSE, Clock, Fetched, FetchFailed, pause_after

# How long one process may take to ask. If it has not written an answer by then, another one asks.
LEASE = timedelta(seconds=15)
# A process that has an old answer looks for the new one this often, while another one asks.
LOOK_AGAIN = timedelta(seconds=2)
# A process that has no answer waits for the one that asks: this often and this long.
WAITS, WAIT_SECONDS = 25, 0.2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")

log = logging.getLogger(__name__)


class SharedText(Protocol):
    """A text that processes share. Both methods may raise anything when the store fails."""

    def read(self) -> tuple[str, int]:
        """The text and its version; empty and 0 where there is none. It may be a moment late."""

    def replace(self, text: str, *, version: int) -> bool:
        """Write a text in place of the one with this version; False, and nothing is written, if that is gone."""


class OwnText:
    """The text of one process alone."""

    def __init__(self) -> None:
        self._text, self._version = "", 0

    def read(self) -> tuple[str, int]:
        return self._text, self._version

    def replace(self, text: str, *, version: int) -> bool:
        if version != self._version:
            return False
        self._text, self._version = text, version + 1
        return True


@dataclass(frozen=True, kw_only=True)
class _Note:
    """What the text says. `asking` is true while a process asks; `failures` counts those since the last answer."""

    answer: Mapping[str, Any] | None = None
    next_at: datetime = _EPOCH
    asking: bool = False
    failures: int = 0

    def is_due(self, now: datetime, longest: timedelta) -> bool:
        # A time further ahead than anybody waits comes from a clock that was wrong.
        return not timedelta(0) < self.next_at - now <= longest

    def to_text(self) -> str:
        values = {"next_at": clocks.to_text(self.next_at), "asking": self.asking, "failures": self.failures}
        return json.dumps({**values, "answer": self.answer}, separators=(",", ":"))

    @staticmethod
    def from_text(text: str) -> _Note:
        """The note; an empty one, which is due, for a text that is none."""
        try:
            values = json.loads(text)
            values["next_at"] = clocks.from_text(values["next_at"])
            return _Note(**{**values, "failures": int(values["failures"])})
        except (ValueError, TypeError, KeyError):
            return _Note()


class SharedFetch(Generic[T]):
    """Fetches an answer for all processes, or takes the one that another process fetched."""

    def __init__(
        self,
        text: SharedText,
        fetch: Callable[[], T],
        *,
        encode: Callable[[T], Mapping[str, Any]],
        decode: Callable[[Mapping[str, Any]], T],
        fresh_for: timedelta,
        clock: Clock,
    ) -> None:
        """`fetch` and `decode` may raise FetchFailed. `encode` makes what JSON can hold."""
        self._text = text
        self._fetch = fetch
        self._encode = encode
        self._decode = decode
        self._fresh_for = fresh_for
        self._clock = clock

    def get(self) -> Fetched[T]:
        """One read, and two writes for the process that asks. Raises FetchFailed, also when the store fails."""
        for _ in range(WAITS):
            note, version = self._read()
            now = self._clock()
            if note.is_due(now, max(self._fresh_for, MAX_ASKED_PAUSE)):
                note = replace(note, next_at=now + LEASE, asking=True)
                if self._replace(note, version):
                    return self._ask(note, version + 1)
            if note.answer is not None:
                # The clock that set `next_at` may be ahead of this one: then there are newer answers before that.
                rest = LOOK_AGAIN if note.asking else min(note.next_at - now, self._fresh_for)
                return Fetched(self._decode(note.answer), rest)
            if not note.asking:
                raise FetchFailed("the API is left alone after a failure")
            time.sleep(WAIT_SECONDS)
        raise FetchFailed("another process asks")

    def _ask(self, note: _Note, version: int) -> Fetched[T]:
        try:
            value = self._fetch()
        except FetchFailed as failure:
            next_at = self._clock() + pause_after(failure, note.failures)
            self._tell(replace(note, next_at=next_at, asking=False, failures=note.failures + 1), version)
            raise
        self._tell(_Note(answer=self._encode(value), next_at=self._clock() + self._fresh_for), version)
        return Fetched(value, self._fresh_for)

    def _tell(self, note: _Note, version: int) -> None:
        try:
            self._replace(note, version)
        except FetchFailed as failure:
            # The answer serves this process; another one asks when the lease has ended.
            log.warning("Other processes were not told: %s", failure)

    def _read(self) -> tuple[_Note, int]:
        try:
            text, version = self._text.read()
        # Whatever the store does, prices go on with what this process has.
        except Exception as error:
            raise FetchFailed(f"the shared prices could not be read: {type(error).__name__}") from error
        return _Note.from_text(text), version

    def _replace(self, note: _Note, version: int) -> bool:
        try:
            return self._text.replace(note.to_text(), version=version)
        except Exception as error:
            raise FetchFailed(f"the shared prices could not be written: {type(error).__name__}") from error
