"""The worker's round: end the open orders that are past their time, and fill those that the market reaches.

Any number of workers may run rounds at once: only one of them moves an order out of PENDING, the others pass on.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.errors import OrderNotPending, PriceUnavailable
from app.domain.orders import Side
from app.models import order_changes
from app.models.orders import Order, iterate_expired_order_ids, iterate_fillable_orders
from app.prices import PriceSource

# How far back a worker that has just started looks for orders that nobody has ended; they live 90 days at most.
LONGEST_ABSENCE = timedelta(days=100)
# An order may show in its index only a while after it was written, and the clocks of two machines differ: so long after
# its end a day is still looked at.
DAY_SETTLES = timedelta(hours=1)
# Fills of one asset go on at one price for no longer than this; the next round asks for the price anew.
PRICE_HOLDS = timedelta(seconds=10)
# How many orders a worker leaves to another that it has met, at most.
MAX_SKIPPED = 40

log = logging.getLogger(__name__)


@dataclass
class Round:
    """What one round did: orders that ended, those that someone else ended first, those that wait for the next."""

    filled: int = 0
    expired: int = 0
    lost: int = 0
    failed: int = 0
    # How long after its time each of the expired orders was ended.
    lags: list[timedelta] = field(default_factory=list, compare=False)


class Worker:
    """Runs rounds; remembers only of which days it may not have ended all that is past its time.

    `is_stopping` is asked before each order and each query.
    """

    def __init__(self, prices: PriceSource, *, is_stopping: Callable[[], bool] = lambda: False) -> None:
        self._prices = prices
        self._is_stopping = is_stopping
        today = clock.now().date()
        self._unfinished_days = {today - timedelta(days=ago) for ago in range(LONGEST_ABSENCE.days)}

    def run_round(self) -> Round:
        """End and fill what is due.

        One query for each unfinished day (today, and in its first hour yesterday), one for each asset and side, and
        two calls for each order that changes: the cost follows what is done, not how many orders wait. Raises
        StoreUnavailable when the store does not answer.
        """
        done = Round()
        for status, change in self._due(done):
            if self._is_stopping():
                break
            _attempt(done, status, change)
        return done

    def _due(self, done: Round) -> Iterator[tuple[str, Callable[[], Order]]]:
        now = clock.now()
        # Not only today: the process may have slept, with the laptop that it runs on, since its last round.
        asleep = (now.date() - max(self._unfinished_days)).days
        self._unfinished_days |= {now.date() - timedelta(days=ago) for ago in range(max(asleep, 1))}
        for day in sorted(self._unfinished_days):
            if self._is_stopping():
                return
            failed_before = done.failed
            for order_id in iterate_expired_order_ids(day, now):
                yield "expired", partial(_expire, order_id)
            if clock.end_of(day) + DAY_SETTLES < now and done.failed == failed_before:
                self._unfinished_days.remove(day)
        for asset in CATALOGUE.values():
            if asset.is_active and not self._is_stopping():
                yield from self._reached(asset.asset_id, done)

    def _reached(self, asset_id: str, done: Round) -> Iterator[tuple[str, Callable[[], Order]]]:
        try:
            quote, asked = self._prices.quote(asset_id), clock.now()
        except PriceUnavailable:
            return
        if quote.is_stale:
            return
        for side in Side:
            for order in _skip_after_loss(iterate_fillable_orders(asset_id, side, quote.price), done):
                if clock.now() - asked > PRICE_HOLDS:
                    return
                # One that is past its time is not filled any more, only not ended yet.
                if order.expires_at > asked:
                    yield "filled", partial(order_changes.fill_order, order, quote.price)


def _skip_after_loss(orders: Iterable[Order], done: Round) -> Iterator[Order]:
    """Pass over a stretch of random length after each order that somebody else ended first.

    Two workers that walk one list side by side lose half of all they try. The next round takes what neither took.
    """
    lost, passed_over = done.lost, 0
    for order in orders:
        if done.lost > lost:
            lost, passed_over = done.lost, random.randrange(MAX_SKIPPED)
        if passed_over:
            passed_over -= 1
        else:
            yield order


def _expire(order_id: str) -> Order:
    order = Order.find(Order.key(order_id))
    if order is None:
        raise OrderNotPending("gone")
    return order_changes.expire_order(order)


def _attempt(done: Round, status: str, change: Callable[[], Order]) -> None:
    """Change one order; whatever goes wrong with it, the others go on."""
    try:
        order = change()
    except OrderNotPending:
        done.lost += 1
    except Exception:
        done.failed += 1
        log.exception("an order could not be %s", status)
    else:
        setattr(done, status, getattr(done, status) + 1)
        if status == "expired":
            done.lags.append(order.updated_at - order.expires_at)
        log.info("order %s %s", order.order_id, status)
