"""What others notice when there is too much to do: of slow clients, of many registrations, of more than can be done.

Nothing is measured but in relation to the same server when it is quiet.
"""

from __future__ import annotations

import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from threading import Event

import pytest
import requests

from app.server import ARRIVING_SECONDS
from dev.launcher import free_port
from tests.support.engine import start_engine
from tests.support.people import registration
from tests.support.server import Caller, at_once, resident_megabytes, serve

pytestmark = pytest.mark.engine

THREADS = 8
QUEUE = 32
HEAD = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
MARKS = "a" + "\u0315\u0300" * 15_900


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A server with one worker and hashes that take their time, and the process of its engine."""
    folder, port = tmp_path_factory.mktemp("saturation"), free_port()
    store = start_engine(port, folder / "orders.db")
    try:
        settings = {"WEB_CONCURRENCY": "1", "BCRYPT_ROUNDS": "12"}
        with serve(f"http://127.0.0.1:{port}", folder / "gunicorn.log", **settings) as server:
            yield server, store
    finally:
        store.kill()
        store.wait()


@pytest.fixture(scope="module")
def bystander(single):
    server, _ = single
    with server.account(deposit="100") as account:
        yield account


def p90(caller: Caller, *, while_: Callable[[], bool]) -> float:
    """Of the seconds that a balance takes, asked again and again while this holds, and 20 times at least."""
    took = []
    while while_() or len(took) < 20:
        started = time.monotonic()
        assert caller.get("/balance").status_code == 200
        took.append(time.monotonic() - started)
        time.sleep(0.02)
    return sorted(took)[len(took) * 9 // 10]


def seconds(number: float) -> Callable[[], bool]:
    end = time.monotonic() + number
    return lambda: time.monotonic() < end


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@contextmanager
def clients(number: int, act: Callable[[Caller], object], address: str):
    """So many clients that act again and again until the end."""
    over = Event()

    def run() -> None:
        caller = Caller(address)
        while not over.is_set():
            act(caller)
            over.wait(0.02)
        caller.close()

    with ThreadPoolExecutor(number) as pool:
        running = [pool.submit(run) for _ in range(number)]
        try:
            yield
        finally:
            over.set()
    for each in running:
        each.result()


def connect(address: str, source: str = "127.0.0.1") -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20, source_address=(source, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answers_on(connection: socket.socket, number: int = 1) -> list[int]:
    """The statuses of so many answers."""
    statuses = []
    with connection.makefile("rb") as stream:
        for _ in range(number):
            answer = HTTPResponse(_Opened(stream))
            answer.begin()
            answer.read()
            statuses.append(answer.status)
    return statuses


class _Opened:
    """What HTTPResponse wants of a socket, so that it reads one answer and not the next."""

    def __init__(self, stream) -> None:
        self.stream = stream

    def makefile(self, _: str):
        return self

    def __getattr__(self, name: str):
        return getattr(self.stream, name)

    def close(self) -> None:
        """The stream goes on."""


BEGINNINGS = {
    "of a head": HEAD,
    "of a body": HEAD + b"Content-Length: 1000\r\n\r\n{",
    "of a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n{",
    "of a chunk's size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
}


def test_forty_dripping_clients(single, bystander):
    """Each keeps on sending, and is cut off after ten seconds; nobody else notices."""
    server, _ = single
    quiet = p90(bystander, while_=seconds(1))
    [worker] = server.workers
    threads, megabytes = threads_of(worker), resident_megabytes(worker)
    with ExitStack() as stack:
        dripping = [stack.enter_context(connect(server.address)) for _ in range(40)]
        for number, each in enumerate(dripping):
            each.sendall(list(BEGINNINGS.values())[number % 4])
            each.setblocking(False)
        started, next_drop = time.monotonic(), 0.0

        def goes_on() -> bool:
            nonlocal next_drop
            if time.monotonic() >= next_drop:
                next_drop = time.monotonic() + 0.5
                dripping[:] = [each for each in dripping if drip(each)]
            return bool(dripping) and time.monotonic() < started + 3 * ARRIVING_SECONDS

        busy = p90(bystander, while_=goes_on)
        assert not dripping
    assert threads_of(worker) <= threads + THREADS and resident_megabytes(worker) < megabytes + 10
    assert busy < 10 * quiet, (quiet, busy)


def drip(connection: socket.socket) -> bool:
    """Send one byte more; whether the server still listens."""
    try:
        connection.send(b"1")
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_sixteen_registering_clients(single, bystander):
    """Some are registered, the others are told that it is busy, and nobody else notices."""
    server, _ = single
    statuses = Counter()

    def register(caller: Caller) -> None:
        answer = caller.post("/auth/register", registration())
        assert answer.status_code == 201 or (answer.json()["code"] == "busy" and answer.headers["Retry-After"] == "1")
        statuses[answer.status_code] += 1

    quiet = p90(bystander, while_=seconds(1))
    [worker] = server.workers
    megabytes = resident_megabytes(worker)
    with clients(16, register, server.address):
        busy = p90(bystander, while_=seconds(3))
    assert statuses[201] and statuses[503]
    assert resident_megabytes(worker) < megabytes + 10
    assert busy < 10 * quiet, (quiet, busy)


PATHS = {
    "of a registration": ("/auth/register", {**registration(), "password": MARKS}, {422}),
    "of a name": ("/auth/register", {**registration(), "first_name": MARKS}, {422}),
    "of a log-in": ("/auth/login", {"username": "nobody", "password": MARKS}, {401, 429, 503}),
}


@pytest.mark.parametrize(("path", "body", "statuses"), PATHS.values(), ids=PATHS)
def test_combining_marks(single, bystander, path, body, statuses):
    server, _ = single

    content = json.dumps(body, ensure_ascii=False).encode()

    def send(caller: Caller) -> None:
        url, headers = f"{server.address}/api/v1{path}", {"Content-Type": "application/json"}
        answer = caller.session.post(url, data=content, headers=headers, timeout=60)
        assert answer.status_code in statuses

    quiet = p90(bystander, while_=seconds(0.5))
    with clients(4, send, server.address):
        busy = p90(bystander, while_=seconds(1.5))
    assert busy < 10 * quiet, (quiet, busy)


def test_what_cannot_be_done_in_time_is_refused_at_once(single, bystander):
    """With a page for pages; probes are answered. Afterwards all is as before."""
    server, store = single
    headers = {"Authorization": f"Bearer {bystander.token}"}
    with ThreadPoolExecutor(THREADS + QUEUE) as pool, requests.Session() as later:
        store.send_signal(signal.SIGSTOP)  # it takes connections and never answers
        try:
            waiting = [
                pool.submit(requests.get, f"{server.address}/api/v1/balance", headers=headers, timeout=60)
                for _ in range(THREADS + QUEUE)
            ]
            refused = later.get(f"{server.address}/api/v1/balance", headers=headers, timeout=20)
            while refused.status_code != 503 or refused.json()["code"] != "overloaded":
                refused = later.get(f"{server.address}/api/v1/balance", headers=headers, timeout=20)
            assert refused.headers["Content-Type"] == "application/problem+json"
            assert refused.headers["Retry-After"] == "1" and refused.headers["X-Request-ID"]
            # None of these calls the database, which would not answer.
            page = later.get(f"{server.address}/dashboard", headers={"Cookie": "session=x"}, timeout=20)
            assert page.status_code == 503 and page.headers["Retry-After"] == "1"
            assert "<h1>Not available just now</h1>" in page.text and "Nothing was changed" in page.text
            form = later.post(f"{server.address}/login", data={"username": "x"}, timeout=20)
            assert form.status_code == 503 and "Nothing was applied" in form.text
            assert later.get(f"{server.address}/health", timeout=20).status_code == 200
            assert not all(each.done() for each in waiting)
        finally:
            store.send_signal(signal.SIGCONT)
        answers = [each.result() for each in waiting]
    codes = Counter(each.json().get("code", "done") for each in answers)
    assert bystander.get("/ready").status_code == 200
    assert codes["overloaded"] >= 1 and codes.keys() <= {"done", "store_unavailable", "overloaded"}
    assert bystander.get("/balance").status_code == 200


def test_no_acknowledged_change_is_lost(single):
    """While the database stops for some seconds, no deposit is lost that was answered, nor made that was refused."""
    server, store = single
    with ExitStack() as stack:
        accounts = [stack.enter_context(server.account(callers=12)) for _ in range(4)]
        outcomes = Counter()

        def deposit(account, caller: Caller) -> None:
            for _ in range(2):
                answer = caller.post("/balance/deposit", {"amount": "1.00"})
                outcomes[account.username, answer.json().get("code", "done")] += 1

        def stop_for_a_while() -> None:
            time.sleep(0.2)
            store.send_signal(signal.SIGSTOP)
            time.sleep(2.8)
            store.send_signal(signal.SIGCONT)

        depositing = [partial(deposit, account, each) for account in accounts for each in account.callers]
        at_once([stop_for_a_while, *depositing])
        codes = {code for _, code in outcomes}
        assert {"overloaded", "done"} <= codes <= {"overloaded", "done", "busy", "store_unavailable"}
        for account in accounts:
            balance = Decimal(account.get("/balance").json()["current_balance"])
            done, unknown = (outcomes[account.username, code] for code in ("done", "store_unavailable"))
            assert done <= balance <= done + unknown


def test_one_address_has_not_all_connections(single):
    server, _ = single
    with ExitStack() as stack:
        held = [stack.enter_context(connect(server.address, "127.0.0.2")) for _ in range(64)]
        for each in held:
            each.sendall(b"GET ")
        time.sleep(0.5)
        with connect(server.address, "127.0.0.2") as one_more, connect(server.address, "127.0.0.3") as other:
            for each in (one_more, other):
                each.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answers_on(other) == [200]
            with pytest.raises(OSError):
                answers_on(one_more)
        held[0].sendall(b"/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answers_on(held[0]) == [200] and held[0].recv(1) == b""
        held[0].close()
        time.sleep(0.5)
        with connect(server.address, "127.0.0.2") as next_one:
            next_one.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answers_on(next_one) == [200]


BODY = b'{"username": "no\\r\\n0\\r\\n\\r\\n", "password": ""}'
CHUNK = b"%x;a=b\r\n%s\r\n" % (len(BODY), BODY)
PIECES = {
    "a page": (b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n", [200]),
    "a body": (HEAD + b"content-length:%d \r\n\r\n" % len(BODY) + BODY, [422]),
    "chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK.replace(b"\\r\\n", b"\r\n\r\n") + b"0\r\n\r\n",
        [400],
    ),
    "chunks and trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\nA: b\r\n\r\n", [422]),
    "a body that holds a last chunk": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
        [400],
    ),
    "two requests": (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /login HTTP/1.1\r\nHost: x\r\n\r\n", [200, 200]),
    "a body, then another request": (
        HEAD + b"Content-Length: %d\r\n\r\n%sGET /health HTTP/1.1\r\nHost: x\r\n\r\n" % (len(BODY), BODY),
        [422, 200],
    ),
}


@pytest.mark.parametrize(("request_", "statuses"), PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_request_in_pieces(single, request_, statuses, size):
    server, _ = single
    with connect(server.address) as connection:
        for at in range(0, len(request_), size):
            connection.sendall(request_[at : at + size])
        assert answers_on(connection, len(statuses)) == statuses


AMBIGUOUS = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a length that is none": b"Content-Length: five\r\n\r\n",
    "a negative length": b"Content-Length: -5\r\n\r\n",
    "a chunk without a size": b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk of a negative size": b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
}


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_nobody_waits_for_the_rest_of_what_is_malformed(single, rest):
    server, _ = single
    with connect(server.address) as connection:
        connection.sendall(HEAD + rest)
        started = time.monotonic()
        assert answers_on(connection) == [400]
        assert time.monotonic() - started < ARRIVING_SECONDS


def test_a_client_that_asks_first_is_told_to_go_on(single):
    server, _ = single
    with connect(server.address) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert answers_on(connection) == [422]


def test_a_client_that_sends_no_more_has_its_answer(single):
    server, _ = single
    with connect(server.address) as connection:
        connection.sendall(b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert answers_on(connection) == [200]
