"""What all answers share: the start and end of a request, headers, exact JSON, CSV, prices and log-in attempts."""

from __future__ import annotations

import re
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
from app.views.errors import UnknownHost, answer_error, show_rate_limit
from app.views.request_log import report

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it, browsers hide the Origin of a form too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# A year, as browsers' own lists and ASVS 5.0 (3.4.1) want it.
HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
# The probes of a balancer name its own address of a copy.
ANY_HOST = frozenset({"/health", "/ready", "/metrics"})


THIS_MACHINE = r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?"
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


def security_headers(app: Flask, *, is_https: bool) -> dict[str, str]:
    """The headers of every answer. Those that promise https stand only where cookies are for https alone."""
    return SECURITY_HEADERS | (HTTPS_ONLY if is_https and app.config["SESSION_COOKIE_SECURE"] else {})


def site_root() -> str:
    """The address of the site, with a slash at its end. A host that is neither listed nor this machine is left out."""
    is_ours = current_app.config["SITE_HOSTS"] or re.fullmatch(THIS_MACHINE, request.host)
    return request.url_root if is_ours else f"https://ADDRESS-OF-THIS-SITE{request.script_root}/"


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
    """The address of a link for a new password: on the site as it is set, or else as `site_root` has it."""
    site = mail_settings().site or site_root().rstrip("/")
    return link_of(MailKind.RESET_PASSWORD, made.token, site=site)


def _start_request() -> Response | None:
    g.started = time.monotonic()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if matches(REQUEST_ID, given) else secrets.token_hex(8)
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    if request.environ.get(OVERLOADED):
        raise Overloaded()
    return None if request.path in ANY_HOST or _is_listed(request.host) else answer_error(UnknownHost())


def _is_listed(host: str) -> bool:
    """Whether the site has this host name, at any port. One that is listed as `.shop.example` has all below it too."""
    listed = current_app.config["SITE_HOSTS"]
    name = re.sub(r":[0-9]*\Z", "", host).lower()
    return not listed or any(
        name == each.removeprefix(".") or (each.startswith(".") and name.endswith(each)) for each in listed
    )


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
    ours = security_headers(current_app, is_https=request.is_secure)
    for name, value in {**ours, **g.get("rate_headers", {})}.items():
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
