"""The soak at the door: bad clients beside ordinary ones, and whether what the processes hold stays level.

    python -m bench.soak [--minutes 60]

Bad clients vanish, trickle, send garbage, do not read, and open connections by the thousand, each kind from addresses
of its own. Ordinary clients trade meanwhile. Memory, file descriptors, threads and disk of the web server and of the
worker are sampled. The medians of the second and of the last quarter must be level: the first one is for warming up.
Writes a table, and ends with 1 where something grew, an ordinary request failed, or the books are wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

import requests

from tests.proofs.bank.cluster import Cluster
from tests.support.people import PASSWORD
from tests.support.server import Account, Server

os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")

CUSTOMERS = 4
CROWD, CROWD_FROM = 2000, 40
SAMPLES = 400
# What a median may grow by: in parts of itself, and in its unit. The garbage collector and connections make it swing.
LEVEL = {"memory, MB": (0.05, 4), "file descriptors": (0.1, 32), "threads": (0, 2), "disk, MB": (0.1, 1)}
PAGE = b"GET /assets/BTC HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LARGE = b"GET /static/vendor/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
LOG_IN = POST + b"Content-Length: 500\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GARBAGE = (
    *(b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    *(PAGE.replace(b"GET", b"g<b>t"), b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", CHUNKED + b"zz\r\n"),
    *(CHUNKED + b"ffffffff\r\n", b"X: " + b"y" * 200_000, LOG_IN + b"{" * 500, PAGE * 50),
)


@dataclass
class Door:
    """The way to the web server, for bad clients."""

    host: str
    port: int
    over: threading.Event = field(default_factory=threading.Event)
    came: Counter[str] = field(default_factory=Counter)

    def connect(self, source: str) -> socket.socket:
        connection = socket.socket()
        connection.settimeout(5)
        try:
            connection.bind((source, 0))
            connection.connect((self.host, self.port))
        except OSError:
            connection.close()
            raise
        return connection


def some_address(kind: int) -> str:
    return f"127.{kind}.{random.randint(0, 255)}.{random.randint(1, 254)}"


def reset(connection: socket.socket) -> None:
    """End without a word: what is still under way is lost."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def vanish(door: Door) -> int:
    with door.connect(some_address(1)) as connection:
        connection.sendall(random.choice((PAGE, PAGE[:20], LOG_IN, LOG_IN + b"{", CHUNKED + b"5\r\nab", LARGE)))
        if random.random() < 0.5:
            time.sleep(random.uniform(0, 0.1))
        if random.random() < 0.5:
            reset(connection)
    return 1


def trickle(door: Door) -> int:
    """Twenty connections from one address, each of which sends a byte now and then until it is closed."""
    source, count = some_address(2), 0
    with ExitStack() as stack:
        slow = [stack.enter_context(door.connect(source)) for _ in range(20)]
        for at in range(30):
            for connection in list(slow):
                try:
                    connection.sendall(LOG_IN[at : at + 1])
                except OSError:
                    slow.remove(connection)
                    count += 1
            if door.over.wait(0.5):
                break
    return count or 20


def garbage(door: Door) -> int:
    with door.connect(some_address(3)) as connection:
        connection.sendall(random.choice((*GARBAGE, os.urandom(random.randint(1, 100_000)))))
        connection.settimeout(1)
        while connection.recv(65536):
            pass
    return 1


def sip(door: Door) -> int:
    """Ask for much, and read next to nothing of it."""
    with door.connect(some_address(4)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.sendall(LARGE * 3)
        for _ in range(8):
            if door.over.wait(1) or not connection.recv(100):
                break
    return 1


def crowd(door: Door) -> int:
    """Thousands at once, most of whom say nothing or half a word."""
    sources = [some_address(5) for _ in range(CROWD_FROM)]
    with ExitStack() as stack:
        count = 0
        for number in range(CROWD):
            with suppress(OSError):
                connection = stack.enter_context(door.connect(sources[number % CROWD_FROM]))
                count += 1
                if number % 2:
                    connection.sendall(PAGE[: random.randint(1, len(PAGE))])
        door.over.wait(random.uniform(0, 5))
    return count


# Each kind, how many of it come at once, and for how long one pauses.
BAD: dict[Callable[[Door], int], tuple[int, float]] = {
    vanish: (2, 0.05),
    trickle: (2, 0.5),
    garbage: (2, 0.05),
    sip: (4, 0.5),
    crowd: (1, 15),
}


def be_bad(door: Door, kind: Callable[[Door], int], pause: float) -> None:
    while not door.over.wait(random.uniform(0, 2 * pause)):
        # Being thrown out is what it came for.
        try:
            door.came[kind.__name__] += kind(door)
        except OSError:
            door.came[kind.__name__] += 1


@dataclass
class Customers:
    """What ordinary clients were answered, and how long that took."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def trade(self, account: Account, door: Door) -> None:
        number = 0
        while not door.over.wait(random.uniform(0, 0.4)):
            number += 1
            self._ask(account, "POST", "/balance/deposit", {"amount": "10.00"}, key=f"deposit-{number}")
            body = {"order_type": "market_buy", "asset_id": "ETH", "quantity": "0.002"}
            self._ask(account, "POST", "/orders", body, key=f"buy-{number}")
            order = body | {"order_type": "limit_buy", "price": "100.00"}
            placed = self._ask(account, "POST", "/orders", order, key=f"limit-{number}")
            if placed is not None and placed.ok:
                order_id = placed.json()["data"]["order_id"]
                self._ask(account, "POST", f"/orders/{order_id}/cancel", None, key=f"cancel-{number}")
            self._ask(account, "GET", "/portfolio", None)
            self._ask(account, "GET", "/orders?limit=20", None)

    def _ask(
        self, account: Account, method: str, path: str, body: object, *, key: str | None = None
    ) -> requests.Response | None:
        """With the same key again, where there was no answer or too much to do."""
        began, answer = time.monotonic(), None
        for _ in range(5):
            with suppress(requests.RequestException):
                answer = account.call(method, path, body, key=key)
                if answer.status_code == 401:
                    # A login token lasts for an hour.
                    self._log_in(account)
                elif answer.status_code != 503:
                    break
            self.outcomes["sent again"] += 1
            time.sleep(0.2)
        self.seconds.append(time.monotonic() - began)
        self.outcomes[_outcome_of(answer)] += 1
        return answer

    def _log_in(self, account: Account) -> None:
        answer = account.post("/auth/login", {"username": account.username, "password": PASSWORD})
        if answer.ok:
            account.callers[0].token = answer.json()["access_token"]
            self.outcomes["logged in again"] += 1

    @property
    def failures(self) -> int:
        return sum(
            count for outcome, count in self.outcomes.items() if outcome not in {"2xx", "sent again", "logged in again"}
        )


def _outcome_of(answer: requests.Response | None) -> str:
    if answer is None:
        return "never answered"
    return "2xx" if answer.ok else f"{answer.status_code} {answer.json()['code']}"


Figures = dict[str, dict[str, float]]


def sample(cluster: Cluster) -> Figures:
    """What the processes hold now: by program, and by kind of figure."""
    server = cluster.server
    families = {"web": [server.process.pid, *server.workers], "worker": [cluster.processes["order worker"].pid]}
    return {
        name: {
            "memory, MB": sum(map(_megabytes, pids)),
            "file descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
            "threads": sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids),
            "disk, MB": sum(_written(cluster.folder / folder) for folder in (f"{name}-tmp", f"{name}-counters")),
        }
        for name, pids in families.items()
    }


def _megabytes(pid: int) -> float:
    """Of memory, what processes share divided among them."""
    [line] = [line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")]
    return int(line.split()[1]) / 1024


def _written(folder: Path) -> float:
    return sum(each.stat().st_blocks * 512 for each in folder.rglob("*") if each.is_file()) / 1e6


@contextmanager
def product() -> Iterator[Cluster]:
    """Engine, web server and worker, each with a folder of its own for what it writes."""
    with tempfile.TemporaryDirectory() as name:
        cluster = Cluster(Path(name))
        try:
            cluster.start("engine")
            assert cluster.flask("tables", "create")[0] == 0
            for program, folder in (("gunicorn", "web"), ("order worker", "worker")):
                for kind in ("tmp", "counters"):
                    (cluster.folder / f"{folder}-{kind}").mkdir()
                cluster.settings["TMPDIR"] = str(cluster.folder / f"{folder}-tmp")
                cluster.settings["MALLOC_ARENA_MAX"] = "2"  # as `make run` sets it
                cluster.settings["PROMETHEUS_MULTIPROC_DIR"] = str(cluster.folder / f"{folder}-counters")
                cluster.start(program)
            cluster.wait_until_ready()
            yield cluster
        finally:
            cluster.stop()


def soak(cluster: Cluster, seconds: float) -> tuple[list[Figures], Customers, Door]:
    """All clients at once for so long."""
    address = urlsplit(cluster.address)
    door, customers = Door(address.hostname or "", address.port or 0), Customers()
    server = Server(cluster.address, cluster.processes["gunicorn"])
    with ExitStack() as stack:
        accounts = [stack.enter_context(server.account(deposit="1000.00")) for _ in range(CUSTOMERS)]
        threads = [threading.Thread(target=customers.trade, args=(account, door)) for account in accounts]
        for kind, (number, pause) in BAD.items():
            threads += [threading.Thread(target=be_bad, args=(door, kind, pause)) for _ in range(number)]
        for thread in threads:
            thread.start()
        samples, until = [], time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                time.sleep(seconds / SAMPLES)
                samples.append(sample(cluster))
        finally:
            door.over.set()
            for thread in threads:
                thread.join()
    return samples, customers, door


def compare(samples: list[Figures]) -> Iterator[tuple[str, str, list[float], bool]]:
    """Of each figure: the median of the second and of the last quarter, and whether they are level."""
    quarter = len(samples) // 4
    for program in samples[0]:
        for figure, (part, more) in LEVEL.items():
            values = [each[program][figure] for each in samples]
            quarters = [median(values[at * quarter : (at + 1) * quarter]) for at in range(4)]
            yield program, figure, quarters, quarters[3] <= quarters[1] * (1 + part) + more


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    minutes = parser.parse_args().minutes
    with product() as cluster:
        before = cluster.server.workers
        samples, customers, door = soak(cluster, minutes * 60)
        replaced = len(set(before) - set(cluster.server.workers))
        # They may still give up what they hold.
        time.sleep(15)
        rested = sample(cluster)
        audited, printed = cluster.flask("audit")
        defects = cluster.log.read_text().count("Traceback")
    found = list(compare(samples))
    print(f"{minutes:g} minutes, {len(samples)} samples\n")
    print(
        "| of | figure | first quarter | second | third | last | at rest | level |\n|---|---|---|---|---|---|---|---|"
    )
    for program, figure, quarters, is_level in found:
        figures = " | ".join(f"{value:.1f}" for value in (*quarters, rested[program][figure]))
        print(f"| {program} | {figure} | {figures} | {'yes' if is_level else '**no**'} |")
    slowest = quantiles(customers.seconds, n=100)
    print("\n| clients | |\n|---|---|")
    waited = f"median {slowest[49]:.3f} s, 99 of 100 within {slowest[98]:.3f} s"
    print(f"| ordinary requests | {dict(customers.outcomes)}; {waited} |")
    for kind, count in door.came.items():
        print(f"| {kind} | {count} |")
    print(f"| web workers that were replaced | {replaced} |\n| tracebacks in the log | {defects} |")
    print(f"| the audit | {'clean' if audited == 0 else printed} |")
    sys.exit(not all(each[-1] for each in found) or bool(customers.failures or replaced or audited or defects))


if __name__ == "__main__":
    main()
