"""The real server for tests: gunicorn with two workers, as `gunicorn.conf.py` says, on an engine with a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import requests

from app.factory import create_app
from app.models.create_tables import create_tables
from dev.child import CHILD
from dev.launcher import free_port
from tests.support.applications import config
from tests.support.people import PASSWORD, registration

ResultT = TypeVar("ResultT")
WORKERS = 2
# As in `applications.LIMITS`.
UNLIMITED = ("LOG_INS_PER_MINUTE", "REGISTRATIONS_PER_HOUR", "MONEY_CHANGES_PER_MINUTE", "STATEMENTS_PER_MINUTE")


class Caller:
    """One connection to the server, with the token of one user."""

    def __init__(self, address: str, token: str = "", *, certificate: Path | None = None) -> None:
        self.address = address
        self.token = token
        self.session = requests.Session()
        self.session.trust_env = False
        if certificate:
            self.session.verify = str(certificate)

    def call(self, method: str, path: str, json: Any = None, *, key: str | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        path = path if path in {"/health", "/ready"} else f"/api/v1{path}"
        return self.session.request(method, self.address + path, json=json, headers=headers, timeout=30)

    def get(self, path: str) -> requests.Response:
        return self.call("GET", path)

    def post(self, path: str, json: Any, *, key: str | None = None) -> requests.Response:
        return self.call("POST", path, json, key=key)

    def close(self) -> None:
        self.session.close()


@dataclass
class Account:
    """A user of the server, whose callers share the token."""

    username: str
    callers: list[Caller]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.callers[0], name)


@dataclass
class Server:
    """A running gunicorn."""

    address: str
    process: subprocess.Popen[bytes]
    # Of a proxy in front.
    certificate: Path | None = None

    @property
    def workers(self) -> list[int]:
        return children_of(self.process.pid)

    def kill(self) -> None:
        """kill -9 of the master and of every worker."""
        for pid in [self.process.pid, *self.workers]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    @contextmanager
    def account(self, *, callers: int = 1, deposit: str | None = None) -> Iterator[Account]:
        """A new user, with connections to act on at the same time."""
        with ExitStack() as stack:
            made = [Caller(self.address, certificate=self.certificate) for _ in range(callers)]
            for caller in made:
                stack.callback(caller.close)
            body = registration()
            assert made[0].post("/auth/register", body).status_code == 201
            answer = made[0].post("/auth/login", {"username": body["username"], "password": PASSWORD})
            for caller in made:
                caller.token = answer.json()["access_token"]
            if deposit:
                assert made[0].post("/balance/deposit", {"amount": deposit}).status_code == 201
            yield Account(body["username"], made)


def children_of(pid: int) -> list[int]:
    """The processes that the main thread of a process started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def settings_for(endpoint: str, port: int, **settings: str) -> dict[str, str]:
    """The environment of the product's processes on the tables at this endpoint."""
    return {name: value for name, value in os.environ.items() if name != "BIND"} | {
        "PORT": str(port),
        "WEB_CONCURRENCY": str(WORKERS),
        "DYNAMODB_ENDPOINT": endpoint,
        "BCRYPT_ROUNDS": "4",
        "SECRET_KEY": "a secret for tests only",
        "COOKIE_SECURE": "false",
        "AWS_REGION": "us-east-1",
        **dict.fromkeys(UNLIMITED, "0"),
        **settings,
    }


def start_gunicorn(
    settings: Mapping[str, str], log: Path, *, socket: int | None = None, root: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start gunicorn, which is gone when the thread that started it is. It may inherit a socket, by its number.

    It has the code in `root`, or this one.
    """
    command = [*CHILD, sys.executable, "-m", "gunicorn", "wsgi:app"]
    with log.open("ab") as output:
        handed = () if socket is None else (socket,)
        return subprocess.Popen(command, cwd=root, env=dict(settings), stdout=output, stderr=output, pass_fds=handed)


@contextmanager
def serve(endpoint: str, log: Path, *, port: int | None = None, **settings: str) -> Iterator[Server]:
    """gunicorn on the tables at this endpoint, which are made when they are missing, with more settings if wanted."""
    with create_app(config(endpoint)).app_context():
        create_tables()
    port = port or free_port()
    server = Server(f"http://127.0.0.1:{port}", start_gunicorn(settings_for(endpoint, port, **settings), log))
    try:
        wait_until_ready(server, log)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(timeout=15)


def wait_until_ready(server: Server, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if requests.get(server.address + "/ready", timeout=5).status_code == 200:
                return
        except (requests.ConnectionError, requests.Timeout):
            pass
        time.sleep(0.05)
    raise AssertionError(f"gunicorn is not ready:\n{log.read_text()}")


def at_once(actions: list[Callable[[], ResultT]]) -> list[ResultT]:
    """Run actions in a thread each, started together."""
    barrier = Barrier(len(actions))

    def run(action: Callable[[], ResultT]) -> ResultT:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def resident_megabytes(pid: int) -> float:
    """What a process holds in memory, what it shares with its parent included."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
