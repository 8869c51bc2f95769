"""Why the store did not answer: in the log, briefly and without secrets; and that `/ready` knows a full disk."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.factory import create_app
from app.models import database
from app.models.create_tables import tables_answer
from dev.child import end_with_parent
from dev.launcher import engine_command, engine_file, free_port, wait_until_ready
from tests.support.applications import config, make_app
from tests.support.faults import drop, refuse, truncate
from tests.support.people import problem, register

Causes = Callable[[], list[str]]


@pytest.fixture
def causes(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Causes:
    """The causes that were logged since the last look."""
    monkeypatch.setattr(database, "_cause_told_at", float("-inf"))

    def read() -> list[str]:
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        return [line["event"] for line in lines if line["logger"] == "app.models.database"]

    return read


BROKEN = refuse("InternalServerError", status=500)
FAULTS = {
    "broken": (BROKEN, "store unavailable: Query: HTTP 500 InternalServerError, made by a test"),
    "dropped": (drop, "store unavailable: Query: E_"),
    "cut off": (truncate, "store unavailable: Query: "),
}


@pytest.mark.parametrize("fault, cause", FAULTS.values(), ids=FAULTS)
def test_a_failure_leaves_its_cause(faulty_app: Any, faults: Any, causes: Causes, fault: Any, cause: str) -> None:
    faults.inject("Query", *[fault] * 3)
    problem(faulty_app.test_client().get("/ready"), 503, "store_unavailable")
    [told] = causes()
    assert told.startswith(cause) and "127.0.0.1" not in told


def test_a_refusal_after_a_lost_send_says_so(faulty_app: Any, faults: Any, causes: Causes) -> None:
    faults.inject("Query", drop, drop, refuse("ThrottlingException"))
    problem(faulty_app.test_client().get("/ready"), 503, "store_unavailable")
    assert causes() == ["store unavailable: Query: HTTP 400 ThrottlingException, after a send without an answer"]


UNREACHABLE = {
    "a closed port": ({}, "Query: E_COULDNT_CONNECT, Connection refused"),
    "a profile that does not exist": ({"AWS_PROFILE": "secret-profile"}, "connect: ProfileNotFound"),
    "half of a pair of keys": ({"AWS_SECRET_ACCESS_KEY": None}, "connect: PartialCredentialsError"),
    "no credentials": (
        dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")) | {"HOME": "/nonexistent"},
        "Query: NoCredentialsError",
    ),
}


@pytest.mark.parametrize("settings, cause", UNREACHABLE.values(), ids=UNREACHABLE)
def test_where_the_store_cannot_be_reached(
    impatient: None, causes: Causes, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str | None], cause: str
) -> None:
    for name, value in settings.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    problem(create_app(config("http://127.0.0.1:9")).test_client().get("/ready"), 503, "store_unavailable")
    assert causes() == [f"store unavailable: {cause}"]


def test_an_outage_fills_no_log(impatient: None, causes: Causes, monkeypatch: pytest.MonkeyPatch) -> None:
    client = create_app(config("http://127.0.0.1:9")).test_client()
    moment = 1000.0
    monkeypatch.setattr("app.models.database.time.monotonic", lambda: moment)
    for moment in (1000.0, 1000.5, 1000.9, 1001.1, 1001.2, 1002.2):  # noqa: B007
        problem(client.get("/ready"), 503, "store_unavailable")
    assert len(causes()) == 3


def test_missing_tables_are_a_cause_for_a_probe_and_none_for_a_start(endpoint: str, causes: Causes) -> None:
    """The worker starts beside the process that makes them."""
    lost = create_app(config(endpoint, users_table="missing_users", orders_table="missing_orders"))
    with lost.app_context():
        assert not tables_answer() and causes() == []
    problem(lost.test_client().get("/ready"), 503, "store_unavailable")
    assert causes() == ["store unavailable: Query: ResourceNotFoundException"]


class FullDisk:
    """An engine whose files cannot grow: SQLite then answers as on a full disk."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def fill(self) -> None:
        size = max(file.stat().st_size for file in self._folder.iterdir())
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def make_room(self) -> None:
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[str, FullDisk]]:
    def prepare() -> None:
        end_with_parent()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write fails then, and does not end the process

    port = free_port()
    process = subprocess.Popen(
        engine_command(engine_file(), port, tmp_path / "orders.db"),
        preexec_fn=prepare,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    wait_until_ready(endpoint, process)
    yield endpoint, FullDisk(process, tmp_path)
    process.terminate()
    process.wait(timeout=10)


@pytest.mark.engine
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
def test_a_full_disk(disk: tuple[str, FullDisk], causes: Causes, impatient: None) -> None:
    endpoint, full = disk
    app = make_app(endpoint)
    person = register(app)
    personal = person.post("/auth/tokens", {"name": "script", "scopes": "read"}).json["access_token"]
    full.fill()
    causes()
    problem(app.test_client().get("/ready"), 503, "store_unavailable")
    [told] = causes()
    assert told.startswith("store unavailable: UpdateItem: HTTP 500 InternalServerError, ")
    assert "I/O error" in told or "full" in told
    problem(person.deposit("1.00"), 503, "store_unavailable")
    for token in (person.token, personal):
        person.token = token
        assert person.get("/balance").status_code == 200, "what needs no write goes on"
    full.make_room()
    assert app.test_client().get("/ready").status_code == 200


def test_ready_writes_once_a_minute_for_all_processes(app: Any, store: Any, endpoint: str) -> None:
    """The others are refused by a condition, which writes nothing to the engine's disk."""
    settings = {"users_table": "ready_users", "orders_table": "ready_orders"}
    make_app(endpoint, users="ready_users", orders="ready_orders")
    for _ in range(3):
        assert create_app(config(endpoint, **settings)).test_client().get("/ready").status_code == 200
    rows = [row for row in store.scan(TableName="ready_users")["Items"] if row["entity_type"]["S"] != "STORE"]
    assert len(rows) in {1, 2}  # two when a minute ended meanwhile
    assert {row["entity_type"]["S"] for row in rows} == {"RATE"} and all(row["hits"]["N"] == "1" for row in rows)


def test_a_store_that_throttles_is_ready(faulty_app: Any, faults: Any) -> None:
    """It answers; taking every copy out of a load balancer would help nobody."""
    faults.inject("UpdateItem", *[refuse("ThrottlingException")] * 3)
    assert faulty_app.test_client().get("/ready").status_code == 200
    faults.inject("UpdateItem", refuse("AccessDeniedException"))
    problem(faulty_app.test_client().get("/ready"), 503, "store_unavailable")
