"""Users: what they may do, and whether they may do anything."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    CUSTOMER = "CUSTOMER"
    ADMIN = "ADMIN"


class UserStatus(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


NAME_ADVICE = "Leave your username and e-mail address out of the password."


def contains_name(password: str | None, *names: str | None) -> bool:
    """Whether one of the (lower-cased) names stands in the password, in any case."""
    return any(name and name in (password or "").lower() for name in names)
