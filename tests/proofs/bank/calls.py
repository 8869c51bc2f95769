"""What a customer asked over HTTP and was told, and what can be said of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import requests
from flask.testing import FlaskClient


class Answer(NamedTuple):
    """`body` is None where it is not JSON."""

    status: int
    body: Any
    replayed: bool = False

    @property
    def code(self) -> str:
        return str(self.body["code"]) if isinstance(self.body, dict) and "code" in self.body else ""


class Send(Protocol):
    """A way to the server; None where there was no answer, or half of one."""

    def __call__(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer | None: ...


def over_http(address: str) -> Send:
    """A connection of its own to a running server."""
    session = requests.Session()
    session.trust_env = False

    def send(method: str, path: str, body: Any, headers: dict[str, str]) -> Answer | None:
        try:
            response = session.request(method, address + path, json=body, headers=headers, timeout=30)
        except requests.RequestException:
            return None
        is_json = "json" in response.headers.get("Content-Type", "")
        return Answer(
            response.status_code, response.json() if is_json else None, "Idempotent-Replayed" in response.headers
        )

    return send


def in_process(client: FlaskClient) -> Send:
    """The application itself, called in the customer's thread."""

    def send(method: str, path: str, body: Any, headers: dict[str, str]) -> Answer | None:
        response = client.open(path, method=method, json=body, headers=headers)
        return Answer(
            response.status_code, response.json if response.is_json else None, "Idempotent-Replayed" in response.headers
        )

    return send


class Fate(StrEnum):
    DONE = "done"
    REFUSED = "refused"  # by a rule: nothing was changed
    UNTOUCHED = "untouched"  # nothing was changed, for lack of luck or capacity
    UNKNOWN = "unknown"


class Request(NamedTuple):
    """`subject` is the order or the asset that it is about. A `keyed` one is repeated with the same key."""

    kind: str
    username: str
    token: str
    method: str
    path: str
    body: Any = None
    keyed: bool = False
    subject: str = ""


@dataclass(frozen=True, eq=False)
class Call:
    """A request, each of its answers, and when it began and ended (seconds of the monotonic clock)."""

    request: Request
    key: str
    started: float
    answered: float
    answers: tuple[Answer | None, ...]

    @property
    def kind(self) -> str:
        return self.request.kind

    @property
    def answer(self) -> Answer | None:
        return self.answers[-1]

    @property
    def code(self) -> str:
        return self.answer.code if self.answer else ""

    @property
    def body(self) -> Any:
        return self.answer.body if self.answer else None

    @property
    def fate(self) -> Fate:
        if self.answer is not None and self.answer.status != 503:
            return Fate.DONE if self.answer.status < 400 else Fate.REFUSED
        return Fate.UNKNOWN if self.was_in_doubt else Fate.UNTOUCHED

    @property
    def was_in_doubt(self) -> bool:
        """Whether after some answer nobody could know whether it was carried out."""
        return any(answer is None or answer.code == "store_unavailable" for answer in self.answers)

    @property
    def outcome(self) -> str:
        """In a word, for counting."""
        return self.code if self.fate is Fate.REFUSED else self.fate.value
