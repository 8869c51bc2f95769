"""Lists on pages: filters in the address, newest first, one signed cursor further at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import request
from marshmallow import Schema, ValidationError

from app.models.paging import Page, PageRequest
from app.views.api.blueprint import invalid_input, page_request
from app.views.paging import write_cursor

ROWS = 25


@dataclass(frozen=True)
class Listing:
    """One page of a list: its rows, and the addresses of the newest and of the next older rows, if any."""

    rows: list[Any]
    newest: str | None
    older: str | None


def read_query(schema: Schema) -> dict[str, Any]:
    """The filters and the cursor of the address; an empty filter is none. Raises InvalidInput."""
    try:
        query: dict[str, Any] = schema.load({**_sent(), "limit": str(ROWS)})
    except ValidationError as error:
        raise invalid_input(error.messages_dict) from error
    return query


def _sent() -> dict[str, str]:
    return {name: text for name, text in request.args.items() if text and name != "offset"}


def wanted_page(query: dict[str, Any], *binding: object) -> PageRequest:
    """The page that the query asks for; the binding is the list, its user and its filters."""
    return page_request(query, *binding)


def listing(page: Page[Any], *binding: object) -> Listing:
    """What the pager of a page needs; the same binding as for `wanted_page`."""
    filters = _sent()
    is_first = not filters.pop("cursor", None)
    cursor = write_cursor(page.next_start_key, *binding)
    return Listing(
        page.items,
        newest=None if is_first else _address(filters),
        older=_address({**filters, "cursor": cursor}) if cursor else None,
    )


def _address(query: dict[str, str]) -> str:
    # Not url_for: a query of the visitor's choice must not become its arguments.
    return f"{request.path}?{urlencode(query)}" if query else request.path
