"""Guesses of passwords: how many are looked at, and whose.

A device that has logged in to an account before carries a mark of it, and has a count of its own. All others share the
counts of the account and of the address that they come from. So guesses from elsewhere never lock a person out at home.

A guess is looked at in three steps. What is over a limit is refused before a password is hashed. A wrong one is told so
only after it was counted, which never goes above the limit. A right one is let in only while the counts are not full.
So guesses at the same moment find out no more than those made one after the other. If the counts cannot be read or
written, nobody logs in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain import clock
from app.domain.errors import TooManyGuesses
from app.domain.events import EventKind
from app.domain.identifiers import USERNAME, matches
from app.models.events import note
from app.models.rate_limits import RateLimit, add_hit, hits_left, seconds_left, window_of
from app.models.reading import Found, read_together
from app.models.users import NOBODY, EmailClaim, User
from app.services.limits import DAY, QUARTER
from app.services.settings import settings

Count = tuple[RateLimit, str]
"""A limit, and for what it counts."""


@dataclass(frozen=True)
class Mark:
    """Says that a device has logged in to an account, in this session epoch of it."""

    device_id: str
    session_epoch: int


FindMark = Callable[[str], Mark | None]
"""The mark that a request carries of the account with a username, if it does."""


def no_mark(_: str) -> None:
    """What a request has that carries none."""


@dataclass(frozen=True)
class LoginAttempt:
    """An attempt to log in: its user, if there is one, what it is counted for, and the state of the fullest count.

    `remaining` of `limit` failures are left until `reset_seconds` from now.
    """

    user: User | None
    counts: Sequence[Count]
    begun_at: datetime
    limit: int
    remaining: int
    reset_seconds: int


def begin_login(name: str, *, address: str, find_mark: FindMark = no_mark) -> LoginAttempt:
    """An attempt by a username or an e-mail address, each as it is stored, from what counts as one address.

    Looks up the user and the failures so far, for an unknown name just as for a known one. One call, one more for an
    e-mail address, and one more for a mark that has ended. Raises TooManyGuesses, before any password is checked.
    """
    now = clock.now()
    username = _username_of(name)
    # An unknown name is counted as if it had an account.
    account = name if username == NOBODY else username
    mark = find_mark(username)
    counts = _counts_of_device(account, mark) if mark else _counts_of_others(account, address)
    found = _read(username, counts, now=now)
    user = _living(found.get(User, User.key(username)))
    if mark and (user is None or user.session_epoch != mark.session_epoch):
        counts = _counts_of_others(account, address)
        found = _read(username, counts, now=now)
    (limit, _), remaining = _check(counts, found, now=now)
    if user and "@" in name and user.email != name:
        user = None  # the claim has gone to another address since it was read
    return LoginAttempt(user, counts, now, limit.hits, remaining, seconds_left(limit, now))


def _living(user: User | None) -> User | None:
    """None also for one who has closed the account: to all others there is none."""
    return None if user and user.is_closed else user


def _username_of(name: str) -> str:
    """Of an e-mail address that of its claim: one call. NOBODY if there can be no such user."""
    if "@" in name:
        claim = EmailClaim.find(EmailClaim.key(name))
        return str(claim.username) if claim else NOBODY
    return name if matches(USERNAME, name) else NOBODY


def _counts_of_device(account: str, mark: Mark) -> list[Count]:
    limit = RateLimit("guess-device", hits=settings().limits.guesses_per_device, seconds=QUARTER)
    return [(limit, f"{account} {mark.device_id}")]


def _counts_of_others(account: str, address: str) -> list[Count]:
    """Those that fill soonest come first: what one refuses is not counted for the others."""
    limits = settings().limits
    both = RateLimit("guess-account-address", hits=limits.guesses_per_account_and_address, seconds=QUARTER)
    of_account = RateLimit("guess-account", hits=limits.guesses_per_account, seconds=DAY)
    of_address = RateLimit("guess-address", hits=limits.guesses_per_address, seconds=QUARTER)
    return [(both, f"{account} {address}"), (of_account, account), (of_address, address)]


def _read(username: str, counts: Sequence[Count], *, now: datetime) -> Found:
    return read_together([(User, User.key(username)), *(window_of(*count, now=now) for count in counts)])


def _check(counts: Sequence[Count], found: Found, *, now: datetime) -> tuple[Count, int]:
    """The fullest count, and what is left of it. Raises TooManyGuesses."""
    left = {count: hits_left(found, *count, now=now) for count in counts}
    fullest = min(counts, key=lambda count: left[count])
    if left[fullest] <= 0:
        raise _refusal(fullest[0], now)
    return fullest, left[fullest]


def note_failure(attempt: LoginAttempt, outcome: str) -> None:
    """Count a wrong password or code, and log it: three calls, from a known device one. Nothing is told of it before.

    Raises TooManyGuesses when others have filled a count since the attempt began.
    """
    for limit, subject in attempt.counts:
        if not add_hit(limit, subject, now=attempt.begun_at):
            raise _refusal(limit, attempt.begun_at)
    note(EventKind.LOG_IN_FAILED, subject=attempt.user.username if attempt.user else None, outcome=outcome)


def confirm(attempt: LoginAttempt) -> None:
    """Let a right password in. One call. Raises TooManyGuesses when others have filled a count since."""
    now = attempt.begun_at
    _check(attempt.counts, read_together([window_of(*count, now=now) for count in attempt.counts]), now=now)


def _refusal(limit: RateLimit, now: datetime) -> TooManyGuesses:
    return TooManyGuesses(limit=limit.hits, reset_seconds=seconds_left(limit, now))
