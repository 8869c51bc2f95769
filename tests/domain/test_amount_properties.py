"""Properties of amounts, against exact fractions and a reader of their own: nobody gains by rounding.

The house never pays more than the exact product, and never takes a cent more than it needs to round up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain import money
from app.domain.errors import OrderTooLarge, OrderTooSmall
from app.domain.orders import Side, default_limit_price, fill_reserved

# The same in each bounded run; AMOUNT_EXAMPLES makes it long and random: that many of each property.
EXAMPLES = os.environ.get("AMOUNT_EXAMPLES")
RUN = settings(max_examples=int(EXAMPLES or 100), derandomize=not EXAMPLES, database=None, deadline=None)

CENT = Fraction(1, 100)
UNIT = Fraction(1, 10**8)
LARGEST_MOVEMENT = Fraction(1_000_000)


@dataclass(frozen=True)
class Kind:
    """One kind of amount: how it is read, its decimals, and the least and the most."""

    parse: Callable[[str], Decimal]
    decimals: int
    least: Fraction
    most: Fraction
    is_signed: bool = False

    def read(self, text: str) -> Fraction | None:
        """The value of a text, or None, by the rule as it is written down: at most 40 characters, digits, a point."""
        sign = -1 if self.is_signed and text[:1] == "-" else 1
        digits = text[1:] if sign < 0 else text
        whole, point, decimals = digits.partition(".")
        if len(digits) > 40 or not set(whole + decimals) <= set("0123456789"):
            return None
        if not whole or bool(point) != bool(decimals) or len(decimals) > self.decimals:
            return None
        value = Fraction(int(whole + decimals), 10 ** len(decimals))
        return sign * value if self.least <= value <= self.most else None


KINDS = {
    "money": Kind(money.parse_money, 2, CENT, LARGEST_MOVEMENT),
    "adjustment": Kind(money.parse_adjustment, 2, CENT, LARGEST_MOVEMENT, is_signed=True),
    "quantity": Kind(money.parse_quantity, 8, UNIT, Fraction(10**14)),
    "price": Kind(money.parse_price, 8, UNIT, Fraction(10**9)),
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

DIGITS = st.text("0123456789", max_size=12)
# What Decimal, float or a person takes for part of a number, and more: signs, spaces, exponents, other digits.
STRANGE = st.sampled_from(
    [
        "-",
        "+",
        ".",
        ",",
        " ",
        "\n",
        "\t",
        "\0",
        "_",
        "e",
        "E5",
        "e-2",
        "NaN",
        "Infinity",
        "x",
        "'",
        "٣",
        "１",
        "²",
        "½",
        "−",
        "\u00a0",
        "\u200b",
        "\ud800",
    ]
)


@st.composite
def near_amounts(draw: st.DrawFn) -> str:
    """Digits with and without a point, up to and over all ends, often with something strange somewhere in them."""
    text = draw(
        st.one_of(
            st.builds("{}.{}".format, DIGITS, DIGITS),
            DIGITS,
            st.builds("{:.8f}".format, st.floats(0, 2e9)),
            st.sampled_from(["0.01", "1000000", "1000000.00", "0.00000001", "1000000000", "1000000000.00000000"]),
            st.sampled_from(["100000000000000", "100000000000000.00000001", "100000000000001"]),
            st.sampled_from(["0.009", "1000000.01", "0.000000001", "1000000000.00000001", "0.00", "0"]),
        )
    )
    text = draw(st.sampled_from(["", "", "0", "00", "-", "0" * 33])) + text
    if draw(st.booleans()):
        place = draw(st.just(len(text)) | st.integers(0, len(text)))
        text = text[:place] + draw(STRANGE) + text[place + draw(st.integers(0, 1)) :]
    return text


@kinds
@RUN
@given(near_amounts())
@example("0" * 39 + "1")
@example("0" * 40 + "1")
@example("-" + "0" * 39 + "1")
@example("--1")
@example("1\n")
@example("1.")
@example(".5")
def test_exactly_the_grammar_is_read(kind, text):
    expected = kind.read(text)
    try:
        found = kind.parse(text)
    except money.InvalidAmount as refused:
        assert expected is None, text
        assert str(refused).endswith(".")
    else:
        assert expected is not None and Fraction(found) == expected, text


@kinds
@RUN
@given(st.data())
def test_an_amount_is_written_as_it_is_read(kind, data):
    """Without exponent and plus; money always with exactly 2 decimals, the others without zeros at the end."""
    most = int(kind.most * 10**kind.decimals)
    units = data.draw(st.integers(1, most) | st.sampled_from([10**zeros for zeros in range(9)]))
    amount = kind.parse(format(Decimal(units).scaleb(-kind.decimals), "f"))
    text = str(amount) if kind.decimals == 2 else money.plain(amount)
    whole, point, decimals = text.partition(".")
    assert whole.isdecimal() and (decimals.isdecimal() or not point)
    assert len(decimals) == 2 if kind.decimals == 2 else not decimals.endswith("0")
    assert kind.parse(text) == amount
    assert str(kind.parse(text)) == str(amount) if kind.decimals == 2 else money.plain(kind.parse(text)) == text


@RUN
@given(st.integers(-(10**20), 10**20), st.integers(-30, 30))
def test_plain_never_has_an_exponent_and_keeps_the_value(digits, exponent):
    number = Decimal(digits).scaleb(exponent)
    text = money.plain(number)
    assert set(text) <= set("-0123456789.") and Fraction(text) == Fraction(number)
    assert "." not in text or not text.endswith(("0", "."))


# In units of the smallest step: any, small ones, and such whose products are whole cents.
UNITS = st.integers(1, 10**17) | st.integers(1, 10**9) | st.integers(1, 10**5).map(lambda number: number * 10**6)
QUANTITIES = UNITS.map(lambda units: Decimal(units).scaleb(-8))
PRICES = UNITS.map(lambda units: Decimal(units).scaleb(-8))


def cost(quantity: Decimal, price: Decimal) -> Fraction:
    return Fraction(money.order_total(quantity, price, buying=True))


def proceeds(quantity: Decimal, price: Decimal) -> Fraction:
    return Fraction(money.order_total(quantity, price, buying=False))


@RUN
@given(QUANTITIES, PRICES)
def test_a_cost_rounds_up_and_proceeds_round_down_by_less_than_a_cent(quantity, price):
    exact = Fraction(quantity) * Fraction(price)
    assert 0 <= cost(quantity, price) - exact < CENT
    assert 0 <= exact - proceeds(quantity, price) < CENT
    assert Fraction(money.value_of(quantity, price)) == proceeds(quantity, price)
    for buying in (True, False):
        assert money.order_total(quantity, price, buying=buying).as_tuple().exponent == -2


@RUN
@given(st.lists(QUANTITIES, min_size=1, max_size=8), PRICES)
def test_buying_or_selling_in_pieces_never_beats_doing_it_at_once(pieces, price):
    at_once = money.total_of(pieces)
    lost_buying = sum(cost(piece, price) for piece in pieces) - cost(at_once, price)
    lost_selling = proceeds(at_once, price) - sum(proceeds(piece, price) for piece in pieces)
    assert 0 <= lost_buying < len(pieces) * CENT
    assert 0 <= lost_selling < len(pieces) * CENT


@RUN
@given(QUANTITIES, PRICES)
def test_there_and_back_at_one_price_never_gains(quantity, price):
    """Nor does it lose more than the one cent that is rounded."""
    assert 0 <= cost(quantity, price) - proceeds(quantity, price) <= CENT


@RUN
@given(QUANTITIES, PRICES, PRICES)
def test_more_never_costs_less(quantity, price, other_price):
    low, high = sorted([price, other_price])
    assert cost(quantity, low) <= cost(quantity, high) and proceeds(quantity, low) <= proceeds(quantity, high)
    assert cost(quantity, price) <= cost(money.add(quantity, money.MIN_QUANTITY), price)


@RUN
@given(QUANTITIES, PRICES)
@example(Decimal("1"), Decimal("0.01"))
@example(Decimal("1"), Decimal("0.00999999"))
@example(Decimal("100"), Decimal("10000"))
@example(Decimal("100"), Decimal("10000.00000001"))
def test_an_order_is_refused_below_a_cent_and_above_the_largest_movement(quantity, price):
    exact = Fraction(quantity) * Fraction(price)
    for buying in (True, False):
        total = money.order_total(quantity, price, buying=buying)
        refusal = OrderTooSmall if exact < CENT else OrderTooLarge if total > LARGEST_MOVEMENT else None
        if refusal:
            with pytest.raises(refusal):
                money.new_order_total(quantity, price, buying=buying)
        else:
            assert money.new_order_total(quantity, price, buying=buying) == total >= CENT


@RUN
@given(QUANTITIES, PRICES, PRICES)
def test_a_fill_at_a_better_price_gives_back_exactly_the_rest_of_the_reserve(quantity, price, other_price):
    better, limit = sorted([price, other_price])
    reserve = money.order_total(quantity, limit, buying=True)
    filled = fill_reserved(Side.BUY, quantity, better, reserve)
    assert Fraction(filled.total_amount) == cost(quantity, better)
    assert Fraction(filled.refund) == Fraction(reserve) - cost(quantity, better) >= 0
    sold = fill_reserved(Side.SELL, quantity, limit, None)
    assert Fraction(sold.total_amount) == proceeds(quantity, limit) >= proceeds(quantity, better) and sold.refund == 0


@RUN
@given(st.integers(1, 10**8), PRICES)
def test_a_quantity_for_an_amount_is_the_largest_that_it_pays(cents, price):
    amount = Decimal(cents).scaleb(-2)
    quantity = money.quantity_for(amount, price)
    assert 0 <= quantity <= money.MAX_QUANTITY and Fraction(quantity) % UNIT == 0
    assert cost(quantity, price) <= Fraction(amount)
    assert cost(money.add(quantity, money.MIN_QUANTITY), price) > Fraction(amount)


@RUN
@given(st.integers(1, 10**17), st.integers(2, 8))
def test_the_worst_price_is_the_allowance_away_and_less_than_a_step_more(units, decimals):
    """Half a percent from the price that was seen, rounded away from it to the decimals of the asset, above zero."""
    tick = Fraction(1, 10**decimals)
    price = Decimal(max(units // 10 ** (8 - decimals), 1)).scaleb(-decimals)
    most = Fraction(default_limit_price(Side.BUY, price, decimals=decimals))
    least = Fraction(default_limit_price(Side.SELL, price, decimals=decimals))
    assert most % tick == least % tick == 0
    assert 0 <= most - Fraction(price) * Fraction(1005, 1000) < tick
    away = Fraction(price) * Fraction(995, 1000) - least
    assert 0 <= away < tick or least == tick
    assert 0 < least <= Fraction(price) < most


# Price and quantities of the pieces; what they cost and bring, one by one and at once.
PIECES = {
    "a third of a cent each": ("0.01", ["1.33333333"] * 3, "0.06", "0.04", "0.03", "0.03"),
    "just over a cent each": ("1", ["0.01000001"] * 3, "0.06", "0.04", "0.03", "0.03"),
    "just under two cents each": ("1", ["0.01999999"] * 3, "0.06", "0.06", "0.03", "0.05"),
    "whole cents": ("100", ["0.0001", "0.0002", "1"], "100.03", "100.03", "100.03", "100.03"),
    "uneven": ("33.33333333", ["0.1", "1.5", "0.33333333"], "64.46", "64.45", "64.43", "64.44"),
}


@pytest.mark.parametrize(("price", "pieces", "paid", "paid_at_once", "got", "got_at_once"), PIECES.values(), ids=PIECES)
def test_pieces_and_the_whole_through_the_api(
    new_user, market, market_app, price, pieces, paid, paid_at_once, got, got_at_once
):
    market.set("BTC", price)
    whole = money.plain(money.total_of(map(Decimal, pieces)))
    for quantities, spent, earned in ((pieces, paid, got), ([whole], paid_at_once, got_at_once)):
        person = new_user(market_app)
        person.deposit("1000.00")
        for quantity in quantities:
            person.buy("BTC", quantity)
        after = Decimal(person.balance())
        assert Decimal("1000.00") - after == Decimal(spent)
        for quantity in quantities:
            person.sell("BTC", quantity)
        assert Decimal(person.balance()) - after == Decimal(earned)
    assert Decimal(paid) >= Decimal(paid_at_once) >= Decimal(got_at_once) >= Decimal(got)
