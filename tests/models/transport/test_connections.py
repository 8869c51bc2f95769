"""Connections: certificates, proxies, those that were closed, threads and forks; and every send is counted."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from app.domain.errors import Busy, StoreUnavailable
from app.models.attempt import NoAnswer
from tests.models.transport.servers import HANG_UP, THROTTLED, Server, ask, call, connect, serving

# --- certificates and proxies


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    key, made = folder / "key.pem", folder / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", made], check=True, capture_output=True)
    return key, made


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[0])
    with serving(context) as made:
        yield made


def test_an_unknown_certificate_is_refused(secure: Server) -> None:
    outcome = ask(connect(secure.url))
    assert str(outcome.error).startswith("E_PEER_FAILED_VERIFICATION")
    assert secure.requests == [] and not outcome.in_doubt


def test_the_certificates_of_aws_ca_bundle_are_accepted(
    secure: Server, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[1]))
    assert ask(connect(secure.url)).error is None
    other_name = secure.url.replace("127.0.0.1", "localhost")
    assert str(ask(connect(other_name)).error).startswith("E_PEER_FAILED_VERIFICATION")


PROXIES = {
    "none": ({}, False),
    "for this scheme": ({"HTTP_PROXY": "{proxy}"}, True),
    "in small letters": ({"http_proxy": "{proxy}"}, True),
    "for another scheme": ({"HTTPS_PROXY": "{proxy}"}, False),
    "not for this host": ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "127.0.0.1"}, False),
    "not for all": ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "*"}, False),
    "not for others": ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "example.org"}, True),
    "a network, which botocore does not know": ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "127.0.0.0/8"}, True),
}


@pytest.mark.parametrize("transport", ["curl", "botocore"])
@pytest.mark.parametrize("settings, used", PROXIES.values(), ids=PROXIES)
def test_proxies(
    server: Server, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], used: bool, transport: str
) -> None:
    with serving() as proxy:
        for name, value in settings.items():
            for spelling in {name, name.lower()}:
                monkeypatch.setenv(spelling, value.format(proxy=proxy.url))
        assert ask(connect(server.url, transport), "GetItem").error is None
        assert (len(proxy.requests), len(server.requests)) == ((1, 0) if used else (0, 1))


# --- connections


def test_an_idle_connection_that_was_closed_costs_nothing(server: Server) -> None:
    """libcurl looks at one that was idle for a second."""
    connection = connect(server.url)
    for number in (1, 2):
        outcome = ask(connection)
        assert (outcome.error, outcome.sends) == (None, 1)
        assert [each.connection for each in server.requests] == [1, 2][:number]
        server.hang_up()
        time.sleep(1.2)


def test_a_connection_that_was_closed_just_now_costs_no_error(server: Server) -> None:
    connection = connect(server.url)
    ask(connection)
    server.hang_up()
    assert ask(connection).error is None
    assert len(server.requests) == 2


@pytest.mark.parametrize("before", [0, 1], ids=["a new connection", "a kept one"])
def test_libcurl_repeats_nothing_by_itself(server: Server, before: int) -> None:
    """It would, on a kept connection that ends before the first byte of an answer."""
    connection = connect(server.url)
    for _ in range(before):
        ask(connection)
    server.acts += [HANG_UP, THROTTLED, THROTTLED]
    outcome = ask(connection)
    assert isinstance(outcome.error, ClientError)
    assert outcome.sends == len(server.requests) - before == 3
    assert outcome.in_doubt, "the first send may have been applied"


def test_every_send_of_a_call_is_seen_and_counted(server: Server) -> None:
    connection = connect(server.url)
    ask(connection)
    server.acts += [HANG_UP] * 3
    outcome = ask(connection)
    assert isinstance(outcome.error, NoAnswer)
    assert outcome.sends == len(server.requests) - 1 == 3
    invocations = [each.headers["amz-sdk-invocation-id"] for each in server.requests]
    assert len(set(invocations[1:])) == 1 and invocations[0] != invocations[1]


@pytest.mark.parametrize("transport", ["curl", "botocore"])
def test_a_write_in_doubt_is_not_called_busy(server: Server, transport: str) -> None:
    server.acts += [HANG_UP, THROTTLED, THROTTLED]
    answer, sends = call(server.url, transport=transport)
    assert isinstance(answer, StoreUnavailable) and sends == 3
    server.acts += [THROTTLED] * 3
    answer, sends = call(server.url, transport=transport)
    assert isinstance(answer, Busy) and sends == 3


def test_each_thread_has_its_own_connection(server: Server) -> None:
    connection = connect(server.url)
    barrier = threading.Barrier(4, timeout=10)

    def work(_: int) -> int:
        for _ in range(3):
            barrier.wait()
            assert ask(connection).error is None
        return threading.get_ident()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(work, range(4)))) == 4
        assert len(server.requests) == 12 and {each.connection for each in server.requests} == {1, 2, 3, 4}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("secured", [False, True], ids=["http", "https"])
def test_a_forked_child_leaves_the_connection_of_its_parent_alone(
    server: Server, secure: Server, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, secured: bool
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[1]))
    used = secure if secured else server
    connection = connect(used.url)
    assert ask(connection).error is None
    child = os.fork()
    if child == 0:
        os._exit(0 if ask(connection).error is None and ask(connection).sends == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    time.sleep(0.05)  # until what the child said has arrived
    assert ask(connection).sends == 1
    assert [each.connection for each in used.requests] == [1, 2, 2, 1]
