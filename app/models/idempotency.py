"""Idempotency: a keyed change is applied once, and a repetition answers with what its first run made.

| item | PK | SK |
|---|---|---|
| IdempotencyClaim | `{username}` | `REQUEST#{idempotency key}` |

The claim is one step of the batch that it guards, so it exists exactly when the change does. A refusal leaves none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pynamodb.attributes import TTLAttribute, UnicodeAttribute

from app.domain import clock
from app.domain.errors import Busy, IdempotencyKeyReused, Refusal
from app.domain.idempotency import REMEMBERED_FOR, IdempotencyKey
from app.models.attributes import TimeAttribute
from app.models.batch import Batch, Cancelled
from app.models.item import Key
from app.models.users import UsersItem


class IdempotencyClaim(UsersItem, discriminator="REQUEST"):
    """Remembers that a keyed request succeeded, and what it made. Gone once its `ttl` is past, deleted or not."""

    fingerprint = UnicodeAttribute()
    reference = UnicodeAttribute()
    created_at = TimeAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(username: str, idempotency_key: str) -> Key:
        return username, f"REQUEST#{idempotency_key}"


class Made(Protocol):
    """An item that a change makes or changes."""

    @property
    def reference(self) -> str:
        """The id by which the item is found again."""


MadeT = TypeVar("MadeT", bound=Made)


@dataclass(frozen=True)
class Applied(Generic[MadeT]):
    """What a change made, or what the first run of the same keyed request made (`is_replay`)."""

    item: MadeT
    is_replay: bool = False


def apply_once(
    username: str, idempotency: IdempotencyKey | None, *, change: Callable[[Batch], MadeT], find: Callable[[str], MadeT]
) -> Applied[MadeT]:
    """Commit one change; a keyed one at most once.

    `change` reads, decides and fills the batch. `find` reads what an earlier run made, by its reference.
    One call beyond those of `change`; a replay costs a read of the claim and those of `find` instead of the write.
    Raises what `change` raises, IdempotencyKeyReused, and Busy when another change came first.
    """
    batch = Batch()
    try:
        made = change(batch)
        if idempotency:
            _put_claim(batch, username, idempotency, made.reference)
        batch.commit()
    except Refusal:
        # The obstacle may be this very request, applied before: its first run may have spent the money.
        if claim := _find_claim(username, idempotency):
            return Applied(find(claim.reference), is_replay=True)
        raise
    except Cancelled as cancelled:
        if "claim" in cancelled.refused and (claim := _find_claim(username, idempotency)):
            return Applied(find(claim.reference), is_replay=True)
        raise Busy() from cancelled
    return Applied(made)


def _put_claim(batch: Batch, username: str, idempotency: IdempotencyKey, reference: str) -> None:
    now = clock.now()
    claim = IdempotencyClaim(
        *IdempotencyClaim.key(username, idempotency.key),
        fingerprint=idempotency.fingerprint,
        reference=reference,
        created_at=now,
        # A claim for a moment of the past must outlive the present: what is past its ttl may be deleted at once.
        ttl=clock.latest() + REMEMBERED_FOR,
    )
    # DynamoDB deletes an item days after its ttl, or never: a claim past its ttl counts as gone.
    batch.put("claim", claim, condition=IdempotencyClaim.absent() | (IdempotencyClaim.ttl <= now))


def _find_claim(username: str, idempotency: IdempotencyKey | None) -> IdempotencyClaim | None:
    """The claim that an earlier run left, if any. Raises IdempotencyKeyReused when that was another request."""
    claim = idempotency and IdempotencyClaim.find(IdempotencyClaim.key(username, idempotency.key))
    if not idempotency or not claim or claim.ttl <= clock.now():
        return None
    if claim.fingerprint != idempotency.fingerprint:
        raise IdempotencyKeyReused()
    return claim
