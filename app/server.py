"""What `gunicorn.conf.py` serves with: the worker, and what its hooks do."""

from __future__ import annotations

import logging
import os
import re
import selectors
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from itertools import islice, takewhile
from typing import Any

from flask import Flask
from gunicorn.http import errors as http_errors
from gunicorn.http import get_parser
from gunicorn.http.body import LengthReader
from gunicorn.sock import TCP6Socket, TCPSocket
from gunicorn.util import is_ipv6
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.config import Config, WrongSetting, check_public
from app.domain.networks import network_of
from app.models.create_tables import create_tables, tables_answer
from app.models.upgrade import bring_up_to_date, is_alone, is_current

# How long a request may take to arrive whole, after its first byte or after the connection is there.
ARRIVING_SECONDS = 10
# How long a client may pause while it reads its answer.
PAUSE_SECONDS = 5
# The longest body that is read: the application refuses a longer one. Of what it leaves, gunicorn drops less than this.
BODY_BYTES = 64 * 1024
# The most of a request that is kept while it arrives: a body, and as much for its head and the sizes of its chunks.
REQUEST_BYTES = 2 * BODY_BYTES
# How long a connection that ends goes on dropping what the client still sends.
CLOSING_SECONDS = 2
# The status of a request that gunicorn's parser refuses, by the kind of fault.
UNREADABLE = {
    http_errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    http_errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    http_errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    http_errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    http_errors.ParseException: HTTPStatus.BAD_REQUEST,
}
# How many requests wait for each thread, and how long. None joins them once the first has waited for the third number:
# it would hardly be served in time. To refuse also takes time, so what can be served in time is not refused.
QUEUE_PER_THREAD = 32
QUEUE_SECONDS = 2
QUEUE_JOIN_SECONDS = 1.5
# Threads of their own for requests that begin so.
PROBE_THREADS = {
    (b"GET /health ", b"HEAD /health ", b"GET /metrics ", b"HEAD /metrics "): 2,
    (b"GET /ready ", b"HEAD /ready "): 1,  # it may wait for the database
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_this_thread = threading.local()


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's connection, which collects a request until it is whole."""

    def __init__(self, *args: Any, release: Callable[[], None]) -> None:
        super().__init__(*args)
        self.parser: Any = None
        self._release = release

    def close(self, graceful: bool = False) -> None:
        super().close()
        self._release()

    def begin(self) -> None:
        """Expect a request. It may begin with what came behind the one before."""
        self.sock.setblocking(False)
        self.received = bytearray(self.parser.unreader.take_buffered() if self.parser else b"")
        self._missing = _missing_part(self.received)

    def receive(self) -> bool:
        """Take what has arrived; whether there is nothing more to wait for. Raises OSError when the client is gone."""
        if self.received and self._is_enough():
            return True
        try:
            data = self.sock.recv(BODY_BYTES)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionResetError
        self.received += data
        return self._is_enough()

    def _is_enough(self) -> bool:
        told = next(self._missing, None)
        if told:
            self.sock.send(told)
        return told is None or len(self.received) >= REQUEST_BYTES

    def offer(self) -> None:
        """Let gunicorn read what was received, and nothing else: no thread ever waits for the rest of a request."""
        self.parser = get_parser(self.cfg, [bytes(self.received)], self.client)
        self.received.clear()
        self.initialized = True


def _missing_part(data: bytearray) -> Iterator[bytes]:
    """Yields each time that `data`, which grows, does not hold a whole request yet: what to tell the client.

    It only says when to read. gunicorn's parser decides what the request is. What is malformed or ambiguous is whole,
    for the parser refuses it.
    """
    at = 0
    while (end := data.find(b"\r\n\r\n", at)) < 0:
        at = max(0, len(data) - 3)
        yield b""
    head, body = bytes(data[: end + 2]).lower(), end + 4
    lengths = re.findall(rb"\r\ncontent-length:[ \t]*([^\r]*?)[ \t]*(?=\r)", head)
    is_chunked = b"\r\ntransfer-encoding:" in head
    if len(lengths) + is_chunked != 1:
        return
    missing = _missing_chunk(data, body) if is_chunked else _missing_length(data, body, lengths[0])
    told = CONTINUE if re.search(rb"\r\nexpect:[ \t]*100-continue", head) else b""
    for _ in missing:
        yield told
        told = b""


def _missing_length(data: bytearray, body: int, length: bytes) -> Iterator[None]:
    # The application refuses a longer body without reading it.
    if re.fullmatch(rb"[0-9]{1,9}", length) and int(length) <= BODY_BYTES:
        while len(data) < body + int(length):
            yield


def _missing_chunk(data: bytearray, at: int) -> Iterator[None]:
    size = -1
    while size != 0:
        while (end := data.find(b"\r\n", at)) < 0:
            yield
        line = re.match(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(;|\r)", data[at : end + 1])
        if line is None:
            return
        size = int(line[1], 16)
        at = end + 2 + size + 2
    while data.find(b"\r\n\r\n", end) < 0:  # behind trailers, if there are any
        yield


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's worker with threads, which also answers when there is too much to do.

    A request gets a thread once it is there whole; until then the thread that takes all connections collects it. Few
    requests wait for a thread, and not for long: the others are refused by a thread of their own. So are probes
    answered, because all other threads may wait for the database. No answer promises a connection that is then cut, and
    a client that does not close its connection holds up nobody.
    """

    # How many connections one address may have; None is as many as all. `gunicorn.conf.py` sets it.
    connections_per_address: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._of_address: Counter[str] = Counter()
        # Connections and when their time is over, the next one first.
        self._arriving: dict[Connection, float] = {}
        self._queue: dict[Connection, float] = {}
        self._closing: dict[Connection, float] = {}
        self._served = 0
        self._notify_at = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        if cfg.is_ssl:
            sys.exit("TLS ends at the proxy: start gunicorn without certfile and keyfile.")
        super().check_config(cfg, log)

    def load_wsgi(self) -> None:
        # Imported here: it brings the counters, which must come after gunicorn.conf.py has said where they are kept.
        from app.views.http import OVERLOADED

        super().load_wsgi()
        application = self.app.wsgi()

        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            environ[OVERLOADED] = hasattr(_this_thread, "refuses")
            return application(environ, start_response)

        self.wsgi = answer

    def accept(self, listener: socket.socket) -> None:
        try:
            accepted, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        # A Unix socket has none.
        address = network_of(str(client[0])) if isinstance(client, tuple) else ""
        if address and self.connections_per_address and self._of_address[address] >= self.connections_per_address:
            accepted.close()
            return
        self.nr_conns += 1
        self._of_address[address] += 1
        release = partial(self._release, address)
        self.enqueue_req(Connection(self.cfg, accepted, client, listener.getsockname(), release=release))

    def _release(self, address: str) -> None:
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def enqueue_req(self, connection: Connection) -> None:
        """Expect a request on a connection that is new, or on which something has arrived."""
        connection.begin()
        if not self._receive(connection):
            self._watch(self._arriving, connection, ARRIVING_SECONDS, self._receive)

    def _receive(self, connection: Connection, _: Any = None) -> bool:
        """Whether nothing more is expected: the request is admitted, or the client is gone."""
        try:
            is_whole = connection.receive()
        except OSError:
            self._forget(self._arriving, connection)
            return True
        if is_whole:
            self._unwatch(self._arriving, connection)
            self._admit(connection)
        return is_whole

    def _admit(self, connection: Connection) -> None:
        probing = next((self._probing[each] for each in PROBE_THREADS if connection.received.startswith(each)), None)
        connection.offer()
        if probing:
            self._submit(probing, connection, self.finish_request)
        elif self._served < self.cfg.threads:
            self._serve(connection)
        elif self._is_queue_full():
            self._refuse(connection)
        else:
            self._queue[connection] = time.monotonic() + QUEUE_SECONDS

    def _is_queue_full(self) -> bool:
        latest = time.monotonic() + QUEUE_SECONDS - QUEUE_JOIN_SECONDS
        return len(self._queue) >= QUEUE_PER_THREAD * self.cfg.threads or any(
            end < latest for end in islice(self._queue.values(), 1)
        )

    def _serve(self, connection: Connection) -> None:
        self._served += 1
        self._submit(self.tpool, connection, self._finish_served)

    def _refuse(self, connection: Connection) -> None:
        self._submit(self._refusing, connection, self.finish_request)

    def _submit(self, threads: ThreadPoolExecutor, connection: Connection, finish: Callable[..., None]) -> None:
        threads.submit(self.handle, connection).add_done_callback(partial(self.method_queue.defer, finish, connection))

    def _finish_served(self, connection: Connection, answered: Future[bool]) -> None:
        self._served -= 1
        if self._queue:
            waiting = next(iter(self._queue))
            del self._queue[waiting]
            self._serve(waiting)
        self.finish_request(connection, answered)

    def finish_request(self, connection: Connection, answered: Future[bool]) -> None:
        if answered.cancelled() or answered.exception() or answered.result():
            super().finish_request(connection, answered)
            return
        # What the client may still send is dropped: otherwise the kernel resets the connection, and the answer is lost.
        try:
            connection.sock.shutdown(socket.SHUT_WR)
            connection.sock.setblocking(False)
            self._watch(self._closing, connection, CLOSING_SECONDS, self._drop)
        except OSError:
            self._forget(self._closing, connection)

    def _drop(self, connection: Connection, _: Any) -> None:
        try:
            is_over = not connection.sock.recv(BODY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            is_over = True
        if is_over:
            self._forget(self._closing, connection)

    def notify(self) -> None:
        """Tell the parent once a second that this worker lives. gunicorn tells it whenever anything happens."""
        if (now := time.monotonic()) >= self._notify_at:
            self._notify_at = now + 1
            super().notify()

    def murder_pending(self) -> None:
        """End what takes too long. gunicorn calls this once a second or more often."""
        for connection in _overdue(self._queue):
            del self._queue[connection]
            self._refuse(connection)
        for waiting in (self._arriving, self._closing):
            for connection in _overdue(waiting):
                self._forget(waiting, connection)

    def _watch(
        self, waiting: dict[Connection, float], connection: Connection, seconds: float, look: Callable[..., Any]
    ) -> None:
        self.poller.register(connection.sock, selectors.EVENT_READ, partial(look, connection))
        waiting[connection] = time.monotonic() + seconds

    def _unwatch(self, waiting: dict[Connection, float], connection: Connection) -> None:
        if waiting.pop(connection, None) is not None:
            self.poller.unregister(connection.sock)

    def _forget(self, waiting: dict[Connection, float], connection: Connection) -> None:
        self._unwatch(waiting, connection)
        self.nr_conns -= 1
        connection.close()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        self._probing = {begins: ThreadPoolExecutor(threads) for begins, threads in PROBE_THREADS.items()}
        self._refusing = ThreadPoolExecutor(1, initializer=_refuse_in_this_thread)
        return ThreadPoolExecutor(self.cfg.threads)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what gunicorn cannot read, and log the kind of fault. Its own answer quotes what the client sent."""
        # Imported here: it brings the counters, which must come after gunicorn.conf.py has said where they are kept.
        from app.views.http import SECURITY_HEADERS

        status = _status_of(exc)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("request failed in the server", exc_info=exc)
        else:
            self.log.warning("Invalid request: %s", type(exc).__name__)
        body = f"{status.phrase}\n"
        headers = {
            "Connection": "close",
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": len(body),
            "Cache-Control": "no-store",
            **SECURITY_HEADERS,
        }
        lines = [
            f"HTTP/1.1 {status} {status.phrase}",
            *(f"{name}: {value}" for name, value in headers.items()),
            "",
            body,
        ]
        with suppress(OSError):  # the client may be gone
            client.sendall("\r\n".join(lines).encode())

    def handle_request(self, request: Any, connection: Any) -> bool:
        body = request.body.reader
        if not isinstance(body, LengthReader) or body.length >= BODY_BYTES:
            request.force_close()  # the answer says `Connection: close`
        answering = _Answering(connection)
        is_kept = super().handle_request(request, answering)
        answering.flush()
        return bool(is_kept)


class _Answering:
    """A connection while it is answered, and its socket, which sends the head of the answer with what follows it.

    gunicorn sends them one by one, and so the client wakes up twice.
    """

    def __init__(self, connection: Connection) -> None:
        self.sock = self
        self.client, self.server = connection.client, connection.server
        self._socket = connection.sock
        self._is_begun = False
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        self.flush()
        return getattr(self._socket, name)

    def sendall(self, data: bytes) -> None:
        if self._is_begun:
            head, self._head = self._head, b""
            self._socket.sendall(head + data)
        else:
            self._is_begun, self._head = True, data

    def flush(self) -> None:
        """Send a head that nothing has followed."""
        if self._head:
            head, self._head = self._head, b""
            self._socket.sendall(head)


def _status_of(fault: Exception) -> HTTPStatus:
    """The status for what gunicorn could not read, or could not send."""
    if isinstance(fault, (http_errors.InvalidResponseHeader, http_errors.InvalidResponseHeaderName)):
        return HTTPStatus.INTERNAL_SERVER_ERROR
    return next((status for kind, status in UNREADABLE.items() if isinstance(fault, kind)), HTTPStatus(500))


def _refuse_in_this_thread() -> None:
    _this_thread.refuses = True


def _overdue(waiting: dict[Connection, float]) -> list[Connection]:
    now = time.monotonic()
    return list(takewhile(lambda connection: waiting[connection] <= now, waiting))


def leave_to_bind() -> None:
    """Let BIND alone say which sockets of systemd are taken. gunicorn would take one that it names twice, and fail."""
    os.environ.pop("LISTEN_FDS", None)


def listen_beside_inherited(arbiter: Any) -> None:
    """Where a socket is inherited, listen at the other addresses too, which gunicorn leaves out: that of METRICS_PORT.

    Ends the process with a message where that is not possible.
    """
    addresses = arbiter.cfg.address
    if not any(isinstance(each, int) for each in addresses):
        return
    # gunicorn would remove the file of a Unix socket when it stops, and the next one would not be found.
    arbiter.systemd = True
    for address in (each for each in addresses if isinstance(each, tuple)):
        kind = TCP6Socket if is_ipv6(address[0]) else TCPSocket
        try:
            arbiter.LISTENERS.append(kind(address, arbiter.cfg, arbiter.log))
        except OSError as error:
            sys.exit(f"Nothing can listen at {address[0]}:{address[1]}: {error.strerror}.")


def limit_pauses(listeners: Iterable[socket.socket]) -> None:
    """End connections whose client does not read its answer: it would keep a thread.

    gunicorn has no such limit for gthread. Connections inherit these options from the listener.
    """
    pause = struct.pack("ll", PAUSE_SECONDS, 0)
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, pause)
        if listener.family != socket.AF_UNIX and hasattr(socket, "TCP_DEFER_ACCEPT"):
            # A connection that has sent nothing yet waits in the kernel.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)


def check_addresses(settings: Config, addresses: Iterable[str]) -> None:
    """Say what is relaxed where only this machine's programs come in.

    Ends the process with a message where others do: gunicorn, or `flask run`, may have been told to listen elsewhere
    than BIND says.
    """
    listening = replace(settings, bind=tuple(set(addresses) - set(settings.metrics_addresses)))
    try:
        check_public(listening)
        if listening.second_factor_demand is not settings.second_factor_demand:
            raise WrongSetting("SECOND_FACTOR must be set where the server listens elsewhere than at BIND, and is not.")
    except WrongSetting as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(2)
    if settings.relaxed:
        # A proxy in front lets others in.
        level = logging.WARNING if settings.trusted_proxies or settings.trial_over_http else logging.INFO
        whom = "a trial" if settings.trial_over_http else "programs of this machine"
        logging.getLogger(__name__).log(level, "only for %s: %s", whom, "; ".join(settings.relaxed))


def create_missing_tables(app: Flask) -> None:
    """Create the tables that do not exist, and upgrade those of an older version.

    Ends the process with a message where that is not possible.
    """
    # Imported here: it brings the counters, which must come after gunicorn.conf.py has said where they are kept.
    from app.cli.failures import DATABASE_ERRORS, sentence_of

    try:
        with app.app_context():
            # An engine of this machine has no other copies than those that start now. Of others, nobody knows.
            alone = bool(app.config["DATABASE_IS_LOCAL"])
            # Nearly always. To describe tables takes botocore's client, which takes longer to make than this.
            if not (tables_answer() and (is_alone() if alone else is_current())):
                create_tables()
                bring_up_to_date(alone=alone)
    except DATABASE_ERRORS as error:
        sys.exit(sentence_of(error))


def warm_up(app: Flask) -> None:
    """Make the first, slow calls to DynamoDB before a request has to wait for them."""
    with app.app_context():
        tables_answer()
