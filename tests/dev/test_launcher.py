"""The laptop's launcher, run as `make run` runs it, in a folder with a stand-in for the web server."""

import json
import os
import platform
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev import launcher

ROOT = Path(__file__).parents[2]
LAUNCHER = [sys.executable, str(ROOT / "dev" / "launcher.py")]
# The stand-in for the web server shows what it was given and ends, which ends the launcher.
SHOWS_SETTINGS = f'{sys.executable} -c \'import json, os; json.dump(dict(os.environ), open("seen", "w"))\''
WSGI = """
import os, urllib.request
from flask import Flask

app = Flask(__name__)

@app.cli.command("demo")
def demo():
    endpoint = os.environ["DYNAMODB_ENDPOINT"]
    print(endpoint, urllib.request.urlopen(endpoint).status)
"""


# Stands in for the web server too: asked to end, it still serves a request, which needs the engine.
SERVES_TO_THE_END = """
import os, signal, sys, time, urllib.request

def stop(*_):
    time.sleep(0.5)
    print("the engine answered", urllib.request.urlopen(os.environ["DYNAMODB_ENDPOINT"]).status, flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, stop)
open("serves", "w").close()
while True:
    signal.pause()
"""


class Project:
    """A folder with a Procfile, a wsgi.py and the real engine, where the launcher can be run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []
        self.command = LAUNCHER
        (folder / "node_modules").symlink_to(ROOT / "node_modules")
        (folder / "wsgi.py").write_text(WSGI)
        self.web(SHOWS_SETTINGS)

    def web(self, command: str, *, orders: str = "exec sleep 60") -> None:
        """Let these commands stand in for the web server and the worker."""
        engine = " ".join([*LAUNCHER, "engine"])
        (self.folder / "Procfile").write_text(f"web: {command}\norders: {orders}\nengine: exec {engine}\n")

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Start the launcher with these settings and no others."""
        settings = {"PATH": os.environ["PATH"], "PORT": str(launcher.free_port()), **settings}
        process = subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.folder,
            env=settings,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        """Run the launcher to its end and return its status and what it printed."""
        return finish(self.start(*arguments, **settings))

    def seen(self) -> dict[str, str]:
        """The settings that the web server was given."""
        return json.loads((self.folder / "seen").read_text())

    def engine(self) -> tuple[int, str]:
        """The process and the endpoint of the engine that has the data, once it answers."""
        lock = self.folder / "var" / "lock"
        wait_for(lambda: lock.exists() and len(lock.read_text().split()) == 2)
        process_id, endpoint = lock.read_text().split()
        wait_for(lambda: answers(endpoint))
        return int(process_id), endpoint


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=40)
    return process.returncode, output, errors


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def answers(endpoint: str) -> bool:
    host, port = endpoint.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_refusal_is_one_sentence(project: Project) -> None:
    status, output, errors = project.run(PORT="eighty")
    assert (status, output) == (2, "")
    assert errors == "PORT must be a whole number from 1 to 65535, not 'eighty'.\n"


@pytest.mark.engine
def test_blank_settings_are_unset(project: Project) -> None:
    blank = dict.fromkeys(("WEB_CONCURRENCY", "SECRET_KEY", "DYNAMODB_ENDPOINT", "AWS_PROFILE", "COOKIE_SECURE"), " ")
    status, output, _ = project.run(**blank, DATA_DIR="")
    assert status == 0 and "make demo" in output
    seen = project.seen()
    assert "WEB_CONCURRENCY" not in seen and "AWS_PROFILE" not in seen
    assert seen["COOKIE_SECURE"] == "false" and len(seen["SECRET_KEY"]) == 64
    assert seen["MAIL_FOLDER"] == f"{seen['DATA_DIR']}/mail" and seen["SITE_URL"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("name", ["SMTP_URL", "SMTP_URL_FILE"])
def test_where_a_mail_server_is_set_no_mail_is_written_into_the_folder(tmp_path: Path, name: str) -> None:
    assert "MAIL_FOLDER" in launcher.web_settings({}, tmp_path)
    assert "MAIL_FOLDER" not in launcher.web_settings({name: "x"}, tmp_path)


@pytest.mark.engine
def test_what_others_use_is_left_to_them(project: Project) -> None:
    project.start("engine")
    process_id, endpoint = project.engine()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        # Both wait a moment for the others to end, so they wait together.
        on_taken_port = project.start(PORT=str(port), DATA_DIR="elsewhere")
        on_taken_data = project.start()
        status, _, errors = finish(on_taken_port)
        assert status == 2 and f"Port {port} cannot be used" in errors and "set PORT" in errors
        status, _, errors = finish(on_taken_data)
        assert status == 2 and f"Engine process {process_id}" in errors and "set another DATA_DIR" in errors
    assert answers(endpoint)


def test_a_free_port_is_none_that_outgoing_connections_take() -> None:
    ports = {launcher.free_port() for _ in range(50)}
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert len(ports) > 40 and max(ports) < int(first)


def test_a_folder_that_cannot_hold_data_is_refused(project: Project) -> None:
    (project.folder / "file").touch()
    status, _, errors = project.run(DATA_DIR="file")
    assert status == 2 and "choose another folder" in errors


def test_unknown_command_is_refused(project: Project) -> None:
    status, _, errors = project.run("stop")
    assert status == 2 and "There is no command 'stop'" in errors


def test_missing_engine_names_the_choices(project: Project) -> None:
    (project.folder / "node_modules").unlink()
    status, _, errors = project.run()
    assert status == 2 and "npm" in errors and "DYNAMODB_ENDPOINT" in errors and "AWS" in errors


def test_foreign_platform_names_the_choices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(launcher.Refused, match="Linux x86_64 only, and this is .* riscv64: set DYNAMODB"):
        launcher.engine_file()


@pytest.mark.parametrize(
    "settings, name",
    [
        ({}, None),
        ({"AWS_PROFILE": "", "AWS_CA_BUNDLE": "bundle.pem"}, None),
        ({"DYNAMODB_ENDPOINT": "http://127.0.0.1:1"}, "DYNAMODB_ENDPOINT"),
        *[({name: "x"}, name) for name in launcher.AWS_SETTINGS],
    ],
)
def test_settings_that_name_a_database(settings: dict[str, str], name: str | None) -> None:
    assert launcher.external_database(settings) == name


@pytest.mark.parametrize(
    "settings, credentials",
    [
        ({"DYNAMODB_ENDPOINT": "http://127.0.0.1:1"}, "local"),
        ({"AWS_ACCESS_KEY_ID": "mine", "AWS_REGION": "eu-west-1"}, "mine"),
    ],
)
def test_with_a_database_of_ones_own_no_engine_is_started(
    project: Project, settings: dict[str, str], credentials: str
) -> None:
    (project.folder / "node_modules").unlink()
    status, output, _ = project.run(**settings)
    assert status == 0 and f"The database is the one that {next(iter(settings))} names" in output
    seen = project.seen()
    assert settings.items() <= seen.items()
    assert seen["AWS_ACCESS_KEY_ID"] == credentials
    assert seen.get("DYNAMODB_ENDPOINT") == settings.get("DYNAMODB_ENDPOINT")
    assert not (project.folder / "var" / "orders.db").exists()


@pytest.mark.engine
def test_secret_is_made_once_and_is_its_owners_alone(project: Project) -> None:
    assert project.run()[0] == 0
    first, path = project.seen(), project.folder / "var" / "secret_key"
    assert len(first["SECRET_KEY"]) == 64 and first["COOKIE_SECURE"] == "false"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    assert project.run()[0] == 0
    assert project.seen()["SECRET_KEY"] == first["SECRET_KEY"] == path.read_text()

    given = {"SECRET_KEY": "a secret of one's own", "COOKIE_SECURE": "true"}
    project.run(**given)
    assert given.items() <= project.seen().items()


@pytest.mark.engine
def test_a_trial_is_one_on_its_own_data_alone(project: Project) -> None:
    """With what may differ there: it is the image's program `all`."""
    trial = {"BIND": "0.0.0.0:8000", "DATA_DIR": str(project.folder / "data" / "orders")}
    status, output, _ = project.run("trial", **trial)
    seen = project.seen()
    assert status == 0 and output.startswith("This is a trial") and "COOKIE_SECURE is false" in output
    assert f"No volume is mounted at {project.folder / 'data'}: " in output
    assert launcher.TRIAL.items() <= seen.items() and len(seen["SECRET_KEY"]) == 64
    assert stat.S_IMODE((project.folder / "data" / "orders").stat().st_mode) == 0o700
    for name in ("AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", *launcher.NO_TRIAL, "SECRET_KEY_FILE"):
        status, _, errors = project.run("trial", **trial, **{name: "1"})
        assert status == 2 and errors.startswith(f"This is for a trial alone, and {name} is set: "), name


@pytest.mark.engine
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_running(project: Project, ending: signal.Signals) -> None:
    project.web(f"exec {sys.executable} -m http.server --bind 127.0.0.1 $PORT")
    web = f"127.0.0.1:{launcher.free_port()}"
    started = project.start(PORT=web.partition(":")[2])
    _, endpoint = project.engine()
    wait_for(lambda: answers(web))

    started.send_signal(ending)
    started.communicate(timeout=10)
    wait_for(lambda: not answers(web) and not answers(endpoint))

    project.web(SHOWS_SETTINGS)
    status, output, _ = project.run()
    assert status == 0 and "make demo" not in output


@pytest.mark.engine
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, None])
def test_the_engine_stops_after_what_uses_it(project: Project, ending: signal.Signals | None) -> None:
    """Also where the worker ends by itself."""
    (project.folder / "web.py").write_text(SERVES_TO_THE_END)
    project.web(
        f"exec {sys.executable} web.py", orders="exec sleep 60" if ending else "while ! test -e end; do sleep 0.1; done"
    )
    started = project.start()
    _, endpoint = project.engine()
    wait_for(lambda: (project.folder / "serves").exists())
    if ending:
        started.send_signal(ending)
    else:
        (project.folder / "end").touch()
    _, output, _ = finish(started)
    assert "the engine answered 200" in output
    assert not answers(endpoint)


@pytest.mark.engine
def test_what_does_not_stop_is_stopped(project: Project) -> None:
    deaf = "trap '' TERM; touch {}; while :; do sleep 0.2; done"
    project.web(deaf.format("web"), orders=deaf.format("orders"))
    started = project.start()
    _, endpoint = project.engine()
    wait_for(lambda: (project.folder / "web").exists() and (project.folder / "orders").exists())
    started.terminate()
    assert finish(started)[0] == 143
    assert not answers(endpoint)


@pytest.mark.engine
def test_a_hang_up_that_is_ignored_at_the_start_stays_ignored(project: Project) -> None:
    project.web("exec sleep 60")
    project.command = ["nohup", *LAUNCHER]
    started = project.start()
    _, endpoint = project.engine()
    started.send_signal(signal.SIGHUP)
    project.command = LAUNCHER
    assert project.run("flask", "demo")[:2] == (0, f"{endpoint} 200\n")
    assert started.poll() is None and answers(endpoint)


@pytest.mark.engine
def test_a_signal_in_the_first_moment_stops_everything(project: Project) -> None:
    started = project.start()
    assert started.stdout
    assert "make demo" in started.stdout.readline()  # before any process
    started.stdout.readline()  # one process has started, of the other nothing is known yet
    started.terminate()
    assert finish(started)[0] == 143


@pytest.mark.engine
@pytest.mark.parametrize("lines", [1, 2, 4])
def test_everything_stops_when_nobody_reads_the_output(project: Project, lines: int) -> None:
    """As for `make run | head -1`, also before it is known of each process that it has started."""
    project.web("while sleep 0.1; do echo served; done")
    started = project.start()
    assert started.stdout and started.stderr
    for _ in range(lines):
        assert started.stdout.readline()
    started.stdout.close()
    assert started.wait(timeout=20) == 143
    assert started.stderr.read() == ""
    os.close(launcher.take_lock(project.folder / "var"))  # no engine has the data


@pytest.mark.engine
def test_when_the_engine_dies_the_web_server_stops(project: Project) -> None:
    project.web("exec sleep 60")
    started = project.start()
    os.kill(project.engine()[0], signal.SIGKILL)
    assert finish(started)[0] != 0


@pytest.mark.engine
def test_flask_commands_work_on_the_running_database(project: Project) -> None:
    project.start("engine")
    endpoint = project.engine()[1]
    assert project.run("flask", "demo")[:2] == (0, f"{endpoint} 200\n")
    assert answers(endpoint)


@pytest.mark.engine
def test_flask_commands_start_an_engine_for_themselves(project: Project) -> None:
    status, output, _ = project.run("flask", "demo")
    endpoint, http_status = output.split()
    assert (status, http_status) == (0, "200")
    assert (project.folder / "var" / "orders.db").exists()
    wait_for(lambda: not answers(endpoint))
