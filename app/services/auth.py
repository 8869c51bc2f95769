"""Authentication with a password: registering and logging in."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from app.domain import clock
from app.domain.errors import AccountSuspended, Busy, FieldError, InvalidCredentials, InvalidInput, StoreUnavailable
from app.domain.events import EventKind
from app.domain.users import NAME_ADVICE, contains_name
from app.models.addresses import add_confirmation
from app.models.balance_changes import open_account
from app.models.batch import Batch
from app.models.database import database
from app.models.events import add_event, note
from app.models.rate_limits import RateLimit
from app.models.users import User, check_is_free, replace_hash
from app.services.breaches import is_breached
from app.services.guesses import LoginAttempt, confirm, note_failure
from app.services.limits import HOUR, take, take_log_in
from app.services.passwords import equalize_timing, hash_password, is_password, is_weaker_than_new
from app.services.settings import settings

BREACHED = "This password is known from a breach of another site. Choose another one."


@dataclass(frozen=True, kw_only=True)
class Registration:
    """The fields of a registration, each already checked and in its canonical form."""

    username: str
    email: str
    password: str
    first_name: str
    last_name: str
    phone: str | None = None
    date_of_birth: date | None = None
    marketing_emails_consent: bool = False


def register(registration: Registration, *, address: str | None = None) -> User:
    """Make a user with an empty balance. Three calls, or two when the name or the address is taken.

    `address` is what counts as one, if there is one. What is refused counts too: it tells who has an account.

    Where mail is sent, the address waits to be confirmed, and a link is mailed to it.

    Raises UsernameTaken, EmailTaken, InvalidInput for a breached password, and Busy when too many passwords wait to be
    hashed. Raises TooManyRequests when too many came from the address.
    """
    now = clock.now()
    if (most := settings().limits.registrations_per_hour) and address is not None:
        take(RateLimit("register-address", hits=most, seconds=HOUR), address)
    # The batch below decides. To look first spares the hash of a refused registration.
    claims_email = check_is_free(registration.username, registration.email, now=now)
    if is_breached(registration.password):
        raise InvalidInput(FieldError("password", BREACHED))
    sends_mail = database().sends_mail
    birth = registration.date_of_birth
    user = User(
        *User.key(registration.username),
        username=registration.username,
        email=registration.email,
        email_unconfirmed_since=now if sends_mail else None,
        password_hash=hash_password(registration.password),
        first_name=registration.first_name,
        last_name=registration.last_name,
        phone=registration.phone,
        date_of_birth=birth.isoformat() if birth else None,
        marketing_emails_consent=registration.marketing_emails_consent,
        created_at=now,
        updated_at=now,
    )

    def also(batch: Batch) -> None:
        add_event(batch, user.username, EventKind.REGISTERED)
        if sends_mail:
            add_confirmation(batch, user, user.email)

    return open_account(user, claims_email=claims_email, also=also)


def check_new_password(user: User, password: str) -> None:
    """Raises InvalidInput for a new password that has a name of its user in it, or is breached."""
    if contains_name(password, user.username, user.email, names=(user.first_name, user.last_name)):
        raise InvalidInput(FieldError("new_password", NAME_ADVICE))
    if is_breached(password):
        raise InvalidInput(FieldError("new_password", BREACHED))


def check_password(attempt: LoginAttempt, password: str) -> User:
    """The user of an attempt. One call; a wrong password takes three, from a known device one. One call more is made to
    hash a right password anew where the work factor rose.

    Raises InvalidCredentials, in the same time for an unknown user as for a wrong password, and AccountSuspended.
    Raises TooManyGuesses when others used up what was left meanwhile, and TooManyRequests for too many right ones.
    Raises Busy when too many passwords wait to be hashed; that counts as no failure.
    """
    user = attempt.user
    if user is None:
        equalize_timing(password)
    if user is None or not is_password(password, user.password_hash):
        note_failure(attempt, InvalidCredentials.code)
        raise InvalidCredentials()
    confirm(attempt)
    take_log_in(user.username)
    if user.is_suspended:
        note(EventKind.LOG_IN_FAILED, subject=user.username, outcome=AccountSuspended.code)
        raise AccountSuspended()
    _strengthen(user, password)
    return user


def _strengthen(user: User, password: str) -> None:
    """Hash the password anew if the work factor rose; where that cannot be done now, the next log-in does it."""
    if is_weaker_than_new(user.password_hash):
        with suppress(Busy, StoreUnavailable):
            replace_hash(user, hash_password(password))
