"""Random orders under random prices: each is triggered and executed when a plain reading of the prices says so.

The reading goes through the prices one by one, for one order at a time. The worker finds the same by its two books.
PATHS says how many paths of prices are gone through (`make prove`: 10,000).
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from flask import Flask

from app.domain import clock
from app.domain.orders import Side
from app.models import order_changes
from app.models.orders import Order, get_order
from app.services.worker import Worker
from tests.support.accounts import open_trader, place, unplaced_order
from tests.support.applications import make_app, tables_named
from tests.support.books import check_books
from tests.support.people import NOON
from tests.support.prices import FixedPrices

PATHS = int(os.environ.get("PATHS", "12"))
ORDERS, STEPS = 8, 14
STEP = timedelta(seconds=5)
TABLES = tables_named("paths")
START = 1000


class Price(NamedTuple):
    """What the market says in a round; nothing is traded on a stale one."""

    price: Decimal
    is_stale: bool


@dataclass(frozen=True)
class Wish:
    """An order, and how many rounds it lasts."""

    side: Side
    stop: Decimal | None
    limit: Decimal | None
    rounds: int


class Fate(NamedTuple):
    """In which rounds an order is triggered, executed or expires, and at which price."""

    triggered: int | None = None
    executed: int | None = None
    expired: int | None = None
    price: Decimal | None = None


def read_fate(wish: Wish, path: list[Price]) -> Fate:
    buys = wish.side is Side.BUY
    triggered = None
    for number, (price, is_stale) in enumerate(path):
        if number >= wish.rounds:
            return Fate(triggered, expired=number)
        if is_stale:
            continue
        is_free = wish.stop is None or triggered is not None
        if not is_free and (price >= wish.stop if buys else price <= wish.stop):
            triggered, is_free = number, True
        if is_free and (wish.limit is None or (price <= wish.limit if buys else price >= wish.limit)):
            return Fate(triggered, number, None, price)
    return Fate(triggered)


def draw_path(chance: random.Random) -> list[Price]:
    """Prices that drift, stand still, jump over stops and limits, and come back; some are stale."""
    price, path = START, []
    for _ in range(STEPS):
        price += chance.choice([0, chance.randint(-15, 15), chance.randint(-15, 15), chance.randint(-90, 90)])
        path.append(Price(Decimal(price), chance.random() < 0.1))
    return path


def draw_wish(chance: random.Random) -> Wish:
    """An order that waits at START. Prices are near each other, so that many are equal."""
    side, away = chance.choice(list(Side)), Decimal(chance.randint(1, 40))
    rounds = chance.choice([STEPS, STEPS, chance.randint(1, STEPS - 1)])
    up = 1 if side is Side.BUY else -1
    if chance.random() < 0.25:
        return Wish(side, None, START - up * away, rounds)
    stop = START + up * away
    has_no_limit = side is Side.SELL and chance.random() < 0.4
    return Wish(side, stop, None if has_no_limit else stop + chance.randint(-40, 40), rounds)


@pytest.fixture(scope="module")
def app(endpoint: str) -> Flask:
    return make_app(endpoint, **TABLES)


@pytest.fixture(params=["few", "many"])
def worker(request: pytest.FixtureRequest, app: Flask, caplog: pytest.LogCaptureFixture) -> Iterator[Worker]:
    """One that knows all open orders from one look, or asks each book, as others wait for an asset without a price."""
    caplog.set_level(logging.WARNING, "app.services.worker")
    ends, number = NOON + timedelta(days=30), {"few": 0, "many": 60}[request.param]
    with app.app_context():
        others = [unplaced_order(Side.BUY, Decimal(1), ends, "ETH") for _ in range(number)]
        with Order.batch_write() as batch:
            for each in others:
                batch.save(each)
        yield Worker(FixedPrices())
        with Order.batch_write() as batch:
            for each in others:
                batch.delete(each)


def go_through(worker: Worker, path: list[Price], placed: dict[str, Wish], begin: datetime) -> None:
    prices = FixedPrices()
    worker._prices = prices
    for number, (price, is_stale) in enumerate(path):
        prices.set("BTC", str(price))
        prices.stale = {"BTC"} if is_stale else set()
        with clock.at(begin + number * STEP):
            done = worker.run_round()
        assert (done.failed, done.lost) == (0, 0)


def fate_of(order: Order, begin: datetime) -> Fate:
    """What became of a stored order, in numbers of rounds."""

    def round_of(moment: datetime | None) -> int | None:
        return None if moment is None else (moment - begin) // STEP

    ended = order.updated_at if order.status == "EXPIRED" else None
    return Fate(round_of(order.triggered_at), round_of(order.executed_at), round_of(ended), order.executed_price)


def test_orders_follow_the_prices(worker: Worker, store: Any) -> None:
    chance, seen, begin = random.Random(7), Counter[str](), NOON
    for _ in range(PATHS):
        path, wishes = draw_path(chance), [draw_wish(chance) for _ in range(ORDERS)]
        name = open_trader("20000", BTC="10")
        placed = {}
        begin += timedelta(minutes=3)
        with clock.at(begin - STEP):
            for wish in wishes:
                # It ends just before a round, which expires it.
                ends = begin + wish.rounds * STEP - timedelta(seconds=1)
                limit, stop = (None if each is None else str(each) for each in (wish.limit, wish.stop))
                order = place(name, wish.side, "1", price=str(START), limit=limit, stop=stop, expires_at=ends)
                placed[order.order_id] = wish
        go_through(worker, path, placed, begin)
        for order_id, wish in placed.items():
            stored, expected = get_order(name, order_id), read_fate(wish, path)
            assert fate_of(stored, begin) == expected, (wish, path)
            kind = stored.price_type.lower()
            seen[f"{kind} {'executed' if expected.executed is not None else stored.status.lower()}"] += 1
            seen["triggered before"] += expected.triggered is not None and expected.triggered != expected.executed
            if stored.is_pending:
                order_changes.cancel_order(name, order_id)
        books = check_books(store, name, **TABLES)
        assert books.balance["reserved_cash"] == "0.00"
    print(", ".join(f"{count} {name}" for name, count in sorted(seen.items())))
    assert seen["triggered before"] and seen["stop executed"] and seen["stop_limit executed"], seen
