"""A way to the engine on which a test can make faults happen that no local engine produces.

`TransactionConflict`, throttling, a store that breaks the connection, and the worst: an answer that is lost after
the store did what it was asked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

# Gives status and body for a request; None drops the connection without an answer.
Fault = Callable[["Forwarder", bytes], tuple[int, bytes] | None]


def refuse(error: str, *, status: int = 400, **more: Any) -> Fault:
    """Answer with an error of DynamoDB; the engine hears nothing."""
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{error}", "message": "made by a test", **more}
    return lambda forwarder, sent: (status, json.dumps(body).encode())


def cancel(*codes: str) -> Fault:
    """Answer that the transaction was cancelled, with a reason for each step."""
    return refuse("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def drop(forwarder: Forwarder, sent: bytes) -> None:
    """Break the connection; the engine hears nothing."""


def lose_answer(forwarder: Forwarder, sent: bytes) -> None:
    """Let the engine do what it is asked, and break the connection instead of answering."""
    forwarder.forward(sent)


def garble(forwarder: Forwarder, sent: bytes) -> tuple[int, bytes]:
    """Answer as something else than DynamoDB would, such as the log-in page of a hotel's network."""
    forwarder.is_dynamodb = False
    return 200, b"<html>"


def truncate(forwarder: Forwarder, sent: bytes) -> None:
    """Let the engine do what it is asked, and break the connection in the middle of the answer."""
    status, body = forwarder.forward(sent)
    forwarder.start_answer(status, body)
    forwarder.wfile.write(body[: len(body) // 2])


class FaultyStore:
    """Forwards to the engine, except where a fault waits for the operation: each fault is used once, in order."""

    def __init__(self, endpoint: str) -> None:
        self._target = urlsplit(endpoint).netloc
        self._lock = threading.Lock()
        self._faults: list[tuple[str, Fault]] = []
        self.operations: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    def inject(self, operation: str, *faults: Fault) -> None:
        """Let these faults happen to the next requests of this operation (`*` for any)."""
        self._faults += [(operation, fault) for fault in faults]

    def heal(self) -> None:
        """Forget the faults that wait and what was seen."""
        self._faults.clear()
        self.operations.clear()
        self.bodies.clear()

    @property
    def waiting(self) -> int:
        """How many faults have not happened."""
        return len(self._faults)

    def take(self, operation: str, body: bytes) -> Fault | None:
        with self._lock:
            self.operations.append(operation)
            self.bodies.append(json.loads(body))
            for place, (wanted, fault) in enumerate(self._faults):
                if wanted in {operation, "*"}:
                    del self._faults[place]
                    return fault
        return None

    def __enter__(self) -> FaultyStore:
        handler = type("Handler", (Forwarder,), {"store": self, "target": self._target})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Forwarder(BaseHTTPRequestHandler):
    store: FaultyStore
    target: str
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: apart, the second waits 40 ms for the first

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        self.is_dynamodb = True
        fault = self.store.take(operation, sent)
        answer = fault(self, sent) if fault else self.forward(sent)
        if answer is None:
            self.close_connection = True
            return
        status, body = answer
        self.start_answer(status, body)
        self.wfile.write(body)

    def start_answer(self, status: int, body: bytes) -> None:
        """The headers that announce a body, with the checksum by which botocore knows that it is whole."""
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        if self.is_dynamodb:
            self.send_header("x-amz-crc32", str(crc32(body)))
            self.send_header("x-amzn-RequestId", "made-by-a-test")
        self.end_headers()

    def forward(self, sent: bytes) -> tuple[int, bytes]:
        connection = HTTPConnection(self.target, timeout=10)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host"}}
            connection.request("POST", "/", sent, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def log_message(self, *_: object) -> None:
        """Be quiet."""
