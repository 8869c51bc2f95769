"""What an order costs, brings and reserves, at a price and against a holding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from app.domain import clock
from app.domain.errors import FieldError, InvalidInput, OrderTooLarge, OrderTooSmall, PriceMoved, StopReached
from app.domain.idempotency import identify
from app.domain.orders import (
    Described,
    Direction,
    Fill,
    NewOrder,
    NewTerms,
    PriceType,
    Side,
    Terms,
    TimeInForce,
    change_of_reserve,
    check_end,
    describe_reserve,
    describe_trade,
    distance_to,
    fill_reserved,
    read_description,
)


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


# Side, stop, limit and the market's price; whether the order waits.
STOPS = {
    "a sale above its stop": ("SELL", "90", None, "90.00000001", True),
    "a sale at its stop": ("SELL", "90", None, "90", False),
    "a sale below its stop": ("SELL", "90", None, "1", False),
    "a sale with a limit below its stop": ("SELL", "90", "80", "100", True),
    "a sale with a limit above the price": ("SELL", "90", "120", "100", True),
    "a sale with a limit, at its stop": ("SELL", "90", "80", "90", False),
    "a purchase below its stop": ("BUY", "110", "120", "109.99999999", True),
    "a purchase with a limit that the price reaches": ("BUY", "110", "105", "100", True),
    "a purchase at its stop": ("BUY", "110", "120", "110", False),
    "a purchase above its stop": ("BUY", "110", "120", "115", False),
}


@pytest.mark.parametrize(("side", "stop", "limit", "price", "waits"), STOPS.values(), ids=STOPS)
def test_a_stop_order_waits_or_is_refused(side: str, stop: str, limit: str | None, price: str, waits: bool) -> None:
    wanted = replace(order(side, "1", limit, "STOP_LIMIT" if limit else "STOP"), stop_price=Decimal(stop))
    assert wanted.nominal_price == Decimal(limit or stop)
    if waits:
        assert wanted.waits_at(Decimal(price))
        return
    with pytest.raises(StopReached) as refused:
        wanted.waits_at(Decimal(price))
    assert refused.value.details == {"price": price, "stop_price": stop}
    assert f"{'above' if side == 'BUY' else 'below'} the price" in str(refused.value)


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


DISTANCES = {
    "waits for less": (Direction.DOWN, "90", "100", "10", "10.00"),
    "waits for more": (Direction.UP, "125", "100", "25", "25.00"),
    "there": (Direction.DOWN, "100", "100", "0", "0.00"),
    "has fallen further": (Direction.DOWN, "90", "80", "0", "0.00"),
    "has risen further": (Direction.UP, "90", "100", "0", "0.00"),
}


@pytest.mark.parametrize(("way", "awaited", "price", "amount", "percent"), DISTANCES.values(), ids=DISTANCES)
def test_how_far_the_price_must_still_go(way: Direction, awaited: str, price: str, amount: str, percent: str) -> None:
    found = distance_to(way, Decimal(awaited), Decimal(price))
    assert (found.direction, found.amount, found.percent) == (way, Decimal(amount), Decimal(percent))


@pytest.mark.parametrize("asset_id", ["BTC", "SHIB"])
@pytest.mark.parametrize(
    ("quantity", "price"), [("0.00000001", "58950.08"), ("123456789", "0.00001234"), ("2", "1E+3")]
)
def test_what_a_description_says_is_read_again(asset_id: str, quantity: str, price: str) -> None:
    numbers = Decimal(quantity), asset_id, Decimal(price)
    for side, did in ((Side.BUY, "Bought"), (Side.SELL, "Sold")):
        assert read_description(describe_trade(side, *numbers)) == Described(did, *numbers)
    assert read_description(describe_reserve(*numbers)) == Described("Reserved to buy", *numbers)


@pytest.mark.parametrize(
    "text", [None, "", "Savings", "Bought 1 BTC", "Bought 1 BTC at 5 for Ann", "Returned: cancelled"]
)
def test_other_words_say_nothing(text: str | None) -> None:
    assert read_description(text) is None


PLACED = datetime(2026, 1, 15, 12, tzinfo=UTC)
LATER = PLACED + timedelta(days=10)
# Of an order for 2 at 90.00: what changes, and the difference of the reserve of a buyer and of a seller.
CHANGES: dict[str, tuple[dict[str, str], str, str]] = {
    "a lower limit": ({"limit_price": "80.005"}, "-19.99", "0"),
    "a higher limit": ({"limit_price": "90.00000001"}, "0.01", "0"),
    "more": ({"quantity": "2.00000001"}, "0.01", "0.00000001"),
    "less": ({"quantity": "0.5"}, "-135.00", "-1.5"),
    "both": ({"quantity": "1", "limit_price": "180"}, "0.00", "-1"),
    "nothing": ({}, "0.00", "0"),
}


@pytest.mark.parametrize(("wanted", "buyer", "seller"), CHANGES.values(), ids=CHANGES)
def test_a_change_moves_the_difference_of_the_reserve(wanted, buyer, seller):
    new = NewTerms(**{name: Decimal(text) for name, text in wanted.items()})
    for side, difference in ((Side.BUY, buyer), (Side.SELL, seller)):
        before = Terms(side, Decimal(2), Decimal(90), PLACED + timedelta(days=30))
        after = new.applied_to(before, placed_at=PLACED, time_in_force=None, now=LATER)
        assert change_of_reserve(before, after) == Decimal(difference)
        assert (after == before) == (not wanted)


# The new end, how long the order stands, and what is said of that; none, if it is taken.
NEW_ENDS = {
    "the last moment of its 90th day": (datetime(2026, 4, 15, 23, 59, 59, 999999, UTC), TimeInForce.GTC, None),
    "a moment later": (datetime(2026, 4, 16, tzinfo=UTC), TimeInForce.GTC, "at most 90 days from when it was placed"),
    "a moment from now": (LATER + timedelta.resolution, TimeInForce.GTC, None),
    "now": (LATER, TimeInForce.GTC, "Choose a time in the future"),
    "of a day": (LATER + timedelta(days=1), TimeInForce.DAY, "ends with the day"),
}


@pytest.mark.parametrize(("end", "stands", "advice"), NEW_ENDS.values(), ids=NEW_ENDS)
def test_an_open_order_may_get_another_end(end, stands, advice):
    before = Terms(Side.BUY, Decimal(2), Decimal(90), PLACED + timedelta(days=30))
    new = NewTerms(expires_at=end)
    if advice is None:
        assert new.applied_to(before, placed_at=PLACED, time_in_force=stands, now=LATER).expires_at == end
        return
    with pytest.raises(InvalidInput) as raised:
        new.applied_to(before, placed_at=PLACED, time_in_force=stands, now=LATER)
    assert [error.field for error in raised.value.errors] == ["expires_at"]
    assert advice in raised.value.errors[0].message


@pytest.mark.parametrize(("quantity", "error"), [("0.0001", OrderTooSmall), ("11112", OrderTooLarge)])
def test_a_changed_order_comes_to_what_an_order_may(quantity, error):
    before = Terms(Side.SELL, Decimal(2), Decimal(90), PLACED + timedelta(days=30))
    with pytest.raises(error):
        NewTerms(quantity=Decimal(quantity)).applied_to(before, placed_at=PLACED, time_in_force=None, now=LATER)
