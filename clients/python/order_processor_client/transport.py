"""HTTP to the service: one attempt, and as many as are allowed."""

from __future__ import annotations

import platform
import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from order_processor_client.api import PREFIX
from order_processor_client.errors import OrdersError, read_error
from order_processor_client.values import from_json, to_json
from order_processor_client.version import __version__

USER_AGENT = f"order-processor-client/{__version__} Python/{platform.python_version()}"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# With these codes of a 503 the service says that the request changed nothing.
CHANGED_NOTHING = {"busy", "overloaded", "price_unavailable"}
REPEATED = {429, 502, 503, 504}


@dataclass(frozen=True)
class Patience:
    """How often a request is sent, and for how long: no attempt begins after `seconds`. Waits double, with jitter.

    The wait is never shorter than what `Retry-After` asks for; where that is too long, the request fails at once.
    """

    attempts: int = 5
    seconds: float = 60.0
    first_wait: float = 0.25
    longest_wait: float = 10.0
    # A run of a request that got no answer is over by then, so that a refusal speaks for that run too.
    run_seconds: float = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back: an answer, or why there is none."""

    status: int = 0
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    error: OrdersError | None = None
    was_sent: bool = True
    is_final: bool = False

    @property
    def is_replay(self) -> bool:
        return "Idempotent-Replayed" in (self.headers or {})

    @property
    def in_doubt(self) -> bool:
        """Whether a change with this answer may have been made, or may still be."""
        if self.error is None or not self.was_sent:
            return False
        if self.status == 503:
            return self.error.code not in CHANGED_NOTHING
        return self.status == 0 or self.status < 400 or self.status >= 500

    @property
    def may_be_repeated(self) -> bool:
        return self.error is not None and self.status in {0, *REPEATED} and not self.is_final

    def json(self) -> Any:
        return from_json(self.body) if self.body else None


class Bearer(requests.auth.AuthBase):
    """The token. As `auth`, it is not replaced by a password of ~/.netrc."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class Transport:
    """Requests to one service. Threads must not share it."""

    def __init__(self, base_url: str, *, timeout: tuple[float, float], verify: bool | Path, patience: Patience) -> None:
        self.base_url = checked_url(base_url)
        self.timeout = timeout
        self.patience = patience
        self.session = requests.Session()
        self.session.headers["User-Agent"] = USER_AGENT
        self.session.verify = verify if isinstance(verify, bool) else str(verify)

    def send(
        self, method: str, path: str, *, token: str, query: Mapping[str, str], body: Any, headers: Mapping[str, str]
    ) -> Answer:
        """One attempt."""
        data = None if body is None else to_json(body).encode()
        try:
            response = self.session.request(
                method,
                f"{self.base_url}{PREFIX}{path}",
                params=query,
                data=data,
                headers={**({"Content-Type": "application/json"} if data is not None else {}), **headers},
                auth=Bearer(token),
                timeout=self.timeout,
                # A redirection would turn a POST into a GET, or carry the token elsewhere.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            problem = OrdersError(f"{self.base_url} did not answer: {_reason(error)}")
            return Answer(error=problem, was_sent=not _was_not_sent(error), is_final=_is_untrusted(error))
        return _read(response)

    def patiently(self, attempt: Callable[[], Answer]) -> tuple[Answer, float | None]:
        """Repeat an attempt while that is allowed and may help.

        Also says when an answer last left it in doubt whether the change was made (`time.time`), or None.
        """
        deadline, doubted_at = time.monotonic() + self.patience.seconds, None
        for number in range(self.patience.attempts):
            answer = attempt()
            if answer.in_doubt:
                doubted_at = time.time()
            if not answer.may_be_repeated or number + 1 == self.patience.attempts:
                break
            wait = self._wait(number, answer)
            if time.monotonic() + wait > deadline:
                break
            time.sleep(wait)
        return answer, doubted_at

    def _wait(self, number: int, answer: Answer) -> float:
        asked = (answer.error.retry_after if answer.error else None) or 0.0
        backoff = min(self.patience.longest_wait, self.patience.first_wait * 2.0**number)
        return max(asked, backoff) * random.uniform(1, 1.5)


def checked_url(base_url: str) -> str:
    """The address of the service without `/api/v1` and without a slash at its end. Raises ValueError."""
    url = base_url.rstrip("/").removesuffix(PREFIX)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username:
        raise ValueError(f"Write the address of the service, such as https://shop.example, not {base_url!r}.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError(f"Use https: over http, anybody on the way to {parts.hostname} could read the token.")
    return url


def _read(response: requests.Response) -> Answer:
    answer = Answer(response.status_code, response.headers, response.content)
    if not response.ok or response.is_redirect:
        error = read_error(response.status_code, response.headers, response.content)
    elif response.status_code != 204 and not _has_the_right_type(response):
        error = OrdersError("The answer is not one of the service.", status=response.status_code, code="not_an_answer")
    else:
        return answer
    return Answer(answer.status, answer.headers, answer.body, error)


def _has_the_right_type(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "")
    if "json" in kind:
        try:
            from_json(response.content)
        except ValueError:
            return False
        return True
    return kind.startswith("text/csv") and response.request.method == "GET"


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "it took too long."
    if _is_untrusted(error):
        return "its certificate cannot be verified."
    return "the connection failed or was cut off."


def _cause(error: requests.RequestException) -> object:
    return getattr(error.args[0], "reason", None) if error.args else None


def _is_untrusted(error: requests.RequestException) -> bool:
    cause = _cause(error)
    return isinstance(cause, Exception) and any(isinstance(each, ssl.SSLCertVerificationError) for each in cause.args)


def _was_not_sent(error: requests.RequestException) -> bool:
    """Whether no connection was made: nothing can have arrived."""
    return (
        isinstance(error, requests.ConnectTimeout)
        or isinstance(_cause(error), urllib3.exceptions.NewConnectionError)
        or _is_untrusted(error)
    )
