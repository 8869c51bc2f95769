"""What users manage about themselves: profile, password, sessions and personal tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.domain import clock
from app.domain.errors import NotFound, SessionNotFound, TokenNotFound
from app.domain.users import READ, SCOPES, TRADE, TRANSFER
from app.models.users import Token, User
from app.schemas.inputs import EndSessionsForm, Input, PageInput, PasswordInput, ProfileForm, ThemeInput, TokenForm
from app.services import profile, recovery, tokens
from app.views.cookies import keep_cookie
from app.views.http import THEMES, begin_login, chosen_theme, site_root
from app.views.pages.forms import Form, submits
from app.views.pages.links import mail_note
from app.views.pages.outcomes import already_done
from app.views.pages.sessions import (
    begin_session,
    current_authentication,
    current_token,
    current_username,
    logged_in_user,
    only_for_users,
)
from app.views.paging import listing, read_page, read_query
from app.views.proofs import factor_rules, prove_profile, require_fresh_proof, take_evidence

SCOPE_NAMES = {
    READ: "Read only",
    f"{READ} {TRADE}": "Read and trade",
    f"{READ} {TRANSFER}": "Read, and move money in or out",
    " ".join(SCOPES): "Read, trade, and move money in or out",
}

blueprint = Blueprint("profile", __name__, url_prefix="/account")
only_for_users(blueprint)


def _filled(user: User) -> Form:
    stored = {
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "phone": user.phone,
        "date_of_birth": user.date_of_birth,
        "marketing_emails_consent": "yes" if user.marketing_emails_consent else "",
    }
    return Form({name: text for name, text in stored.items() if text})


def _profile_page(form: Form, colours: Form | None = None) -> str:
    user = logged_in_user()
    waiting = recovery.find_waiting_address(user)
    colours = colours or Form({"theme": chosen_theme() or "device"})
    return render_template("profile.html", form=form, user=user, waiting=waiting, note=mail_note(), colours=colours)


@blueprint.get("")
def show() -> str:
    return _profile_page(_filled(logged_in_user()))


def _refused_theme(colours: Form) -> str:
    return _profile_page(_filled(logged_in_user()), colours)


@blueprint.get("/theme")
def back_to_profile() -> ResponseReturnValue:
    """The page to return to after logging in with that form."""
    return redirect(url_for("profile.show"), 303)


@blueprint.post("/theme")
@submits(ThemeInput, again=_refused_theme, writes=False)
def choose_theme(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    """Kept for a year in a cookie of this browser, also when it logs out."""
    response = redirect(url_for("profile.show"), 303)
    lifetime = timedelta(days=365 if data["theme"] in THEMES else 0)
    keep_cookie(response, "theme", data["theme"], lifetime=lifetime)
    return response


@blueprint.post("")
@submits(ProfileForm, again=_profile_page)
def send_profile(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    evidence = take_evidence(data)
    proved = prove_profile(current_authentication(), data, evidence)
    user = profile.update_profile(logged_in_user(), data, proved=proved)
    waits = " The new address counts when you open the link in the mail to it." if data["email"] != user.email else ""
    flash(f"Your profile is saved.{waits}")
    return redirect(url_for("profile.show"), 303)


@blueprint.post("/email/link")
@submits(Input, again=lambda form: _profile_page(_refused(form)))
def send_link(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    address = recovery.send_confirmation(logged_in_user())
    flash("A new link is on its way to the address below." if address else "No address waits to be confirmed.")
    return redirect(url_for("profile.show"), 303)


def _refused(form: Form) -> Form:
    """The form of the profile, with the error of the one that asks for a link."""
    filled = _filled(logged_in_user())
    filled.errors = form.errors
    return filled


def _password_page(form: Form) -> str:
    return render_template("password.html", form=form, user=logged_in_user())


@blueprint.get("/password")
def password() -> str:
    return _password_page(Form())


@blueprint.post("/password")
@submits(PasswordInput, again=_password_page)
def send_password(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    evidence = take_evidence(data)
    begin_session(profile.change_password(begin_login(current_username()), evidence, factor_rules(), **data))
    flash("Your password is changed. You stay logged in here; everywhere else you are logged out.")
    return redirect(url_for("profile.show"), 303)


@blueprint.get("/events")
def event_list() -> str:
    query = read_query(PageInput())
    page = profile.list_events(current_username(), read_page(query))
    return render_template("events.html", listing=listing(page, query))


def _sessions_page(form: Form) -> str:
    sessions = tokens.list_sessions(logged_in_user())
    return render_template("sessions.html", form=form, sessions=sessions, this=current_token().token_id)


@blueprint.get("/sessions")
def sessions() -> str:
    return _sessions_page(Form())


@blueprint.post("/sessions")
@submits(EndSessionsForm, again=_sessions_page)
def end_sessions(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    proved_at = current_token().proved
    begin_session(profile.log_out_everywhere(current_username(), **data), proved_at=proved_at)
    flash("You are logged out everywhere but here.")
    return redirect(url_for("profile.sessions"), 303)


def _session_page(form: Form, token_id: str) -> str:
    session = _one_of(tokens.list_sessions(logged_in_user()), token_id, SessionNotFound)
    return render_template("session_end.html", form=form, session=session)


@blueprint.get("/sessions/<token_id>")
def session(token_id: str) -> str:
    return _session_page(Form(), token_id)


@blueprint.post("/sessions/<token_id>")
@submits(Input, again=_session_page)
def end_one_session(form: Form, data: dict[str, Any], token_id: str) -> ResponseReturnValue:
    tokens.end_session(current_username(), token_id)
    flash("The session has ended. What used it must log in again.")
    return redirect(url_for("profile.sessions"), 303)


def _one_of(found: list[Token], token_id: str, missing: type[NotFound]) -> Token:
    """Raises `missing`."""
    token = next((each for each in found if each.token_id == token_id), None)
    if token is None:
        raise missing()
    return token


def _tokens_page(form: Form) -> str:
    return render_template(
        "tokens.html", form=form, tokens=tokens.list_personal_tokens(logged_in_user()), names=SCOPE_NAMES
    )


@blueprint.get("/tokens")
def token_list() -> str:
    last_day = (clock.now() + tokens.PERSONAL_TOKEN_LIFETIME - timedelta(days=1)).date()
    return _tokens_page(Form({"scopes": READ, "ends_on": last_day.isoformat()}))


@blueprint.post("/tokens")
@submits(TokenForm, again=_tokens_page)
def send_token(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    require_fresh_proof(current_authentication(), take_evidence(data))
    made = tokens.create_personal_token(logged_in_user(), **data, idempotency_key=form.sent_key())
    if made.bearer is None:
        advice = "Its secret was shown only then: if you did not copy it, revoke the token and make another."
        flash(f"{already_done(made.token.created_at)} {advice}")
        return redirect(url_for("profile.token_list"), 303)
    # No redirect: it would have to carry the secret in its address or in the session.
    return render_template("token_new.html", made=made, names=SCOPE_NAMES, site=site_root()), 201


def _token_page(form: Form, token_id: str) -> str:
    token = _one_of(tokens.list_personal_tokens(logged_in_user()), token_id, TokenNotFound)
    return render_template("token_revoke.html", form=form, token=token, names=SCOPE_NAMES)


@blueprint.get("/tokens/<token_id>")
def token(token_id: str) -> str:
    return _token_page(Form(), token_id)


@blueprint.post("/tokens/<token_id>")
@submits(Input, again=_token_page)
def revoke_token(form: Form, data: dict[str, Any], token_id: str) -> ResponseReturnValue:
    tokens.revoke_personal_token(current_username(), token_id)
    flash("The token is revoked. It is refused from now on.")
    return redirect(url_for("profile.token_list"), 303)
