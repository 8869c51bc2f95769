"""Amounts: how money, prices and quantities are read, multiplied and written.

Money is a `Decimal` with exactly 2 decimals. Prices and quantities have up to 8. Input is matched against an
ASCII grammar before any number type sees it, because `Decimal` itself accepts `NaN`, `1e400`, `１２` and `1_000`.
Invariant: nothing in here loses a digit silently. All arithmetic runs in a context that raises when a
result would not be exact, except `_product`, the one place that multiplies and rounds, and what is named as rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import reduce

from app.domain.errors import OrderTooLarge, OrderTooSmall

CENT = Decimal("0.01")
ZERO = Decimal("0.00")
MAX_AMOUNT = Decimal("1000000.00")
MIN_QUANTITY = Decimal("0.00000001")
MAX_QUANTITY = Decimal("1000000000")
MAX_PRICE = Decimal("1000000000")

# A quantity (18 digits) times a price (17 digits) fits with room to spare; anything longer is an error, not a rounding.
EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_ROUNDING = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow])
_FLOOR = Context(prec=60, rounding=ROUND_FLOOR, traps=[InvalidOperation, DivisionByZero, Overflow])


class InvalidAmount(ValueError):
    """The text is no amount of this kind; the message tells the person how to write one."""


def _parse(text: str, *, decimals: int, example: str) -> Decimal:
    if len(text) > 40 or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise InvalidAmount(f"Write digits and at most one point, such as {example}.")
    if len(text.partition(".")[2]) > decimals:
        raise InvalidAmount(f"At most {decimals} decimals, such as {example}.")
    return Decimal(text)


def parse_money(text: str) -> Decimal:
    """An amount of one movement: 0.01 to 1000000.00, returned with exactly 2 decimals.

    Raises InvalidAmount.
    """
    amount = _parse(text, decimals=2, example="1000.00")
    if not CENT <= amount <= MAX_AMOUNT:
        raise InvalidAmount("Choose an amount from 0.01 to 1000000.00.")
    return amount.quantize(CENT, context=EXACT)


def parse_adjustment(text: str) -> Decimal:
    """A signed amount of one movement: parse_money's range with `-` in front of what is taken. Raises InvalidAmount."""
    amount = parse_money(text.removeprefix("-"))
    return EXACT.minus(amount) if text.startswith("-") else amount


def parse_quantity(text: str) -> Decimal:
    """A quantity of an asset: 0.00000001 to 1000000000. Raises InvalidAmount."""
    quantity = _parse(text, decimals=8, example="0.25")
    if not MIN_QUANTITY <= quantity <= MAX_QUANTITY:
        raise InvalidAmount("Choose a quantity from 0.00000001 to 1000000000.")
    return quantity


def parse_price(text: str) -> Decimal:
    """A price of one unit: above zero, at most 1000000000. Raises InvalidAmount."""
    price = _parse(text, decimals=8, example="60000.00")
    if not 0 < price <= MAX_PRICE:
        raise InvalidAmount("Choose a price above 0, at most 1000000000.")
    return price


def add(first: Decimal, second: Decimal) -> Decimal:
    """The exact sum; every balance and holding changes through this."""
    return EXACT.add(first, second)


def subtract(first: Decimal, second: Decimal) -> Decimal:
    """The exact difference, negative when `second` is the larger."""
    return EXACT.subtract(first, second)


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of any number of amounts; 0.00 of none."""
    return reduce(add, amounts, ZERO)


def value_of(quantity: Decimal, price: Decimal) -> Decimal:
    """What a holding is worth: quantity x price, rounded down to the cent, as selling it would bring."""
    return _product(quantity, price, ROUND_FLOOR)


def order_total(quantity: Decimal, price: Decimal, *, buying: bool) -> Decimal:
    """What a buyer pays or a seller receives: a cost rounds up to the cent, proceeds round down."""
    return _product(quantity, price, ROUND_CEILING if buying else ROUND_FLOOR)


def new_order_total(quantity: Decimal, price: Decimal, *, buying: bool) -> Decimal:
    """The total of an order that is being placed.

    Raises OrderTooSmall below 0.01 and OrderTooLarge above the largest movement.
    """
    if EXACT.multiply(quantity, price) < CENT:
        raise OrderTooSmall()
    total = order_total(quantity, price, buying=buying)
    if total > MAX_AMOUNT:
        raise OrderTooLarge()
    return total


def _product(quantity: Decimal, price: Decimal, rounding: str) -> Decimal:
    return EXACT.multiply(quantity, price).quantize(CENT, rounding=rounding, context=_ROUNDING)


def quantity_for(amount: Decimal, price: Decimal) -> Decimal:
    """The largest quantity (8 decimals) that costs no more than the amount at this price; it can be zero."""
    quantity = _FLOOR.divide(amount, price).quantize(MIN_QUANTITY, context=_FLOOR)
    return min(quantity, MAX_QUANTITY)


def moved_price(price: Decimal, percent: Decimal, *, decimals: int) -> Decimal:
    """A price moved by a signed percentage, rounded away from where it was to so many decimals, and never to zero."""
    tick = Decimal(1).scaleb(-decimals)
    moved = EXACT.multiply(price, EXACT.add(Decimal(1), percent.scaleb(-2)))
    return max(tick, moved.quantize(tick, rounding=ROUND_CEILING if percent > 0 else ROUND_FLOOR, context=_ROUNDING))


def percentage(part: Decimal, whole: Decimal) -> Decimal:
    """`part` of `whole` in percent with 2 decimals, for display only; 0.00 of nothing."""
    if not whole:
        return ZERO
    return _ROUNDING.divide(_ROUNDING.multiply(part, Decimal(100)), whole).quantize(CENT, context=_ROUNDING)


def plain(number: Decimal) -> str:
    """The shortest plain notation: no exponent, no trailing zeros; how quantities and prices are stored and sent."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
