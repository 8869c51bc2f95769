"""The pages of a second factor: setting one up, new recovery codes, removing it, and its passkeys."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from app.domain.errors import NoSecondFactor, Refusal
from app.models.factors import find_factor
from app.models.reading import NOTHING, Found
from app.schemas.inputs import Input, PasskeyInput, ProvenInput, SetupInput
from app.services import passkeys, second_factor
from app.services.passkeys import Purpose
from app.services.proving import Evidence
from app.views.devices import remember_device
from app.views.pages.forms import Form, submits
from app.views.pages.sessions import (
    current_authentication,
    current_token,
    current_username,
    found,
    logged_in_user,
    only_for_users,
)
from app.views.passkeys import passkey_site
from app.views.proofs import factor_rules, prove, require_fresh_proof, take_evidence
from app.views.reads import factor_of, reads
from app.views.second_factor import find_setup, new_setup, seed_of

blueprint = Blueprint("second_factor", __name__, url_prefix="/account/second-factor")
only_for_users(blueprint)


def _page(form: Form, found: Found = NOTHING) -> str:
    user = logged_in_user()
    if user.second_factor:
        factor = find_factor(user.username, found)
        if factor is None:
            # Removed elsewhere, after the user was read.
            raise NoSecondFactor()
        return render_template("second_factor.html", form=form, factor=factor)
    setup = find_setup(user, form.value("setup")) or new_setup(user)
    is_missing = factor_rules().is_missing(user, as_admin=user.is_admin)
    return render_template(
        "second_factor_setup.html", form=form, setup=setup, picture=_draw(setup.otpauth_uri), is_missing=is_missing
    )


def _draw(text: str) -> Markup:
    """A QR code as SVG."""
    # Imported here: few processes ever draw one.
    import segno

    return Markup(segno.make(text, error="m", micro=False).svg_inline(scale=5, light="#fff"))


@blueprint.get("")
@reads(factor_of)
def show() -> str:
    return _page(Form(), found())


@blueprint.post("")
@submits(SetupInput, again=_page)
def set_up(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    second_factor.require_none(logged_in_user())
    require_fresh_proof(current_authentication(), Evidence(data["current_password"]))
    seed = seed_of(logged_in_user(), data["setup"])
    codes = second_factor.enrol(current_authentication(), seed, data["code"], factor_rules().cipher)
    # The mark ended with all other sessions.
    remember_device(logged_in_user())
    return _codes_page(codes)


def _codes_page(codes: list[str]) -> ResponseReturnValue:
    """The recovery codes, once. No redirect: it would have to carry them in its address or in the session."""
    text = f"Recovery codes of {current_username()}. Each works once.\n\n" + "".join(f"{code}\n" for code in codes)
    download = f"data:text/plain;charset=utf-8,{quote(text)}"
    return render_template("second_factor_codes.html", codes=codes, download=download), 201


@blueprint.post("/keep")
@submits(Input, again=_page)
def keep(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    second_factor.keep(logged_in_user())
    flash("Your second factor stays.")
    return redirect(url_for("second_factor.show"), 303)


def _renew_page(form: Form) -> str:
    return render_template("second_factor_renew.html", form=form)


@blueprint.get("/codes")
def renew() -> str:
    return _renew_page(Form())


@blueprint.post("/codes")
@submits(ProvenInput, again=_renew_page)
def send_renewal(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    second_factor.require_one(logged_in_user())
    prove(current_authentication(), take_evidence(data))
    return _codes_page(second_factor.renew_recovery_codes(logged_in_user()))


def _remove_page(form: Form) -> str:
    return render_template("second_factor_remove.html", form=form)


@blueprint.get("/remove")
def remove() -> str:
    return _remove_page(Form())


@blueprint.post("/remove")
@submits(ProvenInput, again=_remove_page)
def send_removal(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    second_factor.require_one(logged_in_user())
    user = prove(current_authentication(), take_evidence(data))
    second_factor.remove(user, current_token())
    remember_device(user)
    flash("Your second factor is removed, and you are logged out everywhere but here.")
    return redirect(url_for("second_factor.show"), 303)


def _new_passkey_page(form: Form, found: Found = NOTHING) -> str:
    options = passkeys.creation_options(logged_in_user(), find_factor(current_username(), found), passkey_site())
    return render_template("passkey_new.html", form=form, options=options)


@blueprint.get("/passkeys/new")
@reads(factor_of)
def new_passkey() -> ResponseReturnValue:
    try:
        return _new_passkey_page(Form(), found())
    except Refusal as refusal:
        flash(str(refusal))
        return redirect(url_for("second_factor.show"), 303)


@blueprint.post("/passkeys/new")
@submits(PasskeyInput, again=_new_passkey_page)
def add_passkey(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    second_factor.require_one(logged_in_user())
    prove(current_authentication(), take_evidence(data))
    passkeys.add(logged_in_user(), **data, site=passkey_site())
    flash("The passkey is added. Use it wherever a code is asked for.")
    return redirect(url_for("second_factor.show"), 303)


@blueprint.get("/passkeys/challenge")
@reads(factor_of)
def passkey_challenge() -> ResponseReturnValue:
    """What the script of a form that asks for a code hands to the browser, as JSON."""
    factor = find_factor(current_username(), found())
    return {"public_key": passkeys.request_options(logged_in_user(), factor, Purpose.PROOF, passkey_site())}


def _passkey_page(form: Form, passkey_id: str, found: Found = NOTHING) -> str:
    passkey = passkeys.get_passkey(find_factor(current_username(), found), passkey_id)
    return render_template("passkey_remove.html", form=form, passkey=passkey)


@blueprint.get("/passkeys/<passkey_id>/remove")
@reads(factor_of)
def confirm_passkey_removal(passkey_id: str) -> str:
    return _passkey_page(Form(), passkey_id, found())


@blueprint.post("/passkeys/<passkey_id>/remove")
@submits(ProvenInput, again=_passkey_page)
def remove_passkey(form: Form, data: dict[str, Any], passkey_id: str) -> ResponseReturnValue:
    second_factor.require_one(logged_in_user())
    prove(current_authentication(), take_evidence(data))
    passkeys.remove(logged_in_user(), passkey_id)
    flash("The passkey is removed.")
    return redirect(url_for("second_factor.show"), 303)
