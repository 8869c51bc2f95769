"""Two people, or programs, at one account at the same moment: real threads on the embedded engine.

RACE_ROUNDS says how many rounds each race has (`make prove`: 1,000), and ORDER_RACES how many those at one order have:
of its changes, its trigger and its ends (10,000). After each round the books balance, each order has one end, and what
it reserved was spent or given back to the cent.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.errors import Busy, InsufficientFunds, InsufficientHolding, OrderNotPending, ProductError
from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.domain.orders import NewOrder, NewTerms, PriceType, Side
from app.models import order_changes
from app.models.balance_changes import post_transaction
from app.models.order_changes import NotDue
from app.models.orders import Order
from app.services.worker import Round, Worker
from tests.support.accounts import open_trader, place_limit, place_stop
from tests.support.applications import make_app, tables_named
from tests.support.books import Books, check_books, money
from tests.support.prices import FixedPrices

ROUNDS = int(os.environ.get("RACE_ROUNDS", "10"))
ORDER_RACES = int(os.environ.get("ORDER_RACES", ROUNDS))
ROUNDS_PER_TRADER = 5  # few, as the books of every order are read again after each round
TABLES = tables_named("race")
ENDED = {"COMPLETED", "CANCELLED", "EXPIRED"}

Action = Callable[[], Any]


@dataclass
class Arena:
    """An application whose tables are for races alone, threads, and what came out so far."""

    app: Flask
    store: Any
    pool: ThreadPoolExecutor
    random: random.Random
    outcomes: Counter[str] = field(default_factory=Counter)
    rounds: int = ROUNDS

    def run_at_once(self, *actions: Action, spread_seconds: float = 0.003) -> list[Any]:
        """Start all at the same moment, or within `spread_seconds`; a product error is a result."""
        barrier = Barrier(len(actions))
        delays = [self.random.choice([0, self.random.uniform(0, spread_seconds)]) for _ in actions]

        def run(action: Action, delay: float) -> Any:
            with self.app.app_context():
                barrier.wait()
                time.sleep(delay)
                try:
                    return action()
                except (ProductError, NotDue) as error:
                    return error

        return list(self.pool.map(run, actions, delays))

    def books(self, username: str) -> Books:
        """The account's books, which must balance; what ended orders reserved is spent or given back."""
        books = check_books(self.store, username, **TABLES)
        for order in books.orders:
            if order["status"] in ENDED and "reserved_amount" in order:
                check_settled(books, order)
        return books


def check_settled(books: Books, order: dict[str, str]) -> None:
    """Refunds + fill = what was paid; and the last refund + fill = the reserve."""
    moved = [row for row in books.transactions if row.get("order_id") == order["order_id"]]
    paid = [money(row["amount"]) for row in moved if row["transaction_type"] == "ORDER_PAYMENT"]
    refunds = [money(row["amount"]) for row in moved if row["transaction_type"] == "ORDER_REFUND"]
    spent = [money(row["total_amount"]) for row in books.trades if row["order_id"] == order["order_id"]]
    assert len(spent) == (order["status"] == "COMPLETED"), order
    assert sum(refunds) + sum(spent) == sum(paid), order
    last = [money(row["amount"]) for row in moved if row["description"] in RETURNED_AT_THE_END]
    assert len(last) <= 1 and sum(last) + sum(spent) == money(order["reserved_amount"]), order


RETURNED_AT_THE_END = {"Returned: bought below the limit", "Returned: cancelled", "Returned: expired"}


def name_of(result: Any) -> str:
    if isinstance(result, Exception):
        return type(result).__name__
    item = getattr(result, "item", result)
    return str(item.status)


@pytest.fixture(scope="module")
def app(endpoint: str) -> Flask:
    return make_app(endpoint, **TABLES)


@pytest.fixture
def arena(app: Flask, store: Any, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Arena]:
    caplog.set_level(logging.WARNING, "app.services.worker")
    with ThreadPoolExecutor(4) as pool, app.app_context():
        arena = Arena(app, store, pool, random.Random(4))
        yield arena
    print(
        f"{request.node.name}: {arena.rounds} rounds,",
        ", ".join(f"{count} {name}" for name, count in sorted(arena.outcomes.items())),
    )


def waiting_order(arena: Arena, username: str) -> tuple[Order, Decimal]:
    """An open order, to buy or to sell, and a price that fills it, at its limit or better."""
    side = arena.random.choice(list(Side))
    quantity, limit = f"{arena.random.randint(1, 9)}.00000001", f"{arena.random.randint(100, 999)}.07"
    order = place_limit(username, side, quantity, limit)
    better = arena.random.choice([Decimal(1), Decimal("0.77")])
    return order, (Decimal(limit) * better if side is Side.BUY else Decimal(limit) / better).quantize(Decimal("0.01"))


# Each worker and each request reads the order for itself, hence the copies.
ENDINGS: dict[str, Callable[[Order, Decimal], Any]] = {
    "cancel": lambda order, price: order_changes.cancel_order(order.username, order.order_id),
    "fill": lambda order, price: order_changes.fill_order(Order.get(*Order.key(order.order_id)), price),
    "expire": lambda order, price: order_changes.expire_order(Order.get(*Order.key(order.order_id))),
}
STATUS = {"cancel": "CANCELLED", "fill": "COMPLETED", "expire": "EXPIRED"}


@pytest.mark.parametrize(
    "pair",
    [("cancel", "fill"), ("cancel", "cancel"), ("expire", "fill"), ("cancel", "expire"), ("fill", "fill")],
    ids=" against ".join,
)
def test_two_ends_of_one_order(arena, pair):
    """Exactly one of the two ends it; the other one is told that it has ended."""
    arena.rounds = ORDER_RACES
    for number in range(ORDER_RACES):
        if number % ROUNDS_PER_TRADER == 0:
            username = open_trader("200000", BTC="100")
        order, price = waiting_order(arena, username)
        results = arena.run_at_once(*(lambda end=end: ENDINGS[end](order, price) for end in pair))
        arena.outcomes.update(f"{end} {name_of(result)}" for end, result in zip(pair, results, strict=True))
        lost = [result for result in results if isinstance(result, Exception)]
        assert [type(error) for error in lost] == [OrderNotPending], results
        [winner] = [end for end, result in zip(pair, results, strict=True) if result not in lost]
        [stored] = [row for row in arena.books(order.username).orders if row["order_id"] == order.order_id]
        assert stored["status"] == STATUS[winner]
        assert "open_book" not in stored and "expiry_day" not in stored


def waiting_stop(arena: Arena, username: str) -> tuple[Order, Decimal]:
    """An open stop-limit order, and a price that reaches its stop and is as good as its limit."""
    side, quantity = arena.random.choice(list(Side)), f"{arena.random.randint(1, 9)}.00000001"
    order = place_stop(username, side, quantity, "100.07", limit="110.07" if side is Side.BUY else "90.07")
    return order, Decimal("105.01" if side is Side.BUY else "95.01")


def trigger(order: Order) -> Order:
    return order_changes.trigger_order(Order.get(*Order.key(order.order_id)))


@pytest.mark.parametrize("end", ENDINGS)
def test_a_trigger_against_an_end(arena, end):
    """The order ends in any case. It says that it was triggered if, and only if, the trigger came first."""
    arena.rounds = ORDER_RACES
    for number in range(ORDER_RACES):
        if number % ROUNDS_PER_TRADER == 0:
            username = open_trader("200000", BTC="100")
        order, price = waiting_stop(arena, username)
        triggered, ended = arena.run_at_once(lambda: trigger(order), lambda: ENDINGS[end](order, price))
        came_first = not isinstance(triggered, Exception)
        arena.outcomes[f"trigger {'before' if came_first else 'after'} {end}"] += 1
        assert name_of(ended) == STATUS[end] and (came_first or isinstance(triggered, OrderNotPending)), triggered
        [stored] = [row for row in arena.books(order.username).orders if row["order_id"] == order.order_id]
        assert stored["status"] == STATUS[end] and "open_book" not in stored
        told = stored.get("triggered_at")
        if came_first:
            assert told == clock.to_text(triggered.triggered_at) < stored["updated_at"]
        else:
            assert told == stored.get("executed_at")


def test_a_trigger_against_a_trigger(arena):
    """One of two workers triggers it."""
    arena.rounds = ORDER_RACES
    for number in range(ORDER_RACES):
        if number % ROUNDS_PER_TRADER == 0:
            username = open_trader("200000", BTC="100")
        order, price = waiting_stop(arena, username)
        results = arena.run_at_once(lambda: trigger(order), lambda: trigger(order))
        arena.outcomes.update(map(name_of, results))
        [won] = [result for result in results if not isinstance(result, Exception)]
        [stored] = [row for row in arena.books(username).orders if row["order_id"] == order.order_id]
        assert stored["triggered_at"] == clock.to_text(won.triggered_at)
        filled = order_changes.fill_order(order, price)  # from an old copy
        assert (name_of(filled), filled.triggered_at) == ("COMPLETED", won.triggered_at)
        assert arena.books(username).balance["reserved_cash"] == "0.00"


def change_of(order: Order, choose: random.Random) -> Action:
    """Its owner gives an order another limit or another quantity, or both."""
    limit, quantity = (order.limit_price, order.quantity)
    wanted = NewTerms(
        limit_price=choose.choice([None, limit * Decimal("0.9"), limit * Decimal("1.1"), limit + 1]),
        quantity=choose.choice([quantity * 2, quantity / 2, quantity + 1]).quantize(Decimal("0.00000001")),
    )
    return lambda: order_changes.change_order(order.username, order.order_id, wanted)


def test_changes_against_ends(arena):
    """An order has one end at most, whatever its owner makes of it meanwhile, at no worse price than its last limit.

    The worker has the copy that an index showed before.
    """
    arena.rounds = ORDER_RACES
    for number in range(ORDER_RACES):
        if number % ROUNDS_PER_TRADER == 0:
            username = open_trader("200000", BTC="500")
        order, price = waiting_order(arena, username)
        ends = {
            "cancel": lambda: order_changes.cancel_order(order.username, order.order_id),
            "fill": lambda: order_changes.fill_order(order, price),
            "expire": lambda: order_changes.expire_order(order),
        }
        names = arena.random.choice([("fill",), ("fill", "cancel"), ("fill", "expire"), ("cancel",), ("expire",)])
        changes = [change_of(order, arena.random) for _ in range(4 - len(names) if number % 2 else 1)]
        results = arena.run_at_once(*(ends[name] for name in names), *changes, spread_seconds=0.006)
        outcomes = [*names, *["change"] * len(changes)]
        arena.outcomes.update(f"{end} {name_of(result)}" for end, result in zip(outcomes, results, strict=True))
        done = [end for end, result in zip(names, results, strict=False) if not isinstance(result, Exception)]
        refused = {type(result) for result in results if isinstance(result, Exception)}
        assert len(done) <= 1 and refused <= {OrderNotPending, NotDue, Busy}, results
        books = arena.books(username)
        [stored] = [row for row in books.orders if row["order_id"] == order.order_id]
        assert stored["status"] == (STATUS[done[0]] if done else "PENDING")
        # A change that finds the order as it wants it makes no revision.
        made = [each for each in results[len(names) :] if not isinstance(each, Exception)]
        assert {each.item.revision_number for each in made} == {*range(2, int(stored["revision"]) + 1)}
        if stored["status"] == "COMPLETED":
            paid, worst = Decimal(stored["order_price"]), Decimal(stored["limit_price"])
            assert paid <= worst if order.side is Side.BUY else paid >= worst, stored
        elif not done:
            order_changes.cancel_order(username, order.order_id)
        if number % ROUNDS_PER_TRADER == ROUNDS_PER_TRADER - 1:
            assert arena.books(username).balance["reserved_cash"] == "0.00"


def test_two_workers(arena):
    """Each order is filled or ended once, by whichever comes first."""
    prices = FixedPrices(BTC="100")
    workers = [Worker(prices), Worker(prices)]
    for worker in workers:
        worker.run_round()  # looks at earlier days too, once
    for _ in range(ROUNDS):
        username = open_trader("10000", BTC="10")
        due = [
            place_limit(username, Side.BUY, "4", "100", expires_at=clock.now() - timedelta(seconds=1)),
            place_limit(username, Side.BUY, "1", "100"),
            place_limit(username, Side.BUY, "2", "130"),
            place_limit(username, Side.SELL, "3", "99.99"),
        ]
        waits = [place_limit(username, Side.BUY, "5", "99.99"), place_limit(username, Side.SELL, "6", "100.01")]
        rounds = arena.run_at_once(*(worker.run_round for worker in workers))
        if any(done.failed or done.lost for done in rounds):  # what was left to the other, or lost every race
            rounds.append(workers[0].run_round())
        total = {name: sum(getattr(done, name) for done in rounds) for name in ("filled", "expired", "lost", "failed")}
        arena.outcomes.update(total)
        arena.outcomes["rounds in which both workers filled"] += all(done.filled for done in rounds[:2])
        assert (total["filled"], total["expired"]) == (3, 1), rounds
        books = arena.books(username)
        status = {row["order_id"]: row["status"] for row in books.orders}
        assert [status[order.order_id] for order in due] == ["EXPIRED"] + ["COMPLETED"] * 3
        for order in waits:
            assert status[order.order_id] == "PENDING"
            order_changes.cancel_order(username, order.order_id)
        assert arena.books(username).balance["reserved_cash"] == "0.00"


@pytest.mark.parametrize("shards", [1, 4], ids="{} shards".format)
def test_eight_workers(endpoint, store, shards, caplog):
    """They divide what is due without asking each other: nothing is left, and nothing is done twice."""
    caplog.set_level(logging.WARNING, "app.services.worker")
    tables = tables_named(f"eight_{shards}")
    app = make_app(endpoint, key_shards=shards, **tables)
    with app.app_context():
        traders = [open_trader("10000", BTC="10") for _ in range(4)]
        past = clock.now() - timedelta(days=2)
        late = [place_limit(name, side, "1", "100", expires_at=past) for name in traders for side in Side]
        due = [place_limit(name, side, "1", "100") for name in traders for side in Side for _ in range(3)]
    barrier, rounds = Barrier(8), []

    def work() -> None:
        with app.app_context():
            worker = Worker(FixedPrices(BTC="100"))
            barrier.wait()
            while (done := worker.run_round()) != Round():
                rounds.append(done)

    with ThreadPoolExecutor(8) as pool:
        for result in [pool.submit(work) for _ in range(8)]:
            result.result()
    total = {name: sum(getattr(done, name) for done in rounds) for name in ("filled", "expired", "failed")}
    assert total == {"filled": len(due), "expired": len(late), "failed": 0}
    for name in traders:
        books = check_books(store, name, **tables)
        assert Counter(row["status"] for row in books.orders if row["price_type"] == "LIMIT") == {
            "COMPLETED": 6,
            "EXPIRED": 2,
        }
        assert books.balance["reserved_cash"] == "0.00" and len(books.trades) == 7


def test_withdraw_against_fill(arena):
    """The refund of a fill can be withdrawn once it is there, and not before."""
    for _ in range(ROUNDS):
        username = open_trader("100")
        order = place_limit(username, Side.BUY, "0.5", "100")
        asked = Decimal(arena.random.choice(["50", "60"]))
        fill, withdrawal = arena.run_at_once(
            lambda: order_changes.fill_order(order, Decimal(80)),
            lambda: post_transaction(username, TransactionType.WITHDRAW, asked),
            spread_seconds=0.02,
        )
        arena.outcomes[f"withdraw {asked} {name_of(withdrawal)}"] += 1
        assert name_of(fill) == "COMPLETED"
        if asked == 50 or not isinstance(withdrawal, Exception):
            assert name_of(withdrawal) == "COMPLETED"
        else:
            assert isinstance(withdrawal, InsufficientFunds)
        left = Decimal(60) - (0 if isinstance(withdrawal, Exception) else asked)
        assert Decimal(arena.books(username).balance["current_balance"]) == left


@pytest.mark.parametrize("side", list(Side))
def test_place_against_place_with_enough_for_one(arena, side):
    for _ in range(ROUNDS):
        username = open_trader("100") if side is Side.BUY else open_trader(BTC="1")
        results = arena.run_at_once(*(lambda: place_limit(username, side, "1", "100") for _ in range(2)))
        arena.outcomes.update(map(name_of, results))
        refusal = InsufficientFunds if side is Side.BUY else InsufficientHolding
        assert sorted(map(name_of, results)) == sorted([refusal.__name__, "PENDING"])
        books = arena.books(username)
        assert [row["status"] for row in books.orders if row["price_type"] == "LIMIT"] == ["PENDING"]
        assert books.balance["reserved_cash"] == ("100.00" if side is Side.BUY else "0.00")


def test_the_same_keyed_order_twice(arena):
    """One order; the other request answers with it."""
    order = NewOrder(Side.BUY, PriceType.LIMIT, "BTC", Decimal(1), Decimal(40), clock.now() + timedelta(days=1))
    for _ in range(ROUNDS):
        username = open_trader("100")
        first, second = arena.run_at_once(
            *(
                lambda: order_changes.place_order(
                    username, order, lambda: Decimal(90), idempotency=identify("k", "place")
                )
                for _ in range(2)
            )
        )
        assert {first.is_replay, second.is_replay} == {False, True}
        assert first.item.order_id == second.item.order_id
        arena.outcomes["first won" if second.is_replay else "second won"] += 1
        books = arena.books(username)
        assert len(books.orders) == len(books.claims) == 1 and books.balance["reserved_cash"] == "40.00"


def test_many_at_one_account(arena):
    """Orders are placed, cancelled and filled while cash goes in and out: only documented errors."""
    for _ in range(max(1, ROUNDS // 4)):
        username = open_trader("1000", BTC="10")
        orders = [place_limit(username, side, "1", "100") for side in Side for _ in range(2)]
        results = arena.run_at_once(
            lambda: [attempt(lambda: order_changes.fill_order(order, Decimal(100))) for order in orders],
            lambda: [
                attempt(lambda: order_changes.cancel_order(username, order.order_id)) for order in reversed(orders)
            ],
            lambda: [attempt(lambda: place_limit(username, Side.BUY, "1", "150")) for _ in range(3)],
            lambda: [
                attempt(lambda: post_transaction(username, TransactionType.WITHDRAW, Decimal(90))) for _ in range(3)
            ],
        )
        arena.outcomes.update(name_of(result) for each in results for result in each)
        arena.books(username)


def attempt(action: Action) -> Any:
    try:
        return action()
    except (OrderNotPending, Busy, InsufficientFunds) as error:
        return error
