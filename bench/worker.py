"""What the worker of limit orders costs and does in a second, on an engine of its own in memory.

    python -m bench.worker [--open 10000] [--fills 2000]

Prints the calls and units of a round in which nothing is filled with few and with many open orders, and the fills
per second of one and of two workers, as a ratio to filling the same orders one by one without a worker.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import time
from datetime import timedelta
from decimal import Decimal

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.orders import Direction, Side
from app.models import order_changes
from app.models.orders import Order, iterate_reached_orders, open_books
from app.services.worker import Worker
from tests.support.accounts import open_trader, place_limit, unplaced_order
from tests.support.applications import make_app
from tests.support.engine import engine
from tests.support.prices import FixedPrices
from tests.support.usage import metered

os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")

TRADERS = 100
PRICE = Decimal(100)


def write_open_orders(number: int, price: Decimal) -> None:
    """Open orders that this price does not reach, half to buy and half to sell; nobody owns them."""
    now = clock.now()
    with Order.batch_write() as batch:
        for index in range(number):
            side = Side.BUY if index % 2 else Side.SELL
            limit = price - 1 - index if side is Side.BUY else price + 1 + index
            batch.save(unplaced_order(side, limit, now + timedelta(days=1 + index % 89)))


def measure_rounds(few: int, many: int) -> None:
    price = Decimal(100_000_000)
    prices = FixedPrices(**{asset.asset_id: "1000" for asset in CATALOGUE.values()} | {"BTC": str(price)})
    worker = Worker(prices)
    with metered() as meter:
        worker.run_round()
    print(f"first round of a worker (looks at earlier days too): {meter.calls} calls, {meter.read_units} read units")
    open_orders = 0
    for number in (few, many):
        write_open_orders(number - open_orders, price)
        open_orders = number
        for what in ("new", "the same"):
            with metered() as meter:
                started = time.perf_counter()
                done = worker.run_round()
                seconds = time.perf_counter() - started
            assert not (done.filled or done.expired or done.failed)
            print(
                f"round with {number:6} open orders, {what} prices: {meter.calls} calls, {meter.read_units} read "
                f"units, {meter.write_units} write units, {seconds * 1000:.1f} ms"
            )
    orders = list(Order.scan())
    with Order.batch_write() as batch:
        for order in orders:
            batch.delete(order)


def place_orders(number: int) -> None:
    """Orders of many traders that PRICE fills, at or below their limit."""
    traders = [open_trader(str(110 * (number // TRADERS + 1))) for _ in range(TRADERS)]
    for index in range(number):
        place_limit(traders[index % TRADERS], Side.BUY, "1", str(100 + index % 10))


def work(endpoint: str, ready: multiprocessing.Barrier) -> None:  # type: ignore[valid-type]
    """One worker process: a round that finds nothing, then, with the others, those that count."""
    logging.getLogger("app.services.worker").setLevel(logging.ERROR)
    app = make_app(endpoint)
    prices = FixedPrices()
    worker = Worker(prices)
    with app.app_context():
        worker.run_round()
        prices.prices["BTC"] = PRICE
        ready.wait()
        ready.wait()
        rounds = [worker.run_round()]
        while rounds[-1].filled or rounds[-1].lost:  # a round ends when its price has grown old
            rounds.append(worker.run_round())
        ready.wait()
        print(
            "    "
            + ", ".join(
                f"{name} {sum(getattr(done, name) for done in rounds)}" for name in ("filled", "lost", "failed")
            )
        )


def fills_per_second(endpoint: str, workers: int, number: int) -> float:
    place_orders(number)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    processes = [context.Process(target=work, args=(endpoint, barrier)) for _ in range(workers)]
    for process in processes:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    barrier.wait()
    barrier.wait()
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    assert not list(iterate_reached_orders(*open_books("BTC", Direction.DOWN), Direction.DOWN, PRICE))
    return number / seconds


def plain_fills_per_second(number: int) -> float:
    place_orders(number)
    orders = list(iterate_reached_orders(*open_books("BTC", Direction.DOWN), Direction.DOWN, PRICE))
    started = time.perf_counter()
    for order in orders:
        order_changes.fill_order(order, PRICE)
    return len(orders) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=10_000, help="open orders in the large round (%(default)s)")
    parser.add_argument("--fills", type=int, default=2_000, help="orders to fill each way (%(default)s)")
    arguments = parser.parse_args()
    with engine() as endpoint, make_app(endpoint).app_context():
        measure_rounds(10, arguments.open)
        plain = plain_fills_per_second(arguments.fills)
        print(f"one by one, without a worker: {plain:.0f} fills/s")
        for workers in (1, 2):
            rate = fills_per_second(endpoint, workers, arguments.fills)
            print(f"{workers} worker{'s' if workers > 1 else ''}: {rate:.0f} fills/s, {rate / plain:.2f} x")


if __name__ == "__main__":
    main()
