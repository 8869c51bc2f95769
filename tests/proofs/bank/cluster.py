"""All processes of the product, and someone who kills them with signal 9 and starts again what a supervisor would."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dev.child import CHILD
from dev.launcher import free_port
from tests.support.engine import start_engine
from tests.support.server import Server, settings_for, start_gunicorn, wait_until_ready

# The market lives through a minute in a second, so that limits near the price are reached within the test.
MARKET_SPEED = 60
ROOT = Path(__file__).parents[3]


@dataclass
class Cluster:
    """An engine on a file, gunicorn and an order worker; each can be killed, and starts again on the same data.

    The code is that in `root`. A second cluster, on the engine of a first one, is made with its `engine_port`.
    """

    folder: Path
    root: Path = ROOT
    engine_port: int = field(default_factory=free_port)
    kills: Counter[str] = field(default_factory=Counter)
    # Processes that ended although nobody killed them.
    ended: list[str] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.endpoint = f"http://127.0.0.1:{self.engine_port}"
        self.settings = settings_for(
            self.endpoint,
            0,
            MARKET_SPEED=str(MARKET_SPEED),
            LOG_LEVEL="WARNING",
            PROMETHEUS_MULTIPROC_DIR=str(self.folder / "counters"),
        )
        self.log = self.folder / "processes.log"
        self.take_port()

    def take_port(self) -> None:
        """Another address for the web server: one that was free a while ago may be taken by now."""
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.settings["PORT"] = str(port)

    @property
    def server(self) -> Server:
        return Server(self.address, self.processes["gunicorn"])

    def start(self, name: str) -> None:
        if name == "engine":
            self.processes[name] = start_engine(self.engine_port, self.folder / "orders.db")
        elif name == "gunicorn":
            self.processes[name] = start_gunicorn(self.settings, self.log, root=self.root)
        else:
            self.processes[name] = self.start_flask("orders", "run")

    def flask(self, *arguments: str, timeout: float = 300) -> tuple[int, str]:
        """Run a command to its end: its status and what it printed."""
        process = self.start_flask(*arguments, output=subprocess.PIPE)
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output.decode()

    def start_flask(self, *arguments: str, output: int | None = None) -> subprocess.Popen[bytes]:
        """Start a command, which writes into the log unless told otherwise; the caller ends it."""
        command = [*CHILD, sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
        # A worker has counters of its own, which it serves itself or not at all.
        settings = {name: value for name, value in self.settings.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
        with self.log.open("ab") as log:
            to = log if output is None else output
            return subprocess.Popen(command, cwd=self.root, env=settings, stdout=to, stderr=log)

    def wait_until_ready(self) -> None:
        wait_until_ready(self.server, self.log)

    def kill(self, victim: str) -> None:
        """kill -9 of a process, of one gunicorn worker (whose master starts another), or of all."""
        if victim == "gunicorn worker":
            workers = self.server.workers
            self.kills[victim] += bool(workers)
            for pid in workers[:1]:  # the oldest
                _kill(pid)
            return
        self.kills[victim] += 1
        for name in self.processes if victim == "everything" else [victim]:
            children = self.server.workers if name == "gunicorn" else []
            for pid in [self.processes[name].pid, *children]:
                _kill(pid)
            self.processes[name].wait(timeout=10)

    def restart(self) -> None:
        """Start what is not running."""
        for name, process in self.processes.items():
            status = process.poll()
            if status is not None:
                if status != -signal.SIGKILL:
                    self.ended.append(f"{name}: {status}")
                self.start(name)

    def stop(self) -> None:
        """End every process that was started."""
        for name in list(self.processes):
            if self.processes[name].poll() is None:
                self.processes[name].terminate()
        for name, process in self.processes.items():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.kill(name)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


MOST_SECONDS_BETWEEN_KILLS = 5
VICTIMS = {"gunicorn worker": 4, "gunicorn": 2, "order worker": 2, "engine": 3, "everything": 1}


def wreak_havoc(cluster: Cluster, seed: object, until: float, progress: Callable[[], int]) -> None:
    """Kill something, and again when customers were served for a while, or did not get that far.

    `progress` counts what they did. It must run in the thread that lives longest: the kernel ends a process that was
    started by `child` together with the thread, not the process, that started it.
    """
    chance = random.Random(str(seed))
    while time.monotonic() < until:
        _wait_for(progress, chance.randint(10, 250) if chance.random() < 0.9 else 0, until)
        time.sleep(chance.uniform(0, 0.3))
        cluster.kill(*chance.choices(list(VICTIMS), weights=list(VICTIMS.values())))
        time.sleep(chance.choice([0, chance.uniform(0, 0.5)]))
        cluster.restart()


def _wait_for(progress: Callable[[], int], steps: int, until: float) -> None:
    wanted, deadline = progress() + steps, min(until, time.monotonic() + MOST_SECONDS_BETWEEN_KILLS)
    while progress() < wanted and time.monotonic() < deadline:
        time.sleep(0.02)
