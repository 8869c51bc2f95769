"""Lists: one page of one query, and where the next one starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from pynamodb.expressions.condition import Condition
from pynamodb.indexes import GlobalSecondaryIndex
from pynamodb.pagination import PageIterator, ResultIterator

from app.models.item import ItemT
from app.models.reading import read_together

StartKey = Mapping[str, Mapping[str, str]]
"""After which item a page starts: its key attributes as DynamoDB writes them."""

log = logging.getLogger(__name__)

# How many rows one call for a filtered list looks at, at most about 60 read units; and how many calls one page takes.
EXAMINED_ROWS = 500
MOST_CALLS = 10
# How many keys one BatchGetItem takes (AWS); and how many are read at least after some were left out.
MOST_KEYS, LEAST_KEYS = 100, 25


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


def list_page_by_keys(
    item: type[ItemT],
    hash_key: str,
    page: PageRequest = FIRST_PAGE,
    *,
    index: GlobalSecondaryIndex[Any],
    keys_like: Condition,
    is_listed: Callable[[ItemT], bool] | None = None,
) -> Page[ItemT]:
    """As `list_page`, where an index has the keys of rows alone: the rows are read from the table, consistently.

    `keys_like` is about PK or SK, and leaves rows of `item` alone. Those that are gone by then are left out, and those
    that `is_listed` refuses. A call for up to EXAMINED_ROWS keys, and one for up to MOST_KEYS rows, 1 read unit each;
    more follow while rows are left out. Without `is_listed`, rows that the page skips are not read.
    """
    pages = _pages_of_keys(item, hash_key, page, index, keys_like)
    start, skip = page.start_key, page.offset
    keys: list[StartKey] = []
    read: list[StartKey] = []
    found: list[tuple[StartKey, ItemT]] = []
    for _ in range(MOST_CALLS):
        # One row more than asked for tells whether there is a next page.
        missing = skip + page.limit + 1 - len(found)
        if missing <= 0 or (not keys and len(found) > skip):
            break
        if keys:
            size = min(MOST_KEYS, max(LEAST_KEYS, 2 * missing) if read else missing)
            read, keys = keys[:size], keys[size:]
            found += [(key, row) for key, row in _read_rows_of(item, read) if is_listed is None or is_listed(row)]
            start = read[-1]
        else:
            start, answer = pages.last_evaluated_key, next(pages, None)
            if answer is None:
                break
            skipped = answer["Items"][:skip] if is_listed is None else []
            skip, keys = skip - len(skipped), answer["Items"][len(skipped) :]
            start = skipped[-1] if skipped else start
    next_start_key = start if keys else pages.last_evaluated_key
    if len(found) > skip + page.limit:
        next_start_key = found[skip + page.limit - 1][0]
    rows = [row for _, row in found[skip : skip + page.limit]]
    return Page(rows, next_start_key, next_offset=max(0, skip - len(found)))


def _pages_of_keys(
    item: type[ItemT], hash_key: str, page: PageRequest, index: GlobalSecondaryIndex[Any], keys_like: Condition
) -> PageIterator[dict[str, Any]]:
    # Not `item.query`: it filters by `entity_type`, which the index may lack. Older tables have whole rows in it.
    table = item._get_connection()
    arguments = {
        "filter_condition": keys_like,
        "index_name": index.Meta.index_name,
        "exclusive_start_key": page.start_key,
        "attributes_to_get": table.get_meta_table().get_key_names(index.Meta.index_name),
        "scan_index_forward": False,
        "limit": max(EXAMINED_ROWS, page.offset + page.limit + 1),
    }
    return PageIterator(table.query, (hash_key,), arguments)


def _read_rows_of(item: type[ItemT], keys: Iterable[StartKey]) -> Iterator[tuple[StartKey, ItemT]]:
    """The items at these keys that are still there, in this order. One call."""
    places = {(key["PK"]["S"], key["SK"]["S"]): key for key in keys}
    rows = read_together([(item, place) for place in places])
    for place, key in places.items():
        if row := rows.get(item, place):
            yield key, row


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
