"""The worker: which orders a round fills and ends, what it costs, what may go wrong, and how it stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.mails import MailKind
from app.domain.orders import OrderStatus, PriceType, Side
from app.domain.users import UserStatus
from app.mail import MailSettings
from app.models import order_changes
from app.models.batch import Batch
from app.models.orders import Order, get_order, new_order_id, open_book
from app.models.outbox import queue_mail
from app.models.users import set_status
from app.services.worker import Worker
from tests.support.accounts import open_trader, place_limit, unplaced_order
from tests.support.applications import make_app, tables_named
from tests.support.books import Books, check_books
from tests.support.people import NOON
from tests.support.prices import FixedPrices
from tests.support.usage import metered

TABLES = tables_named("worker")
ROOT = Path(__file__).parent.parent.parent


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


def books_of(store: Any, username: str) -> Books:
    return check_books(store, username, **TABLES)


def status_of(order: Order) -> str:
    return str(get_order(order.username, order.order_id).status)


def done_of(worker: Worker) -> tuple[int, int, int, int]:
    """Orders filled, expired, lost to others and failed in one round."""
    done = worker.run_round()
    return done.filled, done.expired, done.lost, done.failed


@pytest.mark.parametrize(
    ("side", "limit", "price", "filled"),
    [
        (Side.BUY, "100", "100", True),
        (Side.BUY, "100", "99.99999999", True),
        (Side.BUY, "100", "1", True),
        (Side.BUY, "100", "100.00000001", False),
        (Side.BUY, "9", "10", False),
        (Side.BUY, "1000", "999", True),
        (Side.SELL, "100", "100", True),
        (Side.SELL, "100", "100.00000001", True),
        (Side.SELL, "100", "5000", True),
        (Side.SELL, "100", "99.99999999", False),
        (Side.SELL, "10", "9", False),
        (Side.SELL, "999", "1000", True),
    ],
    ids=str,
)
def test_a_round_fills_what_the_price_reaches(worker, prices, trader, store, side, limit, price, filled):
    """Compared as numbers, not as text; at the market's price, not at the limit."""
    order = place_limit(trader, side, "1.5", limit)
    other_asset = place_limit(trader, side, "1", limit, asset_id="ETH")
    prices.set("BTC", price)
    assert done_of(worker) == (int(filled), 0, 0, 0)
    stored = get_order(trader, order.order_id)
    assert stored.status == ("COMPLETED" if filled else "PENDING")
    assert stored.order_price == Decimal(price if filled else limit)
    assert status_of(other_asset) == "PENDING"
    assert done_of(worker) == (0, 0, 0, 0)


def test_best_limits_first(worker, prices, trader, store):
    limits = {Side.BUY: ["101", "1000", "100", "9999.5", "99"], Side.SELL: ["9", "100", "99.99", "11", "101"]}
    placed = {side: [place_limit(trader, side, "0.1", limit) for limit in limits[side]] for side in Side}
    prices.set("BTC", "100")
    assert done_of(worker) == (8, 0, 0, 0)
    for side, best_first in ((Side.BUY, ["9999.5", "1000", "101", "100"]), (Side.SELL, ["9", "11", "99.99", "100"])):
        stored = [get_order(trader, order.order_id) for order in placed[side]]
        executed = sorted((order for order in stored if order.executed_at), key=lambda order: order.executed_at)
        assert [order.limit_price for order in executed] == list(map(Decimal, best_first))


MOMENTS = {
    "a moment ago": timedelta(milliseconds=1),
    "an hour ago": timedelta(hours=1),
    "a day ago": timedelta(days=1),
    "40 days ago": timedelta(days=40),
    "99 days ago": timedelta(days=99),
}


def test_a_worker_that_starts_ends_what_is_past_its_time_also_from_earlier_days(prices, trader, store):
    now = clock.now()
    with clock.at(now):
        late = [
            place_limit(trader, side, "0.1", "100", expires_at=now - ago)
            for ago in reversed(MOMENTS.values())
            for side in Side
        ]
        waits = place_limit(trader, Side.BUY, "0.1", "100", expires_at=now + timedelta(minutes=1))
        cash = books_of(store, trader).balance["current_balance"]
        done = Worker(FixedPrices(BTC="100"), is_stopping=lambda: False).run_round()
    assert (done.filled, done.expired, done.lost, done.failed) == (1, len(late), 0, 0), "past its time: not filled"
    assert {status_of(order) for order in late} == {"EXPIRED"} and status_of(waits) == "COMPLETED"
    balance = books_of(store, trader).balance
    assert (balance["reserved_cash"], Decimal(balance["current_balance"])) == ("0.00", Decimal(cash) + 50)


def test_a_worker_that_runs_ends_what_is_past_its_time(worker, trader):
    end = clock.now() + timedelta(minutes=1)
    soon = place_limit(trader, Side.SELL, "1", "100", expires_at=end)
    assert done_of(worker) == (0, 0, 0, 0)
    with clock.at(end):
        assert done_of(worker) == (0, 1, 0, 0)
        assert status_of(soon) == "EXPIRED"
        assert done_of(worker) == (0, 0, 0, 0)


def test_the_last_moment_of_yesterday_is_ended_by_a_worker_that_ran_yesterday(trader):
    """A worker looks at the day of its last round again: orders end until its last microsecond."""
    end, moment = clock.end_of(NOON.date()), timedelta(microseconds=1)
    with clock.at(end - moment):
        order = place_limit(trader, Side.BUY, "1", "100", expires_at=end)
        new_worker = Worker(FixedPrices())
        assert done_of(new_worker) == (0, 0, 0, 0)
    with clock.at(end + moment):
        assert done_of(new_worker) == (0, 1, 0, 0) and status_of(order) == "EXPIRED"


@pytest.mark.parametrize("unfit", ["stale", "inactive", "unknown"])
def test_no_fill_without_a_good_price(worker, prices, trader, unfit):
    asset_id = {"inactive": "MATIC"}.get(unfit, "BTC")
    order = place_limit(trader, Side.BUY, "1", "100", asset_id=asset_id)
    if unfit != "unknown":
        prices.set(asset_id, "50")
    if unfit == "stale":
        prices.stale.add(asset_id)
    assert done_of(worker) == (0, 0, 0, 0)
    assert status_of(order) == "PENDING"


def test_a_price_is_not_kept_to_for_long(worker, prices, trader, monkeypatch):
    """Where many orders are to be filled time passes: the others wait for the next round, and its price."""
    placed = [place_limit(trader, Side.BUY, "1", limit) for limit in ("120", "110", "100")]
    now = clock.now()
    later = now + timedelta(seconds=11)
    prices.set("BTC", "100")
    with clock.at(now), ExitStack() as moments, monkeypatch.context() as patch:

        def is_stopping() -> bool:
            if status_of(placed[0]) == "COMPLETED":
                moments.enter_context(clock.at(later))
            return False

        patch.setattr(worker, "_is_stopping", is_stopping)
        assert done_of(worker) == (2, 0, 0, 0)
    prices.set("BTC", "95")
    assert done_of(worker) == (1, 0, 0, 0)
    assert [get_order(trader, order.order_id).order_price for order in placed] == [100, 100, 95]


def test_an_order_whose_time_ends_during_a_round_is_not_filled(worker, prices, trader, monkeypatch):
    order = place_limit(trader, Side.BUY, "1", "100", expires_at=clock.now() + timedelta(seconds=30))
    prices.set("BTC", "100")
    later, quote = clock.now() + timedelta(seconds=31), prices.quote
    with ExitStack() as moments:
        monkeypatch.setattr(prices, "quote", lambda asset: moments.enter_context(clock.at(later)) or quote(asset))
        assert done_of(worker) == (0, 0, 0, 0)
        assert done_of(worker) == (0, 1, 0, 0)
    assert status_of(order) == "EXPIRED"


def test_an_order_whose_time_ends_before_it_is_written_is_not_filled(worker, prices, trader, monkeypatch):
    """The price came in time, the write would not. Nobody took the order: the worker goes on with the others."""
    now = clock.now()
    late = [place_limit(trader, Side.BUY, "1", "110", expires_at=now + timedelta(seconds=5)) for _ in range(2)]
    waits = place_limit(trader, Side.BUY, "1", "100", expires_at=now + timedelta(seconds=9))
    prices.set("BTC", "100")
    with clock.at(now), ExitStack() as moments, monkeypatch.context() as patch:
        quote = prices.quote

        def slow_store() -> bool:
            if prices.quote is not quote:
                moments.enter_context(clock.at(now + timedelta(seconds=6)))
            return False

        def quoted(asset_id: str) -> Any:
            prices.quote = quote_again
            return quote(asset_id)

        quote_again = lambda asset_id: quote(asset_id)  # noqa: E731
        patch.setattr(prices, "quote", quoted, raising=False)
        patch.setattr(worker, "_is_stopping", slow_store)
        assert done_of(worker) == (1, 0, 0, 0)
    assert [status_of(order) for order in (*late, waits)] == ["PENDING", "PENDING", "COMPLETED"]


def write_order(username: str, **more: Any) -> Order:
    """An open order to buy that nobody placed: nothing is reserved for it."""
    now = clock.now()
    order_id = new_order_id(now)
    end = now + timedelta(days=1)
    fields = {
        "order_id": order_id,
        "username": username,
        "asset_id": "BTC",
        "order_type": "BUY",
        "price_type": PriceType.LIMIT.value,
        "quantity": Decimal(1),
        "order_price": Decimal(500),
        "total_amount": Decimal(500),
        "limit_price": Decimal(500),
        "reserved_amount": Decimal(500),
        "status": OrderStatus.PENDING.value,
        "open_owner": username,
        "open_book": open_book("BTC", Side.BUY),
        "expires_at": end,
        "expiry_day": end.date().isoformat(),
        "created_at": now,
        "updated_at": now,
        **more,
    }
    order = Order(*Order.key(order_id), **fields)
    order.save()
    return order


@pytest.fixture
def damaged() -> Iterator[Order]:
    """An open order with the best limit of all, whose owner has no balance."""
    order = write_order("nobody")
    yield order
    order.delete()


def test_an_order_that_fails_does_not_stop_the_others(worker, prices, trader, damaged, caplog):
    expire = place_limit(trader, Side.BUY, "1", "100", expires_at=clock.now() - timedelta(seconds=1))
    fill = place_limit(trader, Side.BUY, "1", "100")
    prices.set("BTC", "90")
    assert done_of(worker) == (1, 1, 0, 1)
    assert (status_of(fill), status_of(expire), status_of(damaged)) == ("COMPLETED", "EXPIRED", "PENDING")
    assert done_of(worker) == (0, 0, 0, 1), "it is tried again in each round"
    assert any(record.exc_info for record in caplog.records), "why it failed is in the log"


def test_an_order_that_cannot_be_read_does_not_stop_the_others(worker, prices, trader, damaged, store):
    store.update_item(
        TableName=TABLES["orders"],
        Key={"PK": {"S": damaged.order_id}, "SK": {"S": "ORDER"}},
        UpdateExpression="SET quantity = :q",
        ExpressionAttributeValues={":q": {"S": "many"}},
    )
    order = place_limit(trader, Side.BUY, "1", "100")
    prices.set("BTC", "90")
    worker.run_round()
    assert status_of(order) == "COMPLETED"


def test_an_order_of_an_earlier_day_that_failed_is_tried_again(worker, store):
    """As it would be with a store that was busy in the first round after midnight."""
    ended = clock.now() - timedelta(days=2)
    order = write_order("nobody", expires_at=ended, expiry_day=ended.date().isoformat())
    try:
        new_worker = Worker(FixedPrices())
        assert done_of(new_worker) == (0, 0, 0, 1)
        assert done_of(new_worker) == (0, 0, 0, 1)
    finally:
        order.delete()


def test_a_worker_that_slept_for_days_ends_what_ended_meanwhile(prices, trader):
    """As the process of a laptop does over a weekend: it is the same worker afterwards."""
    now = clock.now()
    order = place_limit(trader, Side.BUY, "1", "100", expires_at=now + timedelta(days=2))
    new_worker = Worker(prices)
    assert done_of(new_worker) == (0, 0, 0, 0)
    with clock.at(now + timedelta(days=5)):
        assert done_of(new_worker) == (0, 1, 0, 0)
    assert status_of(order) == "EXPIRED"


JUMPS = {
    "ten days ahead": NOON + timedelta(days=10),
    "years ahead": NOON + timedelta(days=3000),
    "ten days back": NOON - timedelta(days=10),
    "1970": datetime(1970, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
def test_a_clock_that_was_wrong_for_a_round_leaves_no_order_open(trader, jump):
    new_worker = Worker(FixedPrices())
    for moment in (NOON, jump, NOON):
        with clock.at(moment), metered() as meter:
            new_worker.run_round()
        assert meter.calls <= 101, "a query for each day on which an order may end, and not for all that passed"
    with clock.at(NOON):
        order = place_limit(trader, Side.BUY, "1", "100", expires_at=NOON + timedelta(days=1))
    with clock.at(NOON + timedelta(days=3)):
        assert done_of(new_worker) == (0, 1, 0, 0) and status_of(order) == "EXPIRED"


def test_a_worker_that_starts_with_a_wrong_clock_asks_for_no_more_days(trader):
    with clock.at(JUMPS["1970"]):
        new_worker = Worker(FixedPrices())
        new_worker.run_round()
    with clock.at(NOON), metered() as meter:
        new_worker.run_round()
    assert meter.calls <= 101


def test_an_order_that_was_passed_over_is_ended_within_half_an_hour(trader):
    """Whatever the reason: all earlier days are looked at again."""
    new_worker = Worker(FixedPrices())
    with clock.at(NOON):
        new_worker.run_round()
        order = place_limit(trader, Side.BUY, "1", "100", expires_at=NOON - timedelta(days=50))
    with clock.at(NOON + timedelta(minutes=29)):
        assert done_of(new_worker) == (0, 0, 0, 0)
    with clock.at(NOON + timedelta(minutes=30)):
        assert done_of(new_worker) == (0, 1, 0, 0) and status_of(order) == "EXPIRED"


def test_an_order_that_shows_in_its_index_after_midnight_is_ended(trader):
    """An index shows what was written a moment later: maybe only when its day is over, and was looked at."""
    midnight = clock.start_of((clock.now() + timedelta(days=1)).date())
    new_worker = Worker(FixedPrices())
    with clock.at(midnight + timedelta(seconds=1)):
        new_worker.run_round()
        order = place_limit(trader, Side.BUY, "1", "100", expires_at=midnight - timedelta(seconds=1))
        new_worker.run_round()
    assert status_of(order) == "EXPIRED"


def test_the_order_of_someone_suspended_is_filled_and_ended_like_any_other(worker, prices, trader, store):
    """It was placed while the account was good, and its end gives back what it holds."""
    expire = place_limit(trader, Side.SELL, "1", "500", expires_at=clock.now() - timedelta(seconds=1))
    fill = place_limit(trader, Side.BUY, "1", "100")
    set_status(trader, UserStatus.SUSPENDED, now=clock.now())
    prices.set("BTC", "100")
    assert done_of(worker) == (1, 1, 0, 0)
    assert (status_of(fill), status_of(expire)) == ("COMPLETED", "EXPIRED")


def test_an_order_that_someone_else_ended_is_lost_and_costs_nothing_more(worker, prices, trader):
    """The index may lag: what it shows as open may have ended."""
    order = place_limit(trader, Side.BUY, "1", "100")
    order_changes.cancel_order(trader, order.order_id)
    order.status, order.updated_at = "PENDING", clock.now()
    with pytest.raises(Exception, match="can no longer change"):
        order_changes.fill_order(order, Decimal(100))
    assert status_of(order) == "CANCELLED"


@pytest.mark.parametrize("orders", [0, 1, 3])
def test_stopping_is_asked_before_each_order(trader, orders):
    now = clock.now()
    ended = now - timedelta(days=99)  # one of the first days that a new worker looks at
    placed = [place_limit(trader, Side.BUY, "1", "100", expires_at=ended) for _ in range(4)]

    def enough() -> bool:
        return [status_of(order) for order in placed].count("EXPIRED") >= orders

    with clock.at(now):
        assert done_of(Worker(FixedPrices(), is_stopping=enough)) == (0, orders, 0, 0)


def test_stopping_is_asked_before_each_query(trader):
    filled = place_limit(trader, Side.BUY, "1", "100")
    stopping = Worker(FixedPrices(BTC="100"), is_stopping=lambda: status_of(filled) == "COMPLETED")
    with metered() as meter:
        assert done_of(stopping) == (1, 0, 0, 0)
    assert "Query" not in meter.operations[meter.operations.index("TransactWriteItems") :]


@pytest.fixture
def noon_worker(prices: FixedPrices) -> Worker:
    """A worker in its second round at NOON: until one o'clock it would look at yesterday too."""
    with clock.at(NOON):
        worker = Worker(prices)
        worker.run_round()
    return worker


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


Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def command(endpoint: str) -> Iterator[Command]:
    """`flask --app wsgi orders run`, as an operator starts it, on these tables and the simulated market."""
    settings = {
        **os.environ,
        "DYNAMODB_ENDPOINT": endpoint,
        "SECRET_KEY": "a secret for tests only",
        "AWS_REGION": "us-east-1",
        "USERS_TABLE": TABLES["users"],
        "ORDERS_TABLE": TABLES["orders"],
    }
    started: list[subprocess.Popen[str]] = []

    def start(**more: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", "orders", "run"],
                cwd=ROOT,
                env=settings | more,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


# The simulated BTC is always below 100,000 and above 1,000.
def test_one_round_as_a_command(app, trader):
    late = place_limit(trader, Side.BUY, "0.01", "1", expires_at=clock.now() - timedelta(days=3))
    fills = place_limit(trader, Side.BUY, "0.01", "100000"), place_limit(trader, Side.SELL, "1", "1")
    waits = place_limit(trader, Side.BUY, "0.01", "1"), place_limit(trader, Side.SELL, "1", "100000")
    result = app.test_cli_runner().invoke(args=["orders", "run", "--once"])
    output = result.output
    assert result.exit_code == 0, output
    assert re.search(r"filled\D*2\D", output) and re.search(r"expired\D*1\D", output), output
    assert [status_of(order) for order in (*fills, late, *waits)] == [
        "COMPLETED",
        "COMPLETED",
        "EXPIRED",
        "PENDING",
        "PENDING",
    ]


def test_sigterm_stops_also_in_the_middle_of_a_round(command, trader, store):
    """What it has begun it finishes; the rest waits for the next worker."""
    for _ in range(60):
        place_limit(trader, Side.BUY, "0.0001", "100000")
    process = command()
    wait_until(lambda: reserved(store, trader) < 600, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert 0 < reserved(store, trader) < 600, "stopped before the round began, or after it ended"


def test_ctrl_c_stops_a_worker_that_sleeps(command, trader):
    order = place_limit(trader, Side.BUY, "0.001", "100000")
    process = command()
    wait_until(lambda: status_of(order) == "COMPLETED", process)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_mail_server_that_hangs_holds_up_no_order(command, trader, endpoint):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.settimeout(60)
        mail = {
            "SMTP_URL": f"smtp://127.0.0.1:{silent.getsockname()[1]}",
            "MAIL_FROM": "orders@shop.example",
            "SITE_URL": "https://orders.example",
        }
        with make_app(endpoint, **TABLES, mail=MailSettings(folder="nowhere")).app_context():
            batch = Batch()
            queue_mail(
                batch, MailKind.PASSWORD_CHANGED, username=trader, to="ann@example.com", values={}, now=clock.now()
            )
            batch.commit()
        process = command(**mail)
        waiting, _ = silent.accept()
        with closing(waiting):
            order = place_limit(trader, Side.BUY, "0.001", "100000")
            wait_until(lambda: status_of(order) == "COMPLETED", process)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output


def reserved(store: Any, username: str) -> Decimal:
    item = store.get_item(
        TableName=TABLES["users"], Key={"PK": {"S": username}, "SK": {"S": "BALANCE"}}, ConsistentRead=True
    )["Item"]
    return Decimal(item["reserved_cash"]["S"])


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
