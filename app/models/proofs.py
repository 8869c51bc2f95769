"""Table `users`: proofs, each the one link by which a person shows that mail to an address reaches them.

| item | PK | SK |
|---|---|---|
| Proof | `{username}` | `PROOF#{kind}` |

A user has at most one of each kind: a newer link replaces an older one. Only a hash of the link's secret is stored. The
link carries `username.secret`, so that one call finds both the user and the proof.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain import clock
from app.domain.errors import LinkInvalid
from app.domain.identifiers import USERNAME
from app.domain.mails import CONFIRM_LIFETIME, RESET_LIFETIME, MailKind
from app.models.attributes import NumberAttribute, TimeAttribute, TTLAttribute, UnicodeAttribute
from app.models.batch import Batch
from app.models.item import Key
from app.models.reading import read_together
from app.models.users import User, UsersItem

_TOKEN = rf"({USERNAME})\.([A-Za-z0-9_-]{{43}})"
LIFETIMES = {MailKind.CONFIRM_EMAIL: CONFIRM_LIFETIME, MailKind.RESET_PASSWORD: RESET_LIFETIME}


class Proof(UsersItem, discriminator="PROOF"):
    """A link that was given out and not used. Counts as gone once its time is over.

    It also ends with the session epoch that it was made in: a new password ends what a thief may have begun. `address`
    is the one that it was mailed to: a link for a new password ends when the user gives that up. It must not have an
    attribute `email`, which would put it in EmailIndex.
    """

    username = UnicodeAttribute()
    kind = UnicodeAttribute()
    secret_hash = UnicodeAttribute()
    address = UnicodeAttribute()
    session_epoch = NumberAttribute()
    created_at = TimeAttribute()
    expires_at = TimeAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(username: str, kind: str) -> Key:
        return username, f"PROOF#{kind}"

    def is_live(self, user: User, now: datetime) -> bool:
        is_for_user = self.kind == MailKind.CONFIRM_EMAIL or self.address == user.email
        return is_for_user and now < self.expires_at and self.session_epoch == user.session_epoch


@dataclass(frozen=True)
class NewProof:
    """A proof to store, and the token of its link, which cannot be shown again."""

    proof: Proof
    token: str

    @property
    def lifetime(self) -> timedelta:
        lifetime: timedelta = self.proof.expires_at - self.proof.created_at
        return lifetime


def new_proof(kind: MailKind, username: str, address: str, *, session_epoch: int) -> NewProof:
    """A proof for an address, with a secret of 256 random bits. Not stored yet."""
    now = clock.now()
    secret = secrets.token_urlsafe(32)
    end = now + LIFETIMES[kind]
    proof = Proof(
        *Proof.key(username, kind),
        username=username,
        kind=kind.value,
        secret_hash=_hash(secret),
        address=address,
        session_epoch=session_epoch,
        created_at=now,
        expires_at=end,
        ttl=end,
    )
    return NewProof(proof, f"{username}.{secret}")


def put_proof(batch: Batch, proof: Proof) -> None:
    """Add a proof to a batch: 2 write units. It replaces an older one, but not one that was made later."""
    batch.put("proof", proof, condition=Proof.absent() | (Proof.created_at <= proof.created_at))


def use_proof(batch: Batch, proof: Proof) -> None:
    """Use up a proof with the batch of the change that it allows: 2 write units. Of two uses, one is refused."""
    batch.delete("proof", proof, condition=Proof.secret_hash == proof.secret_hash)


def get_user_and_proof(kind: MailKind, token: str) -> tuple[User, Proof]:
    """The user and the proof of a link, read consistently: 2 units. One call, or none for what cannot be a token.

    Raises LinkInvalid when it was used, replaced or ended, has expired or never was.
    """
    match = re.fullmatch(_TOKEN, token)
    if not match:
        raise LinkInvalid()
    username, secret = match.groups()
    places = User.key(username), Proof.key(username, kind)
    found = read_together([(User, places[0]), (Proof, places[1])])
    user, proof = found.get(User, places[0]), found.get(Proof, places[1])
    if user is None or proof is None or not proof.is_live(user, clock.now()):
        raise LinkInvalid()
    if not hmac.compare_digest(proof.secret_hash, _hash(secret)):
        raise LinkInvalid()
    return user, proof


def _hash(secret: str) -> str:
    # The secret has 256 random bits, so a fast hash is enough.
    return hashlib.sha256(secret.encode()).hexdigest()
