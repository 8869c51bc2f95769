"""One operation of DynamoDB with all its sends, and what a failure says about its outcome.

A request is sent again after some failures. What the last send is answered says nothing about the earlier ones. A write
whose answer was lost may have been applied, even when its resend is throttled.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from botocore.exceptions import ClientError
from botocore.hooks import BaseEventHooks

from app.domain.errors import Busy, StoreUnavailable

# DynamoDB writes nothing when it answers with one of these (AWS: "Error handling with DynamoDB").
THROTTLED = frozenset(
    {
        "ThrottlingException",
        "ThrottlingError",
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "TransactionConflict",
        "TransactionConflictException",
    }
)


# A send that is answered with one of these is repeated, whatever sends it.
RESENT = THROTTLED - {"TransactionConflict", "TransactionConflictException"} | {"TransactionInProgressException"}


class NoAnswer(Exception):
    """No send of an operation got a whole answer of DynamoDB. The message has no address, key or value."""


class Attempt:
    """The sends of one operation. Only a refusal (4xx) proves that a send changed nothing."""

    def __init__(self) -> None:
        self.sends = 0
        self._may_have_applied = False

    @property
    def resends(self) -> int:
        return max(self.sends - 1, 0)

    def note_answer(self, status: int) -> None:
        """Note the HTTP status of one send, 0 for a send without an answer.

        A success that is sent again was cut off on its way here.
        """
        if not 400 <= status < 500:
            self._may_have_applied = True

    def outcome(self, error: ClientError) -> Exception | None:
        """What the refusal of the last send means for the whole operation.

        `Busy`: conflict or throttling, nothing was written. `StoreUnavailable`: the outcome is unknown.
        None: DynamoDB refused the operation for another reason, and wrote nothing.
        """
        code = error.response["Error"]["Code"]
        # In progress: an earlier send of this very batch may still be applied.
        if self._may_have_applied or code == "TransactionInProgressException":
            return StoreUnavailable()
        return Busy() if code in THROTTLED else None


def cause_of(error: BaseException) -> str:
    """Why an operation failed, in words for the log that contain no address, key or value.

    The message of a refusal is left out where it may quote the request; that of a failure is the database's own.
    """
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        answer = error.response["Error"]
        message = f", {answer.get('Message', '')[:200]}" if status >= 500 else ", after a send without an answer"
        return f"HTTP {status} {answer['Code']}{message}"
    if isinstance(error, NoAnswer):
        return str(error)
    # botocore's messages name addresses, and quote what a program for credentials printed.
    names, reason, each = [type(error).__name__], "", error.__cause__ or error.__context__
    while each is not None:
        reason = (each.strerror if isinstance(each, OSError) else "") or reason
        each = each.__cause__ or each.__context__
    return ", ".join(filter(None, [*names, reason]))


current: ContextVar[Attempt] = ContextVar("attempt")


def listen(events: BaseEventHooks) -> None:
    """Tell the current attempt of each send and each answer of a client with these events. Again, it does nothing."""
    # The only events that see every resend: an answer that never came does not say how often it was asked for.
    events.register("before-send.dynamodb", _note_send, unique_id=_note_send)
    events.register("response-received.dynamodb", _note_answer, unique_id=_note_answer)


def _note_send(**_: object) -> None:
    current.get().sends += 1


def _note_answer(parsed_response: Mapping[str, Any] | None, **_: object) -> None:
    current.get().note_answer((parsed_response or {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
