"""Reading items for the audit: all of both tables by parallel scans, or one user's by consistent queries.

Items are read raw, because the audit must also name items that no model could read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, NamedTuple

from app.audit.records import ItemKey
from app.audit.rows import NOBODY, ROOTS, Row
from app.models.adjustments import PARTITION
from app.models.batch import retry_while_busy
from app.models.database import database
from app.models.ledger import Trade
from app.models.users import EmailClaim

# Small pages keep memory small: a page is about 250 KB of JSON, and a few times that when decoded.
PAGE_ROWS = 500
SEGMENTS = 2


def count_items() -> int:
    """About how many items there are; on AWS the figure is up to six hours old."""
    answers = (_dispatch(table, "DescribeTable", {}) for table in ROOTS)
    return sum(int(answer["Table"]["ItemCount"]) for answer in answers)


def scan() -> Iterator[list[Row]]:
    """Every item of both tables, in pages and in no order. Scans in parallel; keeps a few pages in memory."""
    with ThreadPoolExecutor(len(ROOTS) * SEGMENTS) as pool:

        def read(table: str, segment: int, start: Any = None) -> Future[_Page]:
            return pool.submit(copy_context().run, _scan_page, table, segment, start)

        pending = {read(table, segment) for table in ROOTS for segment in range(SEGMENTS)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                page = future.result()
                if page.next_start:
                    pending.add(read(page.table, page.segment, page.next_start))
                yield page.rows


class _Page(NamedTuple):
    table: str
    segment: int
    rows: list[Row]
    next_start: Any


def _scan_page(table: str, segment: int, start: Any) -> _Page:
    # Not consistent, at half the price: what looks wrong is read again, consistently, before it is reported.
    arguments = {"Segment": segment, "TotalSegments": SEGMENTS, **_page_from(start)}
    answer = _dispatch(table, "Scan", arguments)
    return _Page(table, segment, [Row(table, raw) for raw in answer["Items"]], answer.get("LastEvaluatedKey"))


def read_account(username: str, also: Iterable[ItemKey] = ()) -> Iterator[list[Row]]:
    """Every item of one user, in pages, and the items at the keys in `also`; an item may come twice.

    The large adjustments of all users are in one partition, of which it takes the user's.

    Consistent, except for the two indexes that tell which orders and trades there are.
    """
    partitions = {key.PK for key in also if key.table == "users" and key.PK.startswith("TRANS#")}
    if username != NOBODY:
        email = None
        for page in _query("users", username):
            email = next((row.text("email") for row in page if row.kind == "USER"), email)
            partitions |= {
                Trade.partition(username, row.item.SK[6:]) for row in page if row.item.SK.startswith("ASSET#")
            }
            yield page
        also = {*also, ItemKey("users", *EmailClaim.key(email))} if email else also
        for page in _query("orders", username, index="UserOrderHistoryIndex"):
            partitions |= {Trade.partition(username, row.text("asset_id") or "") for row in page}
            yield [row for row in page if not row.was_changed]
            # Consistent: an index may show an order without its last change.
            for order_id in [row.item.PK for row in page if row.was_changed]:
                yield from _query("orders", order_id)
        for page in _query("users", username, index="UserTransactionsIndex"):
            partitions |= {row.item.PK for row in page}
    for partition in sorted(partitions):
        yield from _query("users", partition)
    for page in _query("users", PARTITION):
        yield [row for row in page if row.owner == username]
    yield [row for key in also if (row := find_row(key))]


def read_balance_and_holdings(username: str) -> list[Row]:
    """The holdings and the balance of a user."""
    if username == NOBODY:
        return []
    pages = _query("users", username, sort_keys=("ASSET#", "BALANCE"))
    return [row for page in pages for row in page]


def find_row(key: ItemKey) -> Row | None:
    """The item at this key as it stands now, or None."""
    if not (key.PK and key.SK):
        return None
    where = {"Key": {"PK": {"S": key.PK}, "SK": {"S": key.SK}}, "ConsistentRead": True}
    raw = _dispatch(key.table, "GetItem", where).get("Item")
    return Row(key.table, raw) if raw else None


def _query(
    table: str, value: str, *, index: str | None = None, sort_keys: tuple[str, str] | None = None
) -> Iterator[list[Row]]:
    arguments: dict[str, Any] = {
        "KeyConditionExpression": "#key = :value",
        "ExpressionAttributeNames": {"#key": "username" if index else "PK"},
        "ExpressionAttributeValues": {":value": {"S": value}},
        **({"IndexName": index} if index else {"ConsistentRead": True}),
    }
    if sort_keys:
        first, last = sort_keys
        arguments["KeyConditionExpression"] += " AND SK BETWEEN :first AND :last"
        arguments["ExpressionAttributeValues"] |= {":first": {"S": first}, ":last": {"S": last}}
    start: Any = None
    while True:
        answer = _dispatch(table, "Query", {**arguments, **_page_from(start)})
        yield [Row(table, raw) for raw in answer["Items"]]
        start = answer.get("LastEvaluatedKey")
        if not start:
            return


def _page_from(start: Any) -> dict[str, Any]:
    return {"Limit": PAGE_ROWS, **({"ExclusiveStartKey": start} if start else {})}


@retry_while_busy
def _dispatch(table: str, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """One call."""
    connection = ROOTS[table]._get_connection().connection
    return connection.dispatch(operation, {"TableName": database().table_names[table], **arguments})
