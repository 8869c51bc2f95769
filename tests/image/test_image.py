"""The image is small in what it has and may do, and its programs run in it."""

from __future__ import annotations

import re
import secrets
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
import requests

from dev.launcher import free_port
from tests.image.conftest import Image, Sealed
from tests.support.engine import engine

pytestmark = pytest.mark.engine


def test_what_it_is(image: Image) -> None:
    configuration = image.configuration
    assert re.fullmatch("[1-9][0-9]*", configuration["User"]), "a number shows that it is not root"
    assert configuration["StopSignal"] == "SIGTERM" and configuration["Healthcheck"]["Test"] == ["CMD", "healthy"]
    assert configuration["Cmd"] == ["web"] and not configuration.get("Entrypoint")


@pytest.mark.parametrize("program", ["gcc", "cc", "make", "pip", "pip3", "uv", "curl", "wget", "git"])
def test_what_it_has_not(image: Image, program: str) -> None:
    assert image.run("sh", "-c", f"command -v {program}").returncode != 0


def test_it_says_what_is_missing(image: Image) -> None:
    refused = image.run("web", SECRET_KEY=secrets.token_hex(32), DYNAMODB_ENDPOINT="http://127.0.0.1:1")
    assert "lets others in, so: SITE_HOSTS must be the host names of the site" in refused.stderr
    assert refused.returncode != 0
    lost = image.run("web")
    assert lost.stderr.startswith("For a trial that needs no settings, ") and lost.returncode != 0


def settings_for(endpoint: str, port: int) -> dict[str, str]:
    """What the service needs where others can come in, on the tables at this endpoint."""
    return {
        "SECRET_KEY": secrets.token_hex(32),
        "DYNAMODB_ENDPOINT": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "SITE_HOSTS": "127.0.0.1",
        "TRUSTED_PROXIES": "0",
        "METRICS_PORT": str(free_port()),
        "BIND": f"0.0.0.0:{port}",
        "WEB_CONCURRENCY": "1",
    }


@contextmanager
def web(image: Image, log: Path, port: int, settings: dict[str, str]) -> Iterator[None]:
    """The web server of the image, once it is ready at this port."""
    with log.open("w") as output:
        process = subprocess.Popen(image.command("web", **settings), env=image.settings, stdout=output, stderr=output)
    try:
        while not is_ready(port):
            assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_its_programs_run_and_write_nothing(image: Image, tmp_path: Path) -> None:
    """As a user whom it does not know, who could write nowhere but in /tmp and /dev/shm."""
    mounted = Path(image.buildah("mount", image.container))
    with engine() as endpoint:
        port = free_port()
        settings = settings_for(endpoint, port)
        made = image.run("flask", "tables", "create", **settings)
        assert made.returncode == 0, made.stderr
        worked = image.run("flask", "orders", "run", "--once", **settings)
        assert worked.returncode == 0, worked.stderr
        assert image.run("healthy", **settings).returncode != 0, "nothing serves yet"
        stamp = tmp_path / "stamp"
        stamp.touch()
        begun = time.monotonic()
        with web(image, tmp_path / "log.txt", port, settings):
            print(f"ready after {time.monotonic() - begun:.1f} seconds")
            assert image.run("healthy", **settings).returncode == 0
        found = ["find", str(mounted), "-xdev", "-newer", str(stamp), "-type", "f"]
        assert not subprocess.run(found, capture_output=True, text=True, check=True).stdout
    print(f"{megabytes_in(mounted)} MB, of which {megabytes_in(mounted / 'service')} MB are not Debian and its Python")
    print(f"{megabytes_in(mounted / 'service/node_modules')} MB are the engine of a trial")


class Collector(BaseHTTPRequestHandler):
    """Takes what is sent over OTLP. Texts stand in it as they are."""

    taken: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_an_image_with_traces(traced_image: Image, image: Image, tmp_path: Path) -> None:
    """Web server and worker send spans to a collector; an image without the extra refuses to start."""
    with engine() as endpoint, ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        Thread(target=collector.serve_forever, daemon=True).start()
        port = free_port()
        settings = settings_for(endpoint, port) | {
            "TRACES": "on",
            "OTEL_SERVICE_NAME": "orders-here",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        }
        refused = image.run("web", **settings)
        assert "TRACES must be off, unless requirements-traces.lock is installed" in refused.stderr
        made = traced_image.run("flask", "tables", "create", **settings)
        assert made.returncode == 0, made.stderr
        with web(traced_image, tmp_path / "log.txt", port, settings):
            assert requests.get(f"http://127.0.0.1:{port}/login", timeout=30).ok
        worked = traced_image.run("flask", "orders", "run", "--once", **settings)
        assert worked.returncode == 0, worked.stderr
        collector.shutdown()
    sent = b"".join(Collector.taken)
    for text in (b"orders-here", b"GET /login", b"orders run", b"Query orders"):
        assert text in sent, text
    mounted = Path(traced_image.buildah("mount", traced_image.container))
    print(f"with traces {megabytes_in(mounted)} MB")


def megabytes_in(folder: Path) -> int:
    """Of each file once, without what is mounted there."""
    found = subprocess.run(["du", "--one-file-system", "-sB1", str(folder)], capture_output=True, text=True, check=True)
    return round(int(found.stdout.split()[0]) / 1e6)


class Trial:
    """The program `all` in a sealed container, and a person who uses it from this machine."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image = image
        self.log = folder / "log.txt"
        self.volume = folder / "volume"
        self.volume.mkdir()
        # As docker makes a new volume: like the folder of the image.
        self.volume.chmod(0o1777)
        self.port = free_port()
        self.token = ""

    @contextmanager
    def running(self) -> Iterator[Sealed]:
        begun = time.monotonic()
        with self.image.sealed("all", log=self.log, volume=self.volume, BIND=f"0.0.0.0:{self.port}") as container:
            while not is_ready(self.port):
                assert container.process.poll() is None, self.log.read_text()
                time.sleep(0.05)
            print(f"a trial is ready after {time.monotonic() - begun:.1f} seconds")
            yield container

    def ask(self, method: str, path: str, **body: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        address = f"http://localhost:{self.port}/api/v1{path}"
        answer = requests.request(method, address, json=body or None, headers=headers, timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json())

    def owned(self) -> dict[str, str]:
        portfolio = self.ask("GET", "/portfolio")
        return {each["asset_id"]: each["quantity"] for each in portfolio["assets"]} | {
            "deposits": self.ask("GET", "/balance")["total_deposits"]
        }


def test_a_trial_keeps_its_data(image: Image, tmp_path: Path) -> None:
    """All in one container, which can write to its volume and to /tmp alone, as a user whom the image does not know."""
    trial = Trial(image, tmp_path)
    root = Path(image.buildah("mount", image.container))
    assert stat.S_IMODE((root / "data").stat().st_mode) == 0o1777
    person = {"username": "ann", "password": "seven green kettles"}
    with trial.running() as container:
        assert container.run("touch", "/service/written").returncode != 0, "the root can be written"
        assert container.run("healthy").returncode == 0
        page = requests.get(f"http://localhost:{trial.port}/", timeout=30)
        assert "This is a trial." in page.text
        elsewhere = requests.get(f"http://localhost:{trial.port}/", headers={"Host": "shop.example"}, timeout=30)
        assert elsewhere.status_code == 400
        trial.ask("POST", "/auth/register", **person, email="ann@example.com", first_name="Ann", last_name="Smith")
        trial.token = trial.ask("POST", "/auth/login", **person)["access_token"]
        trial.ask("POST", "/balance/deposit", amount="10000.00")
        trial.ask("POST", "/orders", order_type="market_buy", asset_id="BTC", quantity="0.1")
        kept = trial.owned()
        assert kept == {"BTC": "0.1", "deposits": "10000.00"}
        assert container.stop() in {0, 143}, trial.log.read_text()
    with trial.running() as container:
        assert trial.owned() == kept
        trial.ask("POST", "/balance/deposit", amount="5.00")
        container.kill()
        assert not is_ready(trial.port)
    with trial.running() as container:
        assert trial.owned() == kept | {"deposits": "10005.00"}
        audited = container.run("all", "flask", "audit")
        assert audited.returncode == 0, audited
    said = trial.log.read_text()
    assert said.count("This is a trial:") == 3 and "only for a trial: COOKIE_SECURE is false" in said
    assert "No volume" not in said
    written = [each for each in trial.volume.rglob("*") if stat.S_IMODE(each.lstat().st_mode) & 0o077]
    assert not written, "others could read it"
    assert {each.stat().st_uid for each in trial.volume.rglob("*")} == {12345}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"SECRET_KEY": "0123456789abcdef" * 2}, "and SECRET_KEY is set"),
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2"}, "_RELATIVE_URI is set"),
        ({"DYNAMODB_ENDPOINT": "http://127.0.0.1:1"}, "and DYNAMODB_ENDPOINT is set"),
        ({"SITE_HOSTS": "shop.example"}, "and SITE_HOSTS is set"),
        ({"DATA_DIR": "/service/data"}, "DATA_DIR /service/data cannot be used (Read-only file system)"),
    ],
    ids=str,
)
def test_a_trial_is_no_more_than_that(image: Image, tmp_path: Path, settings: dict[str, str], says: str) -> None:
    log = tmp_path / "log.txt"
    with image.sealed("all", log=log, **settings) as container:
        assert container.process.wait(timeout=60) == 2
    assert says in log.read_text() and "Traceback" not in log.read_text()


def is_ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/ready", timeout=10).ok
    except requests.RequestException:
        return False
