"""What `gunicorn.conf.py` serves with: the worker, and what its hooks do."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from flask import Flask
from gunicorn.http.body import LengthReader
from gunicorn.workers.gthread import ThreadWorker

from app.models.create_tables import create_tables, tables_answer
from app.models.upgrade import bring_up_to_date

# How long a client may pause while it sends a request or reads its answer.
PAUSE_SECONDS = 5
# Of a body that the application did not read, gunicorn reads and drops less than this; of more it cuts the connection.
DROPPED_BYTES = 64 * 1024
# How long a connection that ends goes on dropping what the client still sends.
CLOSING_SECONDS = 2.0
PROBES = tuple(f"{method} {path} ".encode() for path in ("/health", "/metrics") for method in ("GET", "HEAD"))
PROBE_BYTES = 4096
PROBE_THREADS = 2


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's worker with threads, which also keeps what it promises about connections and probes.

    A probe has threads of its own, because all others may wait for the database. No answer promises a connection that
    is then cut. A client that does not close its connection holds up nobody; gunicorn would wait for it in the thread
    that takes all connections.
    """

    def get_thread_pool(self) -> ThreadPoolExecutor:
        return _Threads(self.cfg.threads)

    def handle(self, connection: Any) -> Any:
        connection.may_send = True
        is_kept = super().handle(connection)
        if not is_kept:
            _end(connection.sock, may_send=connection.may_send)
        return is_kept

    def handle_request(self, request: Any, connection: Any) -> bool:
        body = request.body.reader
        has_length = isinstance(body, LengthReader)
        if not has_length or body.length >= DROPPED_BYTES:
            request.force_close()  # the answer says `Connection: close`
        is_kept = bool(super().handle_request(request, connection))
        connection.may_send = not has_length or body.length > 0
        return is_kept


class _Threads(ThreadPoolExecutor):
    """The threads of a worker, and a few more for probes alone."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._probes = ThreadPoolExecutor(PROBE_THREADS)

    def submit(self, handle: Callable[..., Any], /, *connections: Any, **_: Any) -> Future[Any]:
        [connection] = connections
        submit = self._probes.submit if _is_probe(connection.sock) else super().submit
        return submit(handle, connection)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._probes.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)


def _is_probe(connection: socket.socket) -> bool:
    """Whether a whole probe without a body is there to be read: its thread must not wait for the client."""
    try:
        head = connection.recv(PROBE_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except (OSError, ValueError):  # nothing is there yet; a connection with TLS cannot be looked into
        return False
    is_whole = head.endswith(b"\r\n\r\n") and b"\r\ncontent-length:" not in head.lower()
    return is_whole and head.startswith(PROBES) and b"\r\ntransfer-encoding:" not in head.lower()


def _end(connection: socket.socket, *, may_send: bool) -> None:
    """Let gunicorn close a connection without waiting.

    What a client may still send is dropped first: otherwise the kernel resets the connection, and the answer is lost.
    """
    deadline = time.monotonic() + CLOSING_SECONDS
    try:
        connection.shutdown(socket.SHUT_WR)
        while may_send and (remaining := deadline - time.monotonic()) > 0:
            connection.settimeout(remaining)
            may_send = bool(connection.recv(64 * 1024))
        connection.shutdown(socket.SHUT_RD)  # gunicorn reads until nothing comes
    except OSError:
        return  # it is closed already


def limit_pauses(listeners: Iterable[socket.socket]) -> None:
    """End connections that stall: otherwise 8 unfinished requests would block all threads of a worker.

    gunicorn has no such limit for gthread. Connections inherit these options from the listener.
    """
    pause = struct.pack("ll", PAUSE_SECONDS, 0)
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pause)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, pause)
        if listener.family != socket.AF_UNIX and hasattr(socket, "TCP_DEFER_ACCEPT"):
            # A connection that has sent nothing yet waits in the kernel, not in a thread.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)


def create_missing_tables(app: Flask) -> None:
    """Create the tables that do not exist, and upgrade those of an older version.

    Ends the process with a message where that is not possible.
    """
    # Imported here: it brings the counters, which must come after gunicorn.conf.py has said where they are kept.
    from app.cli.failures import DATABASE_ERRORS, sentence_of

    try:
        with app.app_context():
            create_tables()
            bring_up_to_date()
    except DATABASE_ERRORS as error:
        sys.exit(sentence_of(error))


def warm_up(app: Flask) -> None:
    """Make the first, slow calls to DynamoDB before a request has to wait for them."""
    with app.app_context():
        tables_answer()
