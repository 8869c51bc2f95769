"""Amounts that become quantities, worst prices, and what an order would do."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain import money
from app.domain.errors import InsufficientFunds, InsufficientHolding, OrderTooSmall, PriceMoved
from app.domain.holdings import AssetAccount
from app.domain.ledger import CashAccount
from app.domain.orders import NewOrder, Preview, PriceType, Side, default_limit_price, is_within, preview_order


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


def preview(side: Side, price_type: PriceType, quantity: str, limit: str | None, *, held: str = "5") -> Preview:
    order = NewOrder(side, price_type, "BTC", Decimal(quantity), limit and Decimal(limit))
    return preview_order(order, Decimal(100), CashAccount(Decimal("1000.00")), AssetAccount("BTC", Decimal(held)))


PREVIEWS = {
    "buy now": (Side.BUY, PriceType.MARKET, "2", "101", False, "200.00", "202.00", "800.00", "7"),
    "buy at any price": (Side.BUY, PriceType.MARKET, "2", None, False, "200.00", "200.00", "800.00", "7"),
    "sell now": (Side.SELL, PriceType.MARKET, "2", "99", False, "200.00", "198.00", "1200.00", "3"),
    "reached limit": (Side.BUY, PriceType.LIMIT, "2", "110", False, "200.00", "220.00", "800.00", "7"),
    "waiting buy": (Side.BUY, PriceType.LIMIT, "2", "90", True, "180.00", "180.00", "820.00", "5"),
    "waiting sell": (Side.SELL, PriceType.LIMIT, "2", "110", True, "220.00", "220.00", "1000.00", "3"),
    "a buyer's rounding": (Side.BUY, PriceType.MARKET, "0.001", "101.9", False, "0.10", "0.11", "999.90", "5.001"),
    "a seller's rounding": (Side.SELL, PriceType.MARKET, "0.001", "99", False, "0.10", "0.09", "1000.10", "4.999"),
}


@pytest.mark.parametrize(
    ("side", "price_type", "quantity", "limit", "waits", "total", "worst", "cash", "held"),
    PREVIEWS.values(),
    ids=PREVIEWS,
)
def test_a_preview(
    side: Side,
    price_type: PriceType,
    quantity: str,
    limit: str | None,
    waits: bool,
    total: str,
    worst: str,
    cash: str,
    held: str,
) -> None:
    seen = preview(side, price_type, quantity, limit)
    assert (seen.waits, seen.total, seen.limit_total) == (waits, Decimal(total), Decimal(worst))
    assert (seen.cash_after, seen.holding_after) == (Decimal(cash), Decimal(held))
    assert (seen.order.quantity, seen.price) == (Decimal(quantity), Decimal(100))


@pytest.mark.parametrize(
    ("side", "price_type", "quantity", "limit", "error"),
    [
        (Side.BUY, PriceType.MARKET, "2", "99", PriceMoved),
        (Side.BUY, PriceType.MARKET, "10.01", None, InsufficientFunds),
        (Side.BUY, PriceType.LIMIT, "11.2", "90", InsufficientFunds),
        (Side.SELL, PriceType.MARKET, "5.1", None, InsufficientHolding),
        (Side.SELL, PriceType.LIMIT, "5.1", "110", InsufficientHolding),
        (Side.BUY, PriceType.MARKET, "0.00000001", None, OrderTooSmall),
    ],
)
def test_a_preview_refuses_what_placing_would(
    side: Side, price_type: PriceType, quantity: str, limit: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error) as refused:
        preview(side, price_type, quantity, limit)
    assert refused.value.details.get("asset_id", "BTC") == "BTC"
