"""Every command of README, run as it is written: only addresses, folders and secrets are a test's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from dev.launcher import free_port
from tests.support.engine import engine

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
# Indented lines of README with those that continue them, without the comments behind them.
INDENTED = re.findall(r"^    (\S.*(?:\n      .*)*)", (ROOT / "README.md").read_text(), re.MULTILINE)
COMMANDS = [re.sub(r"\s+# .*", "", each) for each in INDENTED if re.match(r"make |api=|token=|curl |SECRET_KEY=", each)]
# Never run pip or npm: what is installed is what is tested.
INSTALLED = "--old-file .venv/runtime.stamp --old-file .venv/dev.stamp --old-file node_modules/.package-lock.json"
SECRET = "a secret for tests only"


class Shell:
    """Runs commands of README in the project's folder, with a port and a DATA_DIR of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.started: list[subprocess.Popen[str]] = []
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = {**inherited, "PORT": str(self.port), "DATA_DIR": str(data)}

    def start(self, command: str, **settings: str) -> subprocess.Popen[str]:
        command = re.sub(r"\bmake ", f"make {INSTALLED} ", command).replace("SECRET_KEY=...", f"SECRET_KEY='{SECRET}'")
        command = command.replace(":8000", f":{self.port}").replace("0.0.0.0", "127.0.0.1")
        command = command.replace("=shop.example", "=127.0.0.1").replace("=9100", f"={free_port()}")
        process = subprocess.Popen(
            ["bash", "-ec", command if "\n" in command else f"{'exec ' * command.startswith('make')}{command}"],
            cwd=ROOT,
            env=self.environment | settings,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.started.append(process)
        return process

    def run(self, command: str, status: int = 0, **settings: str) -> str:
        process = self.start(command, **settings)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == status, output
        return output

    def wait_until_it_serves(self, path: str = "/ready") -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                if requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=5).status_code == 200:
                    return
            except requests.RequestException:
                pass
            assert time.monotonic() < deadline, "it does not serve"
            time.sleep(0.1)

    def stop(self, process: subprocess.Popen[str]) -> None:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path / "data")
    yield made
    for process in made.started:
        if process.poll() is None:
            made.stop(process)


def written(words: str) -> str:
    """The one command of README with these words."""
    [command] = [each for each in COMMANDS if words in each]
    return command


def test_each_command_of_readme_is_run_here() -> None:
    """`make test` runs them; the session with curl is run whole."""
    here = Path(__file__).read_text()
    words = re.findall(r"written\(['\"]([^'\"]+)['\"]\)", here)
    commands = [each for each in COMMANDS if not each.startswith(("api=", "token=", "curl ", "make test"))]
    assert commands and [each for each in commands if not any(every in each for every in words)] == []


def test_from_the_first_start_to_a_restored_backup(shell: Shell) -> None:
    running = shell.start(written("make run"))
    shell.wait_until_it_serves()
    session = "\n".join(each for each in COMMANDS if each.startswith(("api=", "token=", "curl")))
    answers = shell.run(session)
    portfolio = json.loads(answers.splitlines()[-1])
    assert [asset["quantity"] for asset in portfolio["assets"]] == ["0.1"], answers
    # After the line of the log.
    assert shell.run(written("make promote")).endswith("\nann has the role ADMIN from the next log-in on\n")
    saved = shell.run(written("make backup"))
    [file] = (shell.data / "backups").iterdir()
    assert str(file) in saved
    restore = written("make restore").replace("var/backups/NAME.db", str(file))
    assert "is using DATA_DIR" in shell.run(restore, status=2)
    shell.stop(running)
    assert "Restored" in shell.run(restore)
    assert "No violation" in shell.run("make audit")


def test_the_demonstration(shell: Shell) -> None:
    """Its whole year, which the tests of the command shorten."""
    assert "Password of each: " in shell.run("make demo")
    assert "No violation" in shell.run("make audit")


@pytest.mark.parametrize("command", ["make audit", "make promote NAME=ann", "make backup", "make shell"])
def test_a_mistyped_folder_is_said_and_not_made(shell: Shell, command: str) -> None:
    sentence, *rest = shell.run(command, status=2).splitlines()
    assert sentence == f"There is no data in DATA_DIR {shell.data}: check its name, or start `make run` with it first."
    assert len(rest) == 1 and rest[0].startswith("make: *** ")
    assert not shell.data.exists()


def test_development(shell: Shell) -> None:
    running = shell.start("make dev")
    shell.wait_until_it_serves()
    shell.stop(running)


def test_on_aws(shell: Shell) -> None:
    credentials = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    with engine() as endpoint:
        aws = {"DYNAMODB_ENDPOINT": endpoint, **credentials}
        created = shell.run(written("flask --app wsgi tables create"), **aws)
        assert created == "created table users\ncreated table orders\n"
        web = shell.start(f"exec env {written('gunicorn wsgi:app')}", **aws)
        worker = shell.start(f"exec env {written('flask --app wsgi orders run')}", **aws)
        shell.wait_until_it_serves()
        registration = "\n".join(each for each in COMMANDS if each.startswith("api=") or "auth/register" in each)
        assert '"ann"' in shell.run(registration)
        assert "ann has the role ADMIN" in shell.run(written("flask --app wsgi users promote"), **aws)
        assert worker.poll() is None
        shell.stop(web)
        shell.stop(worker)
