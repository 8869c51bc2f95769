"""compose.yaml as it is, run by docker-compose: Debian's nginx stands in for its image, and the engine for DynamoDB."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from dev.launcher import ENGINE
from tests.image.conftest import BASE, Image
from tests.image.podman import Podman, podman
from tests.support.people import PASSWORD, registration
from tests.support.tls import make_certificate

ROOT = Path(__file__).parents[2]
SITE = "shop.example"
ENGINE_SERVICE = {
    "image": "order-processor",
    "entrypoint": [f"/service/{ENGINE}", "serve", "--host", "0.0.0.0", "--port", "8000"],
    "command": [],
    "healthcheck": {"disable": True},
}


@dataclass
class Project:
    """The services of compose.yaml, in a folder that has what its first lines ask for."""

    folder: Path
    podman: Podman
    certificate: Path
    token: str = ""

    def start_compose(self, *arguments: str) -> subprocess.Popen[str]:
        command = ["docker-compose", "-p", "shop", "-f", "compose.yaml", "-f", "engine.json", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.podman.settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def compose(self, *arguments: str) -> str:
        process = self.start_compose(*arguments)
        said, _ = process.communicate(timeout=180)
        assert process.returncode == 0, said
        return said

    def up(self) -> None:
        """Start all. Meanwhile look at the health of web, which docker does each 30 seconds."""
        with self.start_compose("up", "-d", "--no-build") as process:
            deadline = time.monotonic() + 120
            while process.poll() is None:
                self.podman.run("healthcheck", "run", "shop_web_1")
                time.sleep(0.2)
                if time.monotonic() > deadline:
                    process.kill()
                    raise AssertionError(f"it does not become healthy:\n{self.podman.run('logs', 'shop_web_1')}")
            said, _ = process.communicate()
        assert process.returncode == 0, said

    def execute(self, service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.podman.run("exec", f"shop_{service}_1", *arguments)

    def state(self, service: str) -> dict[str, Any]:
        return dict(json.loads(self.podman.run("inspect", f"shop_{service}_1").stdout)[0]["State"])

    def ask(self, method: str, path: str, *, scheme: str = "https", **body: Any) -> requests.Response:
        """As a client of the machine's own ports."""
        headers = {"Host": SITE} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        return self.podman.inside(
            lambda: requests.request(
                method,
                f"{scheme}://127.0.0.1{path}",
                json=body or None,
                headers=headers,
                verify=str(self.certificate),
                allow_redirects=False,
                timeout=20,
            )
        )

    def wait_for_end_of(self, order_id: str) -> None:
        """Until the worker has found that it expired."""
        deadline = time.monotonic() + 60
        while (order := self.ask("GET", f"/api/v1/orders/{order_id}").json()["data"])["status"] == "pending":
            assert time.monotonic() < deadline, self.compose("logs", "orders")
            time.sleep(0.2)
        assert order["status"] == "expired", order

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if self.ask("GET", "/ready").ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.2)
        raise AssertionError(f"it is not ready:\n{self.compose('logs', 'web', 'nginx')}")


@pytest.fixture(scope="module")
def project(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("compose")
    _make_nginx(image)
    shutil.copy(ROOT / "compose.yaml", folder)
    (folder / "engine.json").write_text(json.dumps({"services": {"engine": ENGINE_SERVICE}}))
    certificate = make_certificate(folder)
    (folder / "certificates/private").mkdir(parents=True)
    for name in (f"{SITE}.pem", f"private/{SITE}.key"):
        shutil.copy(certificate, folder / "certificates" / name)
    shutil.copy(ROOT / "docs/nginx.conf", folder)
    settings = {
        "SECRET_KEY": secrets.token_hex(32),
        "SITE_HOSTS": SITE,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "DYNAMODB_ENDPOINT": "http://engine:8000",
    }
    (folder / "settings.env").touch(mode=0o600)
    (folder / "settings.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    with podman(folder, image.settings) as running:
        yield Project(folder, running, certificate)


def _make_nginx(image: Image) -> None:
    """What the image of nginx is for compose.yaml: it reads conf.d/, and has no site of its own."""
    container = image.buildah("from", "--pull-never", BASE)
    installed = "apt-get update && apt-get install --yes --no-install-recommends nginx-light"
    image.buildah("run", container, "--", "sh", "-c", f"{installed} && rm /etc/nginx/sites-enabled/default")
    image.buildah("config", "--cmd", '["nginx", "-g", "daemon off;"]', container)
    image.buildah("commit", "--rm", container, "docker.io/library/nginx:stable")


def test_the_services_of_compose(project: Project) -> None:
    """From nothing to a trade over https; then a crash, a stop, and what they may do meanwhile."""
    project.compose("config", "--quiet")
    project.compose("up", "-d", "engine")
    # `run` waits for its end by a question that podman does not answer.
    project.compose("run", "-d", "--name", "tables", "orders", "flask", "tables", "create")
    assert project.podman.run("wait", "tables").stdout.strip() == "0", project.podman.run("logs", "tables")
    assert "created table orders" in project.podman.run("logs", "tables").stdout
    begun = time.monotonic()
    project.up()
    project.wait_until_ready()
    print(f"compose.yaml is up after {time.monotonic() - begun:.1f} seconds, most of which copy images")

    plain = project.ask("GET", "/login", scheme="http")
    assert (plain.status_code, plain.headers["Location"]) == (301, f"https://{SITE}/login")
    person = registration()
    assert project.ask("POST", "/api/v1/auth/register", **person).status_code == 201
    entered = project.ask("POST", "/api/v1/auth/login", username=person["username"], password=PASSWORD)
    project.token = entered.json()["access_token"]
    assert project.ask("POST", "/api/v1/balance/deposit", amount="1000.00").status_code == 201
    order = {"order_type": "market_buy", "asset_id": "BTC", "quantity": "0.001"}
    assert project.ask("POST", "/api/v1/orders", **order).status_code == 201
    counters = project.execute("web", "python", "-c", _read("http://127.0.0.1:9100/metrics")).stdout
    assert 'route="/api/v1/orders"' in counters
    end = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    waiting = {"order_type": "limit_buy", "asset_id": "BTC", "quantity": "0.001", "price": "20.00", "expires_at": end}
    placed = project.ask("POST", "/api/v1/orders", **waiting)
    assert placed.status_code == 201, placed.text
    project.wait_for_end_of(placed.json()["data"]["order_id"])

    for service in ("web", "orders"):
        status = project.execute(service, "cat", "/proc/1/status").stdout
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert set(facts["Uid"].split()) == {"10001"} and facts["NoNewPrivs"] == "1"
        assert int(facts["CapBnd"], 16) == 0 == int(facts["CapEff"], 16)
        assert project.execute(service, "touch", "/service/written").returncode != 0, "the root can be written"
        assert project.execute(service, "touch", "/tmp/written").returncode == 0

    for service in ("web", "nginx"):
        first = project.state(service)["Pid"]
        project.podman.kill(f"shop_{service}_1")
        project.wait_until_ready()
        assert project.state(service)["Pid"] != first, "it was not started again"
    assert project.ask("GET", "/api/v1/balance").json()["total_deposits"] == "1000.00"

    project.compose("stop", "web", "orders")
    assert {each: project.state(each)["ExitCode"] for each in ("web", "orders")} == {"web": 0, "orders": 0}


def _read(address: str) -> str:
    return f"import urllib.request; print(urllib.request.urlopen('{address}').read().decode())"
