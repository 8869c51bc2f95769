"""Signing in and out: the first page, registering, logging in, logging out."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.schemas.inputs import LoginInput, RegistrationInput
from app.services import auth, market
from app.views.http import begin_login, prices
from app.views.pages.forms import Form, submits
from app.views.pages.links import mail_note
from app.views.pages.sessions import begin_session, end_session, is_logged_in, local_path

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
    """To the page that asked for a log-in, else to the dashboard."""
    return redirect(_back() or url_for("dashboard.dashboard"), 303)


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
    user = auth.register(auth.Registration(**data))
    begin_session(user)
    asks = "" if user.has_confirmed_email else f" Open the link in the mail to {user.email}.{mail_note()}"
    flash(f"Welcome, {user.first_name}. Your account is open.{asks}")
    return _go_on()


@blueprint.get("/login")
def log_in() -> str:
    return _log_in_page(Form())


@blueprint.post("/login")
@submits(LoginInput, again=_log_in_page)
def send_log_in(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    begin_session(auth.check_password(begin_login(data["username"]), data["password"]))
    return _go_on()


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    end_session()
    flash("You are logged out.")
    response = redirect(url_for("sign_in.landing"), 303)
    # Not "cookies": the message is in one.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response
