"""Lists: the page that a query asks for, and the signed cursor that leads to the next one.

A cursor is bound to its user, its list and its filters: with any other it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import current_app, request
from itsdangerous import BadData, URLSafeSerializer
from marshmallow import Schema, ValidationError

from app.domain.errors import InvalidCursor
from app.models.paging import Page, PageRequest, StartKey
from app.views.errors import invalid_input
from app.views.http import current_path
from app.views.request_log import authenticated_username

# Rows of a list on a page for people.
ROWS = 25
# What a query says of paging; everything else in it is a filter.
PAGING = frozenset({"cursor", "limit", "offset"})

RowT = TypeVar("RowT")
Query = Mapping[str, Any]
"""A query as its schema has loaded it."""


def read_page(query: Query) -> PageRequest:
    """The page that a query asks for. Raises InvalidCursor."""
    start_key, offset = _read_cursor(query)
    return PageRequest(limit=query["limit"], offset=query["offset"] + offset, start_key=start_key)


def paged(page: Page[Any], query: Query) -> dict[str, Any]:
    """What a JSON list says of its next page."""
    cursor = _write_cursor(page, query)
    return {"has_more": cursor is not None, "next_cursor": cursor}


def part_of(rows: list[RowT], query: Query) -> list[RowT]:
    """The part that a `WindowInput` asks for, of a list that was read whole."""
    return rows[query["offset"] :][: query["limit"]]


@dataclass(frozen=True)
class Listing:
    """One page of a list: its rows, and the addresses of the newest and of the next older rows, if any."""

    rows: list[Any]
    newest: str | None
    older: str | None


def read_query(schema: Schema) -> dict[str, Any]:
    """The filters and the cursor in a page's address; an empty filter counts as absent. Raises InvalidInput."""
    try:
        query: dict[str, Any] = schema.load({**sent_query(), "limit": str(ROWS)})
    except ValidationError as error:
        raise invalid_input(error.messages_dict) from error
    return query


def sent_query() -> dict[str, str]:
    """The query of a page's address as text, without empty values; pages choose `limit` and have no `offset`."""
    return {name: text for name, text in request.args.items() if text and name not in {"limit", "offset"}}


def listing(page: Page[Any], query: Query) -> Listing:
    """A page of a list as `pager` of `macros.html` shows it."""
    filters = sent_query()
    is_first = not filters.pop("cursor", None)
    cursor = _write_cursor(page, query)
    return Listing(
        page.items,
        newest=None if is_first else _address(filters),
        older=_address({**filters, "cursor": cursor}) if cursor else None,
    )


def _address(query: dict[str, str]) -> str:
    # Not url_for: the visitor's query must not become its arguments.
    return f"{current_path()}?{urlencode(query)}" if query else current_path()


def _write_cursor(page: Page[Any], query: Query) -> str | None:
    """None at the end of the list."""
    if page.next_start_key is None:
        return None
    return str(_serializer(query).dumps([page.next_start_key, page.next_offset]))


def _read_cursor(query: Query) -> tuple[StartKey | None, int]:
    """After which key the page starts, and how many rows it must still skip."""
    if not query["cursor"]:
        return None, 0
    try:
        start_key, offset = _serializer(query).loads(query["cursor"])
    except BadData as error:
        raise InvalidCursor() from error
    return start_key, offset


def _serializer(query: Query) -> URLSafeSerializer:
    """Signs and reads the cursors of this request's user, path (in any case) and filters alone."""
    filters = sorted((name, str(value)) for name, value in query.items() if name not in PAGING and value is not None)
    # The number goes up when cursors say something else, or a list is read from another index.
    binding = ("cursor 3", authenticated_username(), request.path.lower(), filters)
    return URLSafeSerializer(
        [*current_app.config["SECRET_KEY_FALLBACKS"], current_app.secret_key or ""], salt=repr(binding)
    )
