"""What an order costs, brings and reserves, at a price and against a holding."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from app.domain import clock
from app.domain.errors import FieldError, InvalidInput, OrderTooLarge, OrderTooSmall, PriceMoved
from app.domain.idempotency import identify
from app.domain.orders import Fill, NewOrder, PriceType, Side, check_end, fill_reserved


def order(side: str, quantity: str, price: str | None = None, price_type: str = "MARKET") -> NewOrder:
    return NewOrder(Side(side), PriceType(price_type), "BTC", Decimal(quantity), Decimal(price) if price else None)


@pytest.mark.parametrize(
    ("wanted", "fingerprint"),
    [
        (
            NewOrder(
                Side.BUY,
                PriceType.LIMIT,
                "BTC",
                Decimal("0.50"),
                Decimal("60000.0"),
                datetime(2026, 1, 15, 13, tzinfo=timezone(timedelta(hours=1))),
            ),
            "52f8d430989dc0973e75fddc4124fffe0ecf66bf7058d03b1464b528ab72fe76",
        ),
        (order("SELL", "0.5"), "22f4a6ad13827731d289191d3e5cca35c52825697aa167956b8023be1a40a492"),
    ],
    ids=["all values", "as few as can be"],
)
def test_claims_of_earlier_versions_fit_the_same_order(wanted, fingerprint):
    made = identify("k", f"{wanted.price_type} {wanted.side}", *wanted.identity)
    assert made.fingerprint == fingerprint


def test_what_orders_get_later_makes_another_order_only_where_it_is_given():
    @dataclass(frozen=True, slots=True)
    class LaterOrder(NewOrder):
        note: str | None = None

    parts = (Side.BUY, PriceType.MARKET, "BTC", Decimal(1))
    assert LaterOrder(*parts).identity == NewOrder(*parts).identity == ["BTC", "1", None, None]
    assert LaterOrder(*parts, note="x").identity == ["BTC", "1", None, None, "note=x"]


@pytest.mark.parametrize(
    ("side", "accepted", "price"),
    [
        ("BUY", None, "999999999"),
        ("BUY", "100", "100"),
        ("BUY", "100", "99.99"),
        ("SELL", None, "0.00000001"),
        ("SELL", "100", "100"),
        ("SELL", "100", "100.01"),
    ],
)
@pytest.mark.parametrize("price_type", ["MARKET", "LIMIT"])
def test_a_price_that_is_good_enough_is_taken_at_once(price_type, side, accepted, price):
    assert not order(side, "1", accepted, price_type).waits_at(Decimal(price))


@pytest.mark.parametrize(("side", "accepted", "price"), [("BUY", "100", "100.01"), ("SELL", "100", "99.99")])
def test_a_worse_price_refuses_a_market_order_and_lets_a_limit_order_wait(side, accepted, price):
    assert order(side, "1", accepted, "LIMIT").waits_at(Decimal(price))
    with pytest.raises(PriceMoved) as moved:
        order(side, "1", accepted, "MARKET").waits_at(Decimal(price))
    assert moved.value.details == {"price": price, "worst_price": accepted}


@pytest.mark.parametrize(
    ("side", "quantity", "price", "total"),
    [
        ("BUY", "0.33333333", "3", "1.00"),
        ("SELL", "0.33333333", "3", "0.99"),
        ("BUY", "0.5", "60000.00", "30000.00"),
        ("SELL", "0.5", "60000.00", "30000.00"),
    ],
)
def test_total(side, quantity, price, total):
    assert str(order(side, quantity).total_at(Decimal(price))) == total


@pytest.mark.parametrize(
    ("quantity", "price", "refusal"), [("0.00000001", "1", OrderTooSmall), ("1000000", "1.01", OrderTooLarge)]
)
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_total_out_of_bounds(side, quantity, price, refusal):
    with pytest.raises(refusal):
        order(side, quantity).total_at(Decimal(price))


@pytest.mark.parametrize(
    ("side", "price", "reserved", "total", "refund"),
    [
        ("BUY", "100", "100.00", "100.00", "0.00"),
        ("BUY", "99.995", "100.00", "100.00", "0.00"),
        ("BUY", "80", "100.00", "80.00", "20.00"),
        ("SELL", "120", None, "120.00", "0.00"),
    ],
)
def test_an_open_order_is_filled_from_its_reserve(side, price, reserved, total, refund):
    filled = fill_reserved(Side(side), Decimal(1), Decimal(price), Decimal(reserved) if reserved else None)
    assert filled == Fill(Decimal(total), Decimal(refund))


NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("end", [None, NOW + timedelta(microseconds=1)])
def test_an_order_may_end_in_the_future_or_when_it_is_given_no_end(end):
    check_end(end, NOW)


@pytest.mark.parametrize("end", [NOW, NOW - timedelta(days=1)])
def test_an_order_that_has_ended_is_no_new_order(end):
    with pytest.raises(InvalidInput) as refused:
        check_end(end, NOW)
    assert refused.value.errors == [FieldError("expires_at", clock.end_advice(timedelta(days=90)))]
