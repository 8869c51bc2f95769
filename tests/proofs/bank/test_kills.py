"""The bank test: 16 customers at shared accounts while every process is killed again and again.

BANK_SECONDS says how long (`make prove`: 600), BANK_SEED what the customers and the killer do. At the end
everything that was answered is in the ledger once, and every account can be used.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from app.factory import create_app
from app.models.create_tables import create_tables
from app.prices.simulated import SimulatedMarket
from tests.proofs.bank.calls import over_http
from tests.proofs.bank.closing import Closing, close
from tests.proofs.bank.cluster import MARKET_SPEED, Cluster, wreak_havoc
from tests.proofs.bank.customers import Bank, Customer, open_bank
from tests.proofs.bank.followers import Follower
from tests.support.applications import config
from tests.support.wire import BareStore

pytestmark = pytest.mark.engine

SECONDS = float(os.environ.get("BANK_SECONDS", "4"))
SEED = os.environ.get("BANK_SEED", "1")
CUSTOMERS, SHARED, FOLLOWERS = 16, 3, 8


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The product as one would run it, with its tables."""
    made = Cluster(tmp_path)
    try:
        made.start("engine")
        with create_app(config(made.endpoint)).app_context():
            create_tables()
        made.start("gunicorn")
        made.start("order worker")
        made.wait_until_ready()
        yield made
    finally:
        made.stop()


def run_load(cluster: Cluster, bank: Bank) -> list[Follower]:
    """Customers and followers in threads, and the killer in this one, which lives longest."""
    until = time.monotonic() + SECONDS
    bank.deadline = until + 60
    customers = [Customer(bank, over_http(cluster.address), f"{SEED} {n}") for n in range(CUSTOMERS)]
    sends = [over_http(cluster.address) for _ in range(FOLLOWERS)]
    followers = [Follower(bank, send, random.Random(f"{SEED} {n}")) for n, send in enumerate(sends)]
    with ThreadPoolExecutor(CUSTOMERS + FOLLOWERS) as pool:
        running = [pool.submit(each.run, until) for each in (*customers, *followers)]
        wreak_havoc(cluster, f"{SEED} kills", until, lambda: bank.settled)
        cluster.restart()
        cluster.wait_until_ready()
        for each in running:
            each.result()
    return followers


def tell(cluster: Cluster, bank: Bank, seconds: float) -> None:
    """Print what happened under load."""
    answers = [answer for call in bank.calls for answer in call.answers]
    replayed = sum(answer is not None and answer.replayed for answer in answers)
    print(f"seed {SEED}: {len(bank.calls)} requests of {CUSTOMERS} customers in {seconds:.1f} s")
    print(
        f"{sum(cluster.kills.values())} kills: {dict(cluster.kills)}; sent again: {len(answers) - len(bank.calls)};"
        f" never answered: {answers.count(None)}; replayed: {replayed}"
    )
    for kind, outcomes in bank.outcomes().items():
        print(f"  {kind}: {dict(outcomes)}")


def test_nothing_is_lost_or_done_twice_whatever_is_killed(cluster):
    market = SimulatedMarket(speed=MARKET_SPEED)
    bank = Bank(price=lambda asset_id: market.quote(asset_id).price)
    app = create_app(config(cluster.endpoint, log_level="WARNING"))
    customer = open_bank(bank, over_http(cluster.address), app, accounts=SHARED)
    began = time.monotonic()
    followers = run_load(cluster, bank)
    tell(cluster, bank, time.monotonic() - began)
    assert bank.settled and sum(cluster.kills.values())
    assert not bank.undocumented()

    with closing(BareStore(cluster.endpoint)) as store:
        close(Closing(cluster, bank, customer, app, store), followers)
    assert not bank.undocumented()
    assert not cluster.ended
