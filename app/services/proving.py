"""Proving that the person who logged in is still there: a cookie or a token may have been copied.

The proof is the password and, where there is a second factor, a code of it. A session and a login token know when it
was last given. A personal token proves nothing: it was made with a proof, for what its scopes name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from app.domain import clock
from app.domain.errors import ClosedSince, FieldError, InvalidInput, ProofRequired, ProofWithCodeRequired
from app.domain.events import WRONG_CURRENT_PASSWORD
from app.models.users import Token, User, note_proof
from app.services.guesses import LoginAttempt, confirm, note_failure
from app.services.passwords import is_password
from app.services.second_factor import FactorRules, check_code
from app.services.tokens import Authentication


@dataclass(frozen=True)
class ProofRules:
    """For how long a proof counts, and the largest withdrawal, in USD, that needs none."""

    lifetime: timedelta
    over: Decimal

    def is_fresh(self, token: Token) -> bool:
        return clock.now() - token.proved < self.lifetime

    def asks_for_withdrawal(self, authentication: Authentication, amount: Decimal) -> bool:
        """Whether a withdrawal needs a fresh proof: each does where there is a second factor.

        None does by a personal token, which has no password to give.
        """
        if authentication.token.is_personal:
            return False
        return amount > self.over or bool(authentication.user.second_factor)


@dataclass(frozen=True)
class Evidence:
    """What a request brings as proof."""

    password: str | None = None
    code: str | None = None

    def require_complete(self, user: User) -> None:
        """Raises ProofRequired."""
        if self.password is None or (user.second_factor and self.code is None):
            raise ProofWithCodeRequired() if user.second_factor else ProofRequired()


def check_evidence(attempt: LoginAttempt, evidence: Evidence, factors: FactorRules) -> User:
    """Check what is given as proof of the user of an attempt, as that is now. One call, three with a code.

    A code is used up. Raises ProofRequired for what is missing, InvalidInput for what is wrong, which counts as a
    failed log-in, TooManyRequests, and Busy, also when too many passwords wait. Raises ClosedSince.
    """
    user = attempt.user
    if user is None:
        raise ClosedSince()
    evidence.require_complete(user)
    if not is_password(evidence.password or "", user.password_hash):
        note_failure(attempt, WRONG_CURRENT_PASSWORD)
        raise InvalidInput(FieldError("current_password", "This is not your current password."))
    confirm(attempt)
    if user.second_factor:
        check_code(user, evidence.code or "", attempt, factors)
    return user


def renew_proof(
    authentication: Authentication, evidence: Evidence, attempt: LoginAttempt, factors: FactorRules
) -> User:
    """As `check_evidence`, and note the proof on the credential: one call more."""
    user = check_evidence(attempt, evidence, factors)
    note_proof(authentication.token, now=clock.now())
    return user
