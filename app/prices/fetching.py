"""Fetches answers from an HTTP API that may fail in any way, and shares each among the threads of a process.

When an answer is due again, one thread fetches it, and the others use the old one. A failed request is repeated
at most twice, and only if that can help. After a failure the caller pauses, so that requests do not pile up. Every
failure is a FetchFailed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.cookiejar import DefaultCookiePolicy
from threading import Lock
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 5
# The read timeout is for each piece of a body; these are for the whole body. Real ones have up to 100 kB.
MAX_BODY_SECONDS = 10
MAX_BODY_BYTES = 1 << 20

RETRIED_STATUSES = (429, 500, 502, 503, 504)
# The longest wait before another attempt. If the API asks for more, a pause begins instead.
MAX_RETRY_AFTER_SECONDS = 2
# The pause doubles with each failure of the API in a row, and is at least as long as the API asks for.
FIRST_PAUSE = timedelta(seconds=10)
MAX_PAUSE = timedelta(seconds=60)
MAX_ASKED_PAUSE = timedelta(seconds=300)
# How long to wait after an answer that could not be fetched or used.
NEXT_TRY_AFTER = timedelta(seconds=10)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Clock = Callable[[], datetime]
T = TypeVar("T")

log = logging.getLogger(__name__)


class FetchFailed(Exception):
    """There is no usable answer; says why."""


class ApiDown(FetchFailed):
    """The API did not answer the request, or refused it. `retry_after` is the pause that it asks for."""

    def __init__(self, reason: str, retry_after: timedelta = timedelta(0)) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def pause_after(failure: FetchFailed, failures_before: int) -> timedelta:
    """How long to make no request after a failure, where `failures_before` came right before it."""
    if not isinstance(failure, ApiDown):
        return NEXT_TRY_AFTER
    length = min(FIRST_PAUSE * (1 << min(failures_before, 10)), MAX_PAUSE)
    return max(length, min(failure.retry_after, MAX_ASKED_PAUSE))


class Fetched(NamedTuple, Generic[T]):
    """An answer, and how long to use it before asking again."""

    value: T
    fresh_for: timedelta


@dataclass(frozen=True)
class _Rest:
    """A span of time without requests. It ends early if the clock is set back to before its start."""

    start: datetime = _EPOCH
    length: timedelta = timedelta(0)

    def includes(self, now: datetime) -> bool:
        return timedelta(0) <= now - self.start < self.length


class Cached(Generic[T]):
    """One answer for all threads: one thread fetches it at a time, and it stays until there is a newer one."""

    def __init__(self, fetch: Callable[[], Fetched[T]], *, clock: Clock, max_wait_seconds: float) -> None:
        """`fetch` may raise FetchFailed."""
        self._fetch = fetch
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds
        self._fetching = Lock()
        self._value: T | None = None
        self._rest = _Rest()

    def get(self) -> T | None:
        """The newest answer, of any age while fetching fails; None if there never was one."""
        # A thread waits for the one that is fetching only if there is no old answer.
        wait_seconds = self._max_wait_seconds if self._value is None else 0
        if self._is_due() and self._fetching.acquire(timeout=wait_seconds):
            try:
                # Another thread may have fetched it while this one waited.
                if self._is_due():
                    self._refresh()
            finally:
                self._fetching.release()
        return self._value

    def _is_due(self) -> bool:
        return not self._rest.includes(self._clock())

    def _refresh(self) -> None:
        try:
            self._value, length = self._fetch()
        except FetchFailed as failure:
            log.warning("No new prices: %s", failure)
            length = NEXT_TRY_AFTER
        self._rest = _Rest(self._clock(), length)


class _Retry(Retry):
    """Repeats a request soon, or gives up if the API asks for a longer wait."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        asked_seconds = self.get_retry_after(response) if response is not None else None
        retry = self.new(total=0) if (asked_seconds or 0) > MAX_RETRY_AFTER_SECONDS else self
        return super(_Retry, retry).increment(method, url, response, error, _pool, _stacktrace)


_RETRY = _Retry(
    # Reading is not repeated: a caller should not wait for a timeout twice.
    total=2,
    connect=1,
    read=0,
    redirect=0,
    status=2,
    other=0,
    allowed_methods={"GET"},
    status_forcelist=RETRIED_STATUSES,
    raise_on_status=False,
    backoff_factor=0.2,
    backoff_jitter=0.1,
    backoff_max=1,
    retry_after_max=int(MAX_ASKED_PAUSE.total_seconds()),
)


class Pause:
    """A span without requests of one kind, which failures begin and make longer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._rest = _Rest()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around one request: its failure begins a pause. Raises FetchFailed during a pause."""
        if self._rest.includes(self._clock()):
            raise FetchFailed("the API is left alone after a failure")
        try:
            yield
        except ApiDown as failure:
            self.begin(failure)
            raise
        self._failures = 0

    def begin(self, failure: ApiDown) -> None:
        """Make no request for a while."""
        self._rest = _Rest(self._clock(), pause_after(failure, self._failures))
        self._failures += 1


class JsonApi:
    """GET requests for JSON to one API."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers.update({"Accept": "application/json", "User-Agent": "order-processor"})
        self._session.headers.update(headers)
        # No cookies: threads share the session.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_RETRY))

    def get(self, path: str, **params: str) -> object:
        """The decoded answer; a number with a point or an exponent is an exact Decimal, NaN is None.

        Raises FetchFailed.
        """
        return _decode(self._request(path, params))

    def _request(self, path: str, params: Mapping[str, str]) -> bytes:
        try:
            with self._session.get(
                self._url + path,
                params=params,
                stream=True,
                timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
                # A redirect could carry the key to another host.
                allow_redirects=False,
            ) as response:
                _check_status(response)
                return _read_body(response)
        # A malformed Retry-After header raises one of the last two.
        except (requests.RequestException, HTTPError, ValueError, OverflowError) as error:
            raise ApiDown(type(error).__name__) from error


def _check_status(response: requests.Response) -> None:
    if response.status_code == 404:
        raise FetchFailed("HTTP 404")
    if response.status_code != 200:
        retry_after_seconds = _RETRY.get_retry_after(response.raw) or 0
        raise ApiDown(f"HTTP {response.status_code}", timedelta(seconds=retry_after_seconds))


def _read_body(response: requests.Response) -> bytes:
    body = bytearray()
    deadline = time.monotonic() + MAX_BODY_SECONDS
    # `read1` returns what has arrived; `read` would wait for a full buffer, with a new timeout for each piece.
    while piece := response.raw.read1(1 << 16, decode_content=True):
        body += piece
        if len(body) > MAX_BODY_BYTES or time.monotonic() > deadline:
            raise ApiDown("the body is too long or too slow")
    return bytes(body)


def _decode(body: bytes) -> object:
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=lambda name: None)
    # ValueError: bad JSON or bad UTF-8. ArithmeticError: an exponent too large for a Decimal.
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise FetchFailed(f"the body is not usable JSON: {type(error).__name__}") from error
