"""What gunicorn itself refuses is answered as safely as all else, and where it listens is looked at as BIND is."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.config import Config
from app.domain.second_factor import Demand
from app.server import check_addresses
from dev.launcher import free_port
from tests.server.conftest import running

__all__ = ["running"]
ROOT = Path(__file__).parents[2]
HOST = b"Host: 127.0.0.1\r\n"
UNREADABLE = {
    "no request": (b"GET\r\n\r\n", 400),
    "a method": (b"g<b>t / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a version": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "the name of a header": (b"GET / HTTP/1.1\r\n" + HOST + b"X-<secret>: 1\r\n\r\n", 400),
    "a folded header": (b"GET / HTTP/1.1\r\n" + HOST + b"A: 1\r\n secret\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
    "a long address": (b"GET /" + b"secret" * 1000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "a long header": (b"GET / HTTP/1.1\r\n" + HOST + b"X-Secret: " + b"x" * 9000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: 1\r\n" % n for n in range(80)) + b"\r\n", 431),
    "a coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: secret\r\n\r\n0\r\n\r\n", 501),
}


@pytest.mark.engine
@pytest.mark.parametrize(("sent", "status"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_answered_safely(running, sent: bytes, status: int) -> None:
    server, _ = running
    address = urlsplit(server.address)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    headers = dict(re.findall(r"^([A-Za-z-]+): (.*?)\r?$", head, re.MULTILINE))
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff" and "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Connection"] == "close" and int(headers["Content-Length"]) == len(body)
    assert not re.search("secret|<|X-", body, re.IGNORECASE), "nothing of the client's is repeated"


RELAXED = Config(secret_key="a secret for tests only", cookie_secure=False)


def test_on_loopback_the_log_says_what_is_relaxed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="app")
    check_addresses(RELAXED, ["127.0.0.1:8000"])
    [line] = [each.getMessage() for each in caplog.records if each.name == "app.server"]
    assert line.startswith("only for programs of this machine: COOKIE_SECURE is false; SITE_HOSTS is not set;")


def test_operators_need_a_second_factor_wherever_gunicorn_is_told_to_listen(capsys: pytest.CaptureFixture[str]) -> None:
    """What BIND does not say, the application does not know."""
    safe = Config(secret_key="0123456789abcdef" * 2, site_hosts=("shop.example",), trusted_proxies=0, metrics_port=9100)
    with pytest.raises(SystemExit) as ended:
        check_addresses(safe, ["0.0.0.0:8000"])
    assert ended.value.code == 2 and capsys.readouterr().err.startswith("SECOND_FACTOR must be set ")
    check_addresses(replace(safe, second_factor=Demand.OPERATORS), ["0.0.0.0:8000"])


LISTENING = {
    "BIND": (["-m", "gunicorn", "wsgi:app"], True),
    "gunicorn --bind": (["-m", "gunicorn", "--bind", "0.0.0.0:{port}", "wsgi:app"], False),
    "make run": (["dev/launcher.py"], True),
    "flask run": (["-m", "flask", "--app", "wsgi", "run", "--host", "0.0.0.0", "--port", "{port}"], False),
}


@pytest.mark.parametrize(("command", "has_bind"), LISTENING.values(), ids=LISTENING)
def test_nothing_unsafe_listens_to_others(tmp_path: Path, command: list[str], has_bind: bool) -> None:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(tmp_path),
        "DYNAMODB_ENDPOINT": "http://127.0.0.1:1",
        "SECRET_KEY": "x" * 40,
        "BCRYPT_ROUNDS": "4",
        "COOKIE_SECURE": "false",
        "PORT": str(port),
        **({"BIND": f"0.0.0.0:{port}"} if has_bind else {}),
    }
    ended = subprocess.run(
        [sys.executable, *(each.format(port=port) for each in command)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    sentence = ended.stderr.splitlines()[-1]
    assert sentence.startswith(f"BIND '0.0.0.0:{port}' lets others in, so: ") and "x" * 40 not in ended.stderr
    for name in ("COOKIE_SECURE", "SITE_HOSTS", "TRUSTED_PROXIES", "SECRET_KEY", "BCRYPT_ROUNDS", "METRICS_PORT"):
        assert f"{name} must be " in sentence
