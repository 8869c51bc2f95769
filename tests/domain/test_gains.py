"""Gains: what units cost, and what sales gained, against references that know the whole history and whole cents."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from operator import attrgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import gains, holdings, money
from app.domain.gains import Basis, Gain, Lots, LotSale, sales_after_purchases
from app.domain.holdings import AssetAccount

# The same in each bounded run; AMOUNT_EXAMPLES makes it long and random: that many of each property.
EXAMPLES = os.environ.get("AMOUNT_EXAMPLES")
RUN = settings(max_examples=int(EXAMPLES or 100), derandomize=not EXAMPLES, database=None, deadline=None)
START = datetime(2026, 1, 1, tzinfo=UTC)

# What is sold of what is owned, what that cost, and what the sale brings; the cost of the sale, and its gain.
SALES = {
    "all": ("3", "3", "10.00", "12.00", "10.00", "2.00"),
    "a third rounds down": ("1", "3", "10.00", "12.00", "3.33", "8.67"),
    "two thirds round down": ("2", "3", "10.00", "5.00", "6.66", "-1.66"),
    "almost all": ("2.99999999", "3", "10.00", "12.00", "9.99", "2.01"),
    "next to nothing costs nothing": ("0.00000001", "3", "10.00", "0.01", "0.00", "0.01"),
    "at cost": ("1", "2", "10.00", "5.00", "5.00", "0.00"),
    "the largest": ("1", "100000000000000", "1000000.00", "0.01", "0.00", "0.01"),
}


@pytest.mark.parametrize(("quantity", "owned", "cost", "proceeds", "sold", "gain"), SALES.values(), ids=SALES)
def test_what_a_sale_costs_and_gains(quantity, owned, cost, proceeds, sold, gain):
    before = Basis(Decimal(cost), Decimal("1.00"))
    after, gained = gains.sell(before, Decimal(quantity), Decimal(owned), Decimal(proceeds))
    assert (str(gained.cost_total), str(gained.gain)) == (sold, gain)
    assert after == Basis(Decimal(cost) - gained.cost_total, 1 + gained.gain)


def test_a_sale_counts_what_waits_in_open_orders_as_owned():
    """The average of what is available alone would be 30.00 for one."""
    account = AssetAccount("LINK", Decimal(1), Decimal(2), Basis(Decimal("30.00")))
    assert holdings.sell(account, Decimal(1), Decimal("12.00")).gained == Gain(Decimal("10.00"), Decimal("2.00"))
    assert holdings.sell_reserved(account, Decimal(2), Decimal("12.00")).gained.cost_total == Decimal("20.00")


def test_a_cost_that_is_not_known_stays_unknown():
    """Until the upgrade computes it from all trades."""
    account = AssetAccount("BTC", Decimal(1), Decimal(2), None)
    for trade in (holdings.buy, holdings.sell, holdings.sell_reserved):
        traded = trade(account, Decimal(1), Decimal("5.00"))
        assert (traded.after.basis, traded.gained) == (None, None)


@dataclass(frozen=True)
class Trade:
    """A purchase (above zero) or sale of some units."""

    quantity: Decimal
    total: Decimal
    time: datetime = START


CENTS = st.one_of(st.integers(1, 50), st.integers(1, 100_000_000)).map(lambda cents: Decimal(cents).scaleb(-2))
UNITS = st.one_of(st.integers(1, 9), st.integers(1, 10**10), st.integers(1, 10**22))


@st.composite
def histories(draw: Callable[..., object]) -> list[Trade]:
    """Purchases and sales, of which none sells more than is owned; many sell everything."""
    trades, owned = [], 0
    for number in range(draw(st.integers(1, 25))):
        units = draw(UNITS) if not owned or draw(st.booleans()) else -draw(st.sampled_from([owned, owned // 3 + 1, 1]))
        owned += units
        trades.append(Trade(Decimal(units).scaleb(-8), draw(CENTS), START + timedelta(days=number)))
    return trades


def by_average(trades: list[Trade]) -> list[tuple[Fraction, Fraction]]:
    """Cost and gain of each sale, in whole cents and fractions, by the words of the rule."""
    sales, cost, owned = [], 0, Fraction(0)
    for trade in trades:
        quantity, cents = Fraction(trade.quantity), int(trade.total * 100)
        if quantity > 0:
            cost, owned = cost + cents, owned + quantity
            continue
        sold = int(Fraction(cost) * -quantity / owned)
        cost, owned = cost - sold, owned + quantity
        sales.append((Fraction(sold, 100), Fraction(cents - sold, 100)))
    return sales


@RUN
@given(histories())
def test_a_history_adds_up(trades):
    """Bought - sold + gained = cost, at all times; nothing owned costs 0.00; the sales agree with the reference."""
    account, sales, balance = AssetAccount("BTC"), [], Decimal(0)
    for trade in trades:
        if trade.quantity > 0:
            traded = holdings.buy(account, trade.quantity, trade.total)
            assert traded.gained is None
            balance += trade.total
        else:
            traded = holdings.sell(account, -trade.quantity, trade.total)
            sales.append(traded.gained)
            balance -= trade.total
        account = traded.after
        assert account.basis.cost_total == balance + account.basis.realised_gain >= 0
        assert bool(account.basis.cost_total) == bool(account.quantity)
    assert account.basis.realised_gain == sum(each.gain for each in sales)
    assert [(Fraction(each.cost_total), Fraction(each.gain)) for each in sales] == by_average(trades)


@dataclass
class Unit:
    """One unit of a purchase, with what it cost."""

    day: datetime
    cents: Fraction


def first_in_first_out(trades: list[Trade]) -> list[tuple[datetime, Fraction, Fraction]]:
    """When each sold unit was bought, with its exact cost and proceeds: a list of single units, the oldest first."""
    owned, sold = [], []
    for trade in trades:
        count = int(trade.quantity)
        each = Fraction(trade.total) / abs(count)
        if count > 0:
            owned += [Unit(trade.time, each)] * count
        else:
            sold += [(unit.day, unit.cents, each) for unit in owned[:-count]]
            del owned[:-count]
    return sold


def sell_lots(trades: list[Trade]) -> tuple[Lots, list[list[LotSale]]]:
    lots, sales = Lots(), []
    for trade in trades:
        if trade.quantity > 0:
            lots.buy(trade.quantity, trade.total, trade.time)
        else:
            sales.append(lots.sell(-trade.quantity, trade.total))
    return lots, sales


@st.composite
def small_histories(draw: Callable[..., object]) -> list[Trade]:
    trades, owned = [], 0
    for number in range(draw(st.integers(1, 15))):
        units = draw(st.integers(1, 9)) if not owned or draw(st.booleans()) else -draw(st.integers(1, owned))
        owned += units
        trades.append(Trade(Decimal(units), draw(CENTS), START + timedelta(days=number)))
    return trades


@RUN
@given(small_histories())
def test_the_oldest_purchases_are_sold_first(trades):
    """Each part is of the right purchase, and within a cent of the reference for each time that it was cut."""
    _, sales = sell_lots(trades)
    units = iter(first_in_first_out(trades))
    for part in (part for sale in sales for part in sale):
        exact = [next(units) for _ in range(int(part.quantity))]
        assert {day for day, _, _ in exact} == {part.acquired_at}
        for found, place in ((part.cost_total, 1), (part.proceeds, 2)):
            difference = Fraction(found) - sum(each[place] for each in exact)
            assert abs(difference) < Fraction(len(trades), 100)
    assert next(units, None) is None


@RUN
@given(histories())
def test_lots_add_up(trades):
    """Bought - sold + gained = cost of what is left, and all parts of a sale are the sale."""
    lots, sales = sell_lots(trades)
    sold = [trade for trade in trades if trade.quantity < 0]
    for trade, parts in zip(sold, sales, strict=True):
        assert sum(part.quantity for part in parts) == -trade.quantity
        assert sum(part.proceeds for part in parts) == trade.total
        assert all(part.cost_total >= 0 and part.proceeds >= 0 for part in parts)
    bought = sum(trade.total for trade in trades if trade.quantity > 0)
    gained = sum(part.gain for parts in sales for part in parts)
    assert lots.cost_total == bought - sum(trade.total for trade in sold) + gained
    if not sum(trade.quantity for trade in trades):
        assert lots.cost_total == 0


def test_what_no_purchase_explains_costs_nothing():
    """A damaged history: the report still has all proceeds."""
    lots = Lots()
    lots.buy(Decimal(1), Decimal("10.00"), START)
    assert lots.sell(Decimal(3), Decimal("30.00")) == [
        LotSale(START, Decimal(1), Decimal("10.00"), Decimal("10.00")),
        LotSale(None, Decimal(2), Decimal("20.00"), money.ZERO),
    ]


ORDERS = {
    "as they came": ([1, -1, 2, -2], [1, -1, 2, -2]),
    "a sale before its purchase": ([-2, 2], [2, -2]),
    "a sale that needs two purchases": ([-3, 2, -1, 2], [2, -1, 2, -3]),
    "sales that wait for one purchase": ([-1, -2, 5], [5, -1, -2]),
    "a sale that waits comes before a later one": ([-1, 5, -2], [5, -1, -2]),
    "a sale without purchases": ([1, -2], [1, -2]),
}


@pytest.mark.parametrize(("written", "read"), ORDERS.values(), ids=ORDERS)
def test_no_sale_comes_before_its_purchase(written, read):
    """Clocks of version 0.1.0 could differ."""
    trades = [Trade(Decimal(each), money.CENT) for each in written]
    assert [int(each.quantity) for each in sales_after_purchases(trades, attrgetter("quantity"))] == read


# Value at the end of each day, paid in, paid out; the return since the first day.
RETURNS = {
    "nothing at all": ([("0.00", "0.00", "0.00")] * 3, ["0.00"] * 3),
    "payments alone": ([("0.00", "0.00", "0.00"), ("10.00", "10.00", "0.00"), ("4.00", "1.00", "7.00")], ["0.00"] * 3),
    "a gain": ([("100.00", "0.00", "0.00"), ("110.00", "0.00", "0.00")], ["0.00", "10.00"]),
    "a loss on the day of the first payment": (
        [("0.00", "0.00", "0.00"), ("90.00", "100.00", "0.00")],
        ["0.00", "-10.00"],
    ),
    "a large payment into little, and a loss": (
        [("10.00", "0.00", "0.00"), ("960.00", "1000.00", "0.00")],
        ["0.00", "-4.95"],
    ),
    "in and out on one day": ([("0.00", "0.00", "0.00"), ("0.00", "100.00", "110.00")], ["0.00", "10.00"]),
    "all is lost, and more paid in": (
        [("5.00", "0.00", "0.00"), ("0.00", "0.00", "0.00"), ("9.00", "9.00", "0.00")],
        ["0.00", "-100.00", "-100.00"],
    ),
    "what was paid on the first day is in its value": ([("50.00", "50.00", "0.00")] * 2, ["0.00", "-50.00"]),
}


@pytest.mark.parametrize(("days", "expected"), RETURNS.values(), ids=RETURNS)
def test_what_was_returned_whatever_was_paid_in_or_out(days, expected):
    found = gains.returns(gains.Day(*map(Decimal, day)) for day in days)
    assert [str(each) for each in found] == expected


def test_a_year_of_returns_follows_its_fractions():
    days = [gains.Day(Decimal(100 + number % 7), money.ZERO, money.ZERO) for number in range(366)]
    assert [Fraction(each) for each in gains.returns(days)] == [number % 7 for number in range(366)]
