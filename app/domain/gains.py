"""Gains: what the owned units of an asset cost, and what a sale gained beyond its cost.

Two methods share out the cost of purchases. By average cost all owned units cost the same: `buy` and `sell` keep a
`Basis`, which each holding has. First in, first out, `Lots` sells the oldest purchase first; it is computed when asked.
Money is USD with 2 decimals; a gain is signed, below zero for a loss. There are no fees.
Invariant of both: bought - sold + gained = cost of what is owned, to the cent; nothing owned costs 0.00.

`returns` has gains over time in percent, whatever was paid in or out meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

from app.domain import money

T = TypeVar("T")


class CostMethod(StrEnum):
    """Which purchases a sale is counted against."""

    AVERAGE = "AVERAGE"
    FIFO = "FIFO"


@dataclass(frozen=True, slots=True)
class Basis:
    """What the owned units of one asset cost by average, and what all its sales gained since the account began."""

    cost_total: Decimal = money.ZERO
    realised_gain: Decimal = money.ZERO


@dataclass(frozen=True, slots=True)
class Gain:
    """What the units of one sale had cost, and the proceeds beyond that."""

    cost_total: Decimal
    gain: Decimal


def buy(basis: Basis, total_amount: Decimal) -> Basis:
    """After a purchase: what was paid adds to the cost."""
    return replace(basis, cost_total=money.add(basis.cost_total, total_amount))


def sell(basis: Basis, quantity: Decimal, owned_quantity: Decimal, total_amount: Decimal) -> tuple[Basis, Gain]:
    """After a sale of `quantity` out of all that is owned, reserves included, and what the sale gained.

    Its cost is the share of the cost that falls to it, rounded down to the cent; a sale of all takes all of the cost.
    """
    cost = money.share_of(basis.cost_total, quantity, owned_quantity)
    gain = money.subtract(total_amount, cost)
    after = Basis(money.subtract(basis.cost_total, cost), money.add(basis.realised_gain, gain))
    return after, Gain(cost, gain)


@dataclass(frozen=True, slots=True)
class Lot:
    """What is left of one purchase."""

    acquired_at: datetime
    quantity: Decimal
    cost_total: Decimal


@dataclass(frozen=True, slots=True)
class LotSale:
    """The part of a sale that is counted against one purchase; against none, in a damaged history."""

    acquired_at: datetime | None
    quantity: Decimal
    proceeds: Decimal
    cost_total: Decimal

    @property
    def gain(self) -> Decimal:
        return money.subtract(self.proceeds, self.cost_total)


class Lots:
    """The purchases of one asset that are not sold yet, the oldest first."""

    def __init__(self) -> None:
        self._lots: deque[Lot] = deque()

    @property
    def cost_total(self) -> Decimal:
        return money.total_of(lot.cost_total for lot in self._lots)

    def buy(self, quantity: Decimal, total_amount: Decimal, acquired_at: datetime) -> None:
        self._lots.append(Lot(acquired_at, quantity, total_amount))

    def sell(self, quantity: Decimal, total_amount: Decimal) -> list[LotSale]:
        """Take a sale out of the oldest lots: a part for each, with its share of the proceeds.

        Costs and proceeds of a part are rounded down to the cent; the last part of a lot or a sale takes the rest.
        """
        parts = []
        while quantity and self._lots:
            lot = self._lots.popleft()
            taken = min(quantity, lot.quantity)
            cost = money.share_of(lot.cost_total, taken, lot.quantity)
            proceeds = money.share_of(total_amount, taken, quantity)
            parts.append(LotSale(lot.acquired_at, taken, proceeds, cost))
            quantity, total_amount = money.subtract(quantity, taken), money.subtract(total_amount, proceeds)
            if taken < lot.quantity:
                left = money.subtract(lot.quantity, taken), money.subtract(lot.cost_total, cost)
                self._lots.appendleft(Lot(lot.acquired_at, *left))
        return [*parts, LotSale(None, quantity, total_amount, money.ZERO)] if quantity else parts


@dataclass(frozen=True, slots=True)
class Day:
    """The total value at the end of a day, and what was paid in and out on it, neither below 0.00."""

    total: Decimal
    paid_in: Decimal
    paid_out: Decimal


def returns(days: Iterable[Day]) -> list[Decimal]:
    """The return from the end of the first day to that of each day, in percent with 2 decimals; 0.00 of the first.

    A day's return is its gain as a part of its base. That is the value of the day before and what was paid in on it. It
    takes money for paid in when the day begins, and for paid out when it ends; so a payment alone returns nothing, and
    the day on which all began counts. The returns of days multiply. A day with nothing to gain from returns nothing.
    """
    found: list[Decimal] = []
    growth, before = Decimal(1), money.ZERO
    for day in days:
        if found:
            base = money.add(before, day.paid_in)
            gain = money.subtract(money.add(day.total, day.paid_out), base)
            growth = money.grown(growth, gain, base)
        found.append(money.subtract(money.percentage(growth, Decimal(1)), Decimal(100)))
        before = day.total
    return found


class TradeQueue(Generic[T]):
    """Puts the trades of one asset, which come by time, in an order in which no sale precedes its purchases.

    `effect` is what a trade adds to the owned quantity. Where clocks of an older version differed, a sale may have an
    earlier time than its purchase; it is then `waiting`, and follows as soon as enough is owned.
    """

    def __init__(self, effect: Callable[[T], Decimal]) -> None:
        self._effect = effect
        self._owned = Decimal(0)
        self.waiting: list[T] = []

    def add(self, trade: T) -> list[T]:
        """The trades whose turn it is now."""
        earlier = self.waiting if self._effect(trade) > 0 else []
        self.waiting = [*self.waiting, trade]
        return [each for each in (trade, *earlier) if self._takes(each)]

    def _takes(self, trade: T) -> bool:
        after = money.add(self._owned, self._effect(trade))
        if after < 0:
            return False
        self._owned = after
        self.waiting.remove(trade)
        return True


def sales_after_purchases(trades: Iterable[T], effect: Callable[[T], Decimal]) -> Iterator[T]:
    """Trades as `TradeQueue` has them, and at last those that no purchase explains."""
    queue = TradeQueue(effect)
    for trade in trades:
        yield from queue.add(trade)
    yield from queue.waiting
