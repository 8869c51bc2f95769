"""Limits on what people may ask for, other than log-ins."""

from __future__ import annotations

from app.domain import clock
from app.domain.errors import TooManyRequests
from app.models.rate_limits import RateLimit, add_hit, seconds_left


def take(limit: RateLimit, subject: str) -> None:
    """Count one more, however many ask at once. One call. Raises TooManyRequests when the window is full."""
    now = clock.now()
    if not add_hit(limit, subject, now=now):
        raise TooManyRequests(limit=limit.hits, reset_seconds=seconds_left(limit, now))
