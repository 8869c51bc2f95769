"""Taking everything along, and closing the account."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.domain.errors import ClosedSince
from app.schemas.inputs import CloseInput
from app.services import closing
from app.views.http import archive_of, begin_login
from app.views.limits import reads_statement
from app.views.pages.forms import Form, submits
from app.views.pages.sessions import current_username, forget_session, has_closed, logged_in_user, only_for_users
from app.views.proofs import factor_rules, take_evidence

blueprint = Blueprint("leaving", __name__, url_prefix="/account")


@blueprint.before_request
def go_on() -> ResponseReturnValue | None:
    """Who sends the form twice is told the same twice. This comes before visitors are asked to log in."""
    return _say_goodbye() if request.method == "POST" and has_closed() else None


only_for_users(blueprint)


@blueprint.get("/export")
@reads_statement
def export() -> Response:
    return archive_of(logged_in_user())


def _close_page(form: Form) -> str:
    user = logged_in_user()
    return render_template("close.html", form=form, user=user, remains=closing.find_remains(user.username))


@blueprint.get("/close")
def close() -> str:
    return _close_page(Form())


@blueprint.post("/close")
@submits(CloseInput, again=_close_page)
def send_close(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    # Closed since: by the same form, sent twice at once.
    with suppress(ClosedSince):
        closing.close_account(begin_login(current_username()), take_evidence(data), factor_rules())
    return _say_goodbye()


def _say_goodbye() -> ResponseReturnValue:
    forget_session()
    flash("Your account is closed, and you are logged out everywhere.")
    return redirect(url_for("sign_in.landing"), 303)
