"""What a password must not be."""

from __future__ import annotations

NAME_ADVICE = "Leave your username and e-mail address out of the password."


def contains_name(password: str | None, *names: str | None) -> bool:
    """Whether one of the (lower-cased) names stands in the password, in any case."""
    return any(name and name in (password or "").lower() for name in names)
