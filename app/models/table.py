"""What every item, list and change is made of.

`Item` is one row, `list_page` one page of one query in one call, and `Batch` the one way to change several items:
a single TransactWriteItems in which every step carries a condition and a label.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, TypeVar

from pynamodb.attributes import DiscriminatorAttribute, UnicodeAttribute
from pynamodb.connection.base import Connection
from pynamodb.connection.table import TableConnection
from pynamodb.exceptions import PynamoDBConnectionError, VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.pagination import ResultIterator
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from app.domain.errors import Busy
from app.models.database import THROTTLED, database, note_conflict

Key = tuple[str, str]
Position = Mapping[str, Mapping[str, str]]
ItemT = TypeVar("ItemT", bound="Item")
T = TypeVar("T")
P = ParamSpec("P")

log = logging.getLogger(__name__)

# How many rows one page of a filtered list looks at: the bound of its cost, at most about 60 read units.
EXAMINED_ROWS = 500

# How a change that lost its race is tried again, in seconds (measured by bench/contention.py). A refusal that comes
# late is better than a thread that waits: a throttled call alone may take seconds.
FIRST_WAIT, LONGEST_WAIT = 0.2, 1
MOST_ATTEMPTS, MOST_SECONDS = 12, 3


class TableMeta:
    """What PynamoDB wants to know of a table; an instance, so that the name follows the database in use."""

    region = None
    host = None

    def __init__(self, table: str) -> None:
        self.table = table

    @property
    def table_name(self) -> str:
        return database().table_names[self.table]


class Item(Model):
    """One row of either table.

    The root class of each table declares its `Meta`, its indexes and its own `entity_type`, by which the kinds of
    items are told apart; each kind declares how its key is made.
    """

    PK = UnicodeAttribute(hash_key=True)
    SK = UnicodeAttribute(range_key=True)
    entity_type: DiscriminatorAttribute

    @classmethod
    def find(cls, key: Key, *, consistent: bool = True) -> Self | None:
        """The item at this key, or None. One call; half the units when it need not be consistent."""
        try:
            return cls.get(*key, consistent_read=consistent)
        except cls.DoesNotExist:
            return None

    @classmethod
    def absent(cls) -> Condition:
        """The condition that no item stands at the key."""
        return cls.PK.does_not_exist()

    @classmethod
    def _get_connection(cls) -> TableConnection:
        # Overrides PynamoDB, which builds a client for every class: pinned, and tested in test_model_database.py.
        return database().table(cls.Meta.table, lambda: table_schema(cls))  # type: ignore[attr-defined]


def table_schema(item: type[Item]) -> dict[str, Any]:
    """Keys and indexes of an item's table in the words of DynamoDB's CreateTable."""
    schema = item._get_schema()

    def hash_first(keys: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return sorted(keys, key=lambda key: str(key["KeyType"]))

    return {
        "KeySchema": hash_first(schema["key_schema"]),
        "AttributeDefinitions": schema["attribute_definitions"],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index["index_name"],
                "KeySchema": hash_first(index["key_schema"]),
                "Projection": index["projection"],
            }
            for index in schema["global_secondary_indexes"]
        ],
    }


@dataclass(frozen=True)
class Page(Generic[ItemT]):
    """Some rows of a list, and where the next page starts; `next_position` is None at the end."""

    items: list[ItemT]
    next_position: Position | None


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """How many rows (`limit`), after which position, and how many to pass over first (`offset`)."""

    limit: int = 50
    position: Position | None = None
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
        next_position: Position | None = {name: last[name] for name in pages.key_names}
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


def write_if(write: Callable[[], object]) -> bool:
    """Make one conditional write of one item; False when its condition failed and nothing was written."""
    try:
        write()
    except PynamoDBConnectionError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


class Cancelled(Exception):
    """DynamoDB refused a batch and changed nothing; `refused` are the labels of the steps whose condition failed."""

    def __init__(self, refused: set[str]) -> None:
        super().__init__(", ".join(sorted(refused)))
        self.refused = refused


class Batch:
    """All writes of one change. Each step has a label, which says in `Cancelled` what stood in the way."""

    def __init__(self) -> None:
        self._labels: list[str] = []
        self._steps: list[dict[str, Any]] = []
        self._connection: Connection | None = None

    def put(self, label: str, item: Item, *, condition: Condition | None = None) -> None:
        """Write a whole item; without a condition, only where none stands yet."""
        kwargs = item.get_save_kwargs_from_instance(condition=item.absent() if condition is None else condition)
        self._add(label, "Put", item, kwargs)

    def update(self, label: str, item: Item, actions: Sequence[Action], *, condition: Condition) -> None:
        """Change some attributes. The condition must imply that the item exists, or the update would make one."""
        self._add(label, "Update", item, item.get_update_kwargs_from_instance(list(actions), condition=condition))

    def delete(self, label: str, item: Item, *, condition: Condition) -> None:
        self._add(label, "Delete", item, item.get_delete_kwargs_from_instance(condition=condition))

    def _add(self, label: str, action: str, item: Item, kwargs: dict[str, Any]) -> None:
        self._labels.append(label)
        self._steps.append({action: kwargs})
        self._connection = item._get_connection().connection

    def commit(self) -> None:
        """Apply every step or none, in one call.

        The request token makes a resend after a lost reply apply once (AWS: TransactWriteItems, ClientRequestToken).
        Raises Cancelled when a condition failed, Busy when nothing was written for lack of luck or capacity,
        StoreUnavailable when nobody knows.
        """
        assert self._connection is not None, "an empty batch changes nothing"
        try:
            self._connection.dispatch(
                "TransactWriteItems", {"TransactItems": self._steps, "ClientRequestToken": str(uuid.uuid4())}
            )
        except VerboseClientError as error:
            reasons = {
                label: reason.code
                for label, reason in zip(self._labels, error.cancellation_reasons, strict=False)
                if reason is not None
            }
            raise self._refusal(reasons) or error from error

    @staticmethod
    def _refusal(reasons: Mapping[str, str]) -> Exception | None:
        refused = {label for label, code in reasons.items() if code == "ConditionalCheckFailed"}
        if refused:
            return Cancelled(refused)
        return Busy() if reasons and set(reasons.values()) <= THROTTLED else None


def again_after_lost_race(change: Callable[P, T]) -> Callable[P, T]:
    """Run a change again, with a fresh read, while it raises Busy; full jitter, bounded, then Busy.

    Full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """

    @wraps(change)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        # One for each call: tenacity's decorator keeps its statistics in one place for all threads, which fail on it.
        attempts = Retrying(
            retry=retry_if_exception_type(Busy),
            wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            stop=stop_after_attempt(MOST_ATTEMPTS) | stop_after_delay(MOST_SECONDS),
            before_sleep=_note_conflict,
            reraise=True,
        )
        return attempts(change, *args, **kwargs)

    return run


def _note_conflict(attempt: RetryCallState) -> None:
    # tenacity calls this only when there will be another attempt.
    assert attempt.fn is not None, "it is always a function that is tried again"
    note_conflict(attempt.fn.__name__)
