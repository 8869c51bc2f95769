"""The cookies of browsers: `session`, `device` and `theme`."""

from __future__ import annotations

import re
from datetime import timedelta

from flask import Flask, current_app, request
from werkzeug.wrappers import Response


def cookie_name(app: Flask, word: str) -> str:
    """Browsers send a cookie to all ports of a host, so that two copies on one host need names of their own.

    Other sub-domains, and pages over http, can set a cookie of this host, but none with a prefix of its name. The port
    is the one that the browser sees.
    """
    port = re.search(r":([0-9]{1,5})\Z", request.headers.get("Host", ""))
    name = f"{word}_{port[1]}" if port else word
    if not app.config["SESSION_COOKIE_SECURE"]:
        return name
    # Browsers keep such a cookie only from https, and `__Host-` from this host alone and for all its paths.
    return f"__Secure-{name}" if request.script_root else f"__Host-{name}"


def keep_cookie(response: Response, word: str, value: str, *, lifetime: timedelta) -> None:
    """Let the browser keep a value for this site alone, where no script reads it. A lifetime of nothing removes it."""
    response.set_cookie(
        cookie_name(current_app, word),
        value,
        max_age=lifetime,
        path=request.script_root or "/",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )
