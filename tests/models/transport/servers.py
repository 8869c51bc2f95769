"""Servers that answer as a test says, and calls of the transport to them."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader

from app.domain.errors import StoreUnavailable
from app.models import attempt
from app.models.attempt import Attempt, NoAnswer
from app.models.database import Database

LOADER = create_loader()


REGION = "eu-central-1"


UNITS = {"ConsumedCapacity": {"TableName": "users", "CapacityUnits": 0.5}}


# Sent to the client, then the connection is closed or kept. A function gets the socket and does both itself.
Act = Callable[[socket.socket], bool]


def whole(
    content: Any = UNITS, *, status: str = "200 OK", checksum: int = 0, named: bool = True, extra: str = ""
) -> bytes:
    """A whole answer; `checksum` is what is wrong about it."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    name = "x-amzn-RequestId: made-by-a-test\r\n" if named else ""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{name}{extra}x-amz-crc32: {crc32(body) + checksum}"
    return f"{head}\r\n\r\n".encode() + body


def say(data: bytes, *, close: bool = False) -> Act:
    def act(connection: socket.socket) -> bool:
        connection.sendall(data)
        return not close

    return act


def trickle(connection: socket.socket) -> bool:
    """A byte now and then, so that the connection is never silent and the answer never whole."""
    for each in whole()[:40]:
        time.sleep(0.1)
        connection.sendall(bytes([each]))
    return False


def silence(connection: socket.socket) -> bool:
    """Wait until the client is gone."""
    connection.recv(1)
    return False


def refusal(error: str, *, status: str = "400 Bad Request", **more: Any) -> Act:
    kind = f"com.amazonaws.dynamodb.v20120810#{error}"
    return say(whole({"__type": kind, "message": "made by a test", **more}, status=status))


GOOD, HANG_UP = say(whole()), say(b"", close=True)


THROTTLED = refusal("ThrottlingException")


@dataclass
class Request:
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers each request with the next act, and with a success when none is left. Connections are numbered from 1."""

    context: ssl.SSLContext | None = None
    acts: list[Act] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_up(self) -> None:
        """Close all connections, as a server does with those that were idle too long."""
        for each in self.connections:
            with suppress(OSError):  # closed already
                each.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, len(self.connections)), daemon=True).start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        try:
            with self.context.wrap_socket(plain, server_side=True) if self.context else plain as connection:
                stream = connection.makefile("rb")
                while self._answer_one(connection, stream, number):
                    pass
                stream.close()
        except OSError:
            pass  # the client is gone

    def _answer_one(self, connection: socket.socket, stream: Any, number: int) -> bool:
        if not (first := stream.readline().decode()):
            return False
        headers: dict[str, str] = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        method, path, _ = first.split(" ", 2)
        body = stream.read(int(headers.get("content-length", 0)))
        self.requests.append(Request(number, method, path, headers, body))
        return (self.acts.pop(0) if self.acts else GOOD)(connection)


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    made = Server(context)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def connect(url: str, transport: str = "curl") -> Any:
    names = {"users": "users", "orders": "orders"}
    return Database(endpoint=url, region=REGION, table_names=names, transport=transport).open_connection()


@dataclass
class Outcome:
    answer: Any
    error: Exception | None
    sends: int
    in_doubt: bool


def ask(connection: Any, operation: str = "UpdateItem", **arguments: Any) -> Outcome:
    """One operation below PynamoDB, with what is known of its sends afterwards."""
    this = Attempt()
    before = attempt.current.set(this)
    answer, failure = None, None
    try:
        answer = connection.client._make_api_call(operation, arguments)
    except (ClientError, BotoCoreError, NoAnswer) as error:
        failure = error
    finally:
        attempt.current.reset(before)
    throttled = ClientError({"Error": {"Code": "ThrottlingException"}}, operation)
    return Outcome(answer, failure, this.sends, isinstance(this.outcome(throttled), StoreUnavailable))


def call(url: str, operation: str = "UpdateItem", transport: str = "curl") -> tuple[Any, int]:
    """What the models get: an answer or an exception; and the sends that the meter counted."""
    where = Database(endpoint=url, region=REGION, table_names={"users": "users"}, transport=transport)
    with where.active() as meter:
        try:
            answer: Any = where.open_connection()._make_api_call(operation, {"TableName": "users"})
        except Exception as error:
            answer = error
        return answer, meter.calls
