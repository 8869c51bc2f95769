"""Passkeys: what a browser is asked for, and whether what it sent is right.

A challenge is a text that this service signed, for one purpose, user and session epoch, until its time is over. One
that asks for a signature also names the `version` of the second factor, which rises with each use. So it counts once,
without being stored. A wrong answer raises the version too, so that one answer to a challenge is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import structlog

from app.domain import clock
from app.domain.errors import (
    FieldError,
    InvalidInput,
    NoPasskey,
    NoSecondFactor,
    PasskeyNotFound,
    PasskeysNeedName,
    TooManyPasskeys,
)
from app.domain.mails import PRODUCT
from app.domain.networks import plain_address
from app.domain.passkeys import (
    LONGEST_CREDENTIAL_ID,
    MOST_PASSKEYS,
    Passkey,
    challenge_in,
    from_base64url,
    to_base64url,
)
from app.models import factors
from app.models.batch import retry_while_busy
from app.models.factors import SecondFactor
from app.models.users import User

# COSE: ES256, which all have, and RS256, which the TPM of an older Windows has alone.
_ALGORITHMS = (-7, -257)
_MILLISECONDS = 120_000
_ADD = "passkey to add"

log = structlog.get_logger("app.accounts")


class Purpose(StrEnum):
    """What a passkey signs for."""

    LOG_IN = "passkey for a log-in"
    PROOF = "passkey for a proof"


@dataclass(frozen=True)
class Site:
    """The site that passkeys are for: its host, the origins of its pages, and how it signs challenges.

    A host that is an IP address can have none; `named` is then the address at which it can, if that is known.
    """

    host: str
    origins: Sequence[str]
    make_challenge: Callable[[str, list[Any]], str]
    read_challenge: Callable[[str, str], list[Any] | None]
    named: str = ""

    def require_name(self) -> None:
        """Raises PasskeysNeedName."""
        if plain_address(self.host):
            raise PasskeysNeedName(self.named)


def creation_options(user: User, factor: SecondFactor | None, site: Site) -> dict[str, Any]:
    """What `navigator.credentials.create` takes as `publicKey`, binary values in base64url. No call.

    Raises NoSecondFactor, TooManyPasskeys, PasskeysNeedName.
    """
    if factor is None:
        raise NoSecondFactor()
    _require_room(factor)
    site.require_name()
    challenge = site.make_challenge(_ADD, _bound_to(user))
    return {
        "challenge": to_base64url(challenge.encode()),
        "rp": {"id": site.host, "name": PRODUCT},
        "user": {"id": to_base64url(user.username.encode()), "name": user.username, "displayName": user.username},
        "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in _ALGORITHMS],
        "timeout": _MILLISECONDS,
        "excludeCredentials": _named(factor),
        "authenticatorSelection": {"residentKey": "discouraged", "userVerification": "preferred"},
        "attestation": "none",
    }


def request_options(user: User, factor: SecondFactor | None, purpose: Purpose, site: Site) -> dict[str, Any]:
    """What `navigator.credentials.get` takes as `publicKey`, binary values in base64url. No call.

    The factor must be read consistently: a challenge for an older version does not count. Raises NoPasskey,
    PasskeysNeedName.
    """
    if factor is None or not factor.keys:
        raise NoPasskey()
    site.require_name()
    challenge = site.make_challenge(purpose, _bound_to(user, factor))
    return {
        "challenge": to_base64url(challenge.encode()),
        "rpId": site.host,
        "timeout": _MILLISECONDS,
        "allowCredentials": _named(factor),
        "userVerification": "preferred",
    }


def _named(factor: SecondFactor) -> list[dict[str, str]]:
    return [{"type": "public-key", "id": each.credential_id} for each in factor.keys]


def _bound_to(user: User, factor: SecondFactor | None = None) -> list[Any]:
    bound = [user.username, int(user.session_epoch)]
    return [*bound, int(factor.version), clock.to_text(factor.created_at)] if factor else bound


def _require_room(factor: SecondFactor) -> None:
    if len(factor.keys) >= MOST_PASSKEYS:
        raise TooManyPasskeys(MOST_PASSKEYS)


def find_used(user: User, factor: SecondFactor, signed: str, purpose: Purpose, site: Site) -> Passkey | None:
    """The passkey of this factor that signed for this purpose, as it is after it; None where nothing is right. No call.

    One whose count of signatures did not rise is refused: it may be a copy. Those that do not count always say 0.
    """
    # Imported here, as below: few processes ever need it, and it takes a dozen megabytes.
    from webauthn import verify_authentication_response

    try:
        challenge = challenge_in(signed)
        if site.read_challenge(purpose, challenge) != _bound_to(user, factor):
            raise ValueError("not a challenge for this, or too late")
        sent = json.loads(signed)
        passkey = next(each for each in factor.keys if each.credential_id == sent["id"])
        verified = verify_authentication_response(
            credential=sent,
            expected_challenge=challenge.encode(),
            expected_rp_id=site.host,
            expected_origin=list(site.origins),
            credential_public_key=from_base64url(passkey.public_key),
            credential_current_sign_count=passkey.sign_count,
        )
    # Of any kind: the library takes apart what anybody may send, and what it cannot take apart is wrong.
    except Exception as error:
        _log_refusal(user, error)
        return None
    return replace(passkey, sign_count=verified.new_sign_count, last_used_at=clock.now())


def _log_refusal(user: User, error: Exception) -> None:
    log.info("passkey refused", subject=user.username, reason=f"{type(error).__name__}: {error}"[:200])


def with_used(factor: SecondFactor, used: Passkey) -> list[Passkey]:
    """The passkeys of a factor, after one was used."""
    return [used if each.credential_id == used.credential_id else each for each in factor.keys]


@retry_while_busy
def add(user: User, credential: str, name: str, site: Site) -> Passkey:
    """Add a passkey, after a proof, and tell its user. Two calls.

    Raises NoSecondFactor, TooManyPasskeys, InvalidInput for what no passkey of this user and site made now, Busy.
    """
    factor = factors.find_factor(user.username)
    if factor is None:
        raise NoSecondFactor()
    _require_room(factor)
    passkey = _made(user, credential, name, site)
    if any(each.credential_id == passkey.credential_id for each in factor.keys):
        raise InvalidInput(FieldError("credential", "This passkey is among yours already."))
    factors.add_passkey(user, factor, passkey)
    log.info("passkey added", subject=user.username)
    return passkey


def _made(user: User, credential: str, name: str, site: Site) -> Passkey:
    from webauthn import verify_registration_response
    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    wrong = InvalidInput(FieldError("credential", "The passkey could not be added, or it took too long. Begin again."))
    try:
        challenge = challenge_in(credential)
        if site.read_challenge(_ADD, challenge) != _bound_to(user):
            raise ValueError("not a challenge to add one, or too late")
        made = verify_registration_response(
            credential=credential,
            expected_challenge=challenge.encode(),
            expected_rp_id=site.host,
            expected_origin=list(site.origins),
            supported_pub_key_algs=[COSEAlgorithmIdentifier(each) for each in _ALGORITHMS],
        )
        if len(made.credential_id) > LONGEST_CREDENTIAL_ID:
            raise ValueError("its id is too long")
    # As in `find_used`.
    except Exception as error:
        _log_refusal(user, error)
        raise wrong from error
    return Passkey(
        credential_id=to_base64url(made.credential_id),
        public_key=to_base64url(made.credential_public_key),
        sign_count=made.sign_count,
        name=name,
        created_at=clock.now(),
    )


def get_passkey(factor: SecondFactor | None, passkey_id: str) -> Passkey:
    """No call. Raises PasskeyNotFound."""
    for each in factor.keys if factor else []:
        if each.passkey_id == passkey_id:
            return each
    raise PasskeyNotFound()


@retry_while_busy
def remove(user: User, passkey_id: str) -> None:
    """Remove a passkey, after a proof, and tell its user. Two calls. Raises PasskeyNotFound, Busy."""
    factor = factors.find_factor(user.username)
    passkey = get_passkey(factor, passkey_id)
    assert factor is not None, "it has the passkey"
    factors.remove_passkey(user, factor, passkey)
    log.info("passkey removed", subject=user.username)
