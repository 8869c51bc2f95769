"""Reading, writing and multiplying amounts."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, Rounded, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import money
from app.domain.errors import OrderTooLarge, OrderTooSmall
from tests.support.amounts import COMMAS, NO_AMOUNT


@pytest.mark.parametrize("parse", [money.parse_money, money.parse_quantity, money.parse_price])
@pytest.mark.parametrize("text", NO_AMOUNT.values(), ids=NO_AMOUNT.keys())
def test_no_amount_of_any_kind(parse, text):
    with pytest.raises(money.InvalidAmount) as refused:
        parse(text)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (money.parse_money, "ten", "Write digits and at most one point, such as 1000.00."),
        (money.parse_money, "1.001", "At most 2 decimals, such as 1000.00."),
        (money.parse_money, "0", "Choose an amount from 0.01 to 1000000.00."),
        (money.parse_adjustment, "--1", "Write digits and at most one point, such as 1000.00."),
        (money.parse_quantity, "ten", "Write digits and at most one point, such as 0.25."),
        (money.parse_quantity, "0.000000001", "At most 8 decimals, such as 0.25."),
        (money.parse_quantity, "0", "Choose a quantity from 0.00000001 to 100000000000000."),
        (money.parse_quantity, "1,000", "Write 1000 or 1.000: this comma can mean either."),
        (money.parse_money, "12,345", "Write 12345: leave out the comma between thousands."),
        (money.parse_adjustment, "-1,000", "Write 1000: leave out the comma between thousands."),
        (money.parse_price, "1,000,000", "Write digits and at most one point, such as 60000.00."),
        (money.parse_price, "ten", "Write digits and at most one point, such as 60000.00."),
        (money.parse_price, "1.000000001", "At most 8 decimals, such as 60000.00."),
        (money.parse_price, "0", "Choose a price above 0, at most 1000000000."),
    ],
)
def test_what_is_no_amount_says_how_to_write_one(parse, text, message):
    with pytest.raises(money.InvalidAmount) as refused:
        parse(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.01", "0.01"),
        ("1", "1.00"),
        ("1.5", "1.50"),
        ("1.50", "1.50"),
        ("007", "7.00"),
        ("1000000", "1000000.00"),
        ("1000000.00", "1000000.00"),
        ("0" * 39 + "1", "1.00"),
    ],
)
def test_money_has_exactly_two_decimals(text, expected):
    assert str(money.parse_money(text)) == expected


@pytest.mark.parametrize("text", ["0.001", "0.010", "0.00999", "1000000.01", "1000001", "9" * 40, "1.000"])
def test_money_out_of_bounds_or_too_precise(text):
    with pytest.raises(money.InvalidAmount):
        money.parse_money(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", "5.00"), ("-5", "-5.00"), ("-0.01", "-0.01"), ("1000000", "1000000.00"), ("-1000000", "-1000000.00")],
)
def test_an_adjustment_has_a_sign(text, expected):
    assert str(money.parse_adjustment(text)) == expected


@pytest.mark.parametrize("text", ["", "-", "--1", "- 1", "+1", "−1", "-0", "-0.00", "-0.001", "-1000000.01", "1-"])
def test_what_is_no_adjustment(text):
    with pytest.raises(money.InvalidAmount):
        money.parse_adjustment(text)


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (money.parse_quantity, "0.00000001", "0.00000001"),
        (money.parse_quantity, "100000000000000", "100000000000000"),
        (money.parse_quantity, "100000000000000.00000000", "100000000000000"),
        (money.parse_quantity, "0.10", "0.1"),
        (money.parse_quantity, "00012.50", "12.5"),
        (money.parse_price, "0.00000001", "0.00000001"),
        (money.parse_price, "1000000000", "1000000000"),
        (money.parse_price, "60000.12345678", "60000.12345678"),
    ],
)
def test_quantities_and_prices_to_the_bounds(parse, text, expected):
    assert money.plain(parse(text)) == expected


@pytest.mark.parametrize(("parse", "most"), [(money.parse_quantity, 10**14), (money.parse_price, 10**9)])
@pytest.mark.parametrize("text", ["0.000000001", "0.100000000", "0.00000000", "{most}.00000001", "{more}", "9" * 40])
def test_quantities_and_prices_out_of_bounds_or_too_precise(parse, most, text):
    with pytest.raises(money.InvalidAmount):
        parse(text.format(most=most, more=most + 1))


@pytest.mark.parametrize(("text", "read"), COMMAS.items(), ids=COMMAS)
def test_a_comma_is_a_point_only_where_it_can_be_nothing_else(text, read):
    assert money.with_point(text) == read


@pytest.mark.parametrize(
    ("quantity", "price", "cost", "proceeds"),
    [
        ("1", "60000.00", "60000.00", "60000.00"),
        ("0.1", "0.1", "0.01", "0.01"),
        ("0.33333333", "3", "1.00", "0.99"),
        ("1.005", "1", "1.01", "1.00"),
        ("0.00000001", "1000000.01", "0.02", "0.01"),
        ("0.015", "1", "0.02", "0.01"),
        ("1000000000", "0.00099999", "999990.00", "999990.00"),
        ("100", "10000.00", "1000000.00", "1000000.00"),
        ("1", "999999.99999999", "1000000.00", "999999.99"),
    ],
)
def test_a_cost_rounds_up_and_proceeds_round_down(quantity, price, cost, proceeds):
    assert str(money.new_order_total(Decimal(quantity), Decimal(price), buying=True)) == cost
    assert str(money.new_order_total(Decimal(quantity), Decimal(price), buying=False)) == proceeds


@pytest.mark.parametrize("buying", [True, False])
@pytest.mark.parametrize(
    ("quantity", "price", "refusal"),
    [
        ("0.00000001", "60000.00", OrderTooSmall),
        ("0.00999999", "1", OrderTooSmall),
        ("0.00000001", "0.00000001", OrderTooSmall),
        ("1", "1000000.01", OrderTooLarge),
        ("100000000000000", "1000000000", OrderTooLarge),
    ],
)
def test_orders_too_small_or_too_large(quantity, price, refusal, buying):
    with pytest.raises(refusal):
        money.new_order_total(Decimal(quantity), Decimal(price), buying=buying)


def test_a_cost_that_only_rounding_takes_over_the_bound_is_refused():
    """The buyer would pay 1000000.01; the seller gets the 1000000.00 that is allowed."""
    quantity, price = Decimal("1"), Decimal("1000000.00000001")
    with pytest.raises(OrderTooLarge):
        money.new_order_total(quantity, price, buying=True)
    assert money.new_order_total(quantity, price, buying=False) == Decimal("1000000.00")


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        *(("1", "3", "33.33"), ("2", "3", "66.67"), ("0", "5", "0.00"), ("5", "5", "100.00"), ("0", "0", "0.00")),
        *(("-1", "8", "-12.50"), ("-0.01", "1000", "0.00")),
    ],
)
def test_percentage(part, whole, expected):
    assert str(money.percentage(Decimal(part), Decimal(whole))) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1E+3", "1000"),
        ("1000", "1000"),
        ("100.00", "100"),
        ("0.10", "0.1"),
        ("1E-8", "0.00000001"),
        ("0E-8", "0"),
        ("0", "0"),
        ("10", "10"),
        ("1000000000.00000001", "1000000000.00000001"),
    ],
)
def test_plain_notation(number, expected):
    assert money.plain(Decimal(number)) == expected


amounts = st.integers(min_value=0, max_value=10**18).map(lambda cents: Decimal(cents).scaleb(-2))


@given(amounts, amounts)
def test_sums_and_differences_are_exact(first, second):
    assert Fraction(money.add(first, second)) == Fraction(first) + Fraction(second)
    assert Fraction(money.subtract(first, second)) == Fraction(first) - Fraction(second)
    assert money.subtract(money.add(first, second), second) == first


@given(st.lists(amounts, max_size=20))
def test_a_total_is_exact(each):
    assert Fraction(money.total_of(each)) == sum(map(Fraction, each))
    assert (money.known_total(each), money.known_total([*each, None])) == (money.total_of(each), None)


def test_what_would_lose_a_digit_raises():
    with pytest.raises(ArithmeticError):
        money.add(Decimal(10) ** 70, Decimal("0.01"))


def test_amounts_do_not_depend_on_the_thread_s_context():
    """Showing a number in a local context of its own must not change what a purchase in between costs."""
    with localcontext(Context(prec=3, traps=[Inexact, Rounded])):
        found = [
            money.parse_money("1000000"),
            money.parse_adjustment("-1000000"),
            money.add(Decimal("123456.78"), Decimal("0.01")),
            money.subtract(Decimal("123456.78"), Decimal("0.01")),
            money.value_of(Decimal("1.23456789"), Decimal("1234.56")),
            money.new_order_total(Decimal("1.23456789"), Decimal("1234.56"), buying=True),
            money.quantity_for(Decimal("1000.00"), Decimal("3")),
            money.moved_price(Decimal("60000.11"), Decimal("0.5"), decimals=2),
            money.percentage(Decimal("2000.00"), Decimal("6000.00")),
        ]
    assert [str(amount) for amount in found] == [
        "1000000.00",
        "-1000000.00",
        "123456.79",
        "123456.77",
        "1524.14",
        "1524.15",
        "333.33333333",
        "60300.12",
        "33.33",
    ]
