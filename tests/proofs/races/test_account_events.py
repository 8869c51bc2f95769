"""64 threads end orders of one account while 8 readers follow it and are killed: each reads each event once, in order.

RACE_ROUNDS says how many rounds there are for each ten of other races (`make prove`: 1,000).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Barrier, Event
from typing import Any

import pytest
from flask import Flask

from app.domain.errors import Busy
from app.domain.ledger import TransactionType
from app.domain.orders import Side
from app.models import order_changes
from app.models.account_events import AccountEvent, follow_events
from app.models.adjustments import adjust
from app.models.balance_changes import post_transaction
from app.models.orders import Order
from tests.support.accounts import open_trader, place_limit
from tests.support.books import check_books

ROUNDS = max(1, int(os.environ.get("RACE_ROUNDS", "10")) // 10)
WRITERS, READERS = 64, 8

pytestmark = pytest.mark.engine

Act = Callable[[str], object]


@dataclass
class Reader:
    """A script that keeps what it reads, and now and then dies before it has."""

    username: str
    random: random.Random
    kept: list[AccountEvent] = field(default_factory=list)
    deaths: int = 0

    def read(self) -> bool:
        """Whether there was nothing more."""
        after = self.kept[-1].number if self.kept else 0
        feed = follow_events(self.username, after, limit=self.random.randint(1, 20))
        if self.random.random() < 0.3:
            self.deaths += 1
            return False
        self.kept += feed.events
        assert feed.last == (self.kept[-1].number if self.kept else 0)
        return not feed.events


def acts_on(username: str) -> Iterator[Act]:
    """What the writers do, one each: end an order in one of three ways, adjust the cash, or what is no event."""
    for number in range(WRITERS):
        side = Side.BUY if number % 2 else Side.SELL
        if number % 8 == 6:
            yield lambda name: adjust(name, Decimal(1), reason="x", actor="boss", waits=False)
        elif number % 8 == 7:
            yield lambda name: post_transaction(name, TransactionType.DEPOSIT, Decimal(1))
        else:
            order = place_limit(username, side, "1", "100")
            yield (
                lambda name, order=order: order_changes.cancel_order(name, order.order_id),
                lambda name, order=order: order_changes.fill_order(Order.get(*Order.key(order.order_id)), Decimal(100)),
                lambda name, order=order: order_changes.expire_order(order),
            )[number % 3]


def until_done(act: Act, username: str) -> None:
    """As a worker or a script does: what is busy is tried again, by a request of its own."""
    for _ in range(40):
        try:
            act(username)
        except Busy:
            continue
        return
    raise AssertionError("starved")


def run_round(app: Flask, seed: int) -> tuple[str, list[Reader]]:
    with app.app_context():
        username = open_trader("10000", BTC="100")
        acts = list(acts_on(username))
    readers = [Reader(username, random.Random(f"{seed} {number}")) for number in range(READERS)]
    start, is_over = Barrier(WRITERS + READERS), Event()

    def write(act: Act) -> None:
        with app.app_context():
            start.wait()
            until_done(act, username)

    def follow(reader: Reader) -> None:
        with app.app_context():
            start.wait()
            # What was written before the end is known is there, and is read by then.
            while not is_over.wait(0.01):
                reader.read()
            while not reader.read():
                pass

    with ThreadPoolExecutor(WRITERS + READERS) as pool:
        following = [pool.submit(follow, reader) for reader in readers]
        writing = [pool.submit(write, act) for act in acts]
        try:
            for each in writing:
                each.result()
        finally:
            is_over.set()
        for each in following:
            each.result()
    return username, readers


def test_64_writers_and_8_readers_that_are_killed(app: Flask, store: Any) -> None:
    deaths = 0
    for seed in range(ROUNDS):
        username, readers = run_round(app, seed)
        books = check_books(store, username)
        expected = [(row["event_number"], row["event_type"], row.get("order_id")) for row in books.events]
        assert len(expected) == WRITERS * 7 // 8
        for reader in readers:
            assert [(each.event_number, each.event_type, each.order_id) for each in reader.kept] == expected
            deaths += reader.deaths
    print(f"{ROUNDS} rounds of {len(expected)} events, read by {READERS} readers that died {deaths} times")
    assert deaths
