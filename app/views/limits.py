"""The limits of views: how often in a minute a user may move money, or have something long read."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from app.services import limits
from app.views.request_log import authenticated_username

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


def moves_money(view: ViewT) -> ViewT:
    """Count the request before the view moves money or changes an order. It raises TooManyRequests.

    A dry run only reads, and is not counted.
    """
    counted = _counted(limits.take_money_change, view)

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        is_dry = any(isinstance(each, dict) and each.get("dry_run") for each in args)
        return (view if is_dry else counted)(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def reads_statement(view: ViewT) -> ViewT:
    """Count the request before the view reads a statement, gains or an export. It raises TooManyRequests."""
    return _counted(limits.take_statement, view)


def _counted(take: Callable[[str], None], view: ViewT) -> ViewT:
    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        take(authenticated_username() or "")
        return view(*args, **kwargs)

    return wrapper  # type: ignore[return-value]
