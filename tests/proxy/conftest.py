"""Two copies of the real server that share a socket, behind Debian's nginx; left out where there is none."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from app.factory import create_app
from app.models.create_tables import create_tables
from dev.launcher import free_port
from tests.support.applications import config
from tests.support.chromium import chromium, what_is_missing
from tests.support.engine import engine
from tests.support.nginx import HOST, NGINX, Proxy, nginx_in_front_of
from tests.support.server import Server, settings_for, start_gunicorn

MISSING = "" if NGINX else "nginx (on Debian and Ubuntu: apt-get install nginx)"
if MISSING and os.environ.get("REQUIRE_NGINX") == "1":
    raise pytest.UsageError(f"The tests behind a proxy cannot run: there is no {MISSING}.")
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if MISSING:
        terminalreporter.write_line(f"The tests behind a proxy were left out: there is no {MISSING}.", yellow=True)


@dataclass
class Copies:
    """Copies of gunicorn on one socket, as systemd hands it to them, each with a port for its counters."""

    endpoint: str
    folder: Path
    listener: socket.socket
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    ports: dict[int, int] = field(default_factory=lambda: {1: free_port(), 2: free_port()})
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def start(self, number: int) -> None:
        """As where others come in: nothing is relaxed."""
        handed = self.listener.fileno()
        settings = settings_for(
            self.endpoint,
            self.port,
            BIND=f"fd://{handed}",
            METRICS_PORT=str(self.ports[number]),
            TRUSTED_PROXIES="1",
            SITE_HOSTS=f"127.0.0.1,{HOST}",
            SECRET_KEY=self.secret,
            COOKIE_SECURE="true",
            BCRYPT_ROUNDS="10",
            WEB_CONCURRENCY="1",
        )
        self.running[number] = start_gunicorn(settings, self.log(number), socket=handed)

    def log(self, number: int) -> Path:
        return self.folder / f"gunicorn-{number}.txt"

    def wait_for(self, number: int) -> None:
        """Until this copy serves, which its own port tells."""
        while not self._serves(number):
            assert self.running[number].poll() is None, self.log(number).read_text()

    def _serves(self, number: int) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.ports[number]}/metrics", timeout=10).ok
        except requests.RequestException:
            return False

    def stop(self, number: int) -> None:
        process = self.running.pop(number)
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="package")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    folder = tmp_path_factory.mktemp("copies")
    with engine(folder / "orders.db") as endpoint, socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        with create_app(config(endpoint)).app_context():
            create_tables()
        made = Copies(endpoint, folder, listener)
        try:
            for number in (1, 2):
                made.start(number)
            for number in (1, 2):
                made.wait_for(number)
            yield made
        finally:
            for number in list(made.running):
                made.stop(number)


@pytest.fixture(scope="package")
def proxy(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with nginx_in_front_of(copies.port, tmp_path_factory.mktemp("nginx")) as running:
        yield running


@pytest.fixture(scope="package")
def below_a_path(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with nginx_in_front_of(copies.port, tmp_path_factory.mktemp("below"), prefix="/shop") as running:
        yield running


@pytest.fixture(params=["proxy", "below_a_path"])
def either(request: pytest.FixtureRequest) -> Proxy:
    return request.getfixturevalue(request.param)


def through(copies: Copies, proxy: Proxy) -> Server:
    """The copies as they are seen through nginx."""
    return Server(proxy.address, next(iter(copies.running.values())), certificate=proxy.certificate)


@pytest.fixture(scope="package")
def _chromium() -> Iterator[Any]:
    if missing := what_is_missing():
        pytest.skip(f"there is no {missing}")
    with chromium() as browser:
        yield browser
