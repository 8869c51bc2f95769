"""Table `users`: the outbox, which holds mails until the worker has sent them.

| item | PK | SK |
|---|---|---|
| QueuedMail | `OUTBOX#{shard}` | `{created_at}#{mail_id}` |

A mail is written in the batch of the change that it tells of, so that it exists exactly when the change does. Where no
mail is sent (`Database.sends_mail`), nothing is queued.

| access pattern | operation |
|---|---|
| mails to send, oldest first | Query PK `OUTBOX#{shard}` |
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pynamodb.expressions.update import Action

from app.domain import clock
from app.domain.mails import MAIL_LIFETIME, MailKind
from app.models.attributes import NumberAttribute, TimeAttribute, TTLAttribute, UnicodeAttribute
from app.models.batch import Batch, write_if
from app.models.database import database
from app.models.item import Key
from app.models.paging import read_rows
from app.models.users import User, UsersItem

SHARDS = 4
# How many mails one look takes up, sent or not.
MAILS_OF_A_LOOK = 10
# A mail that is being sent is left alone for the first of these, longer than the sending may take; each failed attempt
# doubles the wait.
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=2), timedelta(hours=1)
# The worker says in the log what it drops. The database would drop it without a word, so it comes later.
GRACE = timedelta(hours=1)


class QueuedMail(UsersItem, discriminator="MAIL"):
    """A mail to send. Its `values` are those of its text; the only secret among them is that of a link.

    It must not have an attribute `email`, which would put it in EmailIndex.
    """

    mail_id = UnicodeAttribute()
    kind = UnicodeAttribute()
    username = UnicodeAttribute()
    recipient = UnicodeAttribute()
    text_values = UnicodeAttribute()
    attempts = NumberAttribute(default=0)
    next_attempt_at = TimeAttribute()
    created_at = TimeAttribute()
    expires_at = TimeAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(username: str, created_at: datetime, mail_id: str) -> Key:
        return f"OUTBOX#{zlib.crc32(username.encode()) % SHARDS}", f"{clock.to_text(created_at)}#{mail_id}"

    @property
    def values(self) -> Mapping[str, str]:
        """The values of its text, and what every text may use."""
        written: dict[str, str] = json.loads(self.text_values)
        return {"username": self.username, "time": f"{self.created_at:%Y-%m-%d %H:%M} UTC", **written}

    def has_expired(self, now: datetime) -> bool:
        return now >= self.expires_at


def queue_mail(
    batch: Batch,
    kind: MailKind,
    *,
    username: str,
    to: str,
    values: Mapping[str, str],
    now: datetime,
    lifetime: timedelta = MAIL_LIFETIME,
) -> None:
    """Add a mail to the batch of a change; it is tried until `lifetime` is over. Nothing where no mail is sent."""
    if not database().sends_mail:
        return
    mail_id = secrets.token_hex(8)
    batch.put(
        f"mail {kind}",
        QueuedMail(
            *QueuedMail.key(username, now, mail_id),
            mail_id=mail_id,
            kind=kind.value,
            username=username,
            recipient=to,
            text_values=json.dumps(dict(values)),
            next_attempt_at=now,
            created_at=now,
            expires_at=now + lifetime,
            ttl=now + lifetime + GRACE,
        ),
    )


def notify(batch: Batch, user: User, kind: MailKind, *, now: datetime, **values: str) -> None:
    """Add a mail to a user to the batch of the change that it tells of: 2 write units.

    Nothing where no mail is sent, and nothing to an address that was not confirmed: it may be a stranger's.
    """
    if user.has_confirmed_email:
        queue_mail(batch, kind, username=user.username, to=user.email, values=values, now=now)


def read_mails(shard: int, start_key: Any = None) -> tuple[list[QueuedMail], Any]:
    """The next mails of a shard, oldest first, whether due or not, and where to go on: None at its end. One call.

    A new mail may show a moment late.
    """
    found = QueuedMail.query(f"OUTBOX#{shard}", page_size=MAILS_OF_A_LOOK, last_evaluated_key=start_key).page_iter
    rows = next(found)["Items"]
    return list(read_rows(QueuedMail, rows)), found.last_evaluated_key


def claim_mail(mail: QueuedMail, *, now: datetime) -> bool:
    """Take a mail for one attempt, so that nobody else tries it meanwhile. One call. False when another worker did."""
    attempts = int(mail.attempts)
    wait = min(FIRST_WAIT * 2 ** min(attempts, 10), LONGEST_WAIT)
    actions: list[Action] = [QueuedMail.attempts.set(attempts + 1), QueuedMail.next_attempt_at.set(now + wait)]
    return write_if(lambda: mail.update(actions, condition=QueuedMail.attempts == attempts))


def delete_mail(mail: QueuedMail) -> None:
    """Forget a mail that was sent, or never will be. One call."""
    write_if(lambda: mail.delete(condition=QueuedMail.attempts.exists()))
