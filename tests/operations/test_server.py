"""The real server, and the real worker of orders: what they count and log between them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from app.audit.totals import Sums, save_totals
from app.domain import clock
from dev.launcher import free_port
from tests.support.applications import make_app, tables_named
from tests.support.counters import read_counters, total
from tests.support.people import registration

ROOT = Path(__file__).parent.parent.parent


class Process:
    """A process of the application with these settings, and all that it wrote."""

    def __init__(self, folder: Path, endpoint: str, command: list[str], **settings: Any) -> None:
        self.errors = folder / "errors.txt"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(self.temporary),
            "SECRET_KEY": "a secret for tests only",
            "DYNAMODB_ENDPOINT": endpoint,
            "CREATE_TABLES": "true",
            "COOKIE_SECURE": "false",
            "BCRYPT_ROUNDS": "4",
            "WEB_CONCURRENCY": "1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "FLASK_SKIP_DOTENV": "1",
            **{name: str(value) for name, value in settings.items()},
        }
        with self.errors.open("w") as errors, (folder / "output.txt").open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=output, stderr=errors
            )

    def wait_for(self, url: str) -> None:
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, self.errors.read_text()
            try:
                requests.get(url, timeout=1)
                return
            except requests.RequestException:
                time.sleep(0.05)

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def wait_for_workers(self, *, without: list[int]) -> None:
        """Until two workers are there, none of them one of these."""
        deadline = time.monotonic() + 30
        while len(workers := self.workers()) != 2 or set(workers) & set(without):
            assert self.process.poll() is None and time.monotonic() < deadline, self.errors.read_text()
            time.sleep(0.05)

    def stop(self) -> float:
        """End it by SIGTERM; the seconds that took."""
        started = time.monotonic()
        self.process.terminate()
        try:
            assert self.process.wait(timeout=10) == 0, self.errors.read_text()
        finally:
            self.process.kill()
        return time.monotonic() - started

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.read_text().splitlines()]


@pytest.fixture
def start(app: Any, endpoint: str, tmp_path: Path) -> Iterator[Any]:
    made: list[Process] = []

    def start_one(command: list[str], **settings: Any) -> Process:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Process(folder, endpoint, command, **settings))
        return made[-1]

    yield start_one
    for each in made:
        each.process.kill()
        each.process.wait()


def serve(start: Any, **settings: Any) -> tuple[Process, str]:
    port = free_port()
    server = start(["gunicorn", "wsgi:app"], PORT=port, **settings)
    url = f"http://127.0.0.1:{port}"
    server.wait_for(f"{url}/health")
    return server, url


def counters_at(url: str) -> Any:
    return read_counters(requests.get(f"{url}/metrics", timeout=5).text)


def folders_of_counters(server: Process) -> list[Path]:
    name = f"order-processor-metrics-{server.process.pid}-*"
    return [*Path("/dev/shm").glob(name), *server.temporary.glob(name)]


def test_counters_are_the_sum_over_the_workers_also_of_those_that_are_gone(start):
    server, url = serve(start, WEB_CONCURRENCY=2)
    assert len(folders_of_counters(server)) == 1

    def ask(number: int) -> int:
        return requests.get(f"{url}/api/v1/balance?number={number}", timeout=10).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(120))) == {401}
    asked = {"route": "/api/v1/balance", "method": "GET", "status": "401"}
    # Whichever worker answers, it tells the same.
    assert {total(counters_at(url), "http_requests_total", **asked) for _ in range(8)} == {120}
    workers = server.workers()
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGTERM)
    server.wait_for_workers(without=workers[:1])
    server.wait_for(f"{url}/health")
    assert total(counters_at(url), "http_requests_total", **asked) == 120
    workers = server.workers()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_workers(without=workers)
    server.wait_for(f"{url}/health")
    assert total(counters_at(url), "http_requests_total", **asked) == 120
    server.stop()
    assert folders_of_counters(server) == []
    assert server.lines(), "every line is JSON, also after a reload"


def test_a_given_folder_is_emptied_and_kept_and_left_to_gunicorn(start, tmp_path):
    """Also where a worker of orders is given the same settings, as by `make run`."""
    folder = tmp_path / "counters"
    server, url = serve(start, PROMETHEUS_MULTIPROC_DIR=folder)
    requests.get(f"{url}/api/v1/balance", timeout=5)
    before = set(folder.glob("*.db"))
    assert before
    worker = start(["flask", "--app", "wsgi", "orders", "run", "--once"], PROMETHEUS_MULTIPROC_DIR=folder)
    assert worker.process.wait(timeout=30) == 0, worker.errors.read_text()
    assert set(folder.iterdir()) == before
    assert total(counters_at(url), "worker_rounds_total") == 0
    server.stop()
    assert list(folder.glob("*.db"))
    server, url = serve(start, PROMETHEUS_MULTIPROC_DIR=folder)
    assert total(counters_at(url), "http_requests_total", route="/api/v1/balance") == 0
    server.stop()
    assert folder.is_dir()


# What gunicorn.conf.py does about the counters, and no more: the application is not imported.
HOLDS_COUNTERS = """
import os, signal, sys
from app.shared_counters import share_counters
share_counters(sys.argv[1])
print(os.environ["PROMETHEUS_MULTIPROC_DIR"], flush=True)
signal.pause()
"""


@pytest.fixture
def hold_counters():
    """Starts processes that hold a folder of counters; gives each with its folder."""
    made = []

    def hold(parent: Path) -> tuple[subprocess.Popen[str], Path]:
        command = [sys.executable, "-c", HOLDS_COUNTERS, str(parent)]
        made.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        return made[-1], Path(made[-1].stdout.readline().strip())

    yield hold
    for each in made:
        each.kill()
        each.communicate()


def test_a_folder_that_a_killed_server_left_is_removed_by_the_next(start, hold_counters):
    parent = Path("/dev/shm")
    killed, left = hold_counters(parent)
    _, held = hold_counters(parent)
    killed.kill()
    killed.wait()
    for folder in (left, held):
        os.utime(folder, (0, 0))
    serve(start)
    assert not left.exists()
    assert held.exists()
    held.rmdir()


def test_on_another_port(start):
    port = free_port()
    server, url = serve(start, METRICS_PORT=port)
    other = f"http://127.0.0.1:{port}"
    assert total(counters_at(other), "http_requests_total", route="/health") >= 1
    assert requests.get(f"{url}/metrics", headers={"Host": f"127.0.0.1:{port}"}, timeout=5).status_code == 404
    for path in ("/", "/api/v1/balance", "/login", "/static/style.css", "/health"):
        assert requests.get(f"{other}{path}", timeout=5).status_code == 404
    server.stop()


def test_the_log_of_a_journey(start):
    """Without counters, which METRICS=off switches off wherever METRICS_PORT would show them."""
    server, url = serve(start, LOG_LEVEL="DEBUG", METRICS="off", METRICS_PORT=free_port())
    assert folders_of_counters(server) == []
    person = registration()
    session = requests.Session()
    assert session.post(f"{url}/api/v1/auth/register", json=person, timeout=10).status_code == 201
    login = {"username": person["email"], "password": person["password"]}
    token = session.post(f"{url}/api/v1/auth/login", json=login, timeout=10).json()["access_token"]
    session.get(f"{url}/api/v1/balance?q=query-secret", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    page = session.get(f"{url}/login?next=/query-secret", timeout=10).text
    form_key = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
    answer = session.post(
        f"{url}/login",
        data={**login, "csrf_token": form_key},
        headers={"Referer": url},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code == 303
    session_cookie, device = session.cookies.values()
    requests.get(f"{url}/{'x' * 5000}?query-secret", timeout=10)
    assert requests.get(f"{url}/metrics", timeout=5).status_code == 404
    server.stop()
    text = server.errors.read_text()
    for secret in (person["email"], person["password"], token, session_cookie, device, form_key, "query-secret"):
        assert secret not in text
    lines = server.lines()
    routes = [line["route"] for line in lines if line["event"] == "request"]
    assert [each for each in routes if each not in {"/health", "none"}] == [
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/api/v1/balance",
        "/login",
        "/login",
    ]
    assert {"Listening", "Booting"} <= {line["event"].split()[0] for line in lines}
    assert "Invalid request: LimitRequestLine" in {line["event"] for line in lines}


def test_the_worker_shows_its_counters(start, endpoint):
    port, names, audited_at = free_port(), tables_named("watched"), clock.now()
    with make_app(endpoint, **names).app_context():
        save_totals(Sums(), taken_at=audited_at, seconds=1, items=0, violations=2)
    tables = {f"{name.upper()}_TABLE": table for name, table in names.items()}
    worker = start(["flask", "--app", "wsgi", "orders", "run"], WORKER_METRICS_PORT=port, **tables)
    worker.wait_for(f"http://127.0.0.1:{port}/metrics")
    deadline = time.monotonic() + 20
    while total(counters_at(f"http://127.0.0.1:{port}"), "worker_rounds_total", outcome="done") < 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    counters = counters_at(f"http://127.0.0.1:{port}")
    assert abs(total(counters, "worker_last_round_timestamp_seconds") - time.time()) < 20
    assert total(counters, "dynamodb_calls_total", route="orders run") > 0
    while ("audit_last_violations", frozenset()) not in counters:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        counters = counters_at(f"http://127.0.0.1:{port}")
    assert total(counters, "audit_last_timestamp_seconds") == audited_at.timestamp()
    assert total(counters, "audit_last_violations") == 2
    worker.stop()
    assert {line["logger"] for line in worker.lines()} <= {"app.services.worker", "app.cli.orders"}


UNNEEDED = {
    "a web server": (
        "wsgi",
        [
            "app.audit.run",
            "app.audit.rows",
            "app.cli.demo_accounts",
            "app.services.postman",
            "email_validator",
            "opentelemetry",
        ],
    ),
    "a command of the launcher": ("dev.launcher", ["honcho", "multiprocessing", "app"]),
    "a child": ("dev.child", ["subprocess", "tempfile", "pathlib"]),
}


@pytest.mark.parametrize(("module", "unneeded"), UNNEEDED.values(), ids=UNNEEDED)
def test_a_start_does_not_wait_for_what_it_does_not_use(module, unneeded):
    program = f"import {module}, sys; print([name for name in {unneeded} if name in sys.modules])"
    environment = {"PATH": os.environ["PATH"], "SECRET_KEY": "a secret for tests only"}
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr


def test_what_is_imported_is_no_garbage():
    """The collector leaves it alone, and goes on with the rest."""
    program = "import wsgi, gc; print(gc.isenabled(), gc.get_freeze_count() > 100_000)"
    environment = {"PATH": os.environ["PATH"], "SECRET_KEY": "a secret for tests only"}
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.stdout == "True True\n", found.stderr
