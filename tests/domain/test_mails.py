"""The texts of mails: each kind has one, whole, short and plain, with its link where it has one."""

from __future__ import annotations

import pytest

from app.domain.mails import PATHS, PRODUCT, MailKind, write_mail

SITE = "https://orders.example/shop"
VALUES = {
    MailKind.CONFIRM_EMAIL: {"token": "ann.x"},
    MailKind.RESET_PASSWORD: {"token": "ann.x"},
    MailKind.PASSWORD_CHANGED: {},
    MailKind.PASSWORD_RESET: {},
    MailKind.EMAIL_CHANGE_ASKED: {"new_address": "new@example.com"},
    MailKind.EMAIL_CHANGED: {"new_address": "new@example.com"},
    MailKind.SECOND_FACTOR_ADDED: {},
    MailKind.SECOND_FACTOR_REMOVED: {},
    MailKind.SECOND_FACTOR_RESET: {"falls_at": "2026-02-01 12:00 UTC"},
    MailKind.RECOVERY_CODES_MADE: {},
    MailKind.RECOVERY_CODE_USED: {"left": "9"},
    MailKind.PASSKEY_ADDED: {"name": "phone"},
    MailKind.PASSKEY_REMOVED: {"name": "phone"},
    MailKind.ACCOUNT_CLOSED: {},
}


@pytest.mark.parametrize("kind", [kind for kind in MailKind if kind is not MailKind.DECOY])
def test_each_text(kind: MailKind) -> None:
    values = {"username": "ann", "time": "2026-01-31 12:00 UTC", **VALUES[kind]}
    subject, text = write_mail(kind, values, site=SITE)
    assert subject.startswith(f"{PRODUCT}: ") and len(subject) < 70 and "\n" not in subject
    assert "ann" in text and SITE in text and "{" not in text and len(text) < 700
    assert (f"{SITE}{PATHS[kind]}?token=ann.x" in text) if kind in PATHS else ("token" not in text)
    assert all(value in text for value in VALUES[kind].values())


def test_a_value_is_not_read_as_a_text() -> None:
    values = {"username": "ann", "time": "", "new_address": "{site}{token}@example.com"}
    assert "{site}{token}@example.com" in write_mail(MailKind.EMAIL_CHANGED, values, site=SITE)[1]


def test_a_text_does_not_go_out_half() -> None:
    with pytest.raises(KeyError):
        write_mail(MailKind.EMAIL_CHANGED, {"username": "ann", "time": ""}, site=SITE)
