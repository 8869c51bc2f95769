"""Signing in and out: the first page, registering, logging in, logging out."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.domain.errors import CodeRequired
from app.domain.events import EventKind
from app.models.events import record
from app.models.ledger import get_balance
from app.schemas.inputs import LoginInput, RegistrationInput, SecondStepInput, TicketInput
from app.services import auth, market
from app.services.second_factor import login_options, pass_second_factor
from app.views.http import begin_login, network, prices
from app.views.pages.forms import Form, sent_form, submits
from app.views.pages.sessions import begin_session, end_session, is_logged_in, local_path, logged_in_user
from app.views.passkeys import passkey_site
from app.views.proofs import factor_rules
from app.views.second_factor import find_second_step, new_ticket

blueprint = Blueprint("sign_in", __name__)


def _is_public_page() -> bool:
    return request.endpoint != "sign_in.log_out" and request.method in {"GET", "HEAD"}


@blueprint.before_request
def go_on() -> ResponseReturnValue | None:
    """Users who are logged in do not need these pages: they go where a log-in would lead."""
    return _go_on() if _is_public_page() and is_logged_in() else None


def _back() -> str | None:
    return local_path(request.args.get("next"))


def _go_on() -> ResponseReturnValue:
    """To the page that asked for a log-in, else to the dashboard; an administrator who never moved money, to *Admin*.

    That costs one call, for administrators alone.
    """
    return redirect(_back() or url_for("admin.search" if _is_admin_alone() else "dashboard.dashboard"), 303)


def _is_admin_alone() -> bool:
    user = logged_in_user()
    return user.is_admin and not get_balance(user.username).version


def _register_page(form: Form) -> str:
    return render_template("register.html", form=form, back=_back())


def _log_in_page(form: Form) -> str:
    return render_template("log_in.html", form=form, back=_back())


@blueprint.get("/")
def landing() -> str:
    return render_template("landing.html", assets=market.list_assets(prices(), active_only=True, limit=5))


@blueprint.get("/register")
def register() -> str:
    return _register_page(Form())


@blueprint.post("/register")
@submits(RegistrationInput, again=_register_page)
def send_registration(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    user = auth.register(auth.Registration(**data), address=network())
    begin_session(user)
    flash("", "welcome")
    return _go_on()


@blueprint.get("/login")
def log_in() -> str:
    return _log_in_page(Form())


@blueprint.post("/login")
@submits(LoginInput, again=_log_in_page)
def send_log_in(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    attempt = begin_login(data["username"])
    user = auth.check_password(attempt, data["password"])
    try:
        pass_second_factor(user, data["code"], attempt, factor_rules())
    except CodeRequired:
        return _code_page(Form({"ticket": new_ticket(user)}))
    begin_session(user)
    record(user.username, EventKind.LOG_IN)
    return _go_on()


def _code_page(form: Form) -> str:
    return render_template("log_in_code.html", form=form, ticket=form.value("ticket"), back=_back())


@blueprint.get("/login/code")
def code() -> ResponseReturnValue:
    """Nobody links to the second step: it follows the first."""
    return redirect(url_for("sign_in.log_in", next=_back()), 303)


@blueprint.post("/login/code")
@submits(SecondStepInput, again=_code_page)
def send_code(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    attempt = find_second_step(data["ticket"])
    if attempt is None or attempt.user is None:
        flash("This took too long, or your account was changed meanwhile. Log in again.")
        return code()
    pass_second_factor(attempt.user, data["code"], attempt, factor_rules())
    begin_session(attempt.user)
    record(attempt.user.username, EventKind.LOG_IN)
    return _go_on()


@blueprint.post("/login/code/passkey")
def passkey_challenge() -> ResponseReturnValue:
    """What the script of the second step hands to the browser, as JSON."""
    attempt = find_second_step(sent_form().load(TicketInput(), {})["ticket"])
    if attempt is None or attempt.user is None:
        return code()
    return {"public_key": login_options(attempt.user, passkey_site())}


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    end_session()
    flash("You are logged out.")
    response = redirect(url_for("sign_in.landing"), 303)
    # Not "cookies": the message is in one, and the mark of the device stays in another.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response
