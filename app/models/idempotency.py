"""Idempotency: a keyed change is applied once, and a repetition answers with what its first run made.

| item | PK | SK |
|---|---|---|
| IdempotencyClaim | `{username}` | `REQUEST#{idempotency key}` |

The claim is one step of the batch that it guards, so it exists exactly when the change does. A refusal leaves none.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pynamodb.attributes import TTLAttribute, UnicodeAttribute

from app.domain import clock
from app.domain.errors import Busy, IdempotencyKeyReused, Refusal
from app.domain.idempotency import REMEMBERED_FOR, IdempotencyKey
from app.models.attributes import TimeAttribute
from app.models.batch import Batch, Cancelled
from app.models.item import Key
from app.models.reading import NOTHING, Found, read_together
from app.models.users import User, UsersItem


class IdempotencyClaim(UsersItem, discriminator="REQUEST"):
    """Remembers that a keyed request succeeded, and what it made. Gone once its `ttl` is past, deleted or not."""

    # The owner of what it refers to, if that is not the user who sent the key.
    username = UnicodeAttribute(null=True)
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
    username: str,
    idempotency: IdempotencyKey | None,
    *,
    change: Callable[[Batch, Found], MadeT],
    find: Callable[[str], MadeT],
    actor: str | None = None,
    early: Found = NOTHING,
) -> Applied[MadeT]:
    """Commit one change of a user's account; a keyed one at most once.

    The key belongs to the `actor`, if given, else to the user. `change` takes what it needs from what was found, reads
    the rest, decides, and fills the batch. `find` reads what an earlier run made, by its reference.

    `early` was read before, and may be old: it serves one attempt, whose conditions tell, and never refuses. Then
    `change` reads everything itself.

    One call beyond those of `change`; a replay costs a read of the claim and those of `find` instead of the write.
    Raises what `change` raises, IdempotencyKeyReused, and Busy when another change came first.
    """
    early = early.take()
    try:
        batch, made = _decide(change, early)
    except Refusal:
        # The obstacle may be this very request, applied before: its first run may have spent the money.
        if claim := _find_claim(actor or username, idempotency):
            return Applied(find(claim.reference), is_replay=True)
        raise
    if idempotency:
        _put_claim(batch, username, actor, idempotency, made.reference)
    try:
        batch.commit()
    except Cancelled as cancelled:
        if "claim" in cancelled.refused and (claim := _find_claim(actor or username, idempotency)):
            return Applied(find(claim.reference), is_replay=True)
        if early:
            return apply_once(username, idempotency, change=change, find=find, actor=actor)
        raise Busy() from cancelled
    return Applied(made)


def _decide(change: Callable[[Batch, Found], MadeT], early: Found) -> tuple[Batch, MadeT]:
    if early:
        batch = Batch()
        with suppress(Refusal):
            return batch, change(batch, early)
    batch = Batch()
    return batch, change(batch, NOTHING)


def read_user_and_claim(
    username: str, idempotency: IdempotencyKey | None
) -> tuple[User | None, IdempotencyClaim | None]:
    """A user, and the claim of an earlier run among the user's own, each if there is one. One consistent call.

    Raises IdempotencyKeyReused.
    """
    user = User.key(username)
    if not idempotency:
        return read_together([(User, user)]).get(User, user), None
    key = IdempotencyClaim.key(username, idempotency.key)
    found = read_together([(User, user), (IdempotencyClaim, key)])
    claim = found.get(IdempotencyClaim, key)
    return found.get(User, user), claim and _living(claim, idempotency)


def _put_claim(batch: Batch, username: str, actor: str | None, idempotency: IdempotencyKey, reference: str) -> None:
    now = clock.now()
    claim = IdempotencyClaim(
        *IdempotencyClaim.key(actor or username, idempotency.key),
        username=username if actor else None,
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
    return _living(claim, idempotency) if claim and idempotency else None


def _living(claim: IdempotencyClaim, idempotency: IdempotencyKey) -> IdempotencyClaim | None:
    """The claim unless it is past its `ttl`. Raises IdempotencyKeyReused when it is that of another request."""
    if claim.ttl <= clock.now():
        return None
    if claim.fingerprint != idempotency.fingerprint:
        raise IdempotencyKeyReused()
    return claim
