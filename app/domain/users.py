"""Users: their roles, which ages and passwords are accepted, and what their tokens may do.

The message of each refusal tells a person what to change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum

from app.domain.common_passwords import is_guessable
from app.domain.texts import is_short, normalize

MIN_AGE, MAX_AGE = 13, 120
MIN_PASSWORD_LENGTH, MAX_PASSWORD_LENGTH = 12, 128
NAME_ADVICE = "Leave your name, username and e-mail address out of the password."

# What a token may do: read, place and cancel orders, move money in and out.
READ, TRADE, TRANSFER = SCOPES = ("read", "trade", "transfer")
MAX_TOKEN_LIFETIME = timedelta(days=366)

_LEAST_WITHIN_WORDS = 4


class Role(StrEnum):
    CUSTOMER = "CUSTOMER"
    ADMIN = "ADMIN"


class UserStatus(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    CLOSED = "CLOSED"
    """By its owner, for good: nothing personal is left, and nothing about it changes any more."""


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
    """A new password, normalized: 12 to 128 characters, and not one that is guessed first.

    Ask `contains_name` too: it needs to know the user. Raises InvalidDetail.
    """
    password = normalize_password(typed)
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidDetail(f"Choose {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters.")
    if is_guessable(password):
        raise InvalidDetail(
            "This password is easy to guess. Choose another one, such as four words that do not belong together."
        )
    return password


def contains_name(password: str | None, *logins: str | None, names: Iterable[str | None] = ()) -> bool:
    """Whether the password contains a username or e-mail address (`logins`), or a name, in any case.

    What stands before the @ of an address counts as a name. Of a short name (3 letters or fewer), only a word of its
    own counts: other words contain it too.
    """
    text = (password or "").casefold()
    names = [*names, *(login.partition("@")[0] for login in logins if login and "@" in login)]
    if any(login and login.casefold() in text for login in logins):
        return True
    return any(_has_name(text, name.casefold()) for name in names if name)


def _has_name(text: str, name: str) -> bool:
    """Whether a text has a name, or a longer part of it, however either is divided into words."""
    parts = re.findall(r"[^\W_]+", name)
    joined = "".join(parts)
    letters = "".join(re.findall(r"[^\W_]+", text))
    if any(len(part) >= _LEAST_WITHIN_WORDS and part in letters for part in (*parts, joined)):
        return True
    return bool(joined) and joined in re.findall(r"[^\W\d_]+", text)
