"""Two versions at once on one store, under the load of the bank test: an upgrade needs no pause.

UPGRADE_SECONDS says how long each step lasts at least, UPGRADE_SEED what the customers do. At the end everything that
either version answered is in the ledger once, and every account can be used.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from app.factory import create_app
from app.models.upgrade import FORMAT
from app.prices.simulated import SimulatedMarket
from tests.proofs.bank.calls import Answer, over_http
from tests.proofs.bank.closing import Closing, close
from tests.proofs.bank.cluster import MARKET_SPEED, Cluster
from tests.proofs.bank.customers import Bank, Customer, open_bank
from tests.support.applications import config
from tests.support.books import scan
from tests.support.server import Account, Server
from tests.support.wire import BareStore
from tests.upgrade.conftest import LIBRARIES

pytestmark = pytest.mark.engine

SECONDS = float(os.environ.get("UPGRADE_SECONDS", "6"))
SEED = os.environ.get("UPGRADE_SEED", "1")
CUSTOMERS, SHARED = 8, 3
MOST_SECONDS = 60
# Of each pair of versions: orders that the one placed and the other one's worker filled or expired.
ENDED_AT_LEAST = 3


@dataclass
class Doors:
    """The copies of the web server that serve now. A request goes to any of them, and a repeated one too."""

    serving: list[str] = field(default_factory=list)
    # What each copy answered, and which of them placed an order that waits.
    answered: Counter[str] = field(default_factory=Counter)
    placed: dict[str, str] = field(default_factory=dict)

    def sender(self, seed: str) -> Any:
        """A customer's own connections to all copies."""
        chance, senders = random.Random(f"{seed} doors"), dict[str, Any]()

        def send(method: str, path: str, body: Any, headers: dict[str, str]) -> Answer | None:
            address = chance.choice(self.serving)
            if address not in senders:
                senders[address] = over_http(address)
            answer: Answer | None = senders[address](method, path, body, headers)
            if answer is not None:
                self.answered[address] += 1
                is_placed = (method, path, answer.status) == ("POST", "/api/v1/orders", 201) and not answer.replayed
                if is_placed and answer.body["data"]["status"] == "pending":
                    self.placed[answer.body["data"]["order_id"]] = address
            return answer

        return send


@dataclass
class Rollout:
    """Both versions on one store, and what was seen of them."""

    older: Cluster
    today: Cluster
    store: BareStore
    doors: Doors = field(default_factory=Doors)
    # By the version that placed, and the one whose worker alone ran.
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)

    def name_of(self, address: str) -> str:
        return "older" if address == self.older.address else "today's"

    def start_web(self, cluster: Cluster) -> None:
        cluster.take_port()
        cluster.start("gunicorn")
        _wait_until_alive(cluster)
        self.doors.serving = [*self.doors.serving, cluster.address]

    def stop_web(self, cluster: Cluster) -> None:
        """As behind a balancer: nothing new is sent to it, and it answers what it has."""
        self.doors.serving = [each for each in self.doors.serving if each != cluster.address]
        _stop(cluster, "gunicorn")

    def let_run(self, *, worker: str, of: str = "") -> None:
        """Serve for a while, and until this worker has ended enough of the orders that copies `of` a version placed."""
        before, began = self._ended_orders(), time.monotonic()
        while (passed := time.monotonic() - began) < SECONDS or of:
            time.sleep(0.5)
            found = Counter(self.name_of(self.doors.placed[each]) for each in self._ended_orders() - before)
            if passed >= SECONDS and found[of] >= ENDED_AT_LEAST:
                break
            assert passed < MOST_SECONDS, f"the {worker} worker ended {dict(found)}"
        for each in self._ended_orders() - before:
            self.ended[self.name_of(self.doors.placed[each]), worker] += 1

    def _ended_orders(self) -> set[str]:
        """Of the orders that were to wait, those that a worker has ended."""
        placed = set(self.doors.placed)
        rows = scan(self.store, "orders")
        return {row["order_id"] for row in rows if row.get("status") in {"COMPLETED", "EXPIRED"}} & placed

    def format(self) -> int:
        key = {"PK": {"S": "STORE#FORMAT"}, "SK": {"S": "FORMAT"}}
        answer = self.store.get_item(TableName="users", Key=key, ConsistentRead=True)
        return int(answer["Item"]["number"]["N"])

    def upgrade(self) -> None:
        """Killed once it has done something, and run again."""
        process = self.today.start_flask("upgrade", output=subprocess.PIPE)
        assert process.stdout
        first = process.stdout.readline().decode().strip()
        process.kill()
        process.communicate(timeout=10)
        status, printed = self.today.flask("upgrade")
        assert status == 0, printed
        print("upgrade, cut off after", repr(first), "and then:", printed.strip().split("\n"))
        assert self.format() == FORMAT


def _wait_until_alive(cluster: Cluster) -> None:
    """Not until it is ready: before the upgrade the new version says that it is not."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and cluster.processes["gunicorn"].poll() is None:
        try:
            if requests.get(cluster.address + "/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise AssertionError(cluster.log.read_text())


def _stop(cluster: Cluster, name: str) -> None:
    process = cluster.processes.pop(name)
    process.terminate()
    assert process.wait(timeout=30) in {0, -15}, cluster.log.read_text()


@pytest.fixture
def rollout(tmp_path: Path, older_code: Path) -> Iterator[Rollout]:
    """The older version as one would run it, on tables that it made."""
    for name in ("older", "today"):
        (tmp_path / name).mkdir()
    older = Cluster(tmp_path / "older", root=older_code)
    older.settings["PYTHONPATH"] = str(older_code / LIBRARIES)
    today = Cluster(tmp_path / "today", engine_port=older.engine_port)
    try:
        older.start("engine")
        status, printed = older.flask("tables", "create")
        assert status == 0, (printed, older.log.read_text())
        with closing(BareStore(older.endpoint)) as store:
            made = Rollout(older, today, store)
            made.start_web(older)
            older.start("order worker")
            yield made
    finally:
        today.stop()
        older.stop()


@contextmanager
def customers_of(bank: Bank, doors: Doors) -> Iterator[None]:
    """Threads that go on until the block ends, and then finish what is under way."""
    over = threading.Event()

    def run(number: int) -> None:
        customer = Customer(bank, doors.sender(f"{SEED} {number}"), f"{SEED} {number}")
        while not over.is_set():
            customer.act()

    with ThreadPoolExecutor(CUSTOMERS) as pool:
        running = [pool.submit(run, number) for number in range(CUSTOMERS)]
        try:
            yield
        finally:
            bank.deadline = time.monotonic() + 30
            over.set()
        for each in running:
            each.result()


Then = Callable[[], None]


def web_first(rollout: Rollout, then: Then) -> None:
    rollout.start_web(rollout.today)
    rollout.let_run(worker="older", of="today's")
    then()
    rollout.stop_web(rollout.older)
    rollout.let_run(worker="older", of="today's")
    rollout.today.start("order worker")
    rollout.let_run(worker="either")
    _stop(rollout.older, "order worker")


def worker_first(rollout: Rollout, then: Then) -> None:
    rollout.today.start("order worker")
    # Before the upgrade today's may wait for an index: the older one must go on until then.
    rollout.let_run(worker="either", of="older")
    then()
    _stop(rollout.older, "order worker")
    rollout.let_run(worker="today's", of="older")
    rollout.start_web(rollout.today)
    rollout.let_run(worker="today's", of="older")
    rollout.stop_web(rollout.older)


@pytest.mark.parametrize("upgraded", ["before", "after"])  # the first process of today's version starts
@pytest.mark.parametrize("roll", [web_first, worker_first])
def test_both_versions_serve_at_once(rollout: Rollout, roll: Any, upgraded: str) -> None:
    older, today = rollout.older, rollout.today
    market = SimulatedMarket(speed=MARKET_SPEED)
    bank = Bank(price=lambda asset_id: market.quote(asset_id).price)
    app = create_app(config(today.endpoint, log_level="WARNING"))
    open_bank(bank, over_http(older.address), app, accounts=SHARED)
    began, found = time.monotonic(), rollout.format()
    assert found < FORMAT, f"the older version writes format {found}: nothing is upgraded"
    with customers_of(bank, rollout.doors):
        rollout.let_run(worker="older")
        if upgraded == "before":
            rollout.upgrade()
        roll(rollout, rollout.upgrade if upgraded == "after" else lambda: None)
        rollout.let_run(worker="today's")
    tell(rollout, bank, time.monotonic() - began)
    assert not bank.undocumented()

    with an_open_order(today.server) as (account, order_id):
        described = requests.get(f"{today.address}/api/v1/openapi.json", timeout=30).json()
        changes_orders = "patch" in described["paths"]["/api/v1/orders/{order_id}"]
        if changes_orders:  # format 5: a version before it ends an order with the reserve that it had at first
            refused = account.call("PATCH", f"/orders/{order_id}", {"price": "90.00"})
            assert (refused.status_code, refused.json()["code"]) == (503, "upgrade_unfinished"), "older copies may run"
        status, printed = today.flask("upgrade", "--again")
        assert status == 0, printed
        print("upgrade --again:", printed.strip().split("\n"))
        if changes_orders:
            assert account.call("PATCH", f"/orders/{order_id}", {"price": "90.00"}).status_code == 200
    close(Closing(today, bank, Customer(bank, over_http(today.address), "last"), app, rollout.store))
    assert not bank.undocumented()


@contextmanager
def an_open_order(server: Server) -> Iterator[tuple[Account, str]]:
    """Of an account that is none of the bank's, far from the market; cancelled at the end."""
    with server.account(deposit="100.00") as account:
        order = {"order_type": "limit_buy", "asset_id": "BTC", "quantity": "0.1", "price": "100.00"}
        placed = account.post("/orders", order)
        assert placed.status_code == 201, placed.text
        order_id = placed.json()["data"]["order_id"]
        yield account, order_id
        assert account.post(f"/orders/{order_id}/cancel", None).status_code == 200


def tell(rollout: Rollout, bank: Bank, seconds: float) -> None:
    answered = {rollout.name_of(address): count for address, count in rollout.doors.answered.items()}
    print(
        f"seed {SEED}: {len(bank.calls)} requests of {CUSTOMERS} customers in {seconds:.1f} s, answered by: {answered}"
    )
    for (placed, worker), count in sorted(rollout.ended.items()):
        print(f"  placed by the {placed} version, ended by the {worker} worker: {count}")
    for kind, outcomes in bank.outcomes().items():
        print(f"  {kind}: {dict(outcomes)}")
