"""Lists: one page of one query, and where the next one starts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from pynamodb.expressions.condition import Condition
from pynamodb.indexes import GlobalSecondaryIndex
from pynamodb.pagination import ResultIterator

from app.models.item import ItemT

StartKey = Mapping[str, Mapping[str, str]]
"""After which item a page starts: its key attributes as DynamoDB writes them."""

log = logging.getLogger(__name__)

# How many rows one call for a filtered list looks at, at most about 60 read units; and how many calls one page takes.
EXAMINED_ROWS = 500
MOST_CALLS = 10


@dataclass(frozen=True)
class Page(Generic[ItemT]):
    """Some rows of a list, and where the next page starts; `next_start_key` is None at the end.

    `next_offset` is how many rows the next page must still skip: above 0 only after a page that did not get so far.
    """

    items: list[ItemT]
    next_start_key: StartKey | None
    next_offset: int = 0


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """How many rows (`limit`), after which key, and how many rows to skip first (`offset`)."""

    limit: int = 50
    start_key: StartKey | None = None
    offset: int = 0


FIRST_PAGE = PageRequest()


def list_page(
    item: type[ItemT],
    hash_key: str,
    page: PageRequest = FIRST_PAGE,
    *,
    index: GlobalSecondaryIndex[Any] | None = None,
    keys: Condition | None = None,
    filters: Condition | None = None,
) -> Page[ItemT]:
    """One page of a query, newest (largest sort key) first. One call; a filtered list may take up to MOST_CALLS.

    A call for a filtered list looks at EXAMINED_ROWS rows at most, and another follows while none of them fits. The
    page may hold fewer rows than asked, and beyond that bound even none. `next_start_key` then says that there is more
    to look at.
    """
    last_row = page.offset + page.limit
    pages = item.query(
        hash_key,
        range_key_condition=keys,
        filter_condition=filters,
        index_name=index.Meta.index_name if index else None,
        scan_index_forward=False,
        last_evaluated_key=page.start_key,  # type: ignore[arg-type]
        # One row more than asked for tells whether there is a next page.
        page_size=last_row + 1 if filters is None else max(EXAMINED_ROWS, last_row + 1),
    ).page_iter
    rows = next(pages)["Items"]
    for _ in range(MOST_CALLS - 1):
        if len(rows) > page.offset or not pages.last_evaluated_key:
            break
        rows += next(pages)["Items"]
    next_start_key: StartKey | None = pages.last_evaluated_key
    if len(rows) > last_row:
        next_start_key = {name: rows[last_row - 1][name] for name in pages.key_names}
    items = [item.from_raw_data(row) for row in rows[page.offset : last_row]]
    return Page(items, next_start_key, next_offset=max(0, page.offset - len(rows)))


def iterate_readable(item: type[ItemT], rows: ResultIterator[ItemT]) -> Iterator[ItemT]:
    """The items that a query finds, read page by page; a row that cannot be read is logged and skipped."""
    for page in rows.page_iter:
        yield from read_rows(item, page["Items"])


def read_rows(item: type[ItemT], rows: Iterable[dict[str, Any]]) -> Iterator[ItemT]:
    """The items of rows as DynamoDB writes them; one that cannot be read is logged and skipped."""
    for row in rows:
        try:
            found = item.from_raw_data(row)
        except (ArithmeticError, TypeError, ValueError):
            log.exception("item %s cannot be read", row.get("PK"))
        else:
            yield found
