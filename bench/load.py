"""Clients for `bench.performance`: of the product, and of the engine alone, all over raw kept-alive sockets.

`Bare` sends the engine the calls that the product made for the same request, as they were recorded: the same keys and
conditions, with values of its own. It reads what a write depends on from the parsed answers, as the product does.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, Protocol
from unittest.mock import patch
from urllib.parse import urlsplit

from pynamodb.connection.base import Connection as PynamoConnection

from app.domain import clock

# The load comes from as many processes, so that one interpreter does not bound it.
PROCESSES = 2


class Connection:
    """One HTTP connection, kept alive."""

    def __init__(self, address: str) -> None:
        self._address = urlsplit(address)
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection((self._address.hostname, self._address.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, method: str, path: str, headers: str, body: bytes = b"") -> tuple[int, bytes]:
        """The status and the body of one answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._read()
        told, _, content = received.partition(b"\r\n\r\n")
        told = told.lower()
        length = int(told.partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(content) < length:
            content += self._read()
        if b"connection: close" in told:
            self.close()
            self._open()
        return int(told.split(b" ", 2)[1]), content

    def _read(self) -> bytes:
        part = self._socket.recv(256 * 1024)
        if not part:
            raise ConnectionError("the connection was closed")
        return part

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True)
class Account:
    """A user with a token, who has cash, BTC, one order, and more than 20 transactions."""

    username: str
    bearer: str
    order_id: str

    @property
    def token_id(self) -> str:
        return self.bearer.split(".")[1]


@dataclass(frozen=True)
class Request:
    """A request to the product's API; `{order_id}` in its path is that of the account."""

    name: str
    method: str
    path: str
    body: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Recording:
    """The calls of one request of an account: each operation with its body; and what a repetition must replace."""

    account: Account
    calls: Sequence[tuple[str, str]]
    replaced: Mapping[str, str] = field(default_factory=dict)


class Client(Protocol):
    """Something that can be done again and again on one connection."""

    def run(self) -> bool:
        """Do it once; False where it was refused."""


class Product:
    """One request to the product, as one account."""

    def __init__(self, address: str, account: Account, request: Request) -> None:
        self._connection = Connection(address)
        self._method = request.method
        self._path = "/api/v1" + request.path.format(order_id=account.order_id)
        self._headers = f"Authorization: Bearer {account.bearer}\r\nContent-Type: application/json\r\n"
        self._body = json.dumps(request.body).encode() if request.body else b""

    def run(self) -> bool:
        status, _ = self._connection.exchange(self._method, self._path, self._headers, self._body)
        return status < 300


class Bare:
    """The recorded calls of one request, sent to the engine as another account."""

    def __init__(self, endpoint: str, account: Account, recording: Recording) -> None:
        self._connection = Connection(endpoint)
        before, calls = recording.account, []
        for operation, text in recording.calls:
            for old, new in (
                (before.username, account.username),
                (before.token_id, account.token_id),
                (before.order_id, account.order_id),
                *recording.replaced.items(),
            ):
                text = text.replace(old, new)
            calls.append((operation, text))
        self._calls = calls

    def run(self) -> bool:
        values: dict[str, str] = {}
        for operation, text in self._calls:
            if operation == "TransactWriteItems":
                values |= {"@token": str(uuid.uuid4()), "@time": clock.to_text(clock.now())}
                values["@order"] = f"order_{uuid.uuid4().hex[:20]}"
                for name, value in values.items():
                    text = text.replace(name, value)
            headers = (
                "Content-Type: application/x-amz-json-1.0\r\nAuthorization: AWS4-HMAC-SHA256 Credential=bench/20260101"
                "/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n"
                f"X-Amz-Date: 20260101T000000Z\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n"
            )
            status, content = self._connection.exchange("POST", "/", headers, text.encode())
            answer = json.loads(content)
            if status != 200:
                return False
            values |= _read_state(answer)
        return True


def _read_state(answer: Mapping[str, Any]) -> dict[str, str]:
    """What the next write depends on: the balance's version, and the holding's quantity, cost and gain."""
    items = [item for items in answer.get("Responses", {}).values() for item in items] if answer else []
    values = {}
    for item in [*items, *([answer["Item"]] if "Item" in answer else [])]:
        kind = item.get("entity_type", {}).get("S")
        if kind == "BALANCE":
            version = int(item["version"]["N"])
            values |= {"@version": str(version), "@next": str(version + 1), "@number": f"{version + 1:012d}"}
        elif kind == "ASSET":
            for word, name in (("@quantity", "quantity"), ("@cost", "cost_total"), ("@gain", "realised_gain")):
                values[word] = item[name]["S"]
    return values


@contextmanager
def recorded() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The calls that the application of this process makes meanwhile: each operation with its arguments."""
    calls: list[tuple[str, dict[str, Any]]] = []
    send = PynamoConnection._make_api_call

    def note(self: PynamoConnection, operation: str, arguments: dict[str, Any]) -> Any:
        calls.append((operation, arguments))
        return send(self, operation, arguments)

    with patch.object(PynamoConnection, "_make_api_call", note):
        yield calls


@dataclass(frozen=True)
class Load:
    """What clients did: how often in all and in a second, how often refused, and how long it took, in milliseconds."""

    answered: int
    per_second: float
    refused: int
    p50: float
    p99: float


def drive(makers: Sequence[Callable[[], Client]], seconds: float) -> Load:
    """Run clients for so long, each in a thread, after each has done it once. Ends with the last answer."""
    context = multiprocessing.get_context("fork")
    parts = [part for part in (makers[number::PROCESSES] for number in range(PROCESSES)) if part]
    barrier, results = context.Barrier(len(parts)), context.SimpleQueue()
    processes = [context.Process(target=_run_part, args=(part, seconds, barrier, results)) for part in parts]
    for process in processes:
        process.start()
    told = [results.get() for _ in processes]
    for process in processes:
        process.join()
    times = sorted(took for part, _, _ in told for took in part)
    refused = sum(count for _, count, _ in told)
    hundredths = quantiles(times, n=100) if len(times) > 1 else (times or [float("nan")]) * 99
    # What is under way at the end is waited for and counted, so its time counts too.
    elapsed = max(took for *_, took in told)
    return Load(len(times), len(times) / elapsed, refused, 1000 * hundredths[49], 1000 * hundredths[98])


def _run_part(makers: Sequence[Callable[[], Client]], seconds: float, barrier: Any, results: Any) -> None:
    times: list[float] = []
    refused: list[None] = []
    ready = threading.Barrier(len(makers) + 1)

    def run(make: Callable[[], Client]) -> None:
        client = make()
        client.run()
        ready.wait()
        ready.wait()
        deadline = time.monotonic() + seconds
        ended = 0.0
        while ended < deadline:
            began = time.monotonic()
            is_done = client.run()
            ended = time.monotonic()
            if is_done:
                times.append(ended - began)
            else:
                refused.append(None)

    threads = [threading.Thread(target=run, args=(make,)) for make in makers]
    for thread in threads:
        thread.start()
    ready.wait()
    barrier.wait()
    began = time.monotonic()
    ready.wait()
    for thread in threads:
        thread.join()
    results.put((times, len(refused), time.monotonic() - began))
