"""Amounts: how money, prices and quantities are read, multiplied and written.

Money is US dollars as a `Decimal` with exactly 2 decimals. Prices (US dollars for one unit) and quantities (units of
an asset) have up to 8. Input is matched against an ASCII grammar before any number type sees it, because `Decimal`
itself accepts `NaN`, `1e400`, `１２` and `1_000`.

Invariant: no digit is lost silently. Arithmetic runs in a context that raises when a result would not be exact. Only
`_product` multiplies and rounds, apart from the functions whose docstring says how they round.
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
# What MAX_AMOUNT buys at the lowest price: no order that its total allows is refused for its quantity.
MAX_QUANTITY = Decimal("100000000000000")
MAX_PRICE = Decimal("1000000000")

# What is said of an amount beyond these.
AMOUNT_BOUNDS = "Choose an amount from 0.01 to 1000000.00."
QUANTITY_BOUNDS = "Choose a quantity from 0.00000001 to 100000000000000."
PRICE_BOUNDS = "Choose a price above 0, at most 1000000000."

# Text in which a comma can only be the decimal point. Three digits after one to three may be thousands: `1,000`.
# The script of the order form follows it, so it is written as JavaScript reads it too.
DECIMAL_COMMA = r"^(-?(?![1-9][0-9]{0,2},[0-9]{3}$)[0-9]+),([0-9]+)$"

# A quantity (23 digits) times a price (18 digits) fits with room to spare. A longer result raises; it is not rounded.
EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_ROUNDING = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow])
_FLOOR = Context(prec=60, rounding=ROUND_FLOOR, traps=[InvalidOperation, DivisionByZero, Overflow])


LARGE_UNITS = {"trillion": 12, "billion": 9, "million": 6}
"""The words for large amounts, each with its power of ten, the largest first."""


class InvalidAmount(ValueError):
    """The text is not an amount of this kind. The message tells the person how to write one."""


def with_point(text: str) -> str:
    """What a person typed, with a point where a comma can only be one: `12,50` is `12.50`, `1,000` stays as it is."""
    return re.sub(DECIMAL_COMMA, r"\1.\2", text)


def _parse(text: str, *, decimals: int, example: str) -> Decimal:
    if re.fullmatch(r"[1-9][0-9]{0,2},[0-9]{3}", text):
        whole, point = text.replace(",", ""), text.replace(",", ".")
        if decimals < 3:
            raise InvalidAmount(f"Write {whole}: leave out the comma between thousands.")
        raise InvalidAmount(f"Write {whole} or {point}: this comma can mean either.")
    if len(text) > 40 or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise InvalidAmount(f"Write digits and at most one point, such as {example}.")
    if len(text.partition(".")[2]) > decimals:
        raise InvalidAmount(f"At most {decimals} decimals, such as {example}.")
    return Decimal(text)


def parse_money(text: str) -> Decimal:
    """The amount of one transaction: 0.01 to 1000000.00, returned with exactly 2 decimals. Raises InvalidAmount."""
    amount = _parse(text, decimals=2, example="1000.00")
    if not CENT <= amount <= MAX_AMOUNT:
        raise InvalidAmount(AMOUNT_BOUNDS)
    return amount.quantize(CENT, context=EXACT)


def parse_adjustment(text: str) -> Decimal:
    """The amount of an adjustment: as `parse_money`, after a `-` when it is taken away. Raises InvalidAmount."""
    amount = parse_money(text.removeprefix("-"))
    return EXACT.minus(amount) if text.startswith("-") else amount


def parse_quantity(text: str) -> Decimal:
    """A quantity of an asset: 0.00000001 to 100000000000000. Raises InvalidAmount."""
    quantity = _parse(text, decimals=8, example="0.25")
    if not MIN_QUANTITY <= quantity <= MAX_QUANTITY:
        raise InvalidAmount(QUANTITY_BOUNDS)
    return quantity


def parse_price(text: str) -> Decimal:
    """The price of one unit: above 0, at most 1000000000. Raises InvalidAmount."""
    price = _parse(text, decimals=8, example="60000.00")
    if not 0 < price <= MAX_PRICE:
        raise InvalidAmount(PRICE_BOUNDS)
    return price


def add(first: Decimal, second: Decimal) -> Decimal:
    """The exact sum. Balances and holdings change through this and `subtract` only."""
    return EXACT.add(first, second)


def subtract(first: Decimal, second: Decimal) -> Decimal:
    """The exact difference, negative when `second` is the larger."""
    return EXACT.subtract(first, second)


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of any number of amounts; 0.00 for none."""
    return reduce(add, amounts, ZERO)


def known_total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The exact sum; None where one of the amounts is not known."""
    found = list(amounts)
    known = [amount for amount in found if amount is not None]
    return total_of(known) if len(known) == len(found) else None


def value_of(quantity: Decimal, price: Decimal) -> Decimal:
    """The value of a holding: quantity x price, rounded down to the cent, which is what a sale of it brings."""
    return _product(quantity, price, ROUND_FLOOR)


def order_total(quantity: Decimal, price: Decimal, *, buying: bool) -> Decimal:
    """What a buyer pays or a seller receives: a cost is rounded up to the cent, proceeds are rounded down."""
    return _product(quantity, price, ROUND_CEILING if buying else ROUND_FLOOR)


def new_order_total(quantity: Decimal, price: Decimal, *, buying: bool) -> Decimal:
    """The total of an order that is being placed.

    Raises OrderTooSmall when the exact value is below 0.01, OrderTooLarge when the total is above MAX_AMOUNT.
    """
    if EXACT.multiply(quantity, price) < CENT:
        raise OrderTooSmall()
    total = order_total(quantity, price, buying=buying)
    if total > MAX_AMOUNT:
        raise OrderTooLarge()
    return total


def _product(quantity: Decimal, price: Decimal, rounding: str) -> Decimal:
    return EXACT.multiply(quantity, price).quantize(CENT, rounding=rounding, context=_ROUNDING)


def share_of(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The share of `total` that falls to `part` of `whole`, rounded down to the cent; of the whole (or more) all."""
    if part >= whole:
        return total
    return _FLOOR.divide(EXACT.multiply(total, part), whole).quantize(CENT, context=_FLOOR)


def average_price(total: Decimal, quantity: Decimal, *, decimals: int) -> Decimal:
    """The price of one unit at which a quantity above 0 comes to `total`, rounded to `decimals`, for display only."""
    return _ROUNDING.divide(total, quantity).quantize(Decimal(1).scaleb(-decimals), context=_ROUNDING)


def quantity_for(amount: Decimal, price: Decimal) -> Decimal:
    """The largest quantity (8 decimals) that costs no more than the amount, itself up to MAX_AMOUNT; it can be 0."""
    return _FLOOR.divide(amount, price).quantize(MIN_QUANTITY, context=_FLOOR)


def moved_price(price: Decimal, percent: Decimal, *, decimals: int) -> Decimal:
    """A price moved by a signed percentage, rounded away from `price` to `decimals` decimals, but never down to 0."""
    tick = Decimal(1).scaleb(-decimals)
    moved = EXACT.multiply(price, EXACT.add(Decimal(1), percent.scaleb(-2)))
    return max(tick, moved.quantize(tick, rounding=ROUND_CEILING if percent > 0 else ROUND_FLOOR, context=_ROUNDING))


def percentage(part: Decimal, whole: Decimal) -> Decimal:
    """`part` of `whole` in percent, rounded to 2 decimals, for display only; 0.00 when `whole` is 0."""
    if not whole:
        return ZERO
    percent = _ROUNDING.divide(_ROUNDING.multiply(part, Decimal(100)), whole).quantize(CENT, context=_ROUNDING)
    return add(percent, ZERO)  # a loss of next to nothing is 0.00, not -0.00


def grown(growth: Decimal, gain: Decimal, base: Decimal) -> Decimal:
    """`growth` x (`base` + `gain`) / `base`, rounded to 60 digits; as it was when `base` is 0. A gain is signed."""
    return _ROUNDING.multiply(growth, _ROUNDING.divide(add(base, gain), base)) if base else growth


def shortened(amount: Decimal) -> tuple[Decimal, str]:
    """An amount of a million and more in the largest unit that it fills, rounded down to 2 decimals, and the unit.

    For display only. The unit is empty for a smaller amount, which stays as it is.
    """
    for unit, exponent in LARGE_UNITS.items():
        if amount >= Decimal(1).scaleb(exponent):
            return amount.scaleb(-exponent, context=_FLOOR).quantize(CENT, context=_FLOOR), unit
    return amount, ""


def plain(number: Decimal) -> str:
    """A number without exponent or trailing zeros: how quantities and prices are stored and sent."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
