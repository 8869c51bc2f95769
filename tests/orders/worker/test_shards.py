"""Open orders that are spread over several keys (KEY_SHARDS), and a service that gets more of them while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.audit.run import audit_all
from app.domain import clock
from app.domain.orders import Side
from app.models import order_changes
from app.models.orders import Order, get_order
from app.services.worker import Worker
from tests.orders.worker.rounds import done_of, status_of
from tests.support.accounts import open_trader, place_limit, unplaced_order
from tests.support.applications import make_app, tables_named
from tests.support.books import check_books
from tests.support.people import NOON
from tests.support.prices import FixedPrices
from tests.support.usage import metered

TABLES = tables_named("sharded")
SHARDS = 4
BOOK_KEYS = {"BTC#BUY", "BTC#BUY#1", "BTC#BUY#2", "BTC#BUY#3"}


@pytest.fixture(scope="module")
def apart(endpoint: str) -> Flask:
    """An application with one shard, as each was before there were several."""
    return make_app(endpoint, **TABLES)


@pytest.fixture(scope="module")
def spread(endpoint: str, apart: Flask) -> Flask:
    """An application with several, on the same tables."""
    return make_app(endpoint, key_shards=SHARDS, **TABLES)


@pytest.fixture(autouse=True)
def _context(spread: Flask) -> Iterator[None]:
    with spread.app_context():
        yield


@pytest.fixture
def trader(store: Any) -> Iterator[str]:
    username = open_trader("100000", BTC="100")
    yield username
    assert check_books(store, username, **TABLES).balance["reserved_cash"] == "0.00"


@pytest.fixture
def crowd() -> Iterator[None]:
    """More open orders than a round reads at once, which no price here reaches."""
    orders = [unplaced_order(Side.BUY, Decimal(50), NOON + timedelta(days=1)) for _ in range(60)]
    with Order.batch_write() as batch:
        for order in orders:
            batch.save(order)
    yield
    with Order.batch_write() as batch:
        for order in orders:
            batch.delete(order)


def place_many(username: str, limit: str = "100", **more: Any) -> list[Order]:
    """So many orders to buy that each shard has one."""
    orders: list[Order] = []
    while len({order.open_book for order in orders}) < SHARDS:
        orders.append(place_limit(username, Side.BUY, "1", limit, **more))
    return orders


def keys_of(orders: list[Order]) -> tuple[set[str], set[str]]:
    stored = [get_order(order.username, order.order_id) for order in orders]
    return {order.open_book for order in stored}, {order.expiry_day for order in stored}


def test_with_one_shard_the_keys_are_those_of_before(apart, trader):
    with apart.app_context(), clock.at(NOON):
        orders = [place_limit(trader, Side.BUY, "1", "100", expires_at=NOON + timedelta(days=1)) for _ in range(8)]
        assert keys_of(orders) == ({"BTC#BUY"}, {(NOON + timedelta(days=1)).date().isoformat()})
        for order in orders:
            order_changes.cancel_order(trader, order.order_id)


def test_orders_are_spread_and_each_is_filled_once(trader):
    with clock.at(NOON):  # their ends have one day
        orders = place_many(trader)
        books, days = keys_of(orders)
        assert books == BOOK_KEYS and len(days) == SHARDS
        assert {key.partition("#")[2] for key in days} == {"", "1", "2", "3"}
        assert not audit_all(pauses=()).violations
        worker = Worker(FixedPrices(BTC="100"))
        assert done_of(worker) == (len(orders), 0, 0, 0) and done_of(worker) == (0, 0, 0, 0)
        assert {status_of(order) for order in orders} == {"COMPLETED"}


def test_among_few_open_orders_only_the_shard_that_a_price_reaches_is_asked(trader):
    with clock.at(NOON):
        prices = FixedPrices(BTC="100")
        worker = Worker(prices)
        worker.run_round()
        order = place_limit(trader, Side.BUY, "1", "99")
        with metered() as meter:
            assert done_of(worker) == (0, 0, 0, 0)
        assert meter.operations == ["Query"] * SHARDS + ["Scan"]
        prices.set("BTC", "99")
        with metered() as meter:
            assert done_of(worker) == (1, 0, 0, 0)
        assert meter.operations == ["Query"] * SHARDS + ["Scan", "Query", "BatchGetItem", "TransactWriteItems"]
    assert status_of(order) == "COMPLETED"


def test_among_few_open_orders_the_best_limit_of_each_shard_counts(trader):
    better, worse = place_many(trader, "99"), place_many(trader, "90")
    assert done_of(Worker(FixedPrices(BTC="95"))) == (len(better), 0, 0, 0)
    for order in worse:
        order_changes.cancel_order(trader, order.order_id)


def test_among_many_open_orders_all_shards_are_asked(crowd, trader):
    """Each once, as their price stands still; and again when it has moved."""
    with clock.at(NOON):
        prices = FixedPrices(BTC="120")
        worker = Worker(prices)
        worker.run_round()
        orders = place_many(trader)
        with metered() as meter:
            assert done_of(worker) == (0, 0, 0, 0)
        assert meter.operations == ["Query"] * SHARDS + ["Scan"]
        prices.set("BTC", "99.5")
        with metered() as meter:
            assert done_of(worker) == (len(orders), 0, 0, 0)
        assert meter.operations.count("Query") == SHARDS + 2 * SHARDS
    assert {status_of(order) for order in orders} == {"COMPLETED"}


def test_orders_of_all_shards_end(trader):
    orders = place_many(trader, expires_at=clock.now() - timedelta(days=2))
    assert done_of(Worker(FixedPrices())) == (0, len(orders), 0, 0)
    assert {status_of(order) for order in orders} == {"EXPIRED"}


def test_the_number_is_raised_while_the_service_runs(apart, trader):
    """Workers first: one with several shards fills and ends what was placed with one, and with several."""
    before = [place_limit(trader, Side.BUY, "1", "100") for _ in range(2)]
    with apart.app_context():
        old = [place_limit(trader, Side.BUY, "1", "100"), place_limit(trader, Side.SELL, "1", "100")]
    assert keys_of(old)[0] == {"BTC#BUY", "BTC#SELL"}
    assert done_of(Worker(FixedPrices(BTC="100"))) == (4, 0, 0, 0)
    assert {status_of(order) for order in before + old} == {"COMPLETED"}


def test_an_order_beyond_the_shards_of_a_process_can_be_cancelled_there_and_waits_for_another_worker(apart, trader):
    orders = place_many(trader)
    beyond = [order for order in orders if order.open_book != "BTC#BUY"]
    with apart.app_context():
        # An audit with too few shards says which orders its workers would not find.
        found = {each.item.PK for each in audit_all(pauses=()).violations}
        assert found == {order.order_id for order in beyond}
        assert order_changes.cancel_order(trader, beyond[0].order_id).item.status == "CANCELLED"
        assert done_of(Worker(FixedPrices(BTC="100"))) == (len(orders) - len(beyond), 0, 0, 0)
    assert done_of(Worker(FixedPrices(BTC="100"))) == (len(beyond) - 1, 0, 0, 0)
