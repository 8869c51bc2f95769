"""Changes of profiles and of e-mail addresses.

Where mail is sent, a new address counts when its owner has opened a link that was mailed to it. Where no mail is sent,
it counts at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pynamodb.attributes import Attribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from app.domain import clock
from app.domain.errors import Busy, ClosedSince, EmailTaken, ProofRequired
from app.domain.events import DONE, WAITS, EventKind
from app.domain.mails import MailKind
from app.models.batch import Batch, Cancelled, retry_while_busy, write_if
from app.models.database import database
from app.models.events import add_event, record
from app.models.outbox import notify, queue_mail
from app.models.proofs import Proof, get_user_and_proof, new_proof, put_proof, use_proof
from app.models.reading import read_together
from app.models.users import EmailClaim, User, get_user


@retry_while_busy
def update_profile(username: str, changes: Mapping[str, Any], *, proved: bool, now: datetime) -> User:
    """Set attributes of a user; None removes one. Two calls, or three where any of them is another one than before.

    A new e-mail address moves the claim in the same batch. Where mail is sent it gets a link instead, and the old one,
    which stays, is told. Raises ProofRequired where what is changed must be `proved`, EmailTaken, ClosedSince, and Busy
    when every attempt came second.
    """
    user = get_user(username)
    if user.is_closed:
        raise ClosedSince()
    if not proved and must_be_proved(user, changes):
        raise ProofRequired()
    address = changes.get("email", user.email)
    if address == user.email:
        differs = _differ(user, changes)
        actions = _actions({**changes, "updated_at": now})
        if not write_if(lambda: user.update(actions, condition=_is_unchanged(user))):
            raise Busy()
        if differs:
            record(username, EventKind.PROFILE_CHANGED)
        return user
    others = {name: value for name, value in changes.items() if name != "email"}
    if database().sends_mail:
        return _ask_to_confirm(user, address, others, now=now)
    return _change_address(user, address, others, now=now)


def must_be_proved(user: User, changes: Mapping[str, Any]) -> bool:
    """Whether changes of a profile are of where its person is reached."""
    return any(changes[name] != getattr(user, name) for name in ("email", "phone") if name in changes)


def _ask_to_confirm(user: User, address: str, changes: Mapping[str, Any], *, now: datetime) -> User:
    claim = EmailClaim.find(EmailClaim.key(address))
    if claim and claim.username != user.username and claim.is_binding(now):
        raise EmailTaken()
    batch = Batch()
    _add_events(batch, user, changes, outcome=WAITS)
    _update(batch, user, {**changes, "updated_at": now})
    add_confirmation(batch, user, address)
    notify(batch, user, MailKind.EMAIL_CHANGE_ASKED, now=now, new_address=address)
    batch.commit_as_read()
    return user


def _change_address(user: User, address: str, changes: Mapping[str, Any], *, now: datetime) -> User:
    batch = Batch()
    batch.put("email", EmailClaim(*EmailClaim.key(address), username=user.username))
    key = EmailClaim.key(user.email)
    is_own = user.has_confirmed_email
    _give_up(batch, user, EmailClaim(*key, username=user.username) if is_own else EmailClaim.find(key))
    _add_events(batch, user, changes, outcome=DONE)
    _update(batch, user, {**changes, "email": address, "email_unconfirmed_since": None, "updated_at": now})
    try:
        batch.commit()
    except Cancelled as cancelled:
        raise EmailTaken() if cancelled.refused == {"email"} else Busy() from cancelled
    return user


def _add_events(batch: Batch, user: User, changes: Mapping[str, Any], *, outcome: str) -> None:
    add_event(batch, user.username, EventKind.EMAIL_CHANGED, outcome=outcome)
    if _differ(user, changes):
        add_event(batch, user.username, EventKind.PROFILE_CHANGED)


def _differ(user: User, changes: Mapping[str, Any]) -> bool:
    return any(getattr(user, name) != value for name, value in changes.items())


def add_confirmation(batch: Batch, user: User, address: str) -> None:
    """Add the link that confirms an address of a user, and the mail with it, to a batch: 4 write units."""
    kind = MailKind.CONFIRM_EMAIL
    add_link(batch, kind, user.username, address, session_epoch=int(user.session_epoch))


def add_link(
    batch: Batch, kind: MailKind, username: str, address: str, *, session_epoch: int, mail: MailKind | None = None
) -> None:
    """Add a link and the mail with it to a batch: 4 write units. The `mail` may be of another kind."""
    new = new_proof(kind, username, address, session_epoch=session_epoch)
    put_proof(batch, new.proof)
    queue_mail(
        batch,
        mail or kind,
        username=username,
        to=address,
        now=new.proof.created_at,
        lifetime=new.lifetime,
        values={"token": new.token},
    )


@retry_while_busy
def send_link_again(user: User) -> str | None:
    """Send a new link to the address that waits to be confirmed, and return it. Two calls. Raises Busy.

    None, and nothing is sent, when no address waits.
    """
    address = find_waiting_address(user)
    if address:
        batch = Batch()
        add_confirmation(batch, user, address)
        batch.commit_as_read()
    return address


def find_waiting_address(user: User) -> str | None:
    """The address of a user that waits to be confirmed: a new one, or else the one that was registered. One call."""
    proof = Proof.find(Proof.key(user.username, MailKind.CONFIRM_EMAIL))
    if proof and proof.is_live(user, clock.now()) and proof.address != user.email:
        return str(proof.address)
    return None if user.has_confirmed_email else str(user.email)


@retry_while_busy
def confirm_address(token: str) -> User:
    """Make the address of a link that of its user, who had another one before, or had not confirmed it. Three calls.

    A claim that another user did not confirm in time falls to this one. The address that the user had before is told.
    Raises LinkInvalid, EmailTaken and Busy.
    """
    user, proof = get_user_and_proof(MailKind.CONFIRM_EMAIL, token)
    now = clock.now()
    new, old = EmailClaim.key(proof.address), EmailClaim.key(user.email)
    claims = read_together([(EmailClaim, key) for key in {new, old}])
    batch = Batch()
    use_proof(batch, proof)
    kind = EventKind.EMAIL_CONFIRMED if new == old else EventKind.EMAIL_CHANGED
    add_event(batch, user.username, kind, via_link=True)
    _claim(batch, user, proof.address, claims.get(EmailClaim, new), now=now)
    if new != old:
        _give_up(batch, user, claims.get(EmailClaim, old))
        notify(batch, user, MailKind.EMAIL_CHANGED, now=now, new_address=proof.address)
    _update(batch, user, {"email": proof.address, "email_unconfirmed_since": None, "updated_at": now})
    batch.commit_as_read()
    return user


def _claim(batch: Batch, user: User, address: str, claim: EmailClaim | None, *, now: datetime) -> None:
    """Make the claim of an address, as it was read, that of a user who has confirmed it. Raises EmailTaken."""
    if claim is None:
        batch.put("email", EmailClaim(*EmailClaim.key(address), username=user.username))
        return
    if claim.username != user.username and claim.is_binding(now):
        raise EmailTaken()
    since = EmailClaim.unconfirmed_since
    batch.update(
        "email",
        claim,
        [EmailClaim.username.set(user.username), since.remove()],
        condition=(EmailClaim.username == claim.username)
        & (since.does_not_exist() if claim.unconfirmed_since is None else since == claim.unconfirmed_since),
    )


def _give_up(batch: Batch, user: User, claim: EmailClaim | None) -> None:
    """Delete the claim of the address that a user had before; one that was not confirmed may be another's by now."""
    if claim and claim.username == user.username:
        batch.delete("old email", claim, condition=EmailClaim.username == user.username)


def _update(batch: Batch, user: User, values: Mapping[str, Any]) -> None:
    """Set attributes of a user in a batch, and on the item that was read. Nobody uses that if the batch is refused."""
    batch.update("user", user, _actions(values), condition=_is_unchanged(user))
    for name, value in values.items():
        setattr(user, name, value)


def _is_unchanged(user: User) -> Condition:
    """Whether neither the address nor the password is another one by now: each ends what was begun before."""
    is_unchanged: Condition = (User.email == user.email) & (User.session_epoch == int(user.session_epoch))
    return is_unchanged


def _actions(values: Mapping[str, Any]) -> list[Action]:
    return [_set_or_remove(getattr(User, name), value) for name, value in values.items()]


def _set_or_remove(attribute: Attribute[Any], value: Any) -> Action:
    return attribute.remove() if value is None else attribute.set(value)
