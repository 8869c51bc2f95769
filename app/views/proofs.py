"""The password and the code that a request brings with it, where a change asks again who is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from flask import current_app

from app.models.addresses import must_be_proved
from app.models.users import User
from app.services.proving import Evidence, ProofRules, renew_proof
from app.services.second_factor import FactorRules, require_none
from app.services.tokens import Authentication
from app.views.http import begin_login
from app.views.passkeys import passkey_site


def proof_rules() -> ProofRules:
    """When the running application asks for a proof."""
    rules: ProofRules = current_app.extensions["proofs"]
    return rules


def factor_rules() -> FactorRules:
    """What the running application wants of second factors, at the site of this request."""
    rules: FactorRules = current_app.extensions["factors"]
    return replace(rules, site=passkey_site())


def take_evidence(data: dict[str, Any]) -> Evidence:
    """What an input (a ProvenInput) brings as proof; the rest of it stays."""
    return Evidence(data.pop("current_password", None), data.pop("code", None))


def prove(authentication: Authentication, evidence: Evidence) -> User:
    """Note a proof on the credential of this request, and return the user as it is now.

    Three calls, five with a code; none where something is missing.

    Raises ProofRequired, InvalidInput, TooManyRequests, Busy, ClosedSince.
    """
    evidence.require_complete(authentication.user)
    return renew_proof(authentication, evidence, begin_login(authentication.user.username), factor_rules())


def prove_to_enrol(authentication: Authentication, password: str | None) -> None:
    """As `prove`, of a user who has no second factor. Raises SecondFactorExists."""
    require_none(authentication.user)
    evidence = Evidence(password)
    evidence.require_complete(authentication.user)
    attempt = begin_login(authentication.user.username)
    # The user may have been read cheaply.
    if attempt.user:
        require_none(attempt.user)
    renew_proof(authentication, evidence, attempt, factor_rules())


def prove_profile(authentication: Authentication, changes: Mapping[str, Any], evidence: Evidence) -> bool:
    """Whether changes of a profile are proved in this request; as `prove` where they must be.

    The user may have been read cheaply: `update_profile` looks again.
    """
    is_asked = must_be_proved(authentication.user, changes)
    if is_asked:
        prove(authentication, evidence)
    return is_asked


def require_fresh_proof(authentication: Authentication, evidence: Evidence) -> None:
    """Go on where the password was given a short while ago, without a call; else as `prove`."""
    if not proof_rules().is_fresh(authentication.token):
        prove(authentication, evidence)


def require_proof_to_withdraw(authentication: Authentication, amount: Decimal, evidence: Evidence) -> None:
    """As `require_fresh_proof`, where a withdrawal of this amount needs one. Raises SecondFactorRequired."""
    factor_rules().require(authentication.user)
    if proof_rules().asks_for_withdrawal(authentication, amount):
        require_fresh_proof(authentication, evidence)
