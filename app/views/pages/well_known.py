"""Addresses that programs know by heart: where to report a weakness, and where to change a password."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, current_app, redirect, url_for
from flask.typing import ResponseReturnValue

from app.domain import clock
from app.domain.errors import NotFound

# RFC 9116 recommends less than a year. The file is written anew for each request.
VALID_FOR = timedelta(days=180)

blueprint = Blueprint("well_known", __name__, url_prefix="/.well-known")


@blueprint.get("/security.txt")
def security_txt() -> Response:
    """How to report a weakness (RFC 9116). Raises NotFound where nobody is named."""
    contact = current_app.config["SECURITY_CONTACT"]
    if contact is None:
        raise NotFound()
    expires = f"{(clock.now() + VALID_FOR):%Y-%m-%dT00:00:00Z}"
    lines = f"Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en\n"
    return Response(lines, content_type="text/plain; charset=utf-8")


@blueprint.get("/change-password")
def change_password() -> ResponseReturnValue:
    """To the page that changes a password, for password managers (W3C, "A Well-Known URL for Changing Passwords")."""
    return redirect(url_for("profile.password"), 303)
