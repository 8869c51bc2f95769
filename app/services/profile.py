"""What users change themselves: their profile, their password, and where they are logged in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

from app.domain import clock
from app.domain.errors import FieldError, InvalidInput
from app.domain.mails import MailKind
from app.models import addresses, users
from app.models.database import database
from app.models.outbox import notify
from app.models.users import User
from app.services.auth import LoginAttempt, check_new_password, note_failure
from app.services.limits import take
from app.services.passwords import hash_password, is_password
from app.services.recovery import CONFIRMATIONS


def update_profile(user: User, changes: Mapping[str, Any]) -> User:
    """Set the given fields of a user (those of ProfileInput); None clears an optional one. Two calls.

    Where mail is sent, a new e-mail address counts only when it is confirmed; that takes two calls more. Raises
    EmailTaken, TooManyRequests, Busy.
    """
    stored = {name: value.isoformat() if isinstance(value, date) else value for name, value in changes.items()}
    if database().sends_mail and stored.get("email", user.email) != user.email:
        take(CONFIRMATIONS, user.username)
    return addresses.update_profile(user.username, stored, now=clock.now())


def log_out_everywhere(username: str, *, keep_tokens: bool = False) -> User:
    """End every session and login token of a user, and every personal token unless they are kept.

    Two calls. Raises Busy.
    """
    return users.end_sessions(username, keep_tokens=keep_tokens, now=clock.now())


def change_password(attempt: LoginAttempt, current_password: str, new_password: str, keep_tokens: bool = False) -> User:
    """Set a new password for the user of an attempt, which ends all that `log_out_everywhere` ends. Two calls.

    Raises InvalidInput when the current password is wrong, which counts as one failed login, when it was changed
    meanwhile, or when the new one is breached or contains the name, username or e-mail address.

    Raises Busy, also when too many passwords wait to be hashed.
    """
    user = users.get_user(attempt.name)
    if not is_password(current_password, user.password_hash):
        note_failure(attempt)
        raise InvalidInput(FieldError("current_password", "This is not your current password."))
    check_new_password(user, new_password)
    now = clock.now()
    notice = partial(notify, user=user, kind=MailKind.PASSWORD_CHANGED, now=now)
    if not users.set_password(user, hash_password(new_password), keep_tokens=keep_tokens, now=now, also=notice):
        raise InvalidInput(FieldError("current_password", "Your password was changed a moment ago. Enter the new one."))
    return user
