"""Security events: what changes who somebody is or what they may do, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

EVENT_LIFETIME = timedelta(days=90)
DONE = "done"
WAITS = "waits"
REJECTED = "rejected"
MAILED = "mailed"
WRONG_CURRENT_PASSWORD = "wrong_current_password"


class EventKind(StrEnum):
    """What happened."""

    REGISTERED = "registered"
    LOG_IN = "log_in"
    LOGGED_OUT = "logged_out"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_RESET = "password_reset"
    RESET_LINK_MADE = "reset_link_made"
    EMAIL_CHANGED = "email_changed"
    EMAIL_CONFIRMED = "email_confirmed"
    PROFILE_CHANGED = "profile_changed"
    TOKEN_MADE = "token_made"
    TOKEN_ENDED = "token_ended"
    SESSION_ENDED = "session_ended"
    SESSIONS_ENDED = "sessions_ended"
    SECOND_FACTOR_ADDED = "second_factor_added"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    SECOND_FACTOR_RESET = "second_factor_reset"
    SECOND_FACTOR_KEPT = "second_factor_kept"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    RECOVERY_CODE_USED = "recovery_code_used"
    SUSPENDED = "suspended"
    REINSTATED = "reinstated"
    PROMOTED = "promoted"
    DEMOTED = "demoted"
    ADJUSTED = "adjusted"
    ACCOUNT_CLOSED = "account_closed"
    # These were refused. A refusal writes nothing, so they are in the log alone.
    LOG_IN_FAILED = "log_in_failed"
    RATE_LIMITED = "rate_limited"
    DENIED = "denied"


REFUSED = frozenset({EventKind.LOG_IN_FAILED, EventKind.RATE_LIMITED, EventKind.DENIED})


class Means(StrEnum):
    """How the actor of an event was known. The first three are kinds of credentials."""

    SESSION = "session"
    LOGIN = "login"
    PERSONAL = "personal"
    LINK = "link"
    COMMAND_LINE = "command_line"
