"""Links that are mailed or handed out: to confirm an e-mail address, and to choose a new password."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from app.domain import clock
from app.domain.errors import LinkInvalid, MailOff, OperatorAccount, UserNotFound
from app.domain.events import MAILED, EventKind
from app.domain.mails import MailKind
from app.models import addresses, users
from app.models.batch import Batch, retry_while_busy
from app.models.database import database
from app.models.events import add_event, note
from app.models.outbox import notify
from app.models.proofs import get_user_and_proof, new_proof, put_proof, use_proof
from app.models.rate_limits import RateLimit
from app.models.users import User
from app.services.auth import check_new_password
from app.services.limits import HOUR, take
from app.services.passwords import hash_password
from app.services.settings import settings


@dataclass(frozen=True)
class ResetLink:
    """The token of a link for a new password, and when it ends."""

    username: str
    token: str
    expires_at: datetime


def require_mail() -> None:
    """Raises MailOff where no mail is sent."""
    if not database().sends_mail:
        raise MailOff()


def confirm_email(token: str) -> User:
    """Confirm the address of a link, which then is its user's. Three calls. Raises LinkInvalid, EmailTaken, Busy."""
    return addresses.confirm_address(token)


def confirmations() -> RateLimit:
    """The limit of links to confirm an address, for one user."""
    return RateLimit("confirm-email", hits=settings().limits.confirmation_mails_per_hour, seconds=HOUR)


def send_confirmation(user: User) -> str | None:
    """Send a new link to the address of a user that waits to be confirmed, and return it; None if none does.

    Three calls. Raises MailOff, TooManyRequests, Busy.
    """
    require_mail()
    take(confirmations(), user.username)
    return addresses.send_link_again(user)


def find_waiting_address(user: User) -> str | None:
    """The address of a user that waits to be confirmed. One call, and none where no mail is sent."""
    return addresses.find_waiting_address(user) if database().sends_mail else None


def ask_for_reset(email: str, *, address: str) -> None:
    """Mail a link for a new password to the user with this e-mail address, asked from what counts as one address.

    Five calls. An address without an account, not confirmed, or of a suspended user gets a decoy. That takes as many
    calls, units and writes. Raises MailOff, TooManyRequests, Busy.
    """
    require_mail()
    take(RateLimit("reset-address", hits=settings().limits.reset_mails_per_address, seconds=HOUR), address)
    take(RateLimit("reset-email", hits=settings().limits.reset_mails_per_hour, seconds=HOUR), email)
    user = users.find_user_by_email(email)
    if user and user.has_confirmed_email and not user.is_suspended:
        _mail_link(user.username, email, session_epoch=int(user.session_epoch))
        # In the log alone: for an address without an account it must cost the same.
        note(EventKind.RESET_LINK_MADE, subject=user.username, outcome=MAILED)
    else:
        # No username has a #: nobody can use this link, and nobody gets it.
        digest = hashlib.sha256(email.encode()).hexdigest()[:16]
        _mail_link(f"DECOY#{digest}", email, session_epoch=0, mail=MailKind.DECOY)


@retry_while_busy
def _mail_link(username: str, email: str, *, session_epoch: int, mail: MailKind | None = None) -> None:
    batch = Batch()
    addresses.add_link(batch, MailKind.RESET_PASSWORD, username, email, session_epoch=session_epoch, mail=mail)
    batch.commit_as_read()


def check_link(kind: MailKind, token: str) -> None:
    """Raises LinkInvalid unless the link could be used now. One call."""
    get_user_and_proof(kind, token)


def reset_password(token: str, new_password: str) -> User:
    """Set a new password by means of a link, which ends every session and token. No session begins. Two calls.

    Raises LinkInvalid, InvalidInput for a password that `check_new_password` refuses, and Busy.
    """
    user, proof = get_user_and_proof(MailKind.RESET_PASSWORD, token)
    check_new_password(user, new_password)
    now = clock.now()

    def also(batch: Batch) -> None:
        use_proof(batch, proof)
        add_event(batch, user.username, EventKind.PASSWORD_RESET, via_link=True)
        notify(batch, user, MailKind.PASSWORD_RESET, now=now)

    if not users.set_password(user, hash_password(new_password), now=now, also=also):
        raise LinkInvalid()
    return user


def offer_reset(username: str) -> ResetLink:
    """A link for a new password that an admin hands to a user. Two calls.

    Raises UserNotFound, OperatorAccount and Busy.
    """
    user = users.find_user(username)
    if user and user.is_admin:
        raise OperatorAccount()
    return make_reset_link(user)


@retry_while_busy
def make_reset_link(user: User | None) -> ResetLink:
    """A link for a new password, which is not mailed. It replaces an earlier one. One call.

    Raises UserNotFound for None, and Busy.
    """
    if user is None:
        raise UserNotFound()
    new = new_proof(MailKind.RESET_PASSWORD, user.username, user.email, session_epoch=int(user.session_epoch))
    batch = Batch()
    put_proof(batch, new.proof)
    add_event(batch, user.username, EventKind.RESET_LINK_MADE)
    batch.commit_as_read()
    return ResetLink(user.username, new.token, new.proof.expires_at)
