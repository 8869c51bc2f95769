"""A server that answers as a test says, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import requests
from order_processor_client import Patience

# For tests, which do not wait.
PATIENCE = Patience(attempts=4, seconds=10, first_wait=0.01, longest_wait=0.05, run_seconds=0)


@dataclass
class Reply:
    """`cut` closes the connection: before the answer, or in the middle of its body; or it hangs until `release` is set.

    With `relay`, an address, the request is sent on to there first, and what is answered there is the reply.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    cut: str = ""
    relay: str = ""


def problem(status: int, code: str, *, headers: dict[str, str] | None = None, **more: Any) -> Reply:
    """An error of the service."""
    body = {"status": status, "code": code, "detail": f"It is {code}.", "request_id": "r1", **more}
    sent = {"X-Request-ID": "r1", **(headers or {})}
    return Reply(status, json.dumps(body).encode(), sent, "application/problem+json")


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Scripted(ThreadingHTTPServer):
    """The replies are given in their order; the last one is repeated."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: list[Reply] = []
        self.asked: list[Asked] = []
        self.when_asked: Callable[[], object] = lambda: None
        self.hangs, self.release = Event(), Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def keys(self) -> set[str | None]:
        return {each.headers.get("Idempotency-Key") for each in self.asked}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(Asked(self.command, self.path, dict(self.headers), json.loads(body) if body else None))
        self.server.when_asked()
        replies = self.server.replies
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if reply.relay:
            reply = self._relay(reply, body)
        if reply.cut == "hang":
            self.server.hangs.set()
            self.server.release.wait(30)
        if reply.cut in {"before", "hang"}:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"Content-Type": reply.kind, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
        self.close_connection = bool(reply.cut)

    def _relay(self, reply: Reply, body: bytes) -> Reply:
        sent = {name: value for name, value in self.headers.items() if name not in {"Host", "Content-Length"}}
        answer = requests.request(self.command, reply.relay + self.path, headers=sent, data=body, timeout=30)
        headers = {name: answer.headers[name] for name in ("Idempotent-Replayed",) if name in answer.headers}
        return Reply(answer.status_code, answer.content, headers, answer.headers["Content-Type"], cut=reply.cut)

    do_GET = do_POST = do_DELETE = do_PATCH = _answer

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def scripted_server() -> Iterator[Scripted]:
    server = Scripted()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
