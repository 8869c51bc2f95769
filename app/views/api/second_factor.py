"""`/api/v1/auth/second-factor`: setting up, looking at and removing a second factor, and its passkeys."""

from __future__ import annotations

from typing import Any

from app.domain import errors
from app.models.factors import find_factor
from app.schemas.inputs import PasskeyInput, ProvenInput, SetupInput
from app.schemas.outputs import (
    PasskeyOptionsOutput,
    PasskeyOutput,
    RecoveryCodesOutput,
    SecondFactorOutput,
    SetupOutput,
)
from app.services import passkeys, second_factor
from app.services.passkeys import Purpose
from app.views.api.blueprint import JsonBlueprint, current_authentication, current_user, found
from app.views.passkeys import passkey_site
from app.views.proofs import factor_rules, prove, prove_to_enrol, take_evidence
from app.views.reads import factor_of, reads
from app.views.second_factor import new_setup, seed_of

blueprint = JsonBlueprint(
    "Second factor", __name__, url_prefix="/auth/second-factor", description="Codes of an app, and passkeys"
)


@blueprint.get("")
@blueprint.authenticated
@blueprint.response(200, SecondFactorOutput)
@reads(factor_of)
def get_second_factor() -> Any:
    """Whether there is a second factor, the recovery codes left, its passkeys, and whether it was asked to be reset."""
    factor = find_factor(current_user().username, found())
    return {
        "is_on": factor is not None,
        "since": factor and factor.created_at,
        "recovery_codes_left": len(factor.hashes) if factor else 0,
        "falls_at": factor and factor.falls_at,
        "passkeys": factor.keys if factor else [],
    }


@blueprint.post("")
@blueprint.authenticated
@blueprint.refuses(errors.SecondFactorExists)
@blueprint.response(201, SetupOutput)
def begin_second_factor() -> Any:
    """Begin to set up a second factor: put `secret` or `otpauth_uri` into an app, then confirm within 30 minutes."""
    second_factor.require_none(current_user())
    return new_setup(current_user())


@blueprint.post("/confirm")
@blueprint.authenticated
@blueprint.arguments(SetupInput)
@blueprint.refuses(errors.SecondFactorExists, errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(201, RecoveryCodesOutput)
def confirm_second_factor(data: dict[str, Any]) -> Any:
    """Set the second factor up, with a code that the app shows. The recovery codes are shown only in this answer.

    Needs `current_password`. Every other session and login token ends; personal tokens stay.
    """
    prove_to_enrol(current_authentication(), data["current_password"])
    seed = seed_of(current_user(), data["setup"])
    codes = second_factor.enrol(current_authentication(), seed, data["code"], factor_rules().cipher)
    return {"recovery_codes": codes}


@blueprint.post("/recovery-codes")
@blueprint.authenticated
@blueprint.arguments(ProvenInput)
@blueprint.refuses(errors.NoSecondFactor, errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(201, RecoveryCodesOutput)
def make_recovery_codes(data: dict[str, Any]) -> Any:
    """Replace all recovery codes; the new ones are shown only in this answer. Needs `current_password` and `code`."""
    second_factor.require_one(current_user())
    prove(current_authentication(), take_evidence(data))
    return {"recovery_codes": second_factor.renew_recovery_codes(current_user())}


@blueprint.post("/remove")
@blueprint.authenticated
@blueprint.arguments(ProvenInput)
@blueprint.refuses(errors.NoSecondFactor, errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(204)
def remove_second_factor(data: dict[str, Any]) -> None:
    """Remove the second factor. Needs `current_password` and `code`. Every other session and login token ends."""
    second_factor.require_one(current_user())
    user = prove(current_authentication(), take_evidence(data))
    second_factor.remove(user, current_authentication().token)


@blueprint.delete("/reset")
@blueprint.authenticated
@blueprint.refuses(errors.NoSecondFactor)
@blueprint.response(204)
def keep_second_factor() -> None:
    """Take back a reset of the second factor that an administrator was asked for."""
    second_factor.keep(current_user())


@blueprint.get("/passkeys/new")
@blueprint.authenticated
@blueprint.refuses(errors.NoSecondFactor, errors.TooManyPasskeys, errors.PasskeysNeedName)
@blueprint.response(200, PasskeyOptionsOutput)
@reads(factor_of)
def begin_passkey() -> Any:
    """What `navigator.credentials.create` takes, to add a passkey within five minutes."""
    factor = find_factor(current_user().username, found())
    return {"public_key": passkeys.creation_options(current_user(), factor, passkey_site())}


@blueprint.post("/passkeys")
@blueprint.authenticated
@blueprint.arguments(PasskeyInput)
@blueprint.refuses(errors.NoSecondFactor, errors.TooManyPasskeys, errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(201, PasskeyOutput)
def add_passkey(data: dict[str, Any]) -> Any:
    """Add a passkey that a browser made, as the text of its JSON. Needs `current_password` and `code`."""
    second_factor.require_one(current_user())
    prove(current_authentication(), take_evidence(data))
    return passkeys.add(current_user(), **data, site=passkey_site())


@blueprint.get("/passkeys/challenge")
@blueprint.authenticated
@blueprint.refuses(errors.NoPasskey, errors.PasskeysNeedName)
@blueprint.response(200, PasskeyOptionsOutput)
@reads(factor_of)
def begin_passkey_proof() -> Any:
    """What `navigator.credentials.get` takes; the text of the JSON that it makes is then a `code` of a proof."""
    factor = find_factor(current_user().username, found())
    return {"public_key": passkeys.request_options(current_user(), factor, Purpose.PROOF, passkey_site())}


@blueprint.post("/passkeys/<passkey_id>/remove")
@blueprint.authenticated
@blueprint.arguments(ProvenInput)
@blueprint.refuses(errors.NoSecondFactor, errors.PasskeyNotFound, errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(204)
def remove_passkey(data: dict[str, Any], passkey_id: str) -> None:
    """Remove a passkey. Needs `current_password` and `code`. Sessions go on."""
    second_factor.require_one(current_user())
    prove(current_authentication(), take_evidence(data))
    passkeys.remove(current_user(), passkey_id)
