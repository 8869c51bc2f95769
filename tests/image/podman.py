"""podman, which runs containers as docker does, on a machine of its own: processes, mounts and network are not others'.

docker-compose speaks to it. All that it has started ends with it, also where a test is killed halfway.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from dev.child import end_with_parent

ResultT = TypeVar("ResultT")
# crun does not know the mixture of two versions of cgroups that some machines have.
ALONE = """
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
exec podman system service --time=0 "$1"
"""
# The limits are those of this process: it may not be allowed to raise them.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[network]
network_config_dir = "{folder}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
"""
MOST_PROCESSES = 4096


@dataclass
class Podman:
    """The service, by the address at which docker-compose finds it, and process 1 of its machine."""

    address: str
    first: int
    settings: dict[str, str]
    _thread: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)

    def _enter(self) -> None:
        network = 0x40000000
        with open(f"/proc/{self.first}/ns/net") as its:
            assert ctypes.CDLL(None).setns(its.fileno(), network) == 0

    def inside(self, action: Callable[[], ResultT]) -> ResultT:
        """What a program on that machine would see of its network."""
        return self._thread.submit(action).result()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["podman", "--remote", "--url", self.address, *arguments]
        return subprocess.run(command, env=self.settings, capture_output=True, text=True, timeout=120)

    def kill(self, container: str) -> None:
        """End its process 1 as the kernel does when memory is short: podman has not asked for it."""
        pid = self.run("inspect", "--format", "{{.State.Pid}}", container).stdout.strip()
        joined = ["nsenter", "--target", str(self.first), "--pid", "--mount"]
        subprocess.run([*joined, "kill", "-9", pid], check=True)

    def close(self) -> None:
        self._thread.shutdown()
        os.kill(self.first, signal.SIGKILL)


@contextmanager
def podman(folder: Path, settings: dict[str, str]) -> Iterator[Podman]:
    """On the images of these settings of containers' storage."""
    configuration = folder / "containers.conf"
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    processes = MOST_PROCESSES if processes == resource.RLIM_INFINITY else min(processes, MOST_PROCESSES)
    configuration.write_text(CONFIGURATION.format(files=files, processes=processes, folder=folder))
    address = f"unix://{folder}/podman.sock"
    # There is no systemd that would look at their health.
    its = settings | {"CONTAINERS_CONF": str(configuration), "DISABLE_HC_SYSTEMD": "true"}
    log = folder / "podman.txt"
    separate = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*separate, "sh", "-e", "-c", ALONE, "sh", address]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env=its,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Of its signals, unshare hands on none.
            preexec_fn=partial(end_with_parent, signal.SIGKILL),
        )
    while not (folder / "podman.sock").exists():
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    first = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
    running = Podman(address, first, settings | {"DOCKER_HOST": address})
    try:
        yield running
    finally:
        running.close()
        process.wait(timeout=30)
