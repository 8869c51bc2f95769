"""What gunicorn promises about connections and probes, on raw sockets."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse

import pytest
import requests

pytestmark = pytest.mark.engine

HOST = "Host: 127.0.0.1\r\n"
JSON = "Content-Type: application/json\r\n"
LIMIT = 64 * 1024


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        yield connection


def answer_to(connection: socket.socket, request: str, body: bytes = b"") -> HTTPResponse:
    """The answer to a request line and headers, each with its line end, and a body; all of it is read."""
    line, _, headers = request.partition("\r\n")
    connection.sendall(f"{line} HTTP/1.1\r\n{HOST}{headers}\r\n".encode() + body)
    answer = HTTPResponse(connection, method=line.split()[0])
    answer.begin()
    answer.read()
    return answer


def sized(body: bytes) -> tuple[str, bytes]:
    return f"Content-Length: {len(body)}\r\n", body


def chunked(*pieces: bytes) -> tuple[str, bytes]:
    chunks = b"".join(b"%X\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return "Transfer-Encoding: chunked\r\n", chunks


BODIES = {
    "short": sized(b"x" * 100),
    "almost the limit": sized(b"x" * (LIMIT - 1)),
    "the limit": sized(b"x" * LIMIT),
    "over the limit": sized(b"x" * (LIMIT + 1)),
    "far over the limit": sized(b"x" * (8 * LIMIT)),
    "chunks": chunked(b"x" * 100, b"x"),
    "many chunks": chunked(*[b"x" * LIMIT] * 8),
    "broken chunks": ("Transfer-Encoding: chunked\r\n", b"no chunk\r\n\r\n"),
}
# Requests whose body the application has no reason to read.
REFUSED = {
    "not authenticated": ("POST /api/v1/balance/deposit\r\n" + JSON, {401}),
    "not the role": ("PATCH /api/v1/admin/users/ann\r\nAuthorization: Bearer {token}\r\n" + JSON, {403}),
    "an unknown address": ("POST /api/v1/nothing\r\n" + JSON, {404}),
    "an unknown page": ("POST /nothing\r\n", {404}),
    "a method that is not taken": ("PUT /api/v1/balance\r\n" + JSON, {405}),
    "no JSON": ("POST /api/v1/auth/login\r\nContent-Type: text/plain\r\n", {413, 415}),
    "malformed": ("POST /api/v1/auth/login\r\n" + JSON, {400, 413}),
    "a form": ("POST /login\r\nContent-Type: application/x-www-form-urlencoded\r\n", {400, 413}),
    "a GET of the API": ("GET /api/v1/inventory/assets\r\n", {200}),
    "a GET of a page": ("GET /login\r\n", {200}),
    "a GET of a private page": ("GET /dashboard\r\n", {303}),
    "a static file": ("GET /static/style.css\r\n", {200}),
    "a static file, wrongly": ("POST /static/style.css\r\n", {405}),
    "a probe": ("GET /health\r\n", {200}),
    "a HEAD": ("HEAD /login\r\n", {200}),
}


@pytest.fixture(scope="module")
def token(running):
    server, _ = running
    with server.account() as account:
        yield account.token


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("request_", "statuses"), REFUSED.values(), ids=REFUSED)
def test_a_connection_that_is_promised_is_kept(running, token, request_, statuses, body):
    """And one that is not promised ends in order, after an answer that arrives whole."""
    server, _ = running
    header, content = BODIES[body]
    with connected(server.address) as connection:
        answer = answer_to(connection, request_.format(token=token) + header, content)
        assert answer.status in statuses | ({400} if body == "broken chunks" else set())
        if answer.will_close:
            assert connection.recv(1) == b""
        else:
            assert answer_to(connection, "GET /health\r\n").status == 200
        assert answer.will_close == (body not in {"short", "almost the limit"})


def test_a_body_that_nobody_reads_is_not_taken_for_the_next_request(running):
    """Both requests come in one piece."""
    server, _ = running
    first = f"POST /api/v1/balance/deposit HTTP/1.1\r\n{HOST}Content-Length: 100\r\n\r\n".encode() + b"x" * 100
    with connected(server.address) as connection:
        connection.sendall(first + f"GET /health HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n".encode())
        answers = b"".join(iter(lambda: connection.recv(LIMIT), b""))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"401", b"200"]


FORGED = {
    "a path": {"SCRIPT_NAME": "/x"},
    "another path": {"SCRIPT_NAME": "/y"},
    "a host as path": {"SCRIPT_NAME": "//evil.example"},
    "the rest of the path": {"PATH_INFO": "/metrics"},
    "a scheme": {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "on", "X-Forwarded-Protocol": "ssl"},
    "contradicting schemes": {"X-Forwarded-Proto": "https", "X-Forwarded-Protocol": "http"},
    "a prefix": {"X-Forwarded-Prefix": "/x"},
    "a host": {"X-Forwarded-Host": "evil.example"},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_no_header_of_a_client_changes_where_a_request_leads(running, forged):
    server, _ = running
    assert requests.get(f"{server.address}/x/metrics", headers=forged, timeout=20).status_code == 404
    answer = requests.get(f"{server.address}/dashboard", headers=forged, allow_redirects=False, timeout=20)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/dashboard")
    page = requests.get(f"{server.address}/login", headers=forged, timeout=20).text
    assert 'action="/login"' in page and "evil" not in page


@pytest.fixture(scope="module")
def single(start_single):
    """Behind one proxy."""
    return start_single(TRUSTED_PROXIES="1")


def test_of_a_proxy_only_its_own_headers_are_believed(single):
    server, *_ = single
    forwarded = {"X-Forwarded-Prefix": "/shop", "X-Forwarded-Host": "www.example:8443", "X-Forwarded-Proto": "https"}
    headers = {**forwarded, "SCRIPT_NAME": "/x", "X-Forwarded-Ssl": "off"}
    answer = requests.get(f"{server.address}/dashboard", headers=headers, allow_redirects=False, timeout=20)
    assert answer.headers["Location"] == "/shop/login?next=/shop/dashboard"
    cookie = requests.get(f"{server.address}/login", headers=headers, timeout=20).headers["Set-Cookie"]
    assert cookie.startswith("session_8443=") and "Path=/shop" in cookie
    assert requests.get(f"{server.address}/x/metrics", headers=headers, timeout=20).status_code == 404


def test_probes_are_answered_while_all_threads_wait_for_the_database(single):
    server, store, port = single
    with server.account() as account, ThreadPoolExecutor(12) as pool, requests.Session() as kept:
        headers = {"Authorization": f"Bearer {account.token}"}
        kept.get(f"{server.address}/health", timeout=20)
        store.send_signal(signal.SIGSTOP)  # it takes connections and never answers
        try:
            waiting = [
                pool.submit(requests.get, f"{server.address}/api/v1/balance", headers=headers, timeout=60)
                for _ in range(12)
            ]
            wait_for_calls(port, 8)
            for ask in (requests.get, requests.head, kept.get):
                assert ask(f"{server.address}/health", timeout=20).status_code == 200
            assert "http_requests_total" in requests.get(f"{server.address}/metrics", timeout=20).text
            # 8 threads wait for the database; what found none may have been refused by now.
            assert sum(each.done() for each in waiting) <= 12 - 8
        finally:
            store.send_signal(signal.SIGCONT)
        assert {each.result().status_code for each in waiting} <= {200, 503}


def wait_for_calls(port: int, number: int) -> None:
    """Until so many connections to this port have sent something that nobody has read."""
    deadline = time.monotonic() + 20
    while True:
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        unread = [row for row in rows if row[1] == f"0100007F:{port:04X}" and not row[4].endswith(":00000000")]
        if len(unread) >= number:
            return
        assert time.monotonic() < deadline, f"{len(unread)} calls wait"
        time.sleep(0.02)


LINGERING = {
    "a probe": ("GET /health\r\n", 200),
    "a page": ("GET /assets\r\n", 200),
    "a large body that does not come": (f"POST /api/v1/balance/deposit\r\nContent-Length: {LIMIT + 1}\r\n", 401),
    "a broken request": ("GET /he\talth\r\n", 400),
}


@pytest.mark.parametrize(("request_", "status"), LINGERING.values(), ids=LINGERING)
def test_clients_that_do_not_close_hold_up_nobody(single, request_, status):
    """They have their last answer; the next client is served while they stay."""
    server, *_ = single
    with ExitStack() as stack:
        lingering = [stack.enter_context(connected(server.address)) for _ in range(8)]
        other = stack.enter_context(connected(server.address))
        started = time.monotonic()
        for each in lingering:
            assert answer_to(each, request_ + "Connection: close\r\n").status == status
        assert answer_to(other, "GET /health\r\n").status == 200
        took = time.monotonic() - started
    # Each of them would hold up the next for two seconds.
    assert took < 8
