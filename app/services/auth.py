"""Authentication with a password: registering and logging in."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial

from app.domain import clock
from app.domain.errors import (
    AccountSuspended,
    Busy,
    FieldError,
    InvalidCredentials,
    InvalidInput,
    StoreUnavailable,
    TooManyRequests,
)
from app.domain.users import NAME_ADVICE, contains_name
from app.models.addresses import add_confirmation
from app.models.balance_changes import open_account
from app.models.batch import no_steps
from app.models.database import database
from app.models.rate_limits import RateLimit, add_hit, count_hits, seconds_left
from app.models.users import User, check_is_free, find_user, find_user_by_email, replace_hash
from app.services.breaches import is_breached
from app.services.passwords import equalize_timing, hash_password, is_password, is_weaker_than_new

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


def register(registration: Registration) -> User:
    """Make a user with an empty balance. Two calls, or one when the name or the address is taken.

    Where mail is sent, the address waits to be confirmed, and a link is mailed to it.

    Raises UsernameTaken, EmailTaken, InvalidInput for a breached password, and Busy when too many passwords wait to be
    hashed.
    """
    now = clock.now()
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
    confirm = partial(add_confirmation, user=user, address=user.email)
    return open_account(user, claims_email=claims_email, also=confirm if sends_mail else no_steps)


def check_new_password(user: User, password: str) -> None:
    """Raises InvalidInput for a new password that has a name of its user in it, or is breached."""
    if contains_name(password, user.username, user.email, names=(user.first_name, user.last_name)):
        raise InvalidInput(FieldError("new_password", NAME_ADVICE))
    if is_breached(password):
        raise InvalidInput(FieldError("new_password", BREACHED))


# Wrong passwords: for one name from one address, and for any names from one address.
FAILURES_OF_NAME = RateLimit("login-name", hits=20, seconds=15 * 60)
FAILURES_OF_ADDRESS = RateLimit("login-address", hits=300, seconds=15 * 60)


@dataclass(frozen=True)
class LoginAttempt:
    """An attempt to log in: the username or e-mail address as stored, the IP address, and the rate limit's state.

    `remaining` of `limit` failures are left until `reset_seconds` from now.
    """

    name: str
    address: str
    limit: int
    remaining: int
    reset_seconds: int


def begin_login(name: str, *, address: str) -> LoginAttempt:
    """An attempt by a username or an e-mail address, each as it is stored.

    Looks up the failures so far. One call. Raises TooManyRequests, before any password is checked."""
    now = clock.now()
    failures = count_hits(_failure_limits(name, address), now=now)
    limit = min((FAILURES_OF_NAME, FAILURES_OF_ADDRESS), key=lambda limit: limit.hits - failures[limit.scope])
    remaining, reset_seconds = limit.hits - failures[limit.scope], seconds_left(limit, now)
    if remaining <= 0:
        raise TooManyRequests(limit=limit.hits, reset_seconds=reset_seconds)
    return LoginAttempt(name, address, limit.hits, remaining, reset_seconds)


def _failure_limits(name: str, address: str) -> list[tuple[RateLimit, str]]:
    return [(FAILURES_OF_NAME, f"{name} {address}"), (FAILURES_OF_ADDRESS, address)]


def check_password(attempt: LoginAttempt, password: str) -> User:
    """The user of an attempt. A wrong password costs two calls more than a right one, and one call more is made to
    hash a right password anew where the work factor rose.

    Raises InvalidCredentials, in the same time for an unknown user as for a wrong password, and AccountSuspended.
    Raises Busy when too many passwords wait to be hashed; that counts as no failure.
    """
    try:
        return _check_password(attempt.name, password)
    except InvalidCredentials:
        note_failure(attempt)
        raise


def note_failure(attempt: LoginAttempt) -> None:
    """Count a wrong password. Two calls."""
    for limit, subject in _failure_limits(attempt.name, attempt.address):
        add_hit(limit, subject, now=clock.now())


def _check_password(name: str, password: str) -> User:
    user = find_user_by_email(name) if "@" in name else find_user(name)
    if user is None:
        equalize_timing(password)
        raise InvalidCredentials()
    if not is_password(password, user.password_hash):
        raise InvalidCredentials()
    if user.is_suspended:
        raise AccountSuspended()
    _strengthen(user, password)
    return user


def _strengthen(user: User, password: str) -> None:
    """Hash the password anew if the work factor rose; where that cannot be done now, the next log-in does it."""
    if is_weaker_than_new(user.password_hash):
        with suppress(Busy, StoreUnavailable):
            replace_hash(user, hash_password(password))
