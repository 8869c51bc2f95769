"""Limits on what people may ask for: some are counted in the database, for all processes, and some in each process."""

from __future__ import annotations

from collections import Counter
from threading import Lock

from app.domain import clock
from app.domain.errors import TooManyRequests
from app.models.rate_limits import RateLimit, add_hit, seconds_left
from app.services.settings import settings

QUARTER, HOUR, DAY = 15 * 60, 60 * 60, 24 * 60 * 60


def take(limit: RateLimit, subject: str) -> None:
    """Count one more, however many ask at once. One call. Raises TooManyRequests when the window is full."""
    now = clock.now()
    if not add_hit(limit, subject, now=now):
        raise TooManyRequests(limit=limit.hits, reset_seconds=seconds_left(limit, now))


class PerMinute:
    """Counts what one subject does in a minute, in this process alone: it costs no call, and a restart forgets it.

    What may be done `n` times a minute may so be done `n` times in each process. That is enough for what harms nobody
    but by its mass.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def take(self, subject: str, most: int) -> None:
        """Count one more. No call. Raises TooManyRequests when there were `most` in this minute; 0 means no limit."""
        if not most:
            return
        minute, second = divmod(int(clock.now().timestamp()), 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._counts = minute, Counter()
            if self._counts[subject] >= most:
                raise TooManyRequests(limit=most, reset_seconds=60 - second)
            self._counts[subject] += 1


_log_ins, _money_changes, _statements = PerMinute(), PerMinute(), PerMinute()


def take_log_in(username: str) -> None:
    """Count a log-in that succeeds. No call. Raises TooManyRequests."""
    _log_ins.take(username, settings().limits.log_ins_per_minute)


def take_money_change(username: str) -> None:
    """Count a request that moves money or changes an order. No call. Raises TooManyRequests."""
    _money_changes.take(username, settings().limits.money_changes_per_minute)


def take_statement(username: str) -> None:
    """Count a statement, gains or an export. No call. Raises TooManyRequests."""
    _statements.take(username, settings().limits.statements_per_minute)
