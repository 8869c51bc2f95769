"""The mails that this service sends: their kinds, and their texts in plain English.

A text may use `{username}`, `{product}`, `{time}` (when it happened, UTC), `{link}`, and the values of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

PRODUCT = "Order Processor"
# How long a link counts. A mail may be held up: servers that do not know the sender refuse it at first, on purpose.
CONFIRM_LIFETIME = timedelta(hours=24)
RESET_LIFETIME = timedelta(minutes=30)
# How long a mail without a link is tried.
MAIL_LIFETIME = timedelta(days=1)


class MailKind(StrEnum):
    CONFIRM_EMAIL = "confirm_email"
    RESET_PASSWORD = "reset_password"
    DECOY = "decoy"
    """Nothing to send: it stands for the mail to an address that has no account."""
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_RESET = "password_reset"
    EMAIL_CHANGE_ASKED = "email_change_asked"
    EMAIL_CHANGED = "email_changed"
    SECOND_FACTOR_ADDED = "second_factor_added"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    SECOND_FACTOR_RESET = "second_factor_reset"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    RECOVERY_CODE_USED = "recovery_code_used"
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    ACCOUNT_CLOSED = "account_closed"


PATHS = {MailKind.CONFIRM_EMAIL: "/confirm-email", MailKind.RESET_PASSWORD: "/reset-password"}
"""Where the link of a mail leads."""

_NOT_YOU = "Was it not you? Then choose a new password at once: {site}/forgot-password"
_TEXTS: Mapping[MailKind, tuple[str, str]] = {
    MailKind.CONFIRM_EMAIL: (
        "Confirm your e-mail address",
        "Someone gave this address for the account {username} at {site}.\n\n"
        "If it was you, open this link within 24 hours and confirm it:\n\n{link}\n\n"
        "If it was not you, do nothing. The address then does not count for that account.",
    ),
    MailKind.RESET_PASSWORD: (
        "Choose a new password",
        "Someone asked for a new password of the account {username} at {site}.\n\n"
        "If it was you, open this link within 30 minutes. It works once:\n\n{link}\n\n"
        "If it was not you, do nothing. Your password stays as it is.",
    ),
    MailKind.PASSWORD_CHANGED: (
        "Your password was changed",
        f"The password of the account {{username}} was changed at {{time}}.\n\n{_NOT_YOU}",
    ),
    MailKind.PASSWORD_RESET: (
        "Your password was reset",
        "The password of the account {username} was replaced by means of a link at {time}. You are logged out "
        f"everywhere.\n\n{_NOT_YOU}",
    ),
    MailKind.EMAIL_CHANGE_ASKED: (
        "A new e-mail address was given",
        "At {time}, {new_address} was given as the new e-mail address of the account {username}. This address counts "
        f"until the new one is confirmed.\n\n{_NOT_YOU}",
    ),
    MailKind.EMAIL_CHANGED: (
        "Your e-mail address was changed",
        "The e-mail address of the account {username} was changed to {new_address} at {time}. This is the last mail "
        "to this address.\n\nWas it not you? Then write to those who run {site} at once.",
    ),
    MailKind.SECOND_FACTOR_ADDED: (
        "A second factor was set up",
        "At {time}, the account {username} got a second factor: logging in now asks for a code of an app too. Every "
        f"other browser and script was logged out.\n\n{_NOT_YOU}",
    ),
    MailKind.SECOND_FACTOR_REMOVED: (
        "Your second factor was removed",
        "The second factor of the account {username} was removed at {time}: logging in asks for the password alone. "
        f"Every other browser and script was logged out.\n\n{_NOT_YOU}",
    ),
    MailKind.SECOND_FACTOR_RESET: (
        "Your second factor will be removed",
        "At {time}, those who run {site} were asked to reset the second factor of the account {username}. From "
        "{falls_at} on, the next log-in with the password alone removes it.\n\n"
        "Was it not you who asked? Then log in with a code before that time: this takes the reset back. And choose a "
        "new password: {site}/forgot-password",
    ),
    MailKind.RECOVERY_CODES_MADE: (
        "New recovery codes were made",
        f"New recovery codes of the account {{username}} were made at {{time}}. The old ones are void.\n\n{_NOT_YOU}",
    ),
    MailKind.RECOVERY_CODE_USED: (
        "A recovery code was used",
        "A recovery code of the account {username} was used at {time}. It cannot be used again; {left} are left."
        f"\n\n{_NOT_YOU}",
    ),
    MailKind.PASSKEY_ADDED: (
        "A passkey was added",
        'At {time}, the passkey "{name}" was added to the account {username}. It counts like a code of the app.'
        f"\n\n{_NOT_YOU}",
    ),
    MailKind.PASSKEY_REMOVED: (
        "A passkey was removed",
        f'At {{time}}, the passkey "{{name}}" of the account {{username}} was removed.\n\n{_NOT_YOU}',
    ),
    MailKind.ACCOUNT_CLOSED: (
        "Your account is closed",
        "The account {username} was closed at {time}, for good. Your name, e-mail address, phone and date of birth "
        "are removed. This is the last mail to this address.\n\nWas it not you? Then write to those who run {site} at "
        "once.",
    ),
}


def write_mail(kind: MailKind, values: Mapping[str, str], *, site: str) -> tuple[str, str]:
    """Subject and text of a mail. `site` is the address of this service. Raises KeyError for a value that is missing.

    A kind with a link needs its `token`.
    """
    subject, text = _TEXTS[kind]
    given = {**values, "site": site, "product": PRODUCT}
    if kind in PATHS:
        given["link"] = link_of(kind, values["token"], site=site)
    return f"{PRODUCT}: {subject}", f"{text.format_map(given)}\n\n-- \n{PRODUCT}, {site}\n"


def link_of(kind: MailKind, token: str, *, site: str) -> str:
    """The address at which the page of a link is opened."""
    return f"{site}{PATHS[kind]}?token={token}"
