"""Users: their roles, which ages and passwords are accepted, and what their tokens may do.

The message of each refusal tells a person what to change.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path

from app.domain.texts import is_short, normalize

MIN_AGE, MAX_AGE = 13, 120
MIN_PASSWORD_LENGTH, MAX_PASSWORD_LENGTH = 12, 128
NAME_ADVICE = "Leave your username and e-mail address out of the password."

# What a token may do: read, place and cancel orders, move money in and out.
READ, TRADE, TRANSFER = SCOPES = ("read", "trade", "transfer")
MAX_TOKEN_LIFETIME = timedelta(days=366)


class Role(StrEnum):
    CUSTOMER = "CUSTOMER"
    ADMIN = "ADMIN"


class UserStatus(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class CredentialKind(StrEnum):
    """What a credential is for: a browser's pages, a script that logged in, a script that was given a token."""

    SESSION = "session"
    LOGIN = "login"
    PERSONAL = "personal"


class InvalidDetail(ValueError):
    """A detail of a user breaks a rule; the message tells the person what to change."""


def check_age(birth: date, *, today: date) -> None:
    """Raises InvalidDetail unless somebody born on that day is 13 to 120 years old."""
    age = today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))
    if not MIN_AGE <= age <= MAX_AGE:
        raise InvalidDetail(f"You must be {MIN_AGE} to {MAX_AGE} years old.")


def normalize_password(typed: str) -> str:
    """NFKC, as two keyboards may send the same letter differently (NIST SP 800-63B, 5.1.1.2).

    A text that is too long for a password stays as it is: it is not one.
    """
    return normalize("NFKC", typed) if is_short(typed, MAX_PASSWORD_LENGTH) else typed


def read_new_password(typed: str) -> str:
    """A new password, normalized: 12 to 128 characters, and not a common one.

    Ask `contains_name` too: it needs to know the user. Raises InvalidDetail.
    """
    password = normalize_password(typed)
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidDetail(f"Choose {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters.")
    if password.lower() in _common_passwords() or len(set(password)) < 4:
        raise InvalidDetail("This password is among the most common ones. Choose another one.")
    return password


def contains_name(password: str | None, *names: str | None) -> bool:
    """Whether the password contains one of the (lower-cased) names, in any case."""
    return any(name and name in (password or "").lower() for name in names)


@cache
def _common_passwords() -> frozenset[str]:
    """Lower-cased, of 12 or more characters; common_passwords.LICENSE.txt says where they come from."""
    return frozenset(Path(__file__).with_name("common_passwords.txt").read_text(encoding="ascii").split())
