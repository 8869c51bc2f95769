"""The container image, built where there is no registry: buildah, on a base that debootstrap makes.

Only with IMAGE_TEST=1, as `make image-test` sets it: it takes minutes, a network, and root.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/debian:bookworm-slim"
NEEDED = ("buildah", "debootstrap", "docker-compose", "nsenter", "podman", "unshare")
# As `docker run --read-only --tmpfs /tmp -v data:/data`, for a program that is process 1 there.
SEALED = """
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs tmpfs "$ROOT/tmp"
if test "$VOLUME"; then mount --bind "$VOLUME" "$ROOT/data"; fi
exec chroot --userspec="$ITS_USER" "$ROOT" "$@"
"""
WANTED = os.environ.get("IMAGE_TEST") == "1"
if WANTED and (missing := [each for each in NEEDED if not shutil.which(each)]):
    raise pytest.UsageError(f"The image cannot be built: there is no {' and no '.join(missing)} (Debian has them).")
collect_ignore_glob = [] if WANTED else ["test_*.py"]


@dataclass
class Image:
    """The image, unpacked once; programs of it run in a chroot, with the network of this machine."""

    settings: dict[str, str]
    name: str = "order-processor"
    container: str = ""

    def buildah(self, *arguments: str) -> str:
        command = ["buildah", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.settings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def build(self, *arguments: str) -> None:
        self.buildah("build", "--pull-never", "--file", "Containerfile", *arguments, "--tag", self.name, ".")
        self.container = self.buildah("from", "--pull-never", self.name)

    @property
    def configuration(self) -> dict[str, Any]:
        inspected: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", self.name))
        return dict(inspected["Docker"]["config"])

    def command(self, *arguments: str, user: str = "12345", **settings: str) -> list[str]:
        """Of a user that the image does not know, unless another is named."""
        given = [f"--env={name}={value}" for name, value in settings.items()]
        return ["buildah", "run", f"--user={user}", *given, self.container, "--", *arguments]

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, **settings), env=self.settings, capture_output=True, text=True, timeout=120
        )

    @contextmanager
    def sealed(
        self, *arguments: str, log: Path, volume: Path | None = None, user: str = "12345:12345", **settings: str
    ) -> Iterator[Sealed]:
        """A program as process 1 of a container with a read-only root file system; killed at the end."""
        environment = [*self.configuration["Env"], *(f"{name}={value}" for name, value in settings.items())]
        its = ["env", "-i", "-C", self.configuration["WorkingDir"], *environment]
        outer = {"ROOT": self.buildah("mount", self.container), "VOLUME": str(volume or ""), "ITS_USER": user}
        command = ["unshare", "--mount", "--pid", "--fork", "sh", "-e", "-c", SEALED, "sh", *its]
        with log.open("a") as output:
            process = subprocess.Popen(
                [*command, *arguments],
                env=self.settings | outer,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        container = Sealed(process, its, user)
        try:
            yield container
        finally:
            container.kill()


@dataclass
class Sealed:
    """A container that runs, and the process that waits for its process 1."""

    process: subprocess.Popen[bytes]
    environment: list[str]
    user: str

    @property
    def first(self) -> int:
        """Process 1 of the container, as this machine counts."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def kill(self) -> None:
        """As `docker kill`: with process 1 the kernel ends all that is in it."""
        if self.process.poll() is None:
            os.kill(self.first, signal.SIGKILL)
            self.process.wait(timeout=30)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As `docker exec`."""
        user, _, group = self.user.partition(":")
        joined = ["nsenter", "--target", str(self.first), "--mount", "--pid", "--root", "-S", user, "-G", group]
        return subprocess.run([*joined, *self.environment, *arguments], capture_output=True, text=True, timeout=120)

    def stop(self) -> int:
        """As `docker stop`; the status of process 1."""
        os.kill(self.first, signal.SIGTERM)
        return self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("image")
    storage = folder / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"\n')
    image = Image(
        os.environ
        | {"CONTAINERS_STORAGE_CONF": str(storage), "BUILDAH_ISOLATION": "chroot", "BUILDAH_FORMAT": "docker"}
    )
    try:
        _make_base(image, folder / "base")
        image.build()
        yield image
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def traced_image(image: Image) -> Image:
    """As `make image LOCK=requirements-traces.lock`; beside the other one."""
    traced = Image(image.settings, "order-processor-traced")
    traced.build("--build-arg", "LOCK=requirements-traces.lock")
    return traced


def _make_base(image: Image, folder: Path) -> None:
    command = ["debootstrap", "--variant=minbase", "bookworm", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    # It trusts whom this machine trusts, so that the network is the same.
    shutil.copytree("/usr/local/share/ca-certificates", folder / "usr/local/share/ca-certificates", dirs_exist_ok=True)
    shutil.rmtree(folder / "var/cache/apt/archives", ignore_errors=True)
    container = image.buildah("from", "scratch")
    image.buildah("add", container, str(folder), "/")
    image.buildah("commit", "--rm", container, BASE)
    shutil.rmtree(folder)
