"""Browser sessions: a signed cookie with the text of a credential (`app/services/tokens.py`)."""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from flask import Blueprint, Flask, Request, current_app, flash, redirect, request, session, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError, generate_csrf
from pynamodb.exceptions import PynamoDBException

from app.domain.errors import AccountSuspended, ClosedSince, NotAuthenticated, ProductError, SecondFactorRequired
from app.models.reading import Found
from app.models.users import Token, User, delete_token
from app.services import tokens
from app.services.admin import require_admin
from app.services.tokens import Authentication
from app.views.cookies import cookie_name
from app.views.devices import remember_device
from app.views.errors import FormExpired, answer_error, wants_json
from app.views.http import current_path, origin
from app.views.proofs import factor_rules
from app.views.reads import needed
from app.views.request_log import authenticated_username

log = structlog.get_logger("app.forms")
# The blueprints whose pages are for users only, and of these for administrators only.
_private: set[str] = set()
_for_admins: set[str] = set()


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
    """Behind a proxy's prefix, the cookie is for what lies below it. Its name: see `cookie_name`."""

    digest_method = staticmethod(hashlib.sha256)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        # The API and the probes read no cookie. A null session cannot be written.
        return self.make_null_session(app) if wants_json() else super().open_session(app, request)

    def get_cookie_name(self, app: Flask) -> str:
        return cookie_name(app, "session")

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
    app.jinja_env.globals.update(current_user=current_user, here=here, csrf_token=_csrf_token, is_known=_is_known)
    # The library hands its own to templates in both ways.
    app.context_processor(lambda: {"csrf_token": _csrf_token})
    app.register_error_handler(CSRFError, _answer_csrf_error)


def _csrf_token() -> str:
    """The token of a form, as the library makes it, over 256 random bits: of its own it would take a SHA-1."""
    session.setdefault("csrf_token", secrets.token_urlsafe(32))
    return str(generate_csrf())


def _find_user(text: str) -> SessionUser | None:
    try:
        return SessionUser(text, tokens.authenticate(text, needed, for_pages=True))
    except (NotAuthenticated, AccountSuspended):
        return None


def begin_session(user: User, *, proved_at: datetime | None = None) -> None:
    """Log a browser in, which ends the session that it had, and marks it as a device of the user.

    The password was given just now, or at `proved_at`.
    """
    if _has_session():
        delete_token(current_token())
    forget_session()
    made = tokens.begin_session(user, origin(), proved_at=proved_at)
    remember_device(user)
    login_user(SessionUser(str(made.bearer), Authentication(user, made.token)))


def end_session() -> None:
    """Log a browser out: the cookie is worth nothing from then on, wherever it was copied to."""
    if _has_session():
        tokens.log_out(current_token())
    forget_session()


def _has_session() -> bool:
    return "_user_id" in session and is_logged_in()


def forget_session() -> None:
    """Empty the cookie of a browser whose credential has ended, or is about to."""
    logout_user()
    # A planted cookie must not become part of the next session.
    session.clear()


def is_logged_in() -> bool:
    return bool(current_user.is_authenticated)


def _is_known(status: int) -> bool:
    """Whether the page of an error can say who is logged in. One call for an address that has nothing, else none."""
    if authenticated_username():
        return True
    with suppress(ProductError, PynamoDBException):
        return status == 404 and is_logged_in()
    return False


def has_closed() -> bool:
    """Whether the session of this browser was good until its user closed the account.

    Up to two calls for a session that has ended, and one for any other that is not loaded yet.
    """
    if "_user_id" not in session or is_logged_in():
        return False
    try:
        tokens.authenticate(session["_user_id"], for_pages=True)
    except ClosedSince:
        return True
    except (NotAuthenticated, AccountSuspended):
        pass
    return False


def logged_in_user() -> User:
    user: User = current_user.user
    return user


def current_authentication() -> Authentication:
    """The user and the credential of this session."""
    return Authentication(current_user.user, current_user.token)


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


def lead_to_second_factor(*, as_admin: bool = False) -> ResponseReturnValue | None:
    """To the page that sets one up, where this user must have a second factor for this page and has none."""
    if not is_logged_in() or not factor_rules().is_missing(logged_in_user(), as_admin=as_admin):
        return None
    flash(SecondFactorRequired.message)
    return redirect(url_for("second_factor.show"), 303)


def only_for_admins(blueprint: Blueprint) -> None:
    """The same, and refuse users who are not administrators, or lack the second factor that these must have."""
    only_for_users(blueprint)
    blueprint.before_request(_require_admin)
    _for_admins.add(blueprint.name)


def _require_admin() -> ResponseReturnValue | None:
    require_admin(logged_in_user())
    return lead_to_second_factor(as_admin=True)


def is_private(blueprint: str | None) -> bool:
    """Whether the pages of a blueprint are for users only."""
    return blueprint in _private


def is_for_admins(blueprint: str) -> bool:
    return blueprint in _for_admins


def _answer_csrf_error(_: CSRFError) -> ResponseReturnValue:
    refused = refuse_form(_csrf_fault())
    # A missing CSRF token usually means that the session has expired.
    if is_private(request.blueprint) and not is_logged_in():
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
