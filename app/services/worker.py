"""The worker's round: expire the open orders whose end has passed, and fill or trigger those that the market reaches.

Any number of workers may run rounds at once. Only one of them moves an order out of PENDING; the others skip it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple, TypeVar

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.errors import OrderNotPending, PriceUnavailable
from app.domain.orders import Direction, reaches
from app.models import order_changes
from app.models.order_changes import NotDue
from app.models.orders import (
    Order,
    expiry_days,
    find_first_prices,
    iterate_expired_order_ids,
    iterate_reached_orders,
    open_books,
)
from app.prices import PriceSource, get_tradeable_price

# How far back a worker that has just started looks for orders to expire; they live 90 days at most.
LONGEST_ABSENCE = timedelta(days=100)
# An order may show in its index only a while after it was written, and the clocks of two machines differ. So a day is
# looked at for this long after its end.
DAY_SETTLES = timedelta(hours=1)
# All earlier days are looked at this often. It finds what a clock that was wrong for a while made it pass over.
LOOK_BACK_EVERY = timedelta(minutes=30)
# Where many orders wait, a book is asked for its orders this often while its price stands still. What was placed since
# was not reached by that price, but an index may lag, and two processes may see two prices.
BOOKS_REST = timedelta(seconds=10)
# Fills of one asset use one price for no longer than this; the next round asks for a new one.
PRICE_HOLDS = timedelta(seconds=10)
# How many orders a worker that met another one leaves to it, at most.
MAX_SKIPPED = 40

log = logging.getLogger(__name__)
_Row = TypeVar("_Row")


@dataclass
class Round:
    """What one round did: orders that it ended or triggered, that someone else did first (`lost`), and that failed.

    An order that one price triggers and fills counts as filled alone.
    """

    filled: int = 0
    triggered: int = 0
    expired: int = 0
    lost: int = 0
    failed: int = 0
    # How long after its end each of the expired orders was expired.
    lags: list[timedelta] = field(default_factory=list, compare=False)


class _Look(NamedTuple):
    """When a book was last asked whom the price reaches, and the price."""

    price: Decimal
    looked_at: datetime


class Worker:
    """Runs rounds. What it remembers only saves calls: any worker may take over at any moment.

    `is_stopping` is asked before each order and each query.
    """

    def __init__(self, prices: PriceSource, *, is_stopping: Callable[[], bool] = lambda: False) -> None:
        self._prices = prices
        self._is_stopping = is_stopping
        self._looks: dict[str, _Look] = {}
        self._looked_back_at: datetime | None = None
        # Days with an order that failed, or that was left to another worker.
        self._days_left: set[date] = set()

    def run_round(self) -> Round:
        """Expire, fill and trigger what is due.

        For each shard one query for today, and in its first hour one for yesterday; at times one for each earlier day.
        One scan of a few open orders. If these are all, one query for each book with an order that the price reaches;
        if there are more, for each whose price has moved or that was not asked for a while. A book is one shard of one
        asset and direction. One call more for each order that is triggered, two for each that is filled, and three for
        each that expires. The cost follows what is done, not how many orders wait. Raises StoreUnavailable when the
        database does not answer.
        """
        done = Round()
        self._expire_orders(done)
        if self._is_stopping():
            return done
        first_prices = find_first_prices()
        for asset in CATALOGUE.values():
            if asset.is_active and not self._is_stopping():
                self._fill_orders(asset.asset_id, first_prices, done)
        return done

    def _expire_orders(self, done: Round) -> None:
        now = clock.now()
        earlier_days = {now.date() - timedelta(days=ago) for ago in range(LONGEST_ABSENCE.days)}
        looks_back = self._looked_back_at is None or not _is_within(LOOK_BACK_EVERY, self._looked_back_at, now)
        self._days_left &= earlier_days
        days = earlier_days if looks_back else {now.date(), (now - DAY_SETTLES).date()} | self._days_left
        for day in sorted(days):
            if self._is_stopping():
                return
            before = done.failed, done.lost
            for key in _shuffled(expiry_days(day)):
                if self._is_stopping():
                    return
                self._expire_day(key, now, done)
            # Of what was lost to another worker, some more was left to it.
            if (done.failed, done.lost) != before:
                self._days_left.add(day)
            else:
                self._days_left.discard(day)
        if looks_back:
            self._looked_back_at = now

    def _expire_day(self, expiry_day: str, now: datetime, done: Round) -> None:
        for order_id in _shared(iterate_expired_order_ids(expiry_day, now), done):
            if self._is_stopping():
                return
            if order := _attempt(partial(_expire, order_id, now), "expired", done):
                done.expired += 1
                done.lags.append(order.updated_at - order.expires_at)

    def _fill_orders(self, asset_id: str, first_prices: Mapping[str, Decimal] | None, done: Round) -> None:
        try:
            price, priced_at = get_tradeable_price(self._prices, asset_id), clock.now()
        except PriceUnavailable:
            return
        for direction in Direction:
            for book in _shuffled(open_books(asset_id, direction)):
                if self._must_stop(priced_at):
                    return
                if first_prices is None:
                    self._look_into_book(book, direction, price, priced_at, done)
                elif (first := first_prices.get(book)) and reaches(direction, first, price):
                    self._fill_book(book, direction, price, priced_at, done)

    def _look_into_book(
        self, book: str, direction: Direction, price: Decimal, priced_at: datetime, done: Round
    ) -> None:
        """Fill what the price fills, unless the book was asked at this price, and not long ago."""
        before = replace(done)
        look = self._looks.pop(book, None)
        if look is None or look.price != price or not _is_within(BOOKS_REST, look.looked_at, priced_at):
            self._fill_book(book, direction, price, priced_at, done)
            look = _Look(price, priced_at)
        # Where something was to be filled there may be more: the next round asks again.
        if done == before:
            self._looks[book] = look

    def _must_stop(self, priced_at: datetime) -> bool:
        return clock.now() - priced_at > PRICE_HOLDS or self._is_stopping()

    def _fill_book(self, book: str, direction: Direction, price: Decimal, priced_at: datetime, done: Round) -> None:
        for order in _shared(iterate_reached_orders(book, direction, price), done):
            if self._must_stop(priced_at):
                return
            if not order.accepts(price):
                # Its stop is reached, its limit is not.
                trigger = partial(order_changes.trigger_order, order)
                done.triggered += _attempt(trigger, "triggered", done) is not None
            # A stop that would bring nothing now waits, and costs no call: there may be many.
            elif order.is_worth_a_cent_at(price):
                fill = partial(order_changes.fill_order, order, price)
                done.filled += _attempt(fill, "filled", done) is not None


def _shuffled(keys: list[str]) -> list[str]:
    """These shards in another order each time: workers that come at the same moment begin at different ones."""
    return random.sample(keys, len(keys))


def _shared(rows: Iterator[_Row], done: Round) -> Iterator[_Row]:
    """These rows, without some that follow one which was lost to another worker.

    Workers that walk one list side by side would lose most of their attempts. The next round takes what none took.
    """
    skipped = 0
    for row in rows:
        if skipped:
            skipped -= 1
            continue
        lost_before = done.lost
        yield row
        if done.lost > lost_before:
            skipped = random.randrange(MAX_SKIPPED)


def _is_within(span: timedelta, start: datetime, now: datetime) -> bool:
    """Whether the span from `start` still lasts. It does not where the clock was set back to before its start."""
    return timedelta(0) <= now - start < span


def _expire(order_id: str, now: datetime) -> Order:
    order = Order.find(Order.key(order_id))
    # Another worker may have ended it: to find that out here costs less than a batch that is refused.
    if order is None or not order.is_pending:
        raise OrderNotPending("ended")
    # Its owner may have given it a later end.
    if order.expires_at > now:
        raise NotDue()
    return order_changes.expire_order(order)


def _attempt(change: Callable[[], Order], outcome: str, done: Round) -> Order | None:
    """Change one order. Whatever fails, the other orders go on."""
    try:
        order = change()
    except OrderNotPending:
        done.lost += 1
    except NotDue:
        # Lost to nobody: its end has passed, and the next round expires it; or its owner changed it, and the next round
        # takes it as it is then.
        pass
    except Exception:
        done.failed += 1
        log.exception("an order could not be %s", outcome)
    else:
        log.info("order %s %s", order.order_id, outcome)
        return order
    return None
