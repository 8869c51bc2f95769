"""Who someone is: registering, logging in with a password, and browser sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from app.domain import clock
from app.domain.errors import AccountSuspended, InvalidCredentials, TooManyRequests
from app.models.balance_changes import open_account
from app.models.rate_limits import RateLimit, add_hit, count_hits, seconds_left
from app.models.users import User, find_user, find_user_by_email
from app.services.passwords import equalize_timing, hash_password, is_password


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What a person gives to register; every field already checked and in its canonical form."""

    username: str
    email: str
    password: str
    first_name: str
    last_name: str
    phone: str | None = None
    date_of_birth: date | None = None
    marketing_emails_consent: bool = False


def register(registration: Registration, *, bcrypt_rounds: int) -> User:
    """Make a user with an empty balance. Raises UsernameTaken, EmailTaken."""
    now = clock.now()
    birth = registration.date_of_birth
    return open_account(
        User(
            *User.key(registration.username),
            username=registration.username,
            email=registration.email,
            password_hash=hash_password(registration.password, rounds=bcrypt_rounds),
            first_name=registration.first_name,
            last_name=registration.last_name,
            phone=registration.phone,
            date_of_birth=birth.isoformat() if birth else None,
            marketing_emails_consent=registration.marketing_emails_consent,
            created_at=now,
            updated_at=now,
        )
    )


# Wrong passwords: for one name from one address, and from one address for any names.
FAILURES_OF_NAME = RateLimit("login-name", hits=20, seconds=15 * 60)
FAILURES_OF_ADDRESS = RateLimit("login-address", hits=300, seconds=15 * 60)


@dataclass(frozen=True)
class LoginAttempt:
    """Someone about to give a password: for which (lower-cased) username or e-mail, from which address."""

    name: str
    address: str
    limit: int
    remaining: int
    reset_seconds: int


def begin_login(identifier: str, *, address: str) -> LoginAttempt:
    """One call. Raises TooManyRequests after too many failures, before any password is looked at."""
    now = clock.now()
    name = identifier.strip().lower()
    failures = count_hits(_failure_rates(name, address), now=now)
    rate = min((FAILURES_OF_NAME, FAILURES_OF_ADDRESS), key=lambda rate: rate.hits - failures[rate.scope])
    remaining, reset_seconds = rate.hits - failures[rate.scope], seconds_left(rate, now)
    if remaining <= 0:
        raise TooManyRequests(limit=rate.hits, reset_seconds=reset_seconds)
    return LoginAttempt(name, address, rate.hits, remaining, reset_seconds)


def _failure_rates(name: str, address: str) -> list[tuple[RateLimit, str]]:
    return [(FAILURES_OF_NAME, f"{name} {address}"), (FAILURES_OF_ADDRESS, address)]


def check_password(attempt: LoginAttempt, password: str, *, bcrypt_rounds: int) -> User:
    """The user of an attempt. A wrong password costs two calls more than a right one.

    Raises InvalidCredentials, in the same time for an unknown user as for a wrong password, and AccountSuspended.
    """
    try:
        return _check_password(attempt.name, password, bcrypt_rounds=bcrypt_rounds)
    except InvalidCredentials:
        note_failure(attempt)
        raise


def note_failure(attempt: LoginAttempt) -> None:
    """Count a wrong password. Two calls."""
    for rate, subject in _failure_rates(attempt.name, attempt.address):
        add_hit(rate, subject, now=clock.now())


def _check_password(name: str, password: str, *, bcrypt_rounds: int) -> User:
    user = find_user_by_email(name) if "@" in name else find_user(name)
    if user is None:
        equalize_timing(password, rounds=bcrypt_rounds)
        raise InvalidCredentials()
    if not is_password(password, user.password_hash):
        raise InvalidCredentials()
    if user.is_suspended:
        raise AccountSuspended()
    return user


def find_session_user(username: str, session_epoch: int) -> User | None:
    """The user of a browser session, or None when the session has ended. One call for a live session."""
    for consistent in (False, True):
        user = find_user(username, consistent=consistent)
        if user and user.session_epoch == session_epoch and not user.is_suspended:
            return user
    return None
