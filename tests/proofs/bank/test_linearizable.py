"""Whatever happens to an account at the same time could have happened one after the other.

Histories of 6 threads at one account are recorded over the JSON API, and searched for an order that explains every
answer. LINEARIZABILITY_HISTORIES says how many (`make prove`: 300).
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.factory import create_app
from app.models.create_tables import create_tables
from app.services.worker import Worker
from tests.proofs.bank.calls import Call, in_process
from tests.proofs.bank.customers import Bank, Customer, open_bank, register
from tests.proofs.bank.histories import history_of
from tests.proofs.bank.kinds import order_request
from tests.proofs.bank.linearizable import linearize
from tests.proofs.bank.sequential import Account
from tests.support.applications import config
from tests.support.books import Books, check_books, read_books
from tests.support.faults import FaultyStore, Forwarder, drop, lose_answer
from tests.support.people import caller
from tests.support.prices import FixedPrices

HISTORIES = int(os.environ.get("LINEARIZABILITY_HISTORIES", "3"))
THREADS, EACH = 6, 6
TABLES = {"users": "bank_users", "orders": "bank_orders"}
SETTINGS = {"users_table": TABLES["users"], "orders_table": TABLES["orders"], "log_level": "WARNING"}
KINDS = {
    "deposit": 3,
    "withdraw": 5,
    "adjust": 1,
    "market buy": 3,
    "market sell": 3,
    "limit buy": 4,
    "limit sell": 4,
    "cancel": 5,
    "balance": 6,
    "portfolio": 6,
    "holding": 2,
    "order": 2,
}


@pytest.fixture(scope="module")
def bank_app(endpoint: str) -> Flask:
    made = create_app(config(endpoint, **SETTINGS))
    with made.app_context():
        create_tables()
    return made


@pytest.fixture(scope="module")
def faulty_bank(bank_app: Flask, endpoint: str) -> Iterator[tuple[Flask, FaultyStore]]:
    with FaultyStore(endpoint) as faulty:
        yield create_app(config(faulty.endpoint, **SETTINGS)), faulty


class Recorder:
    """Lets threads loose on one account after the other, while prices move and a worker fills what they reach."""

    def __init__(self, app: Flask, store: Any, name: str, read: Callable[..., Books] = check_books) -> None:
        self.app = app
        self.store = store
        self.read = read
        self.prices = app.extensions["prices"] = FixedPrices(BTC="60000.00", ETH="2600.00")
        self.worker = Worker(self.prices)
        self.outcomes: Counter[str] = Counter()
        self.operations = self.steps = self.undecided = 0
        self.bank = Bank(price=lambda asset_id: self.prices.prices[asset_id], prefix=name, gives_up=0.5)
        self.first = open_bank(self.bank, in_process(caller(app)), app)

    def record(self, seed: object, plant: Callable[[], None]) -> tuple[list[Call], Books]:
        """What THREADS customers did at one new account, and what is in its books."""
        person = register(self.first)
        assert person is not None
        for asset_id, quantity in (("BTC", "0.005"), ("ETH", "0.1")):
            self.first.ask(order_request("market buy", person, asset_id, quantity))
        plant()
        self.bank.people = [person]
        customers = [Customer(self.bank, in_process(caller(self.app)), f"{seed} {n}") for n in range(THREADS)]
        barrier, over = threading.Barrier(THREADS + 1), threading.Event()

        def act(customer: Customer) -> None:
            barrier.wait()
            for _ in range(EACH):
                customer.act(KINDS)

        with ThreadPoolExecutor(THREADS + 1) as pool:
            market = pool.submit(self._move_market, random.Random(str(seed)), barrier, over)
            try:
                list(pool.map(act, customers))
            finally:
                over.set()
            market.result()
        calls = [call for call in self.bank.calls if call.request.username == person.username]
        return calls, self.read(self.store, person.username, admin=self.bank.admin, **TABLES)

    def _move_market(self, chance: random.Random, barrier: threading.Barrier, over: threading.Event) -> None:
        barrier.wait()
        while not over.wait(0.02):
            for asset_id, price in self.prices.prices.items():
                moved_price = price * (1 + Decimal(chance.randint(-30, 30)) / 10_000)
                self.prices.prices[asset_id] = moved_price.quantize(Decimal("0.01"))
            with self.app.app_context():
                self.worker.run_round()

    def is_explained(self, seed: object, plant: Callable[[], None] = lambda: None) -> bool:
        """Record a history, with the faults that are planted before it, and look for its order."""
        calls, books = self.record(seed, plant)
        history = history_of(calls, books, admin=self.bank.admin)
        self.operations += len(history)
        self.outcomes.update(call.fate.value for call in calls)
        verdict = linearize(history, Account())
        self.steps += verdict.tried
        if not verdict.is_linearizable:
            print(f"history {seed}: {verdict}")
        return verdict.is_linearizable

    def report(self) -> None:
        print(
            f"{self.operations} operations, {dict(self.outcomes)}, {self.steps} steps tried;",
            {kind: dict(count) for kind, count in self.bank.outcomes().items()},
        )


def test_histories_of_one_account_are_linearizable(bank_app, store):
    recorder = Recorder(bank_app, store, "sound")
    started = time.monotonic()
    for seed in range(HISTORIES):
        assert recorder.is_explained(seed)
    print(f"{HISTORIES} histories in {time.monotonic() - started:.1f} s")
    recorder.report()
    assert not recorder.bank.undocumented()


def test_histories_with_lost_requests_and_answers_are_linearizable(bank_app, faulty_bank, store):
    """A request of unknown outcome happened at some time, or never."""
    app, faulty = faulty_bank
    recorder = Recorder(app, store, "faulty")
    chance = random.Random(1)
    for seed in range(max(2, HISTORIES // 5)):
        # botocore sends three times; all threads share the faults.
        faults = chance.choices([drop, lose_answer], k=30)
        assert recorder.is_explained(seed, lambda: faulty.inject("TransactWriteItems", *faults))
        faulty.heal()
    recorder.report()
    assert recorder.outcomes["unknown"] > 0
    assert not recorder.bank.undocumented()


# Defects of the database or the application, planted on the way between them: a recording must notice each.


class Defects:
    """Faults that make the application behave as if its code were wrong."""

    def __init__(self) -> None:
        # By what was asked: the last answer, and the one before that was another.
        self.known: dict[bytes, list[tuple[int, bytes]]] = {}
        self.random = random.Random(2)

    def read_eventually(self, forwarder: Forwarder, sent: bytes) -> tuple[int, bytes]:
        """As if the balance were not read consistently: now and then what it was a moment ago."""
        now = forwarder.forward(sent)
        known = self.known.setdefault(sent, [now])
        if known[-1] != now:
            known[:] = [known[-1], now]
        return known[0] if self.random.random() < 0.4 else now

    def without_conditions(self, forwarder: Forwarder, sent: bytes) -> tuple[int, bytes]:
        """As if no step of a batch had a condition."""
        body = json.loads(sent)
        for step in body["TransactItems"]:
            for action in step.values():
                # What it names and compares must still be named and compared.
                action["ConditionExpression"] += " OR attribute_exists(PK) OR attribute_not_exists(PK)"
        return forwarder.forward(json.dumps(body).encode())


@pytest.mark.parametrize(
    "operation, defect", [("BatchGetItem", "read_eventually"), ("TransactWriteItems", "without_conditions")]
)
def test_a_planted_defect_is_noticed(bank_app, faulty_bank, store, operation, defect):
    app, faulty = faulty_bank
    # The books of a broken application need not balance.
    recorder = Recorder(app, store, defect, read_books)
    for seed in range(30):
        planted = [getattr(Defects(), defect)] * 1000
        noticed = not recorder.is_explained(seed, lambda: faulty.inject(operation, *planted))
        faulty.heal()
        if noticed:
            print(f"{defect} was noticed in history {seed + 1}")
            return
    raise AssertionError(f"30 recordings did not notice {defect}")
