"""Slow clients, greedy ones, and what is too large, on few connections between nginx and gunicorn."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.proxy.conftest import Copies, through
from tests.support.nginx import HOST, Proxy
from tests.support.server import Account, at_once

pytestmark = pytest.mark.engine
ESTABLISHED = "01"
# As `limit_conn` says.
OF_ONE_CLIENT = 64
SCRIPT = "/static/vendor/swagger-ui/swagger-ui-bundle.js"
HALF = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{"
    % HOST.encode()
)


@contextmanager
def connected(proxy: Proxy, *, window: int | None = None) -> Iterator[ssl.SSLSocket]:
    with socket.socket() as plain:
        plain.settimeout(30)
        if window:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        plain.connect(("127.0.0.1", proxy.port))
        context = ssl.create_default_context(cafile=str(proxy.certificate))
        with context.wrap_socket(plain, server_hostname=HOST) as connection:
            yield connection


def connections_to(copies: Copies) -> int:
    """How many nginx has to gunicorn."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(each[2].endswith(f":{copies.port:04X}") and each[3] == ESTABLISHED for each in lines)


@pytest.mark.parametrize(
    ("size", "code"), [(60_000, "bad_request"), (70_000, "body_too_large"), (1_000_000, "body_too_large")]
)
def test_a_large_body_spoils_no_request_that_shares_its_connection(
    copies: Copies, proxy: Proxy, size: int, code: str
) -> None:
    """Those of four clients, while four others change money on the same few connections to gunicorn."""
    with through(copies, proxy).account(callers=8) as ann:

        def send_large(number: int) -> list[str]:
            caller = ann.callers[number]
            headers = {"Authorization": f"Bearer {caller.token}", "Content-Type": "application/json"}
            answers = [
                caller.session.post(
                    f"{proxy.address}/api/v1/balance/deposit", data="x" * size, headers=headers, timeout=30
                )
                for _ in range(10)
            ]
            return [each.json()["code"] for each in answers]

        def deposit(number: int) -> list[str]:
            answers = [ann.callers[number].post("/balance/deposit", {"amount": "0.01"}) for _ in range(10)]
            return [each.json().get("code", "") for each in answers]

        actions = [lambda number=number: (send_large, deposit)[number % 2](number) for number in range(8)]
        for number, codes in enumerate(at_once(actions)):
            assert codes == ["" if number % 2 else code] * 10
        assert balance_of(ann) == "0.40"


def balance_of(account: Account) -> str:
    return str(account.get("/balance").json()["current_balance"])


def test_a_body_that_nobody_reads_spoils_no_request_behind_it(copies: Copies, proxy: Proxy) -> None:
    """Without a token the answer is there before the body was looked at."""
    with through(copies, proxy).account() as ann:
        for _ in range(10):
            unknown = ann.callers[0].session.post(
                f"{proxy.address}/api/v1/balance/deposit", data="x" * 70_000, timeout=30
            )
            assert unknown.status_code in {401, 413}
            assert ann.post("/balance/deposit", {"amount": "0.01"}).status_code == 201
        assert balance_of(ann) == "0.10"


def test_what_is_far_too_large_does_not_reach_the_service(copies: Copies, proxy: Proxy) -> None:
    with through(copies, proxy).account() as ann:
        answer = ann.callers[0].session.post(f"{proxy.address}/api/v1/auth/login", data="x" * 1_100_000, timeout=30)
        assert answer.status_code == 413 and "nginx" in answer.text
        assert ann.get("/balance").status_code == 200


def test_requests_that_trickle_take_no_connection_and_are_bounded(copies: Copies, proxy: Proxy) -> None:
    with through(copies, proxy).account() as ann, ExitStack() as trickling:
        for _ in range(OF_ONE_CLIENT - 1):
            trickling.enter_context(connected(proxy)).sendall(HALF)
        assert ann.post("/balance/deposit", {"amount": "1.00"}).status_code == 201
        assert connections_to(copies) < 10
        trickling.enter_context(connected(proxy)).sendall(HALF)
        while ann.get("/balance").status_code != 429:
            """nginx has not read the last one yet."""
        trickling.close()
        while ann.get("/balance").status_code == 429:
            """nginx has not noticed yet that they are gone."""
        assert balance_of(ann) == "1.00"


def test_an_answer_that_is_not_read_waits_at_the_proxy(copies: Copies, proxy: Proxy) -> None:
    """For longer than gunicorn would: it has its answer off its hands, and the connection rests and ends."""
    with connected(proxy, window=4096) as connection:
        connection.sendall(
            b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (SCRIPT.encode(), HOST.encode())
        )
        begun = connection.recv(100)
        while connections_to(copies):
            """It still has something to do, or is kept for another request."""
        head, _, body = (begun + b"".join(iter(lambda: connection.recv(65536), b""))).partition(b"\r\n\r\n")
    assert b" 200 OK\r\n" in head
    assert body == (Path(__file__).parents[2] / f"app{SCRIPT}").read_bytes()


def test_the_log_of_nginx_has_no_secret_of_a_link(copies: Copies, proxy: Proxy) -> None:
    with through(copies, proxy).account() as ann:
        address = f"{proxy.address}/reset-password?token=a-secret-of-a-link"
        assert ann.callers[0].session.get(address, timeout=30).status_code < 500
    while "GET /reset-password" not in (written := (proxy.folder / "orders.log").read_text()):
        """nginx writes the line after the answer."""
    assert "a-secret" not in written
