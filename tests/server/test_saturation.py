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
from contextlib import AbstractContextManager, ExitStack, contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Event

import pytest
import requests

from app.server import ARRIVING_SECONDS
from tests.server.raw import HEAD, answers_on, connect
from tests.support.people import registration
from tests.support.server import Caller, at_once, resident_megabytes

pytestmark = pytest.mark.engine

THREADS = 8
QUEUE = 32
MARKS = "a" + "\u0315\u0300" * 15_900


@pytest.fixture(scope="module")
def single(start_single):
    """With hashes that take their time."""
    return start_single(BCRYPT_ROUNDS="12")


@pytest.fixture(scope="module")
def bystander(single):
    server, *_ = single
    with server.account(deposit="100") as account:
        yield account


def p90(caller: Caller, *, while_: Callable[[], bool] = lambda: False, pause: float = 0.02) -> float:
    """Of the seconds that a balance takes, asked again and again while this holds, and 20 times at least."""
    took = []
    while while_() or len(took) < 20:
        started = time.monotonic()
        assert caller.get("/balance").status_code == 200
        took.append(time.monotonic() - started)
        time.sleep(pause)
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


def assert_unnoticed(bystander: Caller, load: Callable[[], AbstractContextManager[None]], length: float) -> None:
    """Others are served as before under this load, in one of three attempts: the machine has more to do than this."""
    found = []
    while len(found) < 3:
        quiet = p90(bystander)
        with load():
            busy = p90(bystander, while_=seconds(length))
        if busy < 10 * quiet:
            return
        found.append((quiet, busy))
    raise AssertionError(found)


BEGINNINGS = {
    "of a head": HEAD,
    "of a body": HEAD + b"Content-Length: 1000\r\n\r\n{",
    "of a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n{",
    "of a chunk's size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
}


def test_forty_dripping_clients(single, bystander):
    """Each keeps on sending, and is cut off after ten seconds; nobody else notices."""
    server, *_ = single
    quiet = p90(bystander)
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

        busy = p90(bystander, while_=goes_on, pause=0.1)
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
    server, *_ = single
    statuses = Counter()

    def register(caller: Caller) -> None:
        answer = caller.post("/auth/register", registration())
        assert answer.status_code == 201 or (answer.json()["code"] == "busy" and answer.headers["Retry-After"] == "1")
        statuses[answer.status_code] += 1

    [worker] = server.workers
    megabytes = resident_megabytes(worker)
    assert_unnoticed(bystander, lambda: clients(16, register, server.address), 1.5)
    assert statuses[201] and statuses[503]
    assert resident_megabytes(worker) < megabytes + 10


PATHS = {
    "of a registration": ("/auth/register", {**registration(), "password": MARKS}, {422}),
    "of a name": ("/auth/register", {**registration(), "first_name": MARKS}, {422}),
    "of a log-in": ("/auth/login", {"username": "nobody", "password": MARKS}, {401, 429, 503}),
}


@pytest.mark.parametrize(("path", "body", "statuses"), PATHS.values(), ids=PATHS)
def test_combining_marks(single, bystander, path, body, statuses):
    server, *_ = single
    answered = Counter()
    content = json.dumps(body, ensure_ascii=False).encode()

    def send(caller: Caller) -> None:
        url, headers = f"{server.address}/api/v1{path}", {"Content-Type": "application/json"}
        answer = caller.session.post(url, data=content, headers=headers, timeout=60)
        assert answer.status_code in statuses
        answered[caller] += 1

    assert_unnoticed(bystander, lambda: clients(4, send, server.address), 0.5)
    assert len(answered) >= 4


def test_what_cannot_be_done_in_time_is_refused_at_once(single, bystander):
    """With a page for pages; probes are answered. Afterwards all is as before."""
    server, store, _ = single
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
    server, store, _ = single
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
    server, *_ = single
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
