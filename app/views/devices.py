"""Marks of devices that have logged in to an account: in a cookie of browsers, and in the header X-Device of scripts.

A mark gives its device a count of wrong passwords of its own (`app/services/guesses.py`), and nothing else. It is for
one account, for a year, and until all sessions of the account are ended. It does not show whose it is.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta

from flask import Response, after_this_request, current_app, request

from app.models.users import User
from app.services.guesses import Mark
from app.views.cookies import cookie_name, keep_cookie
from app.views.errors import wants_json
from app.views.signed import read_signed, sign

HEADER = "X-Device"
LIFETIME = timedelta(days=365)
# A browser may be used for several accounts: it keeps a mark of each, the newest first.
MOST_MARKS = 5
_SEPARATOR = "~"
_MARK = re.compile(r"[A-Za-z0-9_.-]{1,200}")


def new_mark(user: User) -> str:
    """A mark for a device that has just logged in."""
    return sign(_purpose(user.username), [secrets.token_hex(8), int(user.session_epoch)], lifetime=LIFETIME)


def find_mark(username: str) -> Mark | None:
    """The mark that this request carries of the account with this username, if it does and the mark has not ended."""
    return next((mark for text in _sent() if (mark := _read(text, username))), None)


def remember_device(user: User) -> None:
    """Let the browser that has just logged in keep a new mark, in place of the one that it has of this account."""
    others = [text for text in _sent() if not _read(text, user.username)]
    marks = _SEPARATOR.join([new_mark(user), *others][:MOST_MARKS])

    @after_this_request
    def keep(response: Response) -> Response:
        keep_cookie(response, "device", marks, lifetime=LIFETIME)
        return response


def _sent() -> list[str]:
    """The marks that this request carries: the API reads no cookie, and pages read no header."""
    headers, cookies = request.headers, request.cookies
    sent = headers.get(HEADER, "") if wants_json() else cookies.get(cookie_name(current_app, "device"), "")
    return [text for text in sent.split(_SEPARATOR)[:MOST_MARKS] if _MARK.fullmatch(text)]


def _read(text: str, username: str) -> Mark | None:
    match read_signed(_purpose(username), text):
        case [str(device_id), int(session_epoch)]:
            return Mark(device_id, session_epoch)
    return None


def _purpose(username: str) -> str:
    """Marks are of one account alone: to any other, and to nobody, they are forged."""
    # The number goes up when marks say something else.
    return f"device 1 {username}"
