"""What a round costs, with few open orders and with many."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.orders import Side
from app.models.orders import Order
from app.services.worker import Worker
from tests.orders.worker.rounds import done_of, status_of
from tests.support.accounts import open_trader, place_limit, unplaced_order
from tests.support.people import NOON
from tests.support.usage import metered


@pytest.fixture
def crowd() -> Iterator[None]:
    """More open orders for BTC than a round reads at once, which a price of 100 does not reach."""
    ends = NOON + timedelta(days=1)
    orders = [unplaced_order(side, Decimal(50 if side is Side.BUY else 150), ends) for _ in range(60) for side in Side]
    with Order.batch_write() as batch:
        for order in orders:
            batch.save(order)
    yield
    with Order.batch_write() as batch:
        for order in orders:
            batch.delete(order)


def calls_of_a_round(worker: Worker, at: datetime) -> tuple[int, Decimal]:
    """Calls and read units of a round in which nothing is to be done."""
    with metered() as meter, clock.at(at):
        assert done_of(worker) == (0, 0, 0, 0)
    assert not meter.write_units
    return meter.calls, meter.read_units


EVERY_ASSET = {asset.asset_id: Decimal(100) for asset in CATALOGUE.values()}


def test_a_round_without_open_orders_makes_two_calls(noon_worker, prices):
    """However many assets there are, and however often their prices move."""
    for price in range(3):
        prices.prices = {asset_id: each + price for asset_id, each in EVERY_ASSET.items()}
        assert calls_of_a_round(noon_worker, NOON) == (2, Decimal(1))


def test_a_round_with_few_open_orders_asks_only_the_books_that_a_price_reaches(noon_worker, prices, trader):
    prices.prices = EVERY_ASSET
    for side, limit in ((Side.BUY, "99"), (Side.BUY, "98"), (Side.SELL, "101"), (Side.SELL, "102")):
        place_limit(trader, side, "1", limit)
    assert calls_of_a_round(noon_worker, NOON)[0] == 2
    with metered() as meter, clock.at(NOON):
        prices.set("BTC", "99")
        assert done_of(noon_worker) == (1, 0, 0, 0)
    assert meter.operations == ["Query", "Scan", "Query", "BatchGetItem", "TransactWriteItems"]


def test_a_round_with_many_open_orders_asks_a_book_when_its_price_moves_and_now_and_then(noon_worker, prices, crowd):
    """Half a unit each, as none finds anything; and 50 of the open orders."""
    prices.prices = {"BTC": Decimal(100), "ETH": Decimal(10)}
    all_books, no_book, one_asset = 6, 2, 4
    few = calls_of_a_round(noon_worker, NOON)
    assert few[0] == all_books and few[1] < 7
    assert calls_of_a_round(noon_worker, NOON + timedelta(seconds=9))[0] == no_book
    prices.set("BTC", "101")
    assert calls_of_a_round(noon_worker, NOON + timedelta(seconds=9))[0] == one_asset
    assert calls_of_a_round(noon_worker, NOON + timedelta(seconds=10))[0] == one_asset, "those of ETH"
    assert calls_of_a_round(noon_worker, NOON + timedelta(seconds=19))[0] == one_asset, "those of BTC"
    assert calls_of_a_round(noon_worker, NOON - timedelta(hours=1))[0] == 100 + 5, "the clock was set back"


def test_among_many_open_orders_a_new_one_is_filled_as_soon_as_the_price_moves(noon_worker, prices, crowd, trader):
    prices.set("BTC", "100")
    calls_of_a_round(noon_worker, NOON)
    with clock.at(NOON):
        moves = place_limit(trader, Side.BUY, "1", "99")
        prices.set("BTC", "99")
        assert done_of(noon_worker) == (1, 0, 0, 0) and status_of(moves) == "COMPLETED"


def test_among_many_open_orders_a_latecomer_is_filled_within_ten_seconds(noon_worker, prices, crowd, trader):
    """It shows late in its index, or was placed where the price was another one."""
    seller = open_trader("1", BTC="1")
    prices.set("BTC", "100")
    calls_of_a_round(noon_worker, NOON)
    with clock.at(NOON):
        # Two people: no two trades of one in an asset have the same moment.
        placed = [place_limit(name, side, "1", "100") for name, side in zip((trader, seller), Side, strict=True)]
        assert done_of(noon_worker) == (0, 0, 0, 0)
    with clock.at(NOON + timedelta(seconds=10)):
        assert done_of(noon_worker) == (2, 0, 0, 0)
    assert {status_of(order) for order in placed} == {"COMPLETED"}


def test_among_many_open_orders_one_that_failed_is_tried_again_at_once(noon_worker, prices, crowd, damaged):
    prices.set("BTC", "100")
    for _ in range(2):
        with clock.at(NOON):
            assert done_of(noon_worker) == (0, 0, 0, 1)


def test_what_a_fill_and_an_end_cost(noon_worker, prices, trader):
    """Two calls for an order beyond finding it: ending reads its own item too, as its index holds keys alone."""
    prices.prices = {"BTC": Decimal(100)}
    seller = open_trader("1", BTC="1")  # another one: no two trades of a person in an asset have the same moment
    with clock.at(NOON):
        place_limit(trader, Side.BUY, "1", "1", expires_at=NOON - timedelta(seconds=1))
        place_limit(trader, Side.BUY, "1", "100")
        place_limit(seller, Side.SELL, "1", "100")
        with metered() as meter:
            assert done_of(noon_worker) == (2, 1, 0, 0)
    assert meter.operations == [
        "Query",
        "GetItem",
        "BatchGetItem",
        "TransactWriteItems",
        "Scan",
        "Query",
        "BatchGetItem",
        "TransactWriteItems",
        "Query",
        "BatchGetItem",
        "TransactWriteItems",
    ]
