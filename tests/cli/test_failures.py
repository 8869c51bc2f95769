"""How commands end that cannot do what they were asked: with one sentence and a status, whatever the database does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from app.factory import create_app
from dev.launcher import free_port
from tests.support.applications import config, make_app, tables_named
from tests.support.faults import FaultyStore, drop, refuse

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "audit": ["audit"],
    "audit as JSON": ["audit", "--json"],
    "audit of one user": ["audit", "--user", "ann"],
    "demo": ["demo", "--months", "1"],
    "orders run": ["orders", "run", "--once"],
    "tables create": ["tables", "create"],
    "users promote": ["users", "promote", "ann"],
    "users demote": ["users", "demote", "ann"],
}
every_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


def told(result: Result) -> str:
    """The one sentence of a command that failed; log lines are JSON."""
    assert isinstance(result.exception, SystemExit), result.exception
    said = [line for line in result.output.splitlines() if not line.startswith("{")]
    [sentence] = [line for line in said if line.startswith("Error: ")]
    assert said[-1] == sentence and sentence.endswith(".") and "Traceback" not in result.output
    return sentence


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that do not answer are waited for once."""
    monkeypatch.setattr("app.models.create_tables.MOST_SECONDS", 0)


@every_command
def test_nothing_answers(impatient: None, no_patience: None, command: list[str]) -> None:
    result = create_app(config("http://127.0.0.1:9")).test_cli_runner().invoke(args=command)
    assert result.exit_code == 3 and "does not answer" in told(result)


MAKES_TABLES = {"demo", "tables create"}


@pytest.mark.parametrize("command", [COMMANDS[name] for name in COMMANDS if name not in MAKES_TABLES])
def test_there_are_no_tables(endpoint: str, command: list[str]) -> None:
    app = create_app(config(endpoint, users_table="no_users", orders_table="no_orders"))
    result = app.test_cli_runner().invoke(args=command)
    assert result.exit_code == 3
    assert "does not answer" in told(result) if command[0] == "orders" else "tables create" in told(result)


FAULTS = {
    "busy": (refuse("ThrottlingException"), "too busy"),
    "broken": (refuse("InternalServerError", status=500), "does not answer"),
    "dropped": (drop, "does not answer"),
    "forbidden": (refuse("AccessDeniedException"), ""),
}


@every_command
@pytest.mark.parametrize("fault, sentence", FAULTS.values(), ids=FAULTS)
def test_every_call_fails(
    faulty_app: Any, faults: FaultyStore, no_patience: None, command: list[str], fault: Any, sentence: str
) -> None:
    faults.break_call(1, fault, onward=True)
    result = faulty_app.test_cli_runner().invoke(args=command)
    assert result.exit_code == 3 and sentence in told(result)


@pytest.fixture(scope="module")
def small_store(endpoint: str) -> Iterator[tuple[FaultyStore, Flask]]:
    """An application on tables of its own, in which a command has little to read."""
    make_app(endpoint, **tables_named("failures"))
    with FaultyStore(endpoint) as faults:
        settings = {f"{name}_table": table for name, table in tables_named("failures").items()}
        yield faults, create_app(config(faults.endpoint, **settings))


@every_command
@pytest.mark.parametrize("call", range(2, 7))
def test_a_later_call_fails(
    small_store: tuple[FaultyStore, Flask], impatient: None, no_patience: None, command: list[str], call: int
) -> None:
    """Wherever it breaks off, there is a sentence; or the command needs fewer calls than that."""
    faults, app = small_store
    faults.break_call(call, FAULTS["forbidden"][0], onward=True)
    result = app.test_cli_runner().invoke(args=command)
    if faults.broken:
        assert result.exit_code == 3 and told(result)
    else:
        assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("name", ["", " ", "a b", "ann;", "x" * 31])
@pytest.mark.parametrize("command", [["audit", "--user"], ["users", "promote"], ["users", "demote"]])
def test_what_cannot_be_a_username(app: Any, command: list[str], name: str) -> None:
    result = app.test_cli_runner().invoke(args=[*command, name])
    assert result.exit_code == 2 and "cannot be a username" in told(result)


def test_an_unknown_user_is_a_refusal(app: Any) -> None:
    result = app.test_cli_runner().invoke(args=["users", "promote", "nobody_at_all"])
    assert result.exit_code == 1 and "There is no such user" in told(result)


def test_a_port_in_use(endpoint: str, app: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        other = create_app(config(endpoint, worker_metrics_port=port))
        result = other.test_cli_runner().invoke(args=["orders", "run", "--once"])
        silent = create_app(config(endpoint, worker_metrics_port=port, metrics=False))
        shown_nowhere = silent.test_cli_runner().invoke(args=["orders", "run", "--once"])
    assert result.exit_code == 2 and f"WORKER_METRICS_PORT {port} of 127.0.0.1 cannot be used: " in told(result)
    assert shown_nowhere.exit_code == 0, shown_nowhere.output


@pytest.fixture
def start(tmp_path: Path) -> Any:
    made: list[subprocess.Popen[str]] = []

    def start(*command: str, **settings: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "SECRET_KEY": "a secret for tests only",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **settings,
        }
        errors = (tmp_path / f"errors{len(made)}").open("w+")
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=environment, stderr=errors, text=True
        )
        process.stderr = errors
        made.append(process)
        return process

    yield start
    for process in made:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_worker_that_is_throttled_at_its_start_waits(endpoint: str, app: Any, start: Any) -> None:
    with FaultyStore(endpoint) as faults:
        faults.break_call(1, refuse("ThrottlingException"), onward=True)
        worker = start("flask", "--app", "wsgi", "orders", "run", DYNAMODB_ENDPOINT=faults.endpoint)
        wait_until(lambda: faults.broken >= 9)  # three calls, each sent three times
        assert worker.poll() is None
        faults.heal()
        wait_until(lambda: "Query" in faults.operations)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=10) == 0


def test_tables_are_made_although_it_is_throttled_meanwhile(endpoint: str, app: Any, faults: FaultyStore) -> None:
    tables = {"users_table": "patient_users", "orders_table": "patient_orders"}
    for operation in ("DescribeTable", "CreateTable", "UpdateTimeToLive"):
        faults.inject(operation, *[refuse("ThrottlingException")] * 3)
    result = create_app(config(faults.endpoint, **tables)).test_cli_runner().invoke(args=["tables", "create"])
    assert (result.exit_code, result.stdout) == (0, "created table patient_users\ncreated table patient_orders\n")
    assert faults.waiting == 0 and faults.operations.count("UpdateTimeToLive") == 4


def test_two_processes_make_the_tables_at_once(endpoint: str, app: Any, faults: FaultyStore) -> None:
    """The other one's table is there between this one's look and its own attempt."""
    tables = {"users_table": "twice_users", "orders_table": "twice_orders"}

    def meanwhile(forwarder: Any, sent: bytes) -> tuple[int, bytes]:
        assert forwarder.forward(sent)[0] == 200
        return forwarder.forward(sent)

    faults.inject("CreateTable", meanwhile, meanwhile)
    made = create_app(config(faults.endpoint, **tables))
    assert made.test_cli_runner().invoke(args=["tables", "create"]).exit_code == 0
    assert made.test_client().get("/ready").status_code == 200


def test_gunicorn_that_cannot_make_the_tables_says_why(start: Any, app: Any, endpoint: str) -> None:
    with FaultyStore(endpoint) as faults:
        faults.break_call(1, refuse("AccessDeniedException"), onward=True)
        settings = {"DYNAMODB_ENDPOINT": faults.endpoint, "CREATE_TABLES": "true", "PORT": str(free_port())}
        server = start("gunicorn", "wsgi:app", **settings)
        assert server.wait(timeout=60) != 0
    server.stderr.seek(0)
    said = [line for line in server.stderr.read().splitlines() if not line.startswith("{")]
    assert said == ["The database refuses this (AccessDeniedException). Check the permissions and the tables."]


def test_the_audit_tells_what_it_found_from_not_having_looked(app: Any, endpoint: str, impatient: None) -> None:
    sound = app.test_cli_runner().invoke(args=["audit", "--json", "--user", "nobody_at_all"])
    unable = create_app(config("http://127.0.0.1:9")).test_cli_runner().invoke(args=["audit", "--json"])
    assert (sound.exit_code, unable.exit_code, unable.stdout) == (2, 3, "")
