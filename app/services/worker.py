"""The worker's round: expire the open orders whose end has passed, and fill those that the market reaches.

Any number of workers may run rounds at once. Only one of them moves an order out of PENDING; the others skip it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.errors import OrderNotPending, PriceUnavailable
from app.domain.orders import Side, reaches
from app.models import order_changes
from app.models.orders import Order, find_best_limits, iterate_expired_order_ids, iterate_fillable_orders, open_book
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


@dataclass
class Round:
    """What one round did: orders that it ended, that someone else ended first (`lost`), and that failed."""

    filled: int = 0
    expired: int = 0
    lost: int = 0
    failed: int = 0
    # How long after its end each of the expired orders was expired.
    lags: list[timedelta] = field(default_factory=list, compare=False)


class _Look(NamedTuple):
    """When a book, the open orders of one asset and side, was last asked whom the price fills, and the price."""

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
        self._failed_days: set[date] = set()

    def run_round(self) -> Round:
        """Expire and fill what is due.

        One query for today, and in its first hour one for yesterday; at times one for each earlier day. One scan of
        a few open orders. If these are all, one query for each asset and side with an order that the price reaches;
        if there are more, for each whose price has moved or that was not asked for a while. Two calls more for each
        order that is filled, and three for each that expires: the cost follows what is done, not how many orders
        wait. Raises StoreUnavailable when the database does not answer.
        """
        done = Round()
        self._expire_orders(done)
        if self._is_stopping():
            return done
        best_limits = find_best_limits()
        for asset in CATALOGUE.values():
            if asset.is_active and not self._is_stopping():
                self._fill_orders(asset.asset_id, best_limits, done)
        return done

    def _expire_orders(self, done: Round) -> None:
        now = clock.now()
        earlier_days = {now.date() - timedelta(days=ago) for ago in range(LONGEST_ABSENCE.days)}
        looks_back = self._looked_back_at is None or not _is_within(LOOK_BACK_EVERY, self._looked_back_at, now)
        self._failed_days &= earlier_days
        days = earlier_days if looks_back else {now.date(), (now - DAY_SETTLES).date()} | self._failed_days
        for day in sorted(days):
            if self._is_stopping():
                return
            failed_before = done.failed
            for order_id in iterate_expired_order_ids(day, now):
                if self._is_stopping():
                    return
                if order := _attempt(partial(_expire, order_id), "expired", done):
                    done.expired += 1
                    done.lags.append(order.updated_at - order.expires_at)
            if done.failed > failed_before:
                self._failed_days.add(day)
            else:
                self._failed_days.discard(day)
        if looks_back:
            self._looked_back_at = now

    def _fill_orders(self, asset_id: str, best_limits: Mapping[str, Decimal] | None, done: Round) -> None:
        try:
            price, priced_at = get_tradeable_price(self._prices, asset_id), clock.now()
        except PriceUnavailable:
            return
        for side in Side:
            if self._must_stop(priced_at):
                return
            if best_limits is None:
                self._look_into_book(asset_id, side, price, priced_at, done)
            elif (limit := best_limits.get(open_book(asset_id, side))) and reaches(side, limit, price):
                self._fill_book(asset_id, side, price, priced_at, done)

    def _look_into_book(self, asset_id: str, side: Side, price: Decimal, priced_at: datetime, done: Round) -> None:
        """Fill what the price fills, unless the book was asked at this price, and not long ago."""
        book, before = open_book(asset_id, side), replace(done)
        look = self._looks.pop(book, None)
        if look is None or look.price != price or not _is_within(BOOKS_REST, look.looked_at, priced_at):
            self._fill_book(asset_id, side, price, priced_at, done)
            look = _Look(price, priced_at)
        # Where something was to be filled there may be more: the next round asks again.
        if done == before:
            self._looks[book] = look

    def _must_stop(self, priced_at: datetime) -> bool:
        return clock.now() - priced_at > PRICE_HOLDS or self._is_stopping()

    def _fill_book(self, asset_id: str, side: Side, price: Decimal, priced_at: datetime, done: Round) -> None:
        skipped = 0
        for order in iterate_fillable_orders(asset_id, side, price):
            if skipped:
                skipped -= 1
                continue
            if self._must_stop(priced_at):
                return
            lost_before = done.lost
            if _attempt(partial(order_changes.fill_order, order, price), "filled", done):
                done.filled += 1
            elif done.lost > lost_before:
                # Two workers that walk one list side by side lose half of their attempts. The next round takes what
                # neither took.
                skipped = random.randrange(MAX_SKIPPED)


def _is_within(span: timedelta, start: datetime, now: datetime) -> bool:
    """Whether the span from `start` still lasts. It does not where the clock was set back to before its start."""
    return timedelta(0) <= now - start < span


def _expire(order_id: str) -> Order:
    order = Order.find(Order.key(order_id))
    if order is None:
        raise OrderNotPending("gone")
    return order_changes.expire_order(order)


def _attempt(change: Callable[[], Order], outcome: str, done: Round) -> Order | None:
    """Change one order. Whatever fails, the other orders go on."""
    try:
        order = change()
    except OrderNotPending as refusal:
        # A fill that came after the end of its order was lost to nobody: the next round expires it.
        done.lost += refusal.details["order_status"] != "expired"
    except Exception:
        done.failed += 1
        log.exception("an order could not be %s", outcome)
    else:
        log.info("order %s %s", order.order_id, outcome)
        return order
    return None
