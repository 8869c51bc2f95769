"""What all answers share: the start and end of a request, headers, exact JSON, CSV, prices and log-in attempts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextvars import copy_context
from itertools import chain
from typing import Any

import simplejson
import structlog
from flask import Flask, Response, current_app, g, request
from flask.json.provider import DefaultJSONProvider

from app.domain.errors import Overloaded
from app.domain.identifiers import REQUEST_ID, matches
from app.domain.mails import MailKind, link_of
from app.mail import MailSettings
from app.models.database import meter
from app.prices import PriceSource
from app.services import auth, recovery
from app.services.tokens import Origin
from app.views.errors import show_rate_limit
from app.views.request_log import report

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: over https the CSRF check compares the Referer.
    "Referrer-Policy": "same-origin",
}


# What these cost could tell whether a name or an address has an account.
WITHOUT_COSTS = frozenset(
    {
        *("Accounts.register", "Accounts.login", "Accounts.forget_password", "Accounts.reset_password"),
        *("Accounts.confirm_email", "sign_in.send_registration", "sign_in.send_log_in"),
        *("links.send_forgotten", "links.reset", "links.send_reset", "links.confirm", "links.send_confirmation"),
    }
)


# In the environment of a request: whether the server has too much to do, and it must be refused without any call.
OVERLOADED = "order_processor.overloaded"


def init_app(app: Flask) -> None:
    # Two slashes in a row are another address, not a redirect: a redirect would drop a POST's body.
    app.url_map.merge_slashes = False
    app.json = _ExactJson(app)
    app.jinja_env.globals["current_path"] = current_path
    app.before_request(_start_request)
    app.after_request(_finish_response)
    app.teardown_request(_end_request)


class _ExactJson(DefaultJSONProvider):
    """Writes a Decimal as a number with exactly its digits; the standard library would go through float."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        kwargs.setdefault("default", self.default)
        kwargs.setdefault("ensure_ascii", self.ensure_ascii)
        kwargs.setdefault("sort_keys", False)
        return simplejson.dumps(obj, use_decimal=True, **kwargs)


def current_path() -> str:
    """The path of this page as browsers see it: below the prefix of a proxy, if there is one."""
    return request.script_root + request.path


def prices() -> PriceSource:
    """The price source of the running application."""
    source: PriceSource = current_app.extensions["prices"]
    return source


def csv_answer(
    lines: Iterator[str], subject: str, query: Mapping[str, Any], *, for_spreadsheet: bool = False
) -> Response:
    """Lines of CSV as a download, sent while they are read, with the database and the meter of this request.

    The file is named after its subject, and the asset and the days that the query asks for. Spreadsheets know UTF-8
    only by a byte order mark, while scripts would take it for a part of the first column's name.
    """
    context = copy_context()
    chunks = chain(["\N{BYTE ORDER MARK}"] if for_spreadsheet else [], lines)
    rows = iter(lambda: context.run(next, chunks, None), None)
    asked = {"": query.get("asset_id"), "from-": query["first_day"], "to-": query["last_day"]}
    name = "-".join([subject, *(f"{word}{value}" for word, value in asked.items() if value)])
    headers = {"Content-Disposition": f"attachment; filename={name}.csv"}
    return Response(rows, content_type="text/csv; charset=utf-8", headers=headers)


def mail_settings() -> MailSettings:
    """How the running application sends mail, if it does."""
    settings: MailSettings = current_app.extensions["mail"]
    return settings


def reset_link(made: recovery.ResetLink) -> str:
    """The address of a link for a new password: on the site as it is set, or else as this request sees it."""
    site = mail_settings().site or request.url_root.rstrip("/")
    return link_of(MailKind.RESET_PASSWORD, made.token, site=site)


def _start_request() -> None:
    g.started = time.monotonic()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if matches(REQUEST_ID, given) else secrets.token_hex(8)
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    if request.environ.get(OVERLOADED):
        raise Overloaded()


def _finish_response(response: Response) -> Response:
    used = meter()
    if response.status_code == 204:
        # flask-smorest calls an empty body JSON, and some clients then try to read it.
        response.headers.pop("Content-Type", None)
    response.headers["X-Request-ID"] = g.request_id
    timing = f"total;dur={(time.monotonic() - g.started) * 1000:.1f}"
    if request.endpoint not in WITHOUT_COSTS:
        timing += (
            f', db;dur={used.seconds * 1000:.1f};desc="{used.calls} calls, '
            f'{used.read_units} read units, {used.write_units} write units"'
        )
    response.headers["Server-Timing"] = timing
    # Answers are private: no shared cache may keep them, nor may the back button show them after logging out.
    response.headers.setdefault("Cache-Control", "no-store")
    for name, value in {**SECURITY_HEADERS, **g.get("rate_headers", {})}.items():
        response.headers.setdefault(name, value)
    report(response)
    return response


def _end_request(_: BaseException | None) -> None:
    # The thread goes on to other requests.
    structlog.contextvars.unbind_contextvars("request_id")


def origin() -> Origin:
    """From where this request comes."""
    return Origin(request.remote_addr or "", request.headers.get("User-Agent", ""))


def begin_login(name: str) -> auth.LoginAttempt:
    """An attempt to log in from this request's address; the answer's headers tell its limit. Raises TooManyRequests."""
    attempt = auth.begin_login(name, address=request.remote_addr or "")
    show_rate_limit(attempt.limit, attempt.remaining, attempt.reset_seconds)
    return attempt
