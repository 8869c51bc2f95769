"""Table `users`: second factors.

| item | PK | SK |
|---|---|---|
| SecondFactor | `{username}` | `FACTOR` |

The User's `second_factor` says that there is one, so that logging in without one costs no call. It is the moment at
which the factor was made, which tells it from an earlier one.

Every use of a code raises `version`, on condition that it is the one read. Of two uses at once, one reads again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from app.domain import clock
from app.domain.errors import Busy, SecondFactorExists
from app.domain.events import EventKind
from app.domain.mails import MailKind
from app.domain.passkeys import Passkey
from app.domain.second_factor import WRONG_WINDOW
from app.models.attributes import NumberAttribute, PasskeysAttribute, TimeAttribute, UnicodeAttribute
from app.models.batch import Batch, Cancelled, write_if
from app.models.events import add_event
from app.models.item import Key
from app.models.outbox import notify
from app.models.reading import NOTHING, Found, read_together
from app.models.users import Token, User, UsersItem


class SecondFactor(UsersItem, discriminator="FACTOR"):
    """A user's second factor: the encrypted seed of the app, the hashes of the recovery codes left, and passkeys."""

    username = UnicodeAttribute()
    seed = UnicodeAttribute()
    # The step of the last code of the app that was used, or that it was confirmed with.
    totp_step = NumberAttribute()
    # Apart by spaces.
    recovery_hashes = UnicodeAttribute()
    # Wrong codes, of any kind, in the window that began then.
    wrong_codes = NumberAttribute(default=0)
    wrong_since = TimeAttribute(null=True)
    # From when on a log-in without a code removes it. A code that is used meanwhile takes this back.
    falls_at = TimeAttribute(null=True)
    # Here, and not in items of their own: they are read, used and removed with the rest, and `version` is theirs too.
    passkeys = PasskeysAttribute(null=True)
    version = NumberAttribute(default=0)
    created_at = TimeAttribute()

    @staticmethod
    def key(username: str) -> Key:
        return username, "FACTOR"

    @property
    def hashes(self) -> list[str]:
        return str(self.recovery_hashes).split()

    @property
    def keys(self) -> Sequence[Passkey]:
        """Its passkeys, in the order in which they were added."""
        return self.passkeys or ()

    def wrong_at(self, now: datetime) -> int:
        """How many codes were wrong in the window of this moment."""
        is_over = self.wrong_since is None or now - self.wrong_since >= WRONG_WINDOW
        return 0 if is_over else int(self.wrong_codes)

    def has_fallen(self, now: datetime) -> bool:
        return self.falls_at is not None and now >= self.falls_at

    def _is_as_read(self) -> Condition:
        is_as_read: Condition = (SecondFactor.version == int(self.version)) & (
            SecondFactor.created_at == self.created_at
        )
        return is_as_read


def find_factor(username: str, found: Found = NOTHING) -> SecondFactor | None:
    """One consistent call, unless it was `found` with the credentials."""
    return found.find(SecondFactor, SecondFactor.key(username))


def find_user_and_factor(username: str) -> tuple[User | None, SecondFactor | None]:
    """One consistent call."""
    user, factor = User.key(username), SecondFactor.key(username)
    found = read_together([(User, user), (SecondFactor, factor)])
    return found.get(User, user), found.get(SecondFactor, factor)


def add_factor(user: User, token: Token, *, seed: str, step: int, recovery_hashes: Collection[str]) -> None:
    """Give a user a second factor, and end every session and login token but this one: they began without a code.

    One call. Raises SecondFactorExists, and Busy when the user was changed since, or the session has ended.
    """
    now = clock.now()
    factor = SecondFactor(
        *SecondFactor.key(user.username),
        username=user.username,
        seed=seed,
        totp_step=step,
        recovery_hashes=" ".join(recovery_hashes),
        created_at=now,
    )
    batch = Batch()
    batch.put("factor", factor, condition=SecondFactor.absent())
    _end_other_sessions(batch, user, token, User.second_factor.set(now), now=now)
    add_event(batch, user.username, EventKind.SECOND_FACTOR_ADDED)
    notify(batch, user, MailKind.SECOND_FACTOR_ADDED, now=now)
    try:
        batch.commit()
    except Cancelled as cancelled:
        raise SecondFactorExists() if "factor" in cancelled.refused else Busy() from cancelled
    user.second_factor = now


def remove_factor(user: User, token: Token | None, *, fallen: SecondFactor | None = None) -> None:
    """Take a user's second factor away, and end every session and login token but this one, or all. One call.

    One that has `fallen` must be as it was read. Raises Busy when it was used, removed or the user changed since.
    """
    now = clock.now()
    factor = fallen or SecondFactor(*SecondFactor.key(user.username))
    is_that = fallen._is_as_read() if fallen else SecondFactor.created_at == user.second_factor
    batch = Batch()
    batch.delete("factor", factor, condition=is_that)
    _end_other_sessions(batch, user, token, User.second_factor.remove(), now=now)
    add_event(batch, user.username, EventKind.SECOND_FACTOR_REMOVED)
    notify(batch, user, MailKind.SECOND_FACTOR_REMOVED, now=now)
    batch.commit_as_read()
    user.second_factor = None


def _end_other_sessions(batch: Batch, user: User, token: Token | None, action: Action, *, now: datetime) -> None:
    """Raise the session epoch of a user with a change of the second factor, and take one credential along."""
    read, epoch = int(user.session_epoch), int(user.session_epoch) + 1
    factor = User.second_factor
    is_as_read = (User.session_epoch == read) & (
        factor == user.second_factor if user.second_factor else factor.does_not_exist()
    )
    batch.update("user", user, [action, User.session_epoch.set(epoch), User.updated_at.set(now)], condition=is_as_read)
    if token:
        is_alive = (Token.secret_hash == token.secret_hash) & (Token.session_epoch == read)
        batch.update("token", token, [Token.session_epoch.set(epoch)], condition=is_alive)
        token.session_epoch = epoch
    user.session_epoch = epoch


def note_code(factor: SecondFactor, *, step: int, seed: str) -> bool:
    """Note that a code of the app was used, which takes back a reset. One call. False when another use came first."""
    actions = [SecondFactor.totp_step.set(step), SecondFactor.seed.set(seed)]
    return _change(factor, [*actions, SecondFactor.falls_at.remove()])


def note_passkeys(factor: SecondFactor, passkeys: Sequence[Passkey]) -> bool:
    """Note that one of the passkeys was used, as `note_code` does. One call. False when another use came first."""
    return _change(factor, [SecondFactor.passkeys.set(tuple(passkeys)), SecondFactor.falls_at.remove()])


def note_wrong_code(factor: SecondFactor, *, now: datetime) -> bool:
    """Count a wrong code, of any kind. One call. False when another use came first."""
    wrong = factor.wrong_at(now)
    actions: list[Action] = [SecondFactor.wrong_codes.set(wrong + 1)]
    return _change(factor, actions if wrong else [*actions, SecondFactor.wrong_since.set(now)])


def keep_factor(factor: SecondFactor) -> bool:
    """Take back a reset that was asked for. One call. False when the factor was used or changed since."""
    return _change(factor, [SecondFactor.falls_at.remove()])


def _change(factor: SecondFactor, actions: list[Action]) -> bool:
    actions = [*actions, SecondFactor.version.set(int(factor.version) + 1)]
    return write_if(lambda: factor.update(actions, condition=factor._is_as_read()))


def use_recovery_code(user: User, factor: SecondFactor, code_hash: str) -> None:
    """Use a recovery code up, tell its user, and take back a reset. One call. Raises Busy when another came first."""
    left = [each for each in factor.hashes if each != code_hash]
    actions: list[Action] = [SecondFactor.recovery_hashes.set(" ".join(left)), SecondFactor.falls_at.remove()]
    _change_and_tell(user, factor, actions, MailKind.RECOVERY_CODE_USED, left=str(len(left)))


def replace_recovery_codes(user: User, factor: SecondFactor, hashes: Collection[str]) -> None:
    """Replace the recovery codes, and tell their user. One call. Raises Busy when the factor was used since."""
    actions: list[Action] = [SecondFactor.recovery_hashes.set(" ".join(hashes))]
    _change_and_tell(user, factor, actions, MailKind.RECOVERY_CODES_MADE)


def add_passkey(user: User, factor: SecondFactor, passkey: Passkey) -> None:
    """Add a passkey, and tell its user. One call. Raises Busy when the factor was used since."""
    actions: list[Action] = [SecondFactor.passkeys.set((*factor.keys, passkey))]
    _change_and_tell(user, factor, actions, MailKind.PASSKEY_ADDED, name=passkey.name)


def remove_passkey(user: User, factor: SecondFactor, passkey: Passkey) -> None:
    """Remove a passkey, and tell its user. One call. Raises Busy when the factor was used since."""
    left = tuple(each for each in factor.keys if each != passkey)
    actions: list[Action] = [SecondFactor.passkeys.set(left) if left else SecondFactor.passkeys.remove()]
    _change_and_tell(user, factor, actions, MailKind.PASSKEY_REMOVED, name=passkey.name)


def begin_reset(user: User, factor: SecondFactor, falls_at: datetime) -> None:
    """Let a factor fall away later, and tell its user at once. One call. Raises Busy when it was used since."""
    told = f"{falls_at:%Y-%m-%d %H:%M} UTC"
    _change_and_tell(user, factor, [SecondFactor.falls_at.set(falls_at)], MailKind.SECOND_FACTOR_RESET, falls_at=told)


def _change_and_tell(user: User, factor: SecondFactor, actions: list[Action], kind: MailKind, **values: str) -> None:
    batch = Batch()
    raised = SecondFactor.version.set(int(factor.version) + 1)
    batch.update("factor", factor, [*actions, raised], condition=factor._is_as_read())
    add_event(batch, user.username, EventKind(kind))
    notify(batch, user, kind, now=clock.now(), **values)
    batch.commit_as_read()
