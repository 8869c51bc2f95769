"""Changing several items: one atomic batch of conditional writes, and trying again while the items are busy."""

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
from app.models.database import THROTTLED, note_conflict
from app.models.item import Item

T = TypeVar("T")


P = ParamSpec("P")


# How a change that lost its race is tried again, in seconds (measured by bench/contention.py). A refusal that comes
# late is better than a thread that waits: a throttled call alone may take seconds.
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


def retry_while_busy(change: Callable[P, T]) -> Callable[P, T]:
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
