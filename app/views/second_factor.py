"""What pages and JSON share of second factors: setting one up, and the second step of a log-in."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import NamedTuple

from app.domain.errors import FieldError, InvalidInput
from app.domain.mails import PRODUCT
from app.domain.second_factor import app_address, new_seed, seed_to_text
from app.models.users import User
from app.services.guesses import LoginAttempt
from app.views.http import begin_login
from app.views.signed import read_signed, sign

SETUP_LIFETIME = timedelta(minutes=30)
TICKET_LIFETIME = timedelta(minutes=5)
_SETUP, _TICKET = "second factor to set up", "second step of a log-in"


class Setup(NamedTuple):
    """A second factor to set up. Nothing is stored until a code shows that the app has the seed."""

    setup: str
    secret: str
    otpauth_uri: str


def new_setup(user: User) -> Setup:
    """One with a new seed."""
    seed = new_seed()
    value = [user.username, int(user.session_epoch), seed_to_text(seed)]
    return _setup(sign(_SETUP, value, lifetime=SETUP_LIFETIME), seed, user)


def find_setup(user: User, text: str) -> Setup | None:
    """The one that was begun with this text, while it may be confirmed."""
    seed = _seed_of(user, text)
    return _setup(text, seed, user) if seed else None


def seed_of(user: User, text: str) -> bytes:
    """The seed of a setup. Raises InvalidInput where it is not this user's, or ended; a new session epoch ends it."""
    seed = _seed_of(user, text)
    if seed is None:
        raise InvalidInput(FieldError("setup", "This took too long. Begin again, with the new code or secret."))
    return seed


def _seed_of(user: User, text: str) -> bytes | None:
    match read_signed(_SETUP, text):
        case [user.username, user.session_epoch, str(secret)]:
            return base64.b32decode(secret)
    return None


def _setup(text: str, seed: bytes, user: User) -> Setup:
    return Setup(text, seed_to_text(seed), app_address(seed, user.username, product=PRODUCT))


def new_ticket(user: User) -> str:
    """What says that the password of a log-in was right. It is worth nothing without a code."""
    return sign(_TICKET, [user.username, int(user.session_epoch)], lifetime=TICKET_LIFETIME)


def find_second_step(ticket: str) -> LoginAttempt | None:
    """The log-in that a ticket goes on with, while it counts: not after a new password or a suspension. One call.

    Raises TooManyGuesses.
    """
    match read_signed(_TICKET, ticket):
        case [str(username), int(epoch)]:
            attempt = begin_login(username)
            user = attempt.user
            return attempt if user and user.session_epoch == epoch and not user.is_suspended else None
    return None
