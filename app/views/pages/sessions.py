"""Browser sessions: a signed cookie with the text of a credential (`app/services/tokens.py`)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

import structlog
from flask import Blueprint, Flask, Request, current_app, flash, redirect, request, session, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError

from app.domain.errors import AccountSuspended, NotAuthenticated
from app.models.reading import Found
from app.models.users import Token, User, delete_token
from app.services import tokens
from app.services.tokens import Authentication
from app.views.errors import FormExpired, answer_error, wants_json
from app.views.http import current_path, origin
from app.views.reads import needed

log = structlog.get_logger("app.forms")
# The blueprints whose pages are for users only.
_private: set[str] = set()


@dataclass(frozen=True)
class CsrfFault:
    """Why a form cannot be trusted: a word for the log, what the person can do, and what the operator can."""

    cause: str
    sentence: str
    hint: str = ""


EXPIRED = CsrfFault("expired", FormExpired.message)
NO_COOKIE = CsrfFault(
    "no_cookie",
    "Your browser sent no cookie of this site with the form. Allow cookies for this site, then load the page again and "
    "resend the form.",
)
NOT_SECURE = CsrfFault(
    "cookie_needs_https",
    "This page was opened over plain http, and your browser keeps the cookie of this site only over https. Open the "
    "site at an address that begins with https://.",
    "Serve the pages over https, and set TRUSTED_PROXIES where a proxy does that; or set COOKIE_SECURE=false.",
)


class SessionUser(UserMixin):  # type: ignore[misc]
    """A user as flask-login needs it; models know nothing of Flask."""

    def __init__(self, text: str, authentication: Authentication) -> None:
        self.text = text
        self.user = authentication.user
        self.token = authentication.token
        self.found = authentication.found

    def get_id(self) -> str:
        return self.text


class _CookieOfOneCopy(SecureCookieSessionInterface):
    """Browsers send a cookie to all ports of a host, so that two copies on one host need names of their own.

    Other sub-domains, and pages over http, can set a cookie of this host, but none with a prefix of its name.

    The port is the one that the browser sees. Behind a proxy's prefix, the cookie is for what lies below it.
    """

    digest_method = staticmethod(hashlib.sha256)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        # The API and the probes read no cookie. A null session cannot be written.
        return self.make_null_session(app) if wants_json() else super().open_session(app, request)

    def get_cookie_name(self, app: Flask) -> str:
        port = re.search(r":([0-9]{1,5})\Z", request.headers.get("Host", ""))
        name = f"session_{port[1]}" if port else "session"
        if not app.config["SESSION_COOKIE_SECURE"]:
            return name
        # Browsers keep such a cookie only from https, and `__Host-` from this host alone and for all its paths.
        return f"__Secure-{name}" if request.script_root else f"__Host-{name}"

    def get_cookie_path(self, app: Flask) -> str:
        return request.script_root or "/"


class Sessions(LoginManager):  # type: ignore[misc]
    def _load_user_from_remember_cookie(self, cookie: str) -> None:
        # "Remember me" is not offered, and the library fails on a forged cookie that is not ASCII.
        return None


def init_app(app: Flask) -> None:
    # The cookie ends with the browser. Browsers that reopen their tabs keep it, so its signature expires too:
    # a week after it was last written.
    app.session_interface = _CookieOfOneCopy()
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(days=7)
    # Without the library's context processor, which would load the user for every error page.
    manager = Sessions()
    manager.init_app(app, add_context_processor=False)
    manager.session_protection = "basic"
    manager.user_loader(_find_user)
    app.jinja_env.globals.update(current_user=current_user, here=here)
    app.register_error_handler(CSRFError, _answer_csrf_error)


def _find_user(text: str) -> SessionUser | None:
    try:
        return SessionUser(text, tokens.authenticate(text, needed, for_pages=True))
    except (NotAuthenticated, AccountSuspended):
        return None


def begin_session(user: User) -> None:
    """Log a browser in, which ends the session that it had."""
    end_session()
    made = tokens.begin_session(user, origin())
    login_user(SessionUser(str(made.bearer), Authentication(user, made.token)))


def end_session() -> None:
    """Log a browser out: the cookie is worth nothing from then on, wherever it was copied to."""
    if "_user_id" in session and is_logged_in():
        delete_token(current_token())
    logout_user()
    # A planted cookie must not become part of the next session.
    session.clear()


def is_logged_in() -> bool:
    return bool(current_user.is_authenticated)


def logged_in_user() -> User:
    user: User = current_user.user
    return user


def current_token() -> Token:
    """The credential of this session."""
    token: Token = current_user.token
    return token


def current_username() -> str:
    return str(logged_in_user().username)


def found() -> Found:
    """What was found of that which the view of this page `reads`."""
    items: Found = current_user.found
    return items


def only_for_users(blueprint: Blueprint) -> None:
    """Send visitors to the log-in page, and back again afterwards."""
    blueprint.before_request(_ask_to_log_in)
    _private.add(blueprint.name)


def _answer_csrf_error(_: CSRFError) -> ResponseReturnValue:
    refused = refuse_form(_csrf_fault())
    # A missing CSRF token usually means that the session has expired.
    if request.blueprint in _private and not is_logged_in():
        return _ask_to_log_in() or ""
    return refused


def refuse_form(fault: CsrfFault) -> ResponseReturnValue:
    """The answer to a form that cannot be trusted, and a line in the log."""
    log.warning("form refused", cause=fault.cause, **({"hint": fault.hint} if fault.hint else {}))
    return answer_error(FormExpired(fault.sentence))


def _csrf_fault() -> CsrfFault:
    if current_app.session_interface.get_cookie_name(current_app) in request.cookies:
        return EXPIRED
    page = request.headers.get("Origin") or request.referrer or ""
    is_plain = not request.is_secure and not page.startswith("https:")
    return NOT_SECURE if is_plain and current_app.config["SESSION_COOKIE_SECURE"] else NO_COOKIE


def _ask_to_log_in() -> ResponseReturnValue | None:
    if is_logged_in():
        return None
    wanted = here()
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        # The page of the form has the same address.
        wanted = current_path()
        flash("Your session had ended, so nothing was applied. Log in and send the form again.")
    return redirect(url_for("sign_in.log_in", next=wanted), 303)


def here() -> str:
    """The path and the query of this request, to come back to."""
    return request.script_root + request.full_path.removesuffix("?")


def local_path(wanted: str | None) -> str | None:
    """The address if it is a path of this site, else None: a link to log in must not lead elsewhere.

    Behind a proxy's prefix, the site is what lies below it.
    """
    # Visible ASCII without \: browsers read \ as / and skip control characters, so that /\host and /<tab>/host
    # are other hosts.
    is_path = wanted and re.fullmatch(r"/(?!/)[!-\[\]-~]*", wanted) and wanted.startswith(f"{request.script_root}/")
    return wanted if is_path else None
