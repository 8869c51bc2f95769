"""Idempotency: a keyed change is applied once, and a repetition answers with what its first run made.

| item | PK | SK |
|---|---|---|
| IdempotencyClaim | `{username}` | `REQUEST#{idempotency key}` |
| ClientOrder | `{username}` | `CLIENT#{client_order_id}` |

The claim is one step of the batch that it guards, so it exists exactly when the change does. A refusal leaves none. The
id that a script gives an order is a claim too, and one for good.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.domain import clock
from app.domain.errors import Busy, ClientOrderIdTaken, IdempotencyKeyReused, Refusal
from app.domain.idempotency import REMEMBERED_FOR, IdempotencyKey
from app.models.attributes import TimeAttribute, TTLAttribute, UnicodeAttribute
from app.models.batch import Batch, Cancelled
from app.models.item import Key
from app.models.reading import NOTHING, Found, read_together
from app.models.users import User, UsersItem


class IdempotencyClaim(UsersItem, discriminator="REQUEST"):
    """Remembers that a keyed request succeeded, and what it made. Gone once its `ttl` is past, deleted or not."""

    # The owner of what it refers to, if that is not the user who sent the key.
    username = UnicodeAttribute(null=True)
    fingerprint = UnicodeAttribute()
    # The id of what was made; for several changes, PLAN and the ids of what they are to work on.
    reference = UnicodeAttribute()
    created_at = TimeAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(username: str, idempotency_key: str) -> Key:
        return username, f"REQUEST#{idempotency_key}"


class ClientOrder(UsersItem, discriminator="CLIENT"):
    """The order that a script knows by an id of its own. It stays as long as the order: one id is one order."""

    username = UnicodeAttribute()
    client_order_id = UnicodeAttribute()
    order_id = UnicodeAttribute()
    fingerprint = UnicodeAttribute()
    created_at = TimeAttribute()

    @staticmethod
    def key(username: str, client_order_id: str) -> Key:
        return username, f"CLIENT#{client_order_id}"


# The first word of the reference of a claim that keeps a plan.
PLAN = "plan"
# The labels of the steps that claim something.
CLAIMS = frozenset({"claim", "client"})


class Made(Protocol):
    """An item that a change makes or changes."""

    @property
    def reference(self) -> str:
        """The id by which the item is found again."""


MadeT = TypeVar("MadeT", bound=Made)


@dataclass(frozen=True)
class Applied(Generic[MadeT]):
    """What a change made, or what the first run of the same keyed request made (`is_replay`).

    Of a dry run it is what the change would make, and `uncommitted` what it would write.
    """

    item: MadeT
    is_replay: bool = False
    uncommitted: Batch | None = None

    @property
    def is_dry_run(self) -> bool:
        return self.uncommitted is not None


def apply_once(
    username: str,
    idempotency: IdempotencyKey | None,
    *,
    change: Callable[[Batch, Found], MadeT],
    find: Callable[[str], MadeT],
    actor: str | None = None,
    client: IdempotencyKey | None = None,
    early: Found = NOTHING,
    dry_run: bool = False,
) -> Applied[MadeT]:
    """Commit one change of a user's account; a keyed one at most once.

    The key belongs to the `actor`, if given, else to the user. `change` takes what it needs from what was found, reads
    the rest, decides, and fills the batch. `find` reads what an earlier run made, by its reference.

    `early` was read before, and may be old: it serves one attempt, whose conditions tell, and never refuses. Then
    `change` reads everything itself.

    `client` is the id that a script gives an order, which is claimed for good.

    A `change` that leaves the batch empty found that nothing is to be changed. Then only a claim is written.

    A `dry_run` decides on what it reads itself, and commits nothing. It knows nothing of the key.

    One call beyond those of `change`; a replay costs a read of each claim and those of `find` instead of the write.
    Raises what `change` raises, IdempotencyKeyReused, ClientOrderIdTaken, and Busy when another change came first.
    """
    early = early.take()
    if dry_run:
        return _try_out(username, client, change=change, find=find)
    try:
        batch, made = _decide(change, early)
    except Refusal:
        # The obstacle may be this very request, applied before: its first run may have spent the money.
        if reference := _find_earlier(actor or username, idempotency, client):
            return Applied(find(reference), is_replay=True)
        raise
    _put_claims(batch, username, actor, made.reference, idempotency=idempotency, client=client)
    if not batch:
        return Applied(made)
    try:
        batch.commit()
    except Cancelled as cancelled:
        if CLAIMS & cancelled.refused and (reference := _find_earlier(actor or username, idempotency, client)):
            return Applied(find(reference), is_replay=True)
        if early:
            return apply_once(username, idempotency, change=change, find=find, actor=actor, client=client)
        raise Busy() from cancelled
    return Applied(made)


def _try_out(
    username: str,
    client: IdempotencyKey | None,
    *,
    change: Callable[[Batch, Found], MadeT],
    find: Callable[[str], MadeT],
) -> Applied[MadeT]:
    batch = Batch()
    # Placed again, an order that is there already is answered, whatever would refuse it now.
    if reference := _find_earlier(username, None, client):
        return Applied(find(reference), is_replay=True, uncommitted=batch)
    return Applied(change(batch, NOTHING), uncommitted=batch)


def plan_once(
    username: str, idempotency: IdempotencyKey | None, choose: Callable[[], list[str]]
) -> tuple[list[str], bool]:
    """What a request of several changes is to work on, chosen once for a keyed request; and whether it is repeated.

    The words that `choose` returns, without spaces, are kept before the first change. So a repetition finishes what a
    crash left, and touches nothing that came since. Two calls beyond those of `choose` with a key; a repetition one.
    Raises IdempotencyKeyReused, what `choose` raises, and Busy.
    """
    if not idempotency:
        return choose(), False
    if claim := _find_claim(username, idempotency):
        return _planned(claim), True
    words, batch = choose(), Batch()
    _put_claim(batch, username, None, idempotency, " ".join([PLAN, *words]))
    with suppress(Cancelled):
        batch.commit()
        return words, False
    if claim := _find_claim(username, idempotency):
        return _planned(claim), True
    raise Busy()


def _planned(claim: IdempotencyClaim) -> list[str]:
    return claim.reference.split()[1:]


def _decide(change: Callable[[Batch, Found], MadeT], early: Found) -> tuple[Batch, MadeT]:
    if early:
        batch = Batch()
        with suppress(Refusal):
            made = change(batch, early)
            # That nothing is to be changed has no condition that would tell.
            if batch:
                return batch, made
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


def _put_claims(
    batch: Batch,
    username: str,
    actor: str | None,
    reference: str,
    *,
    idempotency: IdempotencyKey | None,
    client: IdempotencyKey | None,
) -> None:
    if client:
        _put_client_order(batch, username, client, reference)
    if idempotency:
        _put_claim(batch, username, actor, idempotency, reference)


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


def _put_client_order(batch: Batch, username: str, client: IdempotencyKey, order_id: str) -> None:
    item = ClientOrder(
        *ClientOrder.key(username, client.key),
        username=username,
        client_order_id=client.key,
        order_id=order_id,
        fingerprint=client.fingerprint,
        created_at=clock.now(),
    )
    batch.put("client", item)


def _find_earlier(username: str, idempotency: IdempotencyKey | None, client: IdempotencyKey | None) -> str | None:
    """What an earlier run of the same request made, by either claim.

    Raises IdempotencyKeyReused and ClientOrderIdTaken when that was another request.
    """
    if claim := _find_claim(username, idempotency):
        return str(claim.reference)
    earlier = client and ClientOrder.find(ClientOrder.key(username, client.key))
    if not earlier or not client:
        return None
    if earlier.fingerprint != client.fingerprint:
        raise ClientOrderIdTaken(earlier.order_id)
    return str(earlier.order_id)


def find_client_order(username: str, client_order_id: str) -> str | None:
    """The id of the order that a script knows by this one. One consistent call."""
    found = ClientOrder.find(ClientOrder.key(username, client_order_id))
    return str(found.order_id) if found else None


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
