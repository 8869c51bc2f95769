"""Scripts trade through the client while every process is killed, theirs too; then their journals equal the ledger.

    make client-soak MINUTES=10

The product runs as in the bank test. At the end all that was cut off is resumed, and each entry of each journal is held
against the tables, both ways.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from order_processor_client import Client, Journal

from clients.python.tests.reckoning import reckon
from clients.python.tests.trader import DONE, PATIENCE, READ, REFUSED, RESUMED, UNANSWERED, UNKNOWN
from dev.child import CHILD

TRADERS = 8
WORDS = {
    DONE: "done",
    REFUSED: "refused",
    UNKNOWN: "unknown",
    READ: "reads",
    RESUMED: "resumed",
    UNANSWERED: "not answered, nothing changed",
}


@dataclass
class Script:
    """One user and its script."""

    folder: Path
    address: str
    username: str
    token: str
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / f"{self.username}.jsonl")

    @property
    def tally(self) -> Path:
        return self.folder / f"{self.username}.tally"

    def start(self) -> None:
        self.starts += 1
        files = (self.username, str(self.journal.path), str(self.tally), f"{self.username} {self.starts}")
        self.process = subprocess.Popen(
            [*CHILD, sys.executable, "-m", "clients.python.tests.trader", self.address, *files],
            env={**os.environ, "ORDERS_TOKEN": self.token},
        )

    def kill(self) -> None:
        assert self.process and self.process.poll() is None, f"the script of {self.username} ended by itself"
        self.process.kill()
        self.process.wait()

    def resume(self) -> tuple[int, int]:
        """How many of its changes came to an end, and how many are open still."""
        with Client(
            self.address, self.token, username=self.username, journal=self.journal, patience=PATIENCE
        ) as client:
            ended = sum(not each.entry.is_open for each in client.resume())
            return ended, len(client.pending())


def open_script(folder: Path, address: str, number: int) -> Script:
    """Register a user, with a personal token, which outlives the test."""
    import requests

    from tests.support.people import PASSWORD

    username = f"trader_{number}"
    body = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
    body |= {"first_name": "Ann", "last_name": "Smith"}
    assert requests.post(f"{address}/api/v1/auth/register", json=body, timeout=30).status_code == 201
    with Client(address, journal=folder / "unused") as client:
        client.log_in(username, PASSWORD)
        token = client.create_token("soak", "read trade transfer").access_token
    return Script(folder, address, username, token)


def main(minutes: float, seed: str) -> None:
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true")
    from app.factory import create_app
    from app.models.create_tables import create_tables
    from tests.proofs.bank.cluster import Cluster
    from tests.support.applications import config

    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start("engine")
            with create_app(config(cluster.endpoint, log_level="ERROR")).app_context():
                create_tables()
            cluster.start("gunicorn")
            cluster.start("order worker")
            cluster.wait_until_ready()
            run(cluster, minutes, seed)
        finally:
            cluster.stop()


def run(cluster: Any, minutes: float, seed: str) -> None:
    from tests.proofs.bank.cluster import wreak_havoc

    scripts = [open_script(cluster.folder, cluster.address, number) for number in range(TRADERS)]
    chance, until, kills = random.Random(seed), time.monotonic() + minutes * 60, 0
    for script in scripts:
        script.start()
    while time.monotonic() < until:
        slice_ends = min(until, time.monotonic() + chance.uniform(1, 6))
        wreak_havoc(cluster, f"{seed} {kills}", slice_ends, lambda: sum(_size(each.tally) for each in scripts))
        script = chance.choice(scripts)
        script.kill()
        kills += 1
        script.start()
    for script in scripts:
        script.kill()
    cluster.restart()
    cluster.wait_until_ready()
    tallies = Counter("".join(each.tally.read_text() for each in scripts))
    print(f"{minutes:g} minutes, seed {seed}: {tallies.total()} steps:", {WORDS[k]: n for k, n in tallies.items()})
    print(f"kills of the service: {dict(cluster.kills)}; of scripts: {kills}")
    finish(scripts)
    # It would go on filling orders while they are compared.
    cluster.kill("order worker")
    compare(cluster, scripts)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def finish(scripts: list[Script]) -> None:
    """Resume until nothing is open. A refusal counts a minute after the last run that was not answered."""
    deadline, resumed = time.monotonic() + 3 * PATIENCE.run_seconds, 0
    for script in scripts:
        still_open = 1
        while still_open:
            ended, still_open = script.resume()
            resumed += ended
            assert time.monotonic() < deadline, script.journal.entries()
            time.sleep(2 if still_open else 0)
    print(f"resumed at the end: {resumed}")


def compare(cluster: Any, scripts: list[Script]) -> None:
    from tests.support.books import check_books
    from tests.support.wire import BareStore

    compared: Counter[str] = Counter()
    with closing(BareStore(cluster.endpoint)) as store:
        for script in scripts:
            entries, books = script.journal.entries(), check_books(store, script.username)
            assert not (wrong := reckon(entries, books)), "\n".join(wrong)
            # It can fail: without any one entry, or with another state, it does.
            done = next(each for each in entries if each.state == "done")
            assert reckon([each for each in entries if each is not done], books)
            assert reckon([replace(each, state="refused") if each is done else each for each in entries], books)
            compared.update(each.state for each in entries)
            compared.update(replayed=sum(each.replayed for each in entries))
            compared.update(transactions=len(books.transactions), orders=len(books.orders), claims=len(books.claims))
    status, printed = cluster.flask("audit", "--json")
    assert status == 0 and json.loads(printed)["violations"] == [], printed
    assert not cluster.ended, cluster.ended
    print("journals equal the ledger:", dict(compared))


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else str(int(time.time())))
