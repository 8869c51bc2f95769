"""Browser sessions: a signed cookie with the username and the session epoch it was made in.

No session is stored. Raising the user's epoch ends every session of that user.
"""

from __future__ import annotations

import re
from datetime import timedelta

from flask import Blueprint, Flask, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError

from app.domain.identifiers import USERNAME
from app.models.users import User
from app.services import auth
from app.views.errors import FORM_EXPIRED, answer_error

# The blueprints whose pages are for users only.
_private: set[str] = set()


class SessionUser(UserMixin):  # type: ignore[misc]
    """A user as flask-login needs it; models know nothing of Flask."""

    def __init__(self, user: User) -> None:
        self.user = user

    def get_id(self) -> str:
        return f"{self.user.username}:{int(self.user.session_epoch)}"


class Sessions(LoginManager):  # type: ignore[misc]
    def _load_user_from_remember_cookie(self, cookie: str) -> None:
        # "Remember me" is not offered, and the library fails on a forged cookie that is not ASCII.
        return None


def init_app(app: Flask) -> None:
    # The cookie ends with the browser. Browsers that reopen their tabs keep it, so its signature expires too:
    # a week after it was last written.
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(days=7)
    # Without the library's context processor, which would load the user for every error page.
    manager = Sessions()
    manager.init_app(app, add_context_processor=False)
    manager.session_protection = "basic"
    manager.user_loader(_find_user)
    app.jinja_env.globals["current_user"] = current_user
    app.register_error_handler(CSRFError, _answer_csrf_error)


def _find_user(session_id: str) -> SessionUser | None:
    match = re.fullmatch(rf"({USERNAME}):([0-9]{{1,9}})", session_id)
    user = auth.find_session_user(match[1], int(match[2])) if match else None
    return SessionUser(user) if user else None


def begin_session(user: User) -> None:
    # Start empty: a planted cookie must not become part of this user's session.
    session.clear()
    login_user(SessionUser(user))


def end_session() -> None:
    logout_user()
    session.clear()


def is_logged_in() -> bool:
    return bool(current_user.is_authenticated)


def logged_in_user() -> User:
    user: User = current_user.user
    return user


def current_username() -> str:
    return str(logged_in_user().username)


def only_for_users(blueprint: Blueprint) -> None:
    """Send visitors to the log-in page, and back again afterwards."""
    blueprint.before_request(_ask_to_log_in)
    _private.add(blueprint.name)


def _answer_csrf_error(error: CSRFError) -> ResponseReturnValue:
    # A missing CSRF token usually means that the session has expired.
    if request.blueprint in _private and not is_logged_in():
        return _ask_to_log_in() or ""
    return answer_error(FORM_EXPIRED)


def _ask_to_log_in() -> ResponseReturnValue | None:
    if is_logged_in():
        return None
    wanted = request.full_path.removesuffix("?")
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        # The page of the form has the same address.
        wanted = request.path
        flash("Your session had ended, so nothing was applied. Log in and send the form again.")
    return redirect(url_for("sign_in.log_in", next=wanted), 303)


def local_path(wanted: str | None) -> str | None:
    """The address if it is a path of this site, else None: a link to log in must not lead elsewhere."""
    # Visible ASCII without \: browsers read \ as / and skip control characters, so that /\host and /<tab>/host
    # are other hosts.
    return wanted if wanted and re.fullmatch(r"/(?!/)[!-\[\]-~]*", wanted) else None
