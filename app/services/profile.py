"""What users change themselves: their profile, their password, and where they are logged in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from app.domain import clock
from app.domain.errors import FieldError, InvalidInput
from app.domain.events import EventKind
from app.domain.mails import MailKind
from app.models import addresses, events, users
from app.models.batch import Batch
from app.models.database import database
from app.models.events import SecurityEvent, add_event, event_of
from app.models.outbox import notify
from app.models.paging import Page, PageRequest
from app.models.users import User
from app.services.auth import check_new_password
from app.services.guesses import LoginAttempt
from app.services.limits import take
from app.services.passwords import hash_password
from app.services.proving import Evidence, check_evidence
from app.services.recovery import confirmations
from app.services.second_factor import FactorRules


def update_profile(user: User, changes: Mapping[str, Any], *, proved: bool = False) -> User:
    """Set the given fields of a user (those of ProfileInput); None clears an optional one. Two calls.

    Where mail is sent, a new e-mail address counts only when it is confirmed; that takes two calls more. Raises
    ProofRequired where what is changed must be `proved`, EmailTaken, TooManyRequests, Busy.
    """
    stored = {name: value.isoformat() if isinstance(value, date) else value for name, value in changes.items()}
    if database().sends_mail and stored.get("email", user.email) != user.email:
        take(confirmations(), user.username)
    return addresses.update_profile(user.username, stored, proved=proved, now=clock.now())


def log_out_everywhere(username: str, *, keep_tokens: bool = False) -> User:
    """End every session and login token of a user, and every personal token unless they are kept.

    Two calls. Raises Busy.
    """
    also = event_of(username, EventKind.SESSIONS_ENDED)
    return users.end_sessions(username, keep_tokens=keep_tokens, now=clock.now(), also=also)


def list_events(username: str, page: PageRequest) -> Page[SecurityEvent]:
    """What was done to one's own account, newest first, without what the owner must not see. One call."""
    found = events.list_events(username, page)
    for event in found.items:
        event.hide_administrator()
    return found


def change_password(
    attempt: LoginAttempt, evidence: Evidence, factors: FactorRules, *, new_password: str, keep_tokens: bool = False
) -> User:
    """Set a new password for the user of an attempt, which ends all that `log_out_everywhere` ends. Two calls.

    Raises what `check_evidence` raises, and InvalidInput when the password was changed meanwhile, or when the new one
    is breached or contains the name, username or e-mail address. Raises Busy.
    """
    user = check_evidence(attempt, evidence, factors)
    check_new_password(user, new_password)
    now = clock.now()

    def also(batch: Batch) -> None:
        add_event(batch, user.username, EventKind.PASSWORD_CHANGED)
        notify(batch, user, MailKind.PASSWORD_CHANGED, now=now)

    if not users.set_password(user, hash_password(new_password), keep_tokens=keep_tokens, now=now, also=also):
        raise InvalidInput(FieldError("current_password", "Your password was changed a moment ago. Enter the new one."))
    return user
