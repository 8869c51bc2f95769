"""What all answers share: the start and end of a request, headers, exact JSON, CSV, prices and log-in attempts."""

from __future__ import annotations

import gzip
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import copy_context
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from flask import Flask, Response, current_app, request, session
from flask.json.provider import DefaultJSONProvider

from app.domain import clock
from app.domain.errors import Overloaded
from app.domain.identifiers import REQUEST_ID, matches
from app.domain.mails import MailKind, link_of
from app.domain.networks import network_of, plain_address
from app.mail import MailSettings
from app.models.database import meter
from app.models.events import begin_request, end_request
from app.models.users import User
from app.prices import PriceSource
from app.services import export, guesses, recovery
from app.services.tokens import Origin
from app.views.context import this_g, this_request
from app.views.cookies import cookie_name
from app.views.devices import find_mark
from app.views.errors import UnknownHost, answer_error, show_rate_limit
from app.views.request_log import report

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
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
THEMES = ("light", "dark")
# The probes of a balancer name its own address of a copy.
ANY_HOST = frozenset({"/health", "/ready", "/metrics"})


DEFAULT_PORTS = {"http": ":80", "https": ":443"}
THIS_MACHINE = r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?"
# What these cost could tell whether a name or an address has an account.
WITHOUT_COSTS = frozenset(
    {
        *("Accounts.register", "Accounts.login", "Accounts.begin_passkey_login"),
        *("Accounts.forget_password", "Accounts.reset_password", "Accounts.confirm_email"),
        *("sign_in.send_registration", "sign_in.send_log_in", "sign_in.send_code", "sign_in.passkey_challenge"),
        *("links.send_forgotten", "links.reset", "links.send_reset", "links.confirm", "links.send_confirmation"),
    }
)


# Flask has a way of its own with these, and takes any key for text.
AS_FLASK = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS

# In the environment of a request: whether the server has too much to do, and it must be refused without any call.
OVERLOADED = "order_processor.overloaded"


def init_app(app: Flask) -> None:
    # Two slashes in a row are another address, not a redirect: a redirect would drop a POST's body.
    app.url_map.merge_slashes = False
    app.json = _ExactJson(app)
    app.jinja_env.globals.update(current_path=current_path, chosen_theme=chosen_theme)
    app.before_request(_start_request)
    app.after_request(_finish_response)
    app.teardown_request(_end_request)


class _ExactJson(DefaultJSONProvider):
    """Writes a Decimal as a number with exactly its digits; the standard library would go through float."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        layout = orjson.OPT_INDENT_2 if kwargs.get("indent") else 0
        try:
            return orjson.dumps(obj, default=self._write_other, option=AS_FLASK | layout).decode()
        except TypeError:  # half of a surrogate pair, which nothing that is stored has
            return super().dumps(obj, **{"sort_keys": False, **kwargs})

    def _write_other(self, value: Any) -> Any:
        return orjson.Fragment(str(value)) if isinstance(value, Decimal) else self.default(value)


def current_path() -> str:
    """The path of this page as browsers see it: below the prefix of a proxy, if there is one."""
    return request.script_root + request.path


def chosen_theme() -> str:
    """The theme that was chosen in this browser: one of THEMES; empty for that of the device."""
    theme = request.cookies.get(cookie_name(current_app, "theme"), "")
    return theme if theme in THEMES else ""


def add_security_headers(app: Flask) -> None:
    """Add SECURITY_HEADERS to every answer that does not have them already, files too.

    What promises https stands only where cookies are for https alone. Below Flask, where to add a header costs least.
    """
    answer = app.wsgi_app
    plain, https = list(SECURITY_HEADERS.items()), list((SECURITY_HEADERS | HTTPS_ONLY).items())

    def answer_safely(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_secure = environ["wsgi.url_scheme"] == "https" and app.config["SESSION_COOKIE_SECURE"]
        ours = https if is_secure else plain

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            given = {name.lower() for name, _ in headers}
            more = [(name, value) for name, value in ours if name.lower() not in given]
            return start_response(status, [*headers, *more], exc_info)

        return answer(environ, start)

    app.wsgi_app = answer_safely  # type: ignore[method-assign]


def own_origins() -> list[str]:
    """The origins of the pages at the host of this request, as browsers write them.

    A proxy that does not say so may have had https where the application sees http, but never the other way round.
    """
    schemes = ["https"] if request.is_secure else ["https", "http"]
    return [plain_origin(f"{scheme}://{request.host}") for scheme in schemes]


def plain_origin(origin: str) -> str:
    """An origin as browsers write it: in lower case, without the port that its scheme implies."""
    origin = origin.lower()
    return origin.removesuffix(DEFAULT_PORTS.get(origin.partition(":")[0], ""))


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
    """Lines of CSV as a download.

    The file is named after its subject, and the asset and the days that the query asks for. Spreadsheets know UTF-8
    only by a byte order mark, while scripts would take it for a part of the first column's name.
    """
    chunks = chain(["\N{BYTE ORDER MARK}"] if for_spreadsheet else [], lines)
    asked = {"": query.get("asset_id"), "from-": query.get("first_day"), "to-": query.get("last_day")}
    name = "-".join([subject, *(f"{word}{value}" for word, value in asked.items() if value)])
    return download(chunks, f"{name}.csv", "text/csv; charset=utf-8")


def download(chunks: Iterator[Any], name: str, content_type: str) -> Response:
    """A file that is sent while it is read, with the database and the meter of this request."""
    context = copy_context()
    parts = iter(lambda: context.run(next, chunks, None), None)
    headers = {"Content-Disposition": f"attachment; filename={name}"}
    return Response(parts, content_type=content_type, headers=headers)


def archive_of(user: User) -> Response:
    """All that is stored of a user's account, as a ZIP archive."""
    now = clock.now()
    return download(export.open_export(user, now=now), f"{user.username}-{now:%Y-%m-%d}.zip", "application/zip")


def approval_over() -> Decimal:
    """Over how many dollars an adjustment waits for a second administrator."""
    amount: Decimal = current_app.config["ADJUSTMENT_APPROVAL_OVER"]
    return amount


def mail_settings() -> MailSettings:
    """How the running application sends mail, if it does."""
    settings: MailSettings = current_app.extensions["mail"]
    return settings


def reset_link(made: recovery.ResetLink) -> str:
    """The address of a link for a new password: on the site as it is set, or else as `site_root` has it."""
    site = mail_settings().site or site_root().rstrip("/")
    return link_of(MailKind.RESET_PASSWORD, made.token, site=site)


def _start_request() -> Response | None:
    asked, kept = this_request(), this_g()
    kept.started = time.monotonic()
    given = asked.headers.get("X-Request-ID", "")
    kept.request_id = given if matches(REQUEST_ID, given) else secrets.token_hex(8)
    structlog.contextvars.bind_contextvars(request_id=kept.request_id)
    came_from = origin()
    begin_request(address=came_from.address, agent=came_from.agent, request_id=kept.request_id)
    if asked.environ.get(OVERLOADED):
        raise Overloaded()
    return None if asked.path in ANY_HOST or _is_listed(asked.host) else answer_error(UnknownHost())


def _is_listed(host: str) -> bool:
    """Whether the site has this host name, at any port. One that is listed as `.shop.example` has all below it too."""
    listed = current_app.config["SITE_HOSTS"]
    if not listed:
        return True
    name = re.sub(r":[0-9]*\Z", "", host).lower()
    return any(name == each.removeprefix(".") or (each.startswith(".") and name.endswith(each)) for each in listed)


def _finish_response(response: Response) -> Response:
    asked, kept, used = this_request(), this_g(), meter()
    headers = response.headers
    if response.status_code == 204:
        # flask-smorest calls an empty body JSON, and some clients then try to read it.
        headers.pop("Content-Type", None)
    timing = f"total;dur={(time.monotonic() - kept.started) * 1000:.1f}"
    if asked.endpoint not in WITHOUT_COSTS:
        timing += (
            f', db;dur={used.seconds * 1000:.1f};desc="{used.calls} calls, '
            f'{used.read_units} read units, {used.write_units} write units"'
        )
    ours = {
        "X-Request-ID": kept.request_id,
        "Server-Timing": timing,
        # Answers are private: no shared cache may keep them, nor may the back button show them after logging out.
        "Cache-Control": "no-store",
        **kept.get("rate_headers", {}),
    }
    # Werkzeug's own way costs a raised and caught exception for each header that is new.
    given = {name.lower() for name, _ in headers}
    headers.extend((name, value) for name, value in ours.items() if name.lower() not in given)
    _compress(response)
    report(response)
    return response


def _compress(response: Response) -> None:
    """Compress a page for someone without a session: nothing secret stands in it, not even the token of a form.

    The size of a compressed page would tell a secret that stands beside text which others choose (BREACH).
    """
    is_public = request.method in {"GET", "HEAD"} and response.mimetype == "text/html" and not session
    if not is_public or response.is_streamed or response.status_code != 200:
        return
    response.vary.add("Accept-Encoding")
    if request.accept_encodings.quality("gzip") > 0:
        response.set_data(gzip.compress(response.get_data(), mtime=0))
        response.content_encoding = "gzip"


def _end_request(_: BaseException | None) -> None:
    # The thread goes on to other requests.
    structlog.contextvars.unbind_contextvars("request_id")
    end_request()


def origin() -> Origin:
    """From where this request comes."""
    asked = this_request()
    return Origin(plain_address(asked.remote_addr or ""), asked.headers.get("User-Agent", ""))


def network() -> str:
    """What counts as the address that this request comes from, wherever one has a limit."""
    return network_of(request.remote_addr or "")


def begin_login(name: str) -> guesses.LoginAttempt:
    """An attempt to log in from this device; the answer's headers tell its limit. Raises TooManyGuesses."""
    attempt = guesses.begin_login(name, address=network(), find_mark=find_mark)
    show_rate_limit(attempt.limit, attempt.remaining, attempt.reset_seconds)
    return attempt
