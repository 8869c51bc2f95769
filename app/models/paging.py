"""Lists: one page of one query, and where the next one starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from pynamodb.expressions.condition import Condition
from pynamodb.indexes import GlobalSecondaryIndex
from pynamodb.pagination import ResultIterator

from app.models.item import ItemT, log

StartKey = Mapping[str, Mapping[str, str]]


# How many rows one page of a filtered list looks at: the bound of its cost, at most about 60 read units.
EXAMINED_ROWS = 500


@dataclass(frozen=True)
class Page(Generic[ItemT]):
    """Some rows of a list, and where the next page starts; `next_position` is None at the end."""

    items: list[ItemT]
    next_position: StartKey | None


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """How many rows (`limit`), after which position, and how many to pass over first (`offset`)."""

    limit: int = 50
    position: StartKey | None = None
    offset: int = 0


FIRST_PAGE = PageRequest()


def list_page(
    item: type[ItemT],
    hash_key: str,
    request: PageRequest = FIRST_PAGE,
    *,
    index: GlobalSecondaryIndex[Any] | None = None,
    keys: Condition | None = None,
    filters: Condition | None = None,
) -> Page[ItemT]:
    """One page of a query, newest (largest sort key) first, in exactly one call.

    A page of a filtered list looks at EXAMINED_ROWS rows at most: it may hold fewer rows than asked, even none,
    while `next_position` says that there is more to look at.
    """
    wanted = request.offset + request.limit
    pages = item.query(
        hash_key,
        range_key_condition=keys,
        filter_condition=filters,
        index_name=index.Meta.index_name if index else None,
        scan_index_forward=False,
        last_evaluated_key=request.position,  # type: ignore[arg-type]
        # One row more than wanted tells whether there is a next page.
        page_size=wanted + 1 if filters is None else max(EXAMINED_ROWS, wanted + 1),
    ).page_iter
    rows = next(pages)["Items"]
    if len(rows) > wanted:
        last = rows[wanted - 1]
        next_position: StartKey | None = {name: last[name] for name in pages.key_names}
    else:
        next_position = pages.last_evaluated_key
    return Page([item.from_raw_data(row) for row in rows[request.offset : wanted]], next_position)


def iterate_readable(item: type[ItemT], rows: ResultIterator[ItemT]) -> Iterator[ItemT]:
    """What a query finds, read page by page; a row that cannot be understood is logged and passed over."""
    for page in rows.page_iter:
        for row in page["Items"]:
            try:
                found = item.from_raw_data(row)
            except (ArithmeticError, TypeError, ValueError):
                log.exception("item %s cannot be read", row.get("PK"))
            else:
                yield found
