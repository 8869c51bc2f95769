"""Forms that come from a page of another site are refused, whatever token and cookie they bring.

Browsers say with each request from where it comes: in Sec-Fetch-Site, which no script can change, or in Origin. A
client that says neither is not a browser of today; for it the token of the form decides alone.
"""

from __future__ import annotations

from flask import Flask, request
from flask.typing import ResponseReturnValue

from app.views.errors import wants_json
from app.views.http import own_origins, plain_origin
from app.views.pages.sessions import CsrfFault, refuse_form

OTHER_SITE = CsrfFault(
    "other_site",
    "The form came from a page of another site. Open this site at its own address and fill in the form there.",
)
OTHER_HOST = CsrfFault(
    "other_host",
    "The form came from a page of another address than the one that received it. Open this site at its own address "
    "and fill in the form there. If you did, the site is set up wrong: tell those who run it.",
    "The Origin names another host than the header Host. A proxy must pass on the Host that it was asked for.",
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def init_app(app: Flask) -> None:
    app.before_request(_refuse_other_sites)


def _refuse_other_sites() -> ResponseReturnValue | None:
    # The API takes no cookie, so that a foreign page cannot act for anybody.
    if request.method in SAFE_METHODS or wants_json():
        return None
    fault = _fault()
    return refuse_form(fault) if fault else None


def _fault() -> CsrfFault | None:
    """Why the page that this request comes from may not send it, if it may not."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in {None, "same-origin", "none"}:
        return OTHER_SITE
    # A page that hides its address sends null; of its own site only where the browser says so.
    if origin == "null":
        return None if site else OTHER_SITE
    return OTHER_HOST if origin and plain_origin(origin) not in own_origins() else None
