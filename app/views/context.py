"""This request itself: Flask's `request` and `g` look it up again at each use, which each request makes dozens of."""

from __future__ import annotations

from flask import Request, g, request
from flask.ctx import _AppCtxGlobals


def this_request() -> Request:
    """What `request` stands for. Raises RuntimeError outside of a request."""
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]
    return asked


def this_g() -> _AppCtxGlobals:
    """What `g` stands for."""
    kept: _AppCtxGlobals = g._get_current_object()
    return kept
