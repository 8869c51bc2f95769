"""The units of systemd: it knows all that they say, and the server takes the socket that it is handed."""

from __future__ import annotations

import re
import runpy
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from dev.child import CHILD
from dev.launcher import free_port
from tests.support.server import settings_for

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "infra/systemd").iterdir())
WEB = (ROOT / "infra/systemd/orders-web@.service").read_text()


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"there is no {program}")


@needs("systemd-analyze")
def test_systemd_knows_all_that_the_units_say(tmp_path: Path) -> None:
    for unit in UNITS:
        # It looks whether the programs are there.
        text = unit.read_text().replace("/opt/orders/.venv/bin", str(Path(sys.executable).parent))
        (tmp_path / unit.name).write_text(text.replace("/opt/orders", str(ROOT)))
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # It looks at the machine's own units too.
    remarks = [line for line in verified.stderr.splitlines() if "orders-" in line]
    assert (verified.returncode, remarks) == (0, [])


def test_systemd_waits_longer_than_gunicorn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And gunicorn longer than the 2 seconds for which it answers at connections that rest."""
    # The configuration sets these for its process: here they are unset again.
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "counters"))
    monkeypatch.setenv("COUNTERS_SHARED_BY", "")
    monkeypatch.setenv("SECRET_KEY", secrets.token_hex(32))
    monkeypatch.setenv("SITE_HOSTS", "shop.example")
    for name, value in re.findall(r"(\w+)=(\S+)", re.findall(r"^Environment=(.*)$", WEB, re.MULTILINE)[0]):
        monkeypatch.setenv(name, value.replace("%i", "1"))
    gunicorn = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", WEB, re.MULTILINE)
    assert 2 < gunicorn["graceful_timeout"] < int(stop)
    assert gunicorn["bind"] == ["fd://3", "127.0.0.1:9101"]


@needs("systemd-socket-activate")
@pytest.mark.parametrize("kind", ["port", "file"])
def test_a_socket_of_systemd_is_served_beside_the_counters(tmp_path: Path, kind: str) -> None:
    port, counters, file = free_port(), free_port(), tmp_path / "orders.sock"
    settings = settings_for(
        "http://127.0.0.1:1",
        port,
        BIND="fd://3",
        TRUSTED_PROXIES="1",
        SITE_HOSTS="shop.example",
        METRICS_PORT=str(counters),
        SECRET_KEY=secrets.token_hex(32),
        COOKIE_SECURE="true",
        BCRYPT_ROUNDS="10",
        WEB_CONCURRENCY="1",
    )
    where = f"127.0.0.1:{port}" if kind == "port" else str(file)
    command = ["systemd-socket-activate", "-l", where, *(f"--setenv={name}" for name in settings)]
    log = tmp_path / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*CHILD, *command, sys.executable, "-m", "gunicorn", "wsgi:app"], cwd=ROOT, env=settings, stderr=output
        )
    try:
        curl = ["curl", "-s", "-m", "60", "http://service/health"]
        asked = [*curl, "--connect-to", f"::127.0.0.1:{port}"] if kind == "port" else [*curl, "--unix-socket", where]
        while not (answer := subprocess.run(asked, capture_output=True, text=True)).stdout:
            assert process.poll() is None and answer.returncode in {7, 0}, log.read_text()
        assert '"status":"healthy"' in answer.stdout
        assert requests.get(f"http://127.0.0.1:{counters}/metrics", timeout=20).status_code == 200
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert kind == "port" or file.exists(), "systemd goes on listening there"
