"""A way to the engine on which a test can make faults happen that no local engine produces.

Throttling, `TransactionConflict`, a store that breaks the connection or the process that calls it, and the worst: an
answer that is lost after the store did what it was asked. And what AWS does without any fault: a read that is not
marked consistent, or one of an index, that does not see the newest writes.

A fault waits for the next request of an operation (`FaultyStore.inject`) or for the k-th call from now on
(`FaultyStore.break_call`). A call is one operation of the application; botocore may send it several times.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import pytest
from flask import Flask

from tests.support.wire import Wire, read_message

# Gives status and body for a request; None drops the connection without an answer.
Fault = Callable[["Forwarder", bytes], tuple[int, bytes] | None]

READS = {"GetItem", "BatchGetItem", "Query", "Scan"}
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "CreateTable"}


def refuse(error: str, *, status: int = 400, **more: Any) -> Fault:
    """Answer with an error of DynamoDB; the engine hears nothing."""
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{error}", "message": "made by a test", **more}
    return lambda forwarder, sent: (status, json.dumps(body).encode())


def cancel(*codes: str) -> Fault:
    """Answer that the transaction was cancelled, with a reason for each step."""
    return refuse("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def cancel_item(number: int, code: str) -> Fault:
    """Answer that the transaction was cancelled for its number-th item (from 0), however many it has."""

    def fault(forwarder: Forwarder, sent: bytes) -> tuple[int, bytes] | None:
        steps = len(json.loads(sent)["TransactItems"])
        return cancel(*(code if step == number else "None" for step in range(steps)))(forwarder, sent)

    return fault


def conflict(forwarder: Forwarder, sent: bytes) -> tuple[int, bytes] | None:
    """Answer a write that another transaction is at its items, all of them; reads are answered as ever."""
    if forwarder.operation not in WRITES:
        return forwarder.forward(sent)
    steps = json.loads(sent).get("TransactItems")
    answer = cancel(*["TransactionConflict"] * len(steps)) if steps else refuse("TransactionConflictException")
    return answer(forwarder, sent)


def drop(forwarder: Forwarder, sent: bytes) -> None:
    """Break the connection; the engine hears nothing."""


def lose_answer(forwarder: Forwarder, sent: bytes) -> None:
    """Let the engine do what it is asked, and break the connection instead of answering."""
    forwarder.forward(sent)


def fail_afterwards(forwarder: Forwarder, sent: bytes) -> tuple[int, bytes] | None:
    """Let the engine do what it is asked, and answer that something broke."""
    forwarder.forward(sent)
    return refuse("InternalServerError", status=500)(forwarder, sent)


def garble(forwarder: Forwarder, sent: bytes) -> tuple[int, bytes]:
    """Answer as something else than DynamoDB would, such as the log-in page of a hotel's network."""
    forwarder.is_dynamodb = False
    return 200, b"<html>"


def truncate(forwarder: Forwarder, sent: bytes) -> None:
    """Let the engine do what it is asked, and break the connection in the middle of the answer."""
    status, body = forwarder.forward(sent)
    forwarder.start_answer(status, body)
    forwarder.wfile.write(body[: len(body) // 2])


def leave_unprocessed(forwarder: Forwarder, sent: bytes) -> tuple[int, bytes]:
    """Answer a BatchGetItem for the first key of each table, and hand the others back (AWS: UnprocessedKeys)."""
    asked = json.loads(sent)
    tables: Mapping[str, Any] = asked["RequestItems"]
    left = {name: {**table, "Keys": table["Keys"][1:]} for name, table in tables.items() if table["Keys"][1:]}
    asked["RequestItems"] = {name: {**table, "Keys": table["Keys"][:1]} for name, table in tables.items()}
    status, body = forwarder.forward(json.dumps(asked).encode())
    return status, json.dumps({**json.loads(body), "UnprocessedKeys": left}).encode()


def let(app: Flask, act: Callable[[], Any]) -> Fault:
    """The fault that does something else, past the faulty store, before the request goes on."""

    def between(forwarder: Forwarder, sent: bytes) -> tuple[int, bytes] | None:
        with app.app_context():
            act()
        return forwarder.forward(sent)

    return between


def kill_before(pid: int) -> Fault:
    """Kill the process that calls; the engine hears nothing."""
    return lambda forwarder, sent: os.kill(pid, signal.SIGKILL)


def kill_afterwards(pid: int) -> Fault:
    """Let the engine do what it is asked, and kill the process that called before it hears so."""

    def fault(forwarder: Forwarder, sent: bytes) -> None:
        forwarder.forward(sent)
        os.kill(pid, signal.SIGKILL)

    return fault


@contextmanager
def no_waits() -> Iterator[None]:
    """No wait before an attempt or a resend: how long they take is not what is tested."""
    nothing = SimpleNamespace(sleep=lambda seconds: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.models.batch.time", nothing)
        patch.setattr("app.models.create_tables.time", nothing)
        patch.setattr("botocore.endpoint.time", nothing)
        patch.setattr("app.models.transport.time", nothing)
        yield


@dataclass
class Call:
    """One operation of the application: its number (from 1), and how often it was sent."""

    number: int
    operation: str
    body: dict[str, Any]
    sends: int = 0

    @property
    def steps(self) -> int:
        """How many items a transaction writes."""
        return len(self.body.get("TransactItems", []))


@dataclass
class Plan:
    """Faults for each call from the first to the last (from 1): one for each send of it, the last one for the rest."""

    faults: tuple[Fault | None, ...]
    first: int
    last: float

    def fault_of(self, call: Call) -> Fault | None:
        if not self.first <= call.number <= self.last:
            return None
        return self.faults[min(call.sends, len(self.faults)) - 1]


@dataclass
class Replica:
    """A second engine to which the writes of the first come late: what is not caught up with is not seen there."""

    endpoint: str
    late: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hides_writes: bool = False
    hides_index: bool = False

    def answers(self, operation: str, body: Mapping[str, Any]) -> bool:
        """Whether a request is for what may be stale: an index, or a table read without ConsistentRead."""
        if operation not in READS:
            return False
        if "IndexName" in body:
            return self.hides_index
        asked = body.get("RequestItems", {"": body}).values()
        return self.hides_writes and not any(part.get("ConsistentRead") for part in asked)

    def catch_up(self) -> None:
        if not self.late:
            return
        with closing(Wire(self.endpoint)) as wire:
            while self.late:
                status, body = wire.send(*self.late.pop(0))
                assert status == 200, f"the replica refuses what the engine did: {body!r}"


class FaultyStore:
    """Forwards to the engine, except where a fault waits: each injected one is used once, in order.

    With a `replica`, an engine without tables, it can lag: then everything must be written through here.
    """

    def __init__(self, endpoint: str, *, replica: str | None = None) -> None:
        self._engine = endpoint
        self._replica = Replica(replica) if replica else None
        self._lock = threading.Lock()
        self._faults: list[tuple[str, Fault]] = []
        self._plan: Plan | None = None
        self._by_invocation: dict[str, Call] = {}
        self.operations: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.calls: list[Call] = []
        self.broken = 0

    def inject(self, operation: str, *faults: Fault) -> None:
        """Let these faults happen to the next requests of this operation (`*` for any)."""
        self._faults += [(operation, fault) for fault in faults]

    def break_call(self, number: int, *faults: Fault | None, onward: bool = False) -> None:
        """Let faults happen to the number-th call from now on (from 1), and with `onward` to all that follow it.

        The first fault is for the first send, and so on; the last one also for every send after it. None lets a send
        through. `broken` counts those that were not.
        """
        self.heal()
        self._plan = Plan(faults, number, float("inf") if onward else number)

    def heal(self) -> None:
        """Forget the faults that wait and what was seen."""
        self._faults.clear()
        self._plan = None
        self._by_invocation.clear()
        self.operations.clear()
        self.bodies.clear()
        self.calls.clear()
        self.broken = 0

    @property
    def waiting(self) -> int:
        """How many faults have not happened."""
        return len(self._faults)

    def take(self, operation: str, body: bytes, invocation: str) -> Fault | None:
        """Note a request, and give the fault that waits for it. The resends of a call share its invocation."""
        with self._lock:
            self.operations.append(operation)
            self.bodies.append(json.loads(body))
            if invocation not in self._by_invocation:
                self.calls.append(Call(len(self.calls) + 1, operation, self.bodies[-1]))
                self._by_invocation[invocation] = self.calls[-1]
            call = self._by_invocation[invocation]
            call.sends += 1
            for place, (wanted, fault) in enumerate(self._faults):
                if wanted in {operation, "*"}:
                    del self._faults[place]
                    return fault
            planned = self._plan.fault_of(call) if self._plan else None
            self.broken += planned is not None
            return planned

    @contextmanager
    def lagging(self, *, reads: bool = False, indexes: bool = False) -> Iterator[None]:
        """Hide what is written in this block from reads of tables that are not consistent, from indexes, or both."""
        assert self._replica is not None, "only a store with a replica can lag"
        self._replica.catch_up()
        self._replica.hides_writes, self._replica.hides_index = reads, indexes
        try:
            yield
        finally:
            self._replica.hides_writes = self._replica.hides_index = False
            self._replica.catch_up()

    def forward(self, forwarder: Forwarder, headers: dict[str, str], sent: bytes) -> tuple[int, bytes]:
        """The answer of the engine, or of the replica where that may be asked."""
        operation = forwarder.operation
        if self._replica and self._replica.answers(operation, json.loads(sent)):
            return forwarder.wire(self._replica.endpoint).send(headers, sent)
        if self._replica is None or operation not in WRITES:
            return forwarder.wire(self._engine).send(headers, sent)
        with self._lock:  # the replica must hear the writes in the order in which the engine did
            status, body = forwarder.wire(self._engine).send(headers, sent)
            if status == 200:
                self._replica.late.append((headers, sent))
        return status, body

    def __enter__(self) -> FaultyStore:
        handler = type("Handler", (Forwarder,), {"store": self})
        self._server = ThreadingTCPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Forwarder(StreamRequestHandler):
    """One connection of a client."""

    store: FaultyStore
    wbufsize = -1  # headers and body in one packet: apart, the second waits 40 ms for the first

    def handle(self) -> None:
        with ExitStack() as self._open:
            self._wires: dict[str, Wire] = {}
            while self._answer_one():
                self.wfile.flush()

    def wire(self, endpoint: str) -> Wire:
        """The connection onwards to an engine."""
        if endpoint not in self._wires:
            self._wires[endpoint] = self._open.enter_context(closing(Wire(endpoint)))
        return self._wires[endpoint]

    def _answer_one(self) -> bool:
        """Whether there may be another request on this connection."""
        first, self.headers, sent = read_message(self.rfile)
        if not first:
            return False
        self.operation = self.headers["x-amz-target"].rpartition(".")[2]
        self.is_dynamodb = True
        fault = self.store.take(self.operation, sent, self.headers["amz-sdk-invocation-id"])
        answer = fault(self, sent) if fault else self.forward(sent)
        if answer is None:
            return False
        status, body = answer
        self.start_answer(status, body)
        self.wfile.write(body)
        return True

    def start_answer(self, status: int, body: bytes) -> None:
        """The headers that announce a body, with the checksum by which botocore knows that it is whole."""
        lines = [f"HTTP/1.1 {status} A", "Content-Type: application/x-amz-json-1.0", f"Content-Length: {len(body)}"]
        if self.is_dynamodb:
            lines += [f"x-amz-crc32: {crc32(body)}", "x-amzn-RequestId: made-by-a-test"]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode())

    def forward(self, sent: bytes) -> tuple[int, bytes]:
        kept = {name: value for name, value in self.headers.items() if name not in {"host", "content-length"}}
        return self.store.forward(self, kept, sent)
