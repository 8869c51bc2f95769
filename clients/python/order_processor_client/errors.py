"""What a request fails with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field; `field` is empty where it is about the whole request."""

    field: str
    message: str


class OrdersError(Exception):
    """The service refused a request, or did not answer it. Nothing was changed, unless it is an `OutcomeUnknown`.

    `status` is that of the answer, and 0 where there was none. `code` is the service's stable word for the error. Where
    the answer is not the service's (a page of a proxy), it is `http_502` and the like; without an answer, `no_answer`.
    `fields` says what is wrong with which field. `details` has what some codes add. `retry_after` is in seconds.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int = 0,
        code: str = "no_answer",
        fields: tuple[FieldError, ...] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code
        self.fields = fields
        self.request_id = request_id
        self.retry_after = retry_after
        self.details = dict(details or {})

    def __str__(self) -> str:
        more = [each for each in self.fields if each.message not in self.detail]
        lines = [self.detail, *(f"{each.field}: {each.message}".removeprefix(": ") for each in more)]
        return "\n".join(lines)


class OutcomeUnknown(OrdersError):
    """A change may or may not have been made, and is kept in the journal: `Client.resume` finds out, or makes it.

    Do not send it again in any other way: that would be a second change. `key` is its Idempotency-Key.
    """

    def __init__(self, key: str, last: OrdersError) -> None:
        super().__init__(
            f"It is not known whether this was done (key {key}). {last.detail}",
            status=last.status,
            code=last.code,
            fields=last.fields,
            request_id=last.request_id,
            retry_after=last.retry_after,
            details=last.details,
        )
        self.key = key


KNOWN = {"type", "title", "status", "detail", "code", "request_id", "errors"}


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> OrdersError:
    """The error of an answer: of the service (`application/problem+json`), or of anything between it and us."""
    problem = _read_problem(headers, body)
    if problem is None:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        answer = f"{status} {phrase}".rstrip()
        problem = {"code": f"http_{status}", "detail": f"The answer was {answer}, without a word of the service."}
    errors = [each for each in problem.get("errors") or [] if isinstance(each, dict)]
    return OrdersError(
        str(problem.get("detail") or problem["code"]),
        status=status,
        code=problem["code"],
        fields=tuple(FieldError(str(each.get("field", "")), str(each.get("message", ""))) for each in errors),
        request_id=headers.get("X-Request-ID"),
        retry_after=read_retry_after(headers.get("Retry-After")),
        details={name: value for name, value in problem.items() if name not in KNOWN},
    )


def _read_problem(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | None:
    if "json" not in headers.get("Content-Type", ""):
        return None
    try:
        problem = json.loads(body)
    except ValueError:
        return None
    return problem if isinstance(problem, dict) and isinstance(problem.get("code"), str) else None


def read_retry_after(text: str | None) -> float | None:
    """Seconds, of a number or a date. None where there is nothing that can be read."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
