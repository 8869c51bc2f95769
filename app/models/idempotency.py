"""Idempotency: a keyed request is applied once, and a repetition finds what the first run made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pynamodb.attributes import TTLAttribute, UnicodeAttribute

from app.domain import clock
from app.domain.errors import Busy, IdempotencyKeyReused, Refusal
from app.domain.idempotency import REMEMBERED_FOR, IdempotencyKey
from app.models.attributes import TimeAttribute
from app.models.batch import Batch, Cancelled
from app.models.item import Item, Key
from app.models.users import UsersItem

ResultT = TypeVar("ResultT", bound=Item)


@dataclass(frozen=True)
class Applied(Generic[ResultT]):
    """What a change made, or what the first run of the same keyed request had made (`is_replay`)."""

    item: ResultT
    is_replay: bool = False


def apply_once(
    change: Callable[[Batch], ResultT],
    username: str,
    request: IdempotencyKey | None,
    *,
    reference: Callable[[ResultT], str],
    find: Callable[[str], ResultT],
) -> Applied[ResultT]:
    """Commit a change, a keyed one at most once: its claim is part of the batch, and only a success leaves one.

    `change` reads, decides and fills the batch; `reference` names what it made, and `find` reads that again.
    Raises what `change` raises, IdempotencyKeyReused, and Busy when another change came first.
    """
    batch = Batch()
    try:
        item = change(batch)
    except Refusal:
        # What stands in the way may be this very request, applied before: it may have spent the money itself.
        claim = _find_claim(username, request) if request else None
        if claim:
            return Applied(find(claim.reference), is_replay=True)
        raise
    if request:
        _write_claim(batch, username, request, reference(item))
    try:
        batch.commit()
    except Cancelled as cancelled:
        claim = _find_claim(username, request) if request and "request" in cancelled.refused else None
        if claim:
            return Applied(find(claim.reference), is_replay=True)
        raise Busy() from cancelled
    return Applied(item)


def _find_claim(username: str, request: IdempotencyKey) -> IdempotencyClaim | None:
    """The claim that an earlier run of this request left; raises IdempotencyKeyReused when it was another request."""
    claim = IdempotencyClaim.find(IdempotencyClaim.key(username, request.key))
    if claim is None or claim.ttl <= clock.now():
        return None
    if claim.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused()
    return claim


def _write_claim(batch: Batch, username: str, request: IdempotencyKey, reference: str) -> None:
    now = clock.now()
    claim = IdempotencyClaim(
        *IdempotencyClaim.key(username, request.key),
        fingerprint=request.fingerprint,
        reference=reference,
        created_at=now,
        ttl=now + REMEMBERED_FOR,
    )
    # DynamoDB deletes what is past its ttl days later, or never: such a claim counts as gone.
    batch.put("request", claim, condition=IdempotencyClaim.absent() | (IdempotencyClaim.ttl <= now))


class IdempotencyClaim(UsersItem, discriminator="REQUEST"):
    """Remembers that a keyed request succeeded, and what it made. Gone once its `ttl` is past, deleted or not."""

    fingerprint = UnicodeAttribute()
    reference = UnicodeAttribute()
    created_at = TimeAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(username: str, idempotency_key: str) -> Key:
        return username, f"REQUEST#{idempotency_key}"
