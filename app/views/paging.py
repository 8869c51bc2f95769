"""Cursors: where the next page of a list starts, signed, and bound to the user, the list and its filters."""

from __future__ import annotations

from typing import Any

from flask import current_app
from itsdangerous import BadData, URLSafeSerializer

from app.domain.errors import InvalidCursor
from app.models.paging import StartKey


def write_cursor(position: StartKey | None, *binding: object) -> str | None:
    """The cursor of a position; None at the end of the list."""
    return None if position is None else str(_serializer(binding).dumps(position))


def read_cursor(cursor: str | None, *binding: object) -> StartKey | None:
    """The position of a cursor that was written with the same binding. Raises InvalidCursor."""
    if not cursor:
        return None
    try:
        position: StartKey = _serializer(binding).loads(cursor)
    except BadData as error:
        raise InvalidCursor() from error
    return position


def _serializer(binding: tuple[Any, ...]) -> URLSafeSerializer:
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt=repr(("cursor", *binding)))
