"""Amounts that become quantities, and worst prices."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from app.domain import money
from app.domain.orders import NewOrder, PriceType, Side, default_limit_price, is_within


@pytest.mark.parametrize(
    ("amount", "price", "quantity"),
    [
        ("100.00", "60000.00", "0.00166666"),
        ("100.00", "3", "33.33333333"),
        ("0.01", "60000", "0.00000016"),
        ("0.01", "1000000000", "0"),
        ("1000000.00", "0.00000001", "100000000000000"),
        ("50.00", "100", "0.5"),
    ],
)
def test_what_an_amount_buys(amount: str, price: str, quantity: str) -> None:
    assert money.quantity_for(Decimal(amount), Decimal(price)) == Decimal(quantity)


@pytest.mark.parametrize(
    ("quantity", "price", "within"),
    [("2", "50.00", True), ("2", "50.00000001", False), ("1.99999999", "50.00000001", True), ("1", None, False)],
)
def test_whether_a_purchase_can_cost_more_than_an_amount(quantity: str, price: str | None, within: bool) -> None:
    assert is_within(Decimal("100.00"), Decimal(quantity), Decimal(price) if price else None) is within


@pytest.mark.parametrize(
    ("side", "price", "decimals", "worst"),
    [
        (Side.BUY, "100.00", 2, "100.50"),
        (Side.SELL, "100.00", 2, "99.50"),
        (Side.BUY, "60000.11", 2, "60300.12"),
        (Side.SELL, "60000.11", 2, "59700.10"),
        (Side.BUY, "0.00001", 5, "0.00002"),
        (Side.SELL, "0.00001", 5, "0.00001"),
    ],
)
def test_the_allowance_rounds_away_from_the_price(side: Side, price: str, decimals: int, worst: str) -> None:
    assert default_limit_price(side, Decimal(price), decimals=decimals) == Decimal(worst)


SIZED = {
    "at its worst price": (PriceType.MARKET, "50000", "0.002"),
    "with the allowance": (PriceType.MARKET, None, "0.00165837"),
    "at its limit": (PriceType.LIMIT, "50000", "0.002"),
    "to next to nothing": (PriceType.MARKET, "1000000000", "0.0000001"),
}


@pytest.mark.parametrize(("price_type", "limit", "quantity"), SIZED.values(), ids=SIZED)
def test_an_order_for_an_amount_is_sized(price_type: PriceType, limit: str | None, quantity: str) -> None:
    order = NewOrder(Side.BUY, price_type, "BTC", limit_price=limit and Decimal(limit), spend=Decimal("100.00"))
    sized = order.sized_at(Decimal("60000.00"))
    assert sized == replace(order, quantity=Decimal(quantity))
    assert order.identity != replace(order, spend=Decimal("100.01")).identity
    assert order.identity == replace(order, spend=Decimal("100")).identity
    assert replace(sized, spend=None).sized_at(Decimal(1)) == replace(sized, spend=None)
