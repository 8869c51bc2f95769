"""The chain of hashes through the transactions of a balance: who keeps a hash can tell that nothing before it changed.

A hash is the SHA-256, in lower-case hexadecimal, of a JSON list in UTF-8 without spaces. The list begins with `op1` and
has only texts and nulls. Amounts and times stand in it as they are stored. So a program of a few lines computes it
anew: `app/static/verify.py` is one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from app.domain import clock

FORMAT = "op1"


def first_hash(username: str, registered_at: datetime) -> str:
    """What the first transaction of an account follows."""
    return _hash(username, clock.to_text(registered_at))


def hash_of_state(username: str, number: str, balance: str) -> str:
    """What a transaction follows where the one before, of this number, has no hash: an older version wrote it."""
    return _hash(username, number, balance)


def hash_of_transaction(previous: str, values: Sequence[str | None]) -> str:
    """The hash of a transaction that follows another hash.

    `values` are username, transaction_id, transaction_type, amount, previous_balance, new_balance, order_id, actor,
    description and created_at, as they are stored; null where there is none.
    """
    return _hash(previous, *values)


def _hash(*values: str | None) -> str:
    text = json.dumps([FORMAT, *values], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
