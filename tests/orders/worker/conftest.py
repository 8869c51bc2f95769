"""A worker on tables of its own: no other test has orders in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.models import order_changes
from app.models.orders import Order
from app.services.worker import Worker
from tests.orders.worker.rounds import TABLES, books_of, write_order
from tests.support.accounts import open_trader
from tests.support.applications import make_app
from tests.support.people import NOON
from tests.support.prices import FixedPrices


@pytest.fixture(scope="module")
def app(endpoint: str) -> Flask:
    """Tables for the worker alone: no other test has orders in them."""
    return make_app(endpoint, **TABLES)


@pytest.fixture(autouse=True)
def _context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture(scope="module")
def _worker(app: Flask) -> Worker:
    worker = Worker(FixedPrices())
    with app.app_context():
        worker.run_round()  # looks at earlier days, once
    return worker


@pytest.fixture
def prices(_worker: Worker) -> Iterator[FixedPrices]:
    """The prices that `worker` sees: none, until the test sets them."""
    _worker._prices = prices = FixedPrices()
    yield prices


@pytest.fixture
def worker(_worker: Worker, prices: FixedPrices) -> Worker:
    """A worker in its second round: it knows that earlier days are done."""
    return _worker


@pytest.fixture
def trader(store: Any) -> Iterator[str]:
    """Someone with 10000.00, 10 BTC and 10 ETH. Afterwards the books balance, and nothing is left open."""
    username = open_trader("10000", BTC="10", ETH="10")
    yield username
    for order in books_of(store, username).orders:
        if order["status"] == "PENDING":
            order_changes.cancel_order(username, order["order_id"])
    assert books_of(store, username).balance["reserved_cash"] == "0.00"


@pytest.fixture
def damaged() -> Iterator[Order]:
    """An open order with the best limit of all, whose owner has no balance."""
    order = write_order("nobody")
    yield order
    order.delete()


@pytest.fixture
def noon_worker(prices: FixedPrices) -> Worker:
    """A worker in its second round at NOON: until one o'clock it would look at yesterday too."""
    with clock.at(NOON):
        worker = Worker(prices)
        worker.run_round()
    return worker
