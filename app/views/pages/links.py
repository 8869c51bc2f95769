"""Pages of mailed links: confirming an e-mail address, a forgotten password, and choosing a new one.

Opening a link uses nothing up, because mail programs fetch links ahead: the button of its page does. The link's token
is in the address of that page. So the page lets no other page or site know its address.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.domain.errors import LinkInvalid
from app.domain.mails import MailKind
from app.schemas.inputs import ForgottenInput, LinkInput, ResetInput
from app.services import recovery
from app.views.devices import remember_device
from app.views.http import mail_settings, network
from app.views.pages.forms import Form, submits
from app.views.pages.sessions import is_logged_in

blueprint = Blueprint("links", __name__)

# Not no-referrer: browsers would send the forms of these pages with `Origin: null`, as foreign pages can.
REFERRER_POLICY = "strict-origin"


@blueprint.after_request
def _hide_address(response: Response) -> Response:
    response.headers["Referrer-Policy"] = REFERRER_POLICY
    return response


def mail_note() -> str:
    """What to add where a page says that a mail is on its way, if it goes into a folder instead."""
    if mail_settings().server:
        return ""
    return " No mail server is set up. The mail is in the folder mail/ of the data folder, or where MAIL_FOLDER says."


def _opened(kind: MailKind) -> Form:
    """The form of the page that a link opens; with an error, if the link is not valid any more. One call."""
    form = Form({"token": request.args.get("token", "")})
    try:
        recovery.check_link(kind, form.value("token"))
    except LinkInvalid as error:
        form.refuse(error)
    return form


def _is_live(form: Form) -> bool:
    return not isinstance(form.refusal, LinkInvalid)


def _confirm_page(form: Form) -> str:
    return render_template("confirm_email.html", form=form, is_live=_is_live(form))


@blueprint.get("/confirm-email")
def confirm() -> ResponseReturnValue:
    form = _opened(MailKind.CONFIRM_EMAIL)
    return make_response(_confirm_page(form), form.status)


@blueprint.post("/confirm-email")
@submits(LinkInput, again=_confirm_page)
def send_confirmation(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    user = recovery.confirm_email(data["token"])
    # Without the address: browsers show a session cookie to who can open them.
    flash(f"Your e-mail address is confirmed. It is that of the account {user.username}.")
    return redirect(url_for("profile.show" if is_logged_in() else "sign_in.log_in"), 303)


def _forgotten_page(form: Form) -> str:
    return render_template("forgot_password.html", form=form, is_on=mail_settings().is_on)


@blueprint.get("/forgot-password")
def forgotten() -> str:
    return _forgotten_page(Form())


@blueprint.post("/forgot-password")
@submits(ForgottenInput, again=_forgotten_page)
def send_forgotten(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    recovery.ask_for_reset(data["email"], address=network())
    flash(
        "If an account has this address and it is confirmed, a mail with a link is on its way to it. The link works "
        f"for 30 minutes.{mail_note()}"
    )
    return redirect(url_for("links.forgotten"), 303)


def _reset_page(form: Form) -> str:
    return render_template("reset_password.html", form=form, is_live=_is_live(form))


@blueprint.get("/reset-password")
def reset() -> ResponseReturnValue:
    form = _opened(MailKind.RESET_PASSWORD)
    return make_response(_reset_page(form), form.status)


@blueprint.post("/reset-password")
@submits(ResetInput, again=_reset_page)
def send_reset(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    # A link of a mail shows who it is: with it, guesses from elsewhere do not keep its owner out.
    remember_device(recovery.reset_password(**data))
    flash("Your password is changed, and you are logged out everywhere. Log in with the new one.")
    return redirect(url_for("sign_in.log_in"), 303)
