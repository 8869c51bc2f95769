"""Sends the mails that wait in the outbox. Any number of workers may do so at once.

A mail is taken by a conditional write before it is sent, and deleted afterwards, so two workers send it once. A worker
that dies between the two leaves it to be sent again, with the same Message-ID: at least once, not exactly once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from app.domain import clock
from app.domain.mails import MailKind, write_mail
from app.mail import MailSettings
from app.mail.delivery import MailRefused, MailUnreachable, Send, compose, opened
from app.models.outbox import SHARDS, QueuedMail, claim_mail, delete_mail, read_mails

# How long to leave a server alone that was not reached; each failure in a row doubles it.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)

log = structlog.get_logger("app.mail")


@dataclass
class Delivery:
    """What one step did with the mails that it took: `refused` ones are tried again, `dropped` ones are not."""

    sent: int = 0
    refused: int = 0
    dropped: int = 0


class Postman:
    """Walks through the outbox, a few mails of one shard at each step.

    It goes round instead of beginning anew, so that mails which are refused do not keep others waiting.
    """

    def __init__(self, settings: MailSettings, *, is_stopping: Callable[[], bool] = lambda: False) -> None:
        self._settings = settings
        self._is_stopping = is_stopping
        self._shard = 0
        self._start_keys: list[Any] = [None] * SHARDS
        self._failures = 0
        self._paused_until: datetime | None = None

    def deliver(self) -> Delivery:
        """Send what is due among the next mails of the next shard.

        One call, and two for each mail that is sent. None where mail is off, or while the server is left alone. Raises
        StoreUnavailable.
        """
        done = Delivery()
        now = clock.now()
        if not self._settings.is_on or self._is_paused(now):
            return done
        shard, self._shard = self._shard, (self._shard + 1) % SHARDS
        mails, self._start_keys[shard] = read_mails(shard, self._start_keys[shard])
        due = [mail for mail in mails if mail.next_attempt_at <= now and not self._drop(mail, now, done)]
        if due:
            self._send_all(due, done)
        return done

    def _is_paused(self, now: datetime) -> bool:
        # Not where the clock was set back since.
        until = self._paused_until
        return until is not None and until - LONGEST_PAUSE <= now < until

    def _drop(self, mail: QueuedMail, now: datetime, done: Delivery) -> bool:
        """Delete what need not be sent; whether it was so."""
        if mail.kind != MailKind.DECOY:
            if not mail.has_expired(now):
                return False
            self._note_dropped(mail, "it could not be sent in time", done)
        delete_mail(mail)
        return True

    def _note_dropped(self, mail: QueuedMail, cause: str, done: Delivery) -> None:
        done.dropped += 1
        log.warning("mail dropped", kind=mail.kind, subject=mail.username, cause=cause, attempts=int(mail.attempts))

    def _send_all(self, mails: list[QueuedMail], done: Delivery) -> None:
        try:
            with opened(self._settings) as send:
                for mail in mails:
                    if self._is_stopping():
                        return
                    if claim_mail(mail, now=clock.now()):
                        self._send(mail, send, done)
        except MailUnreachable as error:
            self._failures += 1
            pause = min(FIRST_PAUSE * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE)
            self._paused_until = clock.now() + pause
            log.warning("mail server unreachable", cause=str(error), pause_seconds=int(pause.total_seconds()))
        else:
            self._failures = 0

    def _send(self, mail: QueuedMail, send: Send, done: Delivery) -> None:
        """Send one mail that was claimed. Whatever is wrong with it, the others go on. Raises MailUnreachable."""
        try:
            subject, text = write_mail(MailKind(mail.kind), mail.values, site=self._settings.site)
            send(
                compose(
                    self._settings,
                    mail_id=mail.mail_id,
                    to=mail.recipient,
                    subject=subject,
                    text=text,
                    written_at=mail.created_at,
                )
            )
        except MailUnreachable:
            raise
        except MailRefused as error:
            if not error.is_final:
                done.refused += 1
                log.info("mail refused for now", kind=mail.kind, subject=mail.username, cause=str(error))
                return
            self._note_dropped(mail, str(error), done)
        except Exception as error:
            # Another version may have queued a kind that this one does not know. The error may quote the address.
            done.refused += 1
            log.error("mail cannot be written", kind=mail.kind, subject=mail.username, cause=type(error).__name__)
            return
        else:
            done.sent += 1
        delete_mail(mail)
