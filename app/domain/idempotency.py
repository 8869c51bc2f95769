"""Idempotency keys: a key that the client chooses, and a fingerprint of what it asks for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta

REMEMBERED_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Names one request of one user that must be applied at most once.

    Two requests are the same when their fingerprints are equal. A fingerprint is made from parsed values, so that
    `1.0` and `1.00` agree.
    """

    key: str
    fingerprint: str


def identify(key: str | None, operation: str, *values: object) -> IdempotencyKey | None:
    """The key of an operation on these parsed values; None for a request without a key."""
    if key is None:
        return None
    text = json.dumps([operation, *(None if value is None else str(value) for value in values)])
    return IdempotencyKey(key, hashlib.sha256(text.encode()).hexdigest())
