"""Writes: one atomic batch of conditional writes, one conditional write, and trying again while items are busy.

`Batch` is the only way to change several items: a single TransactWriteItems in which every step has a condition and
a label.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from pynamodb.connection.base import Connection
from pynamodb.exceptions import PynamoDBConnectionError, VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from app.domain.errors import Busy
from app.models.attempt import THROTTLED
from app.models.database import note_conflict
from app.models.item import Item

T = TypeVar("T")
P = ParamSpec("P")

# How a busy change is tried again, in seconds (measured by bench/contention.py). A throttled call alone may take
# seconds, so the bound on the time is short: a thread that waits serves no other request.
FIRST_WAIT, LONGEST_WAIT = 0.2, 1
MOST_ATTEMPTS, MOST_SECONDS = 12, 3
# DynamoDB's own bound.
MOST_STEPS = 100


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


@dataclass(frozen=True)
class Written:
    """An item as a batch would leave it, and whether there was none before."""

    item: Item
    is_new: bool


class Batch:
    """All writes of one change. The label of a step tells in `Cancelled` which condition failed."""

    def __init__(self) -> None:
        self.basis: dict[str, Any] = {}
        self._labels: list[str] = []
        self._items: list[Item] = []
        self._steps: list[dict[str, Any]] = []
        self._afterwards: list[Callable[[], None]] = []
        self._connection: Connection | None = None

    def __len__(self) -> int:
        """How many steps it has."""
        return len(self._steps)

    def put(self, label: str, item: Item, *, condition: Condition | None = None) -> None:
        """Write a whole item; without a condition, only where there is none yet."""
        if condition is None:
            kwargs = {
                "TableName": item._get_connection().table_name,
                "Item": item.serialize(),
                "ConditionExpression": "attribute_not_exists (#0)",
                "ExpressionAttributeNames": {"#0": "PK"},
            }
        else:
            kwargs = item.get_save_kwargs_from_instance(condition=condition)
        self._add(label, "Put", item, kwargs)

    def update(self, label: str, item: Item, actions: Sequence[Action], *, condition: Condition) -> None:
        """Change some attributes. The condition must imply that the item exists: otherwise the update makes one."""
        self._add(label, "Update", item, item.get_update_kwargs_from_instance(list(actions), condition=condition))

    def set(self, label: str, item: Item, values: Mapping[str, Any], *, unchanged: Sequence[str]) -> None:
        """Set attributes of an item, while those named in `unchanged` are as in `item`, which was read.

        The first of these must have a value, which implies that the item exists. It takes a third of the time of
        `update`: PynamoDB makes several objects for each attribute.
        """
        names: dict[str, str] = {}
        bound: dict[str, dict[str, Any]] = {}

        def term(name: str, value: Any) -> str:
            attribute, number = item.get_attributes()[name], len(names)
            names[f"#{number}"] = attribute.attr_name
            if value is None:
                return f"attribute_not_exists(#{number})"
            bound[f":{number}"] = {attribute.attr_type: attribute.serialize(value)}
            return f"#{number} = :{number}"

        read = [(name, item.attribute_values.get(name)) for name in unchanged]
        assert read[0][1] is not None, "an item that is gone would fulfil the condition"
        sets = ", ".join([term(*each) for each in values.items()])
        kwargs = {
            "TableName": item._get_connection().table_name,
            "Key": {"PK": {"S": item.PK}, "SK": {"S": item.SK}},
            "UpdateExpression": f"SET {sets}",
            "ConditionExpression": " AND ".join([term(*each) for each in read]),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": bound,
        }
        self._add(label, "Update", item, kwargs)

    def delete(self, label: str, item: Item, *, condition: Condition) -> None:
        """Delete an item."""
        self._add(label, "Delete", item, item.get_delete_kwargs_from_instance(condition=condition))

    def based_on(self, **basis: Any) -> None:
        """Note what the change was decided on, by name, for a dry run to show: also what it leaves as it is."""
        self.basis |= basis

    def written(self) -> list[Written]:
        """What the steps would leave, as their requests to DynamoDB say it, without what they delete. No call.

        It knows updates that set values and remove attributes, and raises KeyError for others.
        """
        return [
            Written(type(item).from_raw_data(_row_after(item, action, request)), is_new=action == "Put")
            for item, step in zip(self._items, self._steps, strict=True)
            for action, request in step.items()
            if action != "Delete"
        ]

    def afterwards(self, tell: Callable[[], None]) -> None:
        """Do this once the batch is known to be applied, and not at all otherwise."""
        self._afterwards.append(tell)

    def _add(self, label: str, action: str, item: Item, kwargs: dict[str, Any]) -> None:
        self._labels.append(label)
        self._items.append(item)
        self._steps.append({action: kwargs})
        self._connection = item._get_connection().connection

    def commit(self) -> None:
        """Apply every step or none, in one call.

        The request token makes a resend after a lost answer apply once (AWS: TransactWriteItems, ClientRequestToken).
        Raises Cancelled when a condition failed; Busy after a conflict or throttling, with nothing written;
        StoreUnavailable when the outcome is unknown.
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
        for tell in self._afterwards:
            tell()

    def commit_as_read(self) -> None:
        """As `commit`, for a change whose next attempt reads again and then refuses what it must. Raises Busy."""
        try:
            self.commit()
        except Cancelled as cancelled:
            raise Busy() from cancelled

    @staticmethod
    def _refusal(reasons: Mapping[str, str]) -> Exception | None:
        refused = {label for label, code in reasons.items() if code == "ConditionalCheckFailed"}
        if refused:
            return Cancelled(refused)
        return Busy() if reasons and set(reasons.values()) <= THROTTLED else None


def _row_after(item: Item, action: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The row of an item as DynamoDB would leave it after a put or an update."""
    if action == "Put":
        return dict(request["Item"])
    names, values = request["ExpressionAttributeNames"], request.get("ExpressionAttributeValues", {})
    row = item.serialize()
    clauses = re.split("(SET|REMOVE) ", request["UpdateExpression"])[1:]
    for clause, terms in zip(clauses[::2], clauses[1::2], strict=True):
        for term in terms.strip().split(", "):
            name, _, value = term.partition(" = ")
            if clause == "SET":
                row[names[name]] = values[value]
            else:
                row.pop(names[name], None)
    return row


Steps = Callable[[Batch], None]
"""Adds steps to the batch of a change, such as the mail that tells of it."""


def no_steps(batch: Batch) -> None:
    """Add nothing."""


def retry_while_busy(change: Callable[P, T]) -> Callable[P, T]:
    """Run a function again while it raises Busy; a change then reads afresh. Bounded; raises Busy in the end.

    Waits with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """

    @wraps(change)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        deadline = monotonic() + MOST_SECONDS
        for number in range(MOST_ATTEMPTS - 1):
            try:
                return change(*args, **kwargs)
            except Busy:
                if monotonic() >= deadline:
                    raise
            note_conflict(change.__name__)
            time.sleep(random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**number)))
        return change(*args, **kwargs)

    return run
