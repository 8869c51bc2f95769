"""Writes: one atomic batch of conditional writes, one conditional write, and trying again while items are busy.

`Batch` is the only way to change several items: a single TransactWriteItems in which every step has a condition and
a label.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from pynamodb.connection.base import Connection
from pynamodb.exceptions import PynamoDBConnectionError, VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

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
    """All writes of one change. The label of a step tells in `Cancelled` which condition failed."""

    def __init__(self) -> None:
        self._labels: list[str] = []
        self._steps: list[dict[str, Any]] = []
        self._connection: Connection | None = None

    def put(self, label: str, item: Item, *, condition: Condition | None = None) -> None:
        """Write a whole item; without a condition, only where there is none yet."""
        kwargs = item.get_save_kwargs_from_instance(condition=item.absent() if condition is None else condition)
        self._add(label, "Put", item, kwargs)

    def update(self, label: str, item: Item, actions: Sequence[Action], *, condition: Condition) -> None:
        """Change some attributes. The condition must imply that the item exists: otherwise the update makes one."""
        self._add(label, "Update", item, item.get_update_kwargs_from_instance(list(actions), condition=condition))

    def delete(self, label: str, item: Item, *, condition: Condition) -> None:
        """Delete an item."""
        self._add(label, "Delete", item, item.get_delete_kwargs_from_instance(condition=condition))

    def _add(self, label: str, action: str, item: Item, kwargs: dict[str, Any]) -> None:
        self._labels.append(label)
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
        # One for each call: tenacity's decorator shares its statistics between threads, which breaks them.
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
    # tenacity calls this only before another attempt.
    assert attempt.fn is not None, "tenacity always knows the function"
    note_conflict(attempt.fn.__name__)
