"""The worker's round: expire the open orders whose end has passed, and fill those that the market reaches.

Any number of workers may run rounds at once. Only one of them moves an order out of PENDING; the others skip it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.errors import OrderNotPending, PriceUnavailable
from app.domain.orders import Side
from app.models import order_changes
from app.models.orders import Order, iterate_expired_order_ids, iterate_fillable_orders
from app.prices import PriceSource, get_tradeable_price

# How far back a worker that has just started looks for orders to expire; they live 90 days at most.
LONGEST_ABSENCE = timedelta(days=100)
# An order may show in its index only a while after it was written, and the clocks of two machines differ. So a day is
# looked at for this long after its end.
DAY_SETTLES = timedelta(hours=1)
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


class Worker:
    """Runs rounds; remembers only the days on which orders may still wait to be expired.

    `is_stopping` is asked before each order and each query.
    """

    def __init__(self, prices: PriceSource, *, is_stopping: Callable[[], bool] = lambda: False) -> None:
        self._prices = prices
        self._is_stopping = is_stopping
        today = clock.now().date()
        self._unfinished_days = {today - timedelta(days=ago) for ago in range(LONGEST_ABSENCE.days)}

    def run_round(self) -> Round:
        """Expire and fill what is due.

        One query for each unfinished day (today, and in its first hour yesterday) and one for each asset and side.
        Two calls more for each order that is filled, and three for each that expires: the cost follows what is done,
        not how many orders wait. Raises StoreUnavailable when the database does not answer.
        """
        done = Round()
        self._expire_orders(done)
        for asset in CATALOGUE.values():
            if asset.is_active and not self._is_stopping():
                self._fill_orders(asset.asset_id, done)
        return done

    def _expire_orders(self, done: Round) -> None:
        now = clock.now()
        # Not only today: the process may have slept since its last round, with the laptop that it runs on.
        days_asleep = (now.date() - max(self._unfinished_days)).days
        self._unfinished_days |= {now.date() - timedelta(days=ago) for ago in range(max(days_asleep, 1))}
        for day in sorted(self._unfinished_days):
            if self._is_stopping():
                return
            failed_before = done.failed
            for order_id in iterate_expired_order_ids(day, now):
                if self._is_stopping():
                    return
                if order := _attempt(partial(_expire, order_id), "expired", done):
                    done.expired += 1
                    done.lags.append(order.updated_at - order.expires_at)
            if clock.end_of(day) + DAY_SETTLES < now and done.failed == failed_before:
                self._unfinished_days.remove(day)

    def _fill_orders(self, asset_id: str, done: Round) -> None:
        try:
            price, priced_at = get_tradeable_price(self._prices, asset_id), clock.now()
        except PriceUnavailable:
            return
        for side in Side:
            if self._must_stop(priced_at):
                return
            self._fill_book(iterate_fillable_orders(asset_id, side, price), price, priced_at, done)

    def _must_stop(self, priced_at: datetime) -> bool:
        return clock.now() - priced_at > PRICE_HOLDS or self._is_stopping()

    def _fill_book(self, orders: Iterable[Order], price: Decimal, priced_at: datetime, done: Round) -> None:
        skipped = 0
        for order in orders:
            if skipped:
                skipped -= 1
                continue
            if self._must_stop(priced_at):
                return
            # Expired but not yet processed: do not fill.
            if order.expires_at <= priced_at:
                continue
            lost_before = done.lost
            if _attempt(partial(order_changes.fill_order, order, price), "filled", done):
                done.filled += 1
            elif done.lost > lost_before:
                # Two workers that walk one list side by side lose half of their attempts. The next round takes what
                # neither took.
                skipped = random.randrange(MAX_SKIPPED)


def _expire(order_id: str) -> Order:
    order = Order.find(Order.key(order_id))
    if order is None:
        raise OrderNotPending("gone")
    return order_changes.expire_order(order)


def _attempt(change: Callable[[], Order], outcome: str, done: Round) -> Order | None:
    """Change one order. Whatever fails, the other orders go on."""
    try:
        order = change()
    except OrderNotPending:
        done.lost += 1
    except Exception:
        done.failed += 1
        log.exception("an order could not be %s", outcome)
    else:
        log.info("order %s %s", order.order_id, outcome)
        return order
    return None
