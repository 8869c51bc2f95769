"""Second factors: giving an account one, asking for its codes, and the way back when it is lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from app.domain import clock
from app.domain.errors import (
    Busy,
    CodeRequired,
    FieldError,
    InvalidCode,
    InvalidInput,
    NoSecondFactor,
    OperatorAccount,
    OwnAccount,
    SecondFactorExists,
    SecondFactorRequired,
    TooManyCodes,
    UserNotFound,
)
from app.domain.events import EventKind
from app.domain.passkeys import is_signed
from app.domain.second_factor import (
    MOST_WRONG,
    WRONG_WINDOW,
    Demand,
    Verdict,
    code_at,
    hash_recovery_code,
    judge,
    new_recovery_codes,
    read_code,
    step_at,
)
from app.models import factors
from app.models.batch import retry_while_busy
from app.models.events import record
from app.models.factors import SecondFactor
from app.models.reading import NOTHING, Found
from app.models.users import Token, User
from app.services.guesses import LoginAttempt, note_failure
from app.services.passkeys import Purpose, Site, find_used, request_options, with_used
from app.services.seeds import SeedCipher
from app.services.tokens import Authentication

log = structlog.get_logger("app.second_factor")


@dataclass(frozen=True)
class FactorRules:
    """Who must have a second factor, how seeds are encrypted, how long a reset waits, and what passkeys are for."""

    demand: Demand
    cipher: SeedCipher
    reset_wait: timedelta
    # That of the request; without one, no passkey is right.
    site: Site | None = None

    def is_missing(self, user: User, *, as_admin: bool = False) -> bool:
        """Whether a user must have a second factor to act as an admin, or to move money out, and has none."""
        asks = self.demand is Demand.ALL or (as_admin and self.demand is Demand.OPERATORS)
        return asks and not user.second_factor

    def require(self, user: User, *, as_admin: bool = False) -> None:
        """Raises SecondFactorRequired."""
        if self.is_missing(user, as_admin=as_admin):
            raise SecondFactorRequired()


def pass_second_factor(user: User, code: str | None, attempt: LoginAttempt, rules: FactorRules) -> None:
    """Go on with a log-in whose password was right. No call without a second factor; two with one.

    A factor that was to fall away is removed now, if no code is given. Raises CodeRequired, InvalidCode, which counts
    as a failed log-in, TooManyRequests, Busy.
    """
    if not user.second_factor:
        return
    factor = factors.find_factor(user.username)
    if factor and factor.has_fallen(clock.now()) and not code:
        factors.remove_factor(user, None, fallen=factor)
        return
    if not code:
        raise CodeRequired()
    early = Found({(SecondFactor, SecondFactor.key(user.username)): factor})
    if not _use_code(user, code, Purpose.LOG_IN, rules, early):
        note_failure(attempt, InvalidCode.code)
        raise InvalidCode()


def login_options(user: User, site: Site) -> dict[str, Any]:
    """What the browser is asked for in a log-in whose password was right. One call, or none. Raises NoPasskey."""
    factor = factors.find_factor(user.username) if user.second_factor else None
    return request_options(user, factor, Purpose.LOG_IN, site)


def check_code(user: User, code: str, attempt: LoginAttempt, rules: FactorRules) -> None:
    """Use a code as a part of a proof. Two calls. Raises InvalidInput, a failed log-in, TooManyRequests, Busy."""
    if not _use_code(user, code, Purpose.PROOF, rules):
        note_failure(attempt, InvalidCode.code)
        raise InvalidInput(FieldError("code", InvalidCode.message))


@retry_while_busy
def _use_code(user: User, code: str, purpose: Purpose, rules: FactorRules, early: Found = NOTHING) -> bool:
    """Whether a code is right, which uses it up. One write, and a read where none was made `early`.

    What a passkey signed for this purpose counts as a code; like a recovery code, it cannot be guessed.

    Every write is on condition that the factor is as it was read. So what comes at once is judged one after the other.
    A code counts once, and after MOST_WRONG wrong ones none of the app is looked at. Raises TooManyRequests, Busy.
    """
    factor = factors.find_factor(user.username, early.take())
    if factor is None:
        # Removed a moment ago.
        return False
    if is_signed(code):
        return _use_passkey(user, code, purpose, rules, factor)
    return _use_typed(user, code, rules.cipher, factor)


def _use_typed(user: User, code: str, cipher: SeedCipher, factor: SecondFactor) -> bool:
    now = clock.now()
    seed = cipher.decrypt(factor.seed, user.username)
    if seed is None:
        log.error("seed of second factor cannot be decrypted", subject=user.username)
    verdict = judge(
        code,
        seed=seed,
        last_step=int(factor.totp_step),
        recovery_hashes=factor.hashes,
        wrong=factor.wrong_at(now),
        now=now,
    )
    if verdict is Verdict.TOO_MANY:
        raise TooManyCodes(limit=MOST_WRONG, reset_seconds=_seconds_left(factor, now))
    if verdict is Verdict.RECOVERY:
        factors.use_recovery_code(user, factor, hash_recovery_code(code))
    elif verdict is Verdict.APP and seed is not None:
        # Anew, as the key may have changed.
        if not factors.note_code(factor, step=step_at(now), seed=cipher.encrypt(seed, user.username)):
            raise Busy()
    elif not factors.note_wrong_code(factor, now=now):
        raise Busy()
    return verdict is not Verdict.WRONG


def _use_passkey(user: User, signed: str, purpose: Purpose, rules: FactorRules, factor: SecondFactor) -> bool:
    used = find_used(user, factor, signed, purpose, rules.site) if rules.site else None
    if used:
        is_noted = factors.note_passkeys(factor, with_used(factor, used))
    else:
        # This raises the version, too: the challenge is used.
        is_noted = factors.note_wrong_code(factor, now=clock.now())
    if not is_noted:
        raise Busy()
    return used is not None


def _seconds_left(factor: SecondFactor, now: datetime) -> int:
    return max(1, round((factor.wrong_since + WRONG_WINDOW - now).total_seconds()))


def require_none(user: User) -> None:
    """Raises SecondFactorExists."""
    if user.second_factor:
        raise SecondFactorExists()


def enrol(authentication: Authentication, seed: bytes, code: str, cipher: SeedCipher) -> list[str]:
    """Give a user the second factor whose app shows this code, and return the recovery codes. One call.

    Every other session and login token ends. Raises SecondFactorExists, InvalidInput for a wrong code, Busy.
    """
    user = authentication.user
    require_none(user)
    step = step_at(clock.now())
    if read_code(code) != code_at(seed, step):
        raise InvalidInput(FieldError("code", "This is not the code that the app shows now. Enter the newest one."))
    codes = new_recovery_codes()
    factors.add_factor(
        user,
        authentication.token,
        seed=cipher.encrypt(seed, user.username),
        step=step,
        recovery_hashes=[hash_recovery_code(each) for each in codes],
    )
    return codes


def require_one(user: User) -> None:
    """Raises NoSecondFactor."""
    if not user.second_factor:
        raise NoSecondFactor()


def remove(user: User, token: Token) -> None:
    """Remove a second factor, after a proof, of a user as it was read for that. One call.

    Every session and login token but this one ends. Raises NoSecondFactor, Busy.
    """
    require_one(user)
    factors.remove_factor(user, token)


@retry_while_busy
def renew_recovery_codes(user: User) -> list[str]:
    """Replace the recovery codes, after a proof, and return the new ones. Two calls. Raises NoSecondFactor, Busy."""
    factor = factors.find_factor(user.username)
    if factor is None:
        raise NoSecondFactor()
    codes = new_recovery_codes()
    factors.replace_recovery_codes(user, factor, [hash_recovery_code(each) for each in codes])
    return codes


@retry_while_busy
def keep(user: User) -> None:
    """Take back a reset that was asked for. Three calls; one where none was. Raises NoSecondFactor, Busy."""
    factor = factors.find_factor(user.username)
    if factor is None:
        raise NoSecondFactor()
    if factor.falls_at:
        if not factors.keep_factor(factor):
            raise Busy()
        record(user.username, EventKind.SECOND_FACTOR_KEPT)


def offer_reset(admin: User, username: str, rules: FactorRules) -> datetime:
    """Begin to reset the second factor of a user who has lost it, as an admin. See `begin_reset`.

    Raises OwnAccount, OperatorAccount.
    """
    if username == admin.username:
        raise OwnAccount()
    return begin_reset(username, rules, by_admin=True)


@retry_while_busy
def begin_reset(username: str, rules: FactorRules, *, by_admin: bool = False) -> datetime:
    """From when on a log-in without a code removes the factor of a user, who is told at once. Two calls.

    A code that is used until then takes it back, and so does the user. Asked again, the first time stays.

    Raises UserNotFound, NoSecondFactor, OperatorAccount for an admin's by an admin, Busy.
    """
    user, factor = factors.find_user_and_factor(username)
    if user is None or user.is_closed:
        raise UserNotFound()
    if by_admin and user.is_admin:
        raise OperatorAccount()
    if factor is None:
        raise NoSecondFactor()
    if factor.falls_at:
        begun: datetime = factor.falls_at
        return begun
    falls_at = clock.now() + rules.reset_wait
    factors.begin_reset(user, factor, falls_at)
    return falls_at
