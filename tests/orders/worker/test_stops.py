"""Which stop orders a round triggers and fills, and at what price."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest

from app.domain import clock
from app.domain.orders import Side
from app.models import order_changes
from app.models.order_changes import NotDue
from app.models.orders import Order, get_order
from app.services.worker import Worker
from tests.orders.worker.rounds import done_of, status_of
from tests.support.accounts import open_trader, place_limit, place_stop
from tests.support.people import NOON
from tests.support.usage import metered

BUY, SELL = Side


@dataclass(frozen=True)
class Story:
    """A stop order, the prices of rounds, and what each round does; at which price the order is executed at last."""

    side: Side
    stop: str
    limit: str | None
    rounds: dict[str, str]
    executed: str | None = None


STORIES = {
    "a sale at its stop": Story(SELL, "90", None, {"90.00000001": "", "90": "filled"}, "90"),
    "a sale far below its stop": Story(SELL, "90", None, {"100": "", "12.5": "filled"}, "12.5"),
    "compared as numbers": Story(SELL, "1000", None, {"9999": "", "999.9": "filled"}, "999.9"),
    "a limit that the same price reaches": Story(SELL, "90", "85", {"100": "", "88": "filled"}, "88"),
    "a limit that the price has passed": Story(
        SELL, "90", "85", {"80": "triggered", "84.99": "", "85": "filled"}, "85"
    ),
    "a limit above the stop": Story(SELL, "90", "95", {"90": "triggered", "94": "", "96": "filled"}, "96"),
    "latched while it falls again": Story(
        SELL, "90", "95", {"89": "triggered", "70": "", "91": "", "95": "filled"}, "95"
    ),
    "a purchase at its stop": Story(BUY, "110", "120", {"109.99999999": "", "110": "filled"}, "110"),
    "a purchase at its limit": Story(BUY, "110", "120", {"120": "filled"}, "120"),
    "a purchase beyond its limit": Story(BUY, "110", "120", {"125": "triggered", "121": "", "118": "filled"}, "118"),
    "a purchase with a limit below": Story(BUY, "110", "105", {"111": "triggered", "108": "", "104": "filled"}, "104"),
    "latched while it rises again": Story(BUY, "110", "105", {"111": "triggered", "130": "", "105": "filled"}, "105"),
    "a limit that is reached before the stop": Story(BUY, "110", "105", {"100": "", "104": ""}),
    "not while it falls": Story(BUY, "110", "120", {"100": "", "1": ""}),
    "not while it rises": Story(SELL, "90", "80", {"100": "", "5000": ""}),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_what_the_rounds_do(worker, prices, trader, story):
    order = place_stop(trader, story.side, "1.5", story.stop, limit=story.limit)
    other_asset = place_stop(trader, story.side, "1", story.stop, limit=story.limit, asset_id="ETH")
    for price, outcome in story.rounds.items():
        prices.set("BTC", price)
        for expected in ((outcome == "filled", outcome == "triggered"), (False, False)):
            done = worker.run_round()
            assert ((done.filled, done.triggered), done.lost, done.failed) == (expected, 0, 0), price
    found = get_order(trader, order.order_id)
    assert found.executed_price == (Decimal(story.executed) if story.executed else None)
    assert (found.triggered_at is None) == (story.executed is None)
    assert status_of(other_asset) == "PENDING"


def test_orders_of_both_types_lie_in_one_book_by_price(worker, prices, trader):
    """One query finds the limit orders to buy and the stops to sell that a price reaches, the first reached first."""
    makers: dict[str, Callable[[str], Order]] = {
        "limit": lambda price: place_limit(trader, BUY, "0.1", price),
        "stop": lambda price: place_stop(trader, SELL, "0.1", price),
    }
    placed = [
        makers[kind](price)
        for kind, price in (("limit", "103"), ("stop", "104"), ("stop", "99"), ("limit", "98"), ("stop", "101"))
    ]
    with clock.at(NOON):
        worker = Worker(prices)
        worker.run_round()
    prices.set("BTC", "100")
    with metered() as meter, clock.at(NOON):
        assert done_of(worker) == (3, 0, 0, 0)
    assert meter.operations == ["Query", "Scan", "Query", *["BatchGetItem", "TransactWriteItems"] * 3]
    found = [get_order(trader, order.order_id) for order in placed]
    executed = sorted((each for each in found if each.executed_at), key=lambda each: each.executed_at)
    assert [each.book_price for each in executed] == [Decimal(104), Decimal(103), Decimal(101)]
    assert {each.order_price for each in executed} == {Decimal(100)}


def test_a_stop_that_would_bring_nothing_waits(worker, prices, trader):
    """It was worth a cent at its stop. Sold below, its proceeds are rounded down."""
    order = place_stop(trader, SELL, "0.0002", "90")
    prices.set("BTC", "49.99")
    with pytest.raises(NotDue):
        order_changes.fill_order(order, Decimal("49.99"))
    with metered() as meter:
        assert (done_of(worker), status_of(order)) == ((0, 0, 0, 0), "PENDING")
    assert "BatchGetItem" not in meter.operations, "it is passed over without a call"
    prices.set("BTC", "50")
    assert (done_of(worker), status_of(order)) == ((1, 0, 0, 0), "COMPLETED")
    assert get_order(trader, order.order_id).total_amount == Decimal("0.01")


@pytest.mark.parametrize("limit", [None, "95"])
def test_a_stale_price_triggers_nothing(worker, prices, trader, limit):
    order = place_stop(trader, SELL, "1", "90", limit=limit)
    prices.set("BTC", "50")
    prices.stale.add("BTC")
    assert (worker.run_round().triggered, status_of(order)) == (0, "PENDING")
    assert get_order(trader, order.order_id).triggered_at is None


def test_a_stop_that_is_reached_after_its_end_triggers_nothing(worker, prices, trader, monkeypatch):
    """The price came in time, the write would not."""
    now = clock.now()
    order = place_stop(trader, SELL, "1", "90", limit="95", expires_at=now + timedelta(seconds=5))
    prices.set("BTC", "80")
    with clock.at(now), pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now_after", lambda *moments: now + timedelta(seconds=6))
        done = worker.run_round()
    assert (done.triggered, done.lost, done.failed) == (0, 0, 0)
    assert get_order(trader, order.order_id).triggered_at is None


@pytest.mark.parametrize(("side", "price"), [(SELL, "90.01"), (BUY, "109.99")])
def test_no_order_is_executed_before_its_stop(trader, side, price):
    """Whoever asks for it: the price is as good as the limit, and has not reached the stop."""
    order = place_stop(trader, side, "1", "90" if side is SELL else "110", limit="80" if side is SELL else "120")
    with pytest.raises(NotDue):
        order_changes.fill_order(order, Decimal(price))
    assert status_of(order) == "PENDING"


def test_what_a_trigger_costs(noon_worker, prices, trader):
    with clock.at(NOON):
        place_stop(trader, SELL, "1", "90", limit="95")
        prices.set("BTC", "80")
        with metered() as meter:
            assert noon_worker.run_round().triggered == 1
        assert (meter.operations, meter.write_units) == (["Query", "Scan", "Query", "UpdateItem"], 6)
        with metered() as meter:
            assert noon_worker.run_round().triggered == 0
        assert meter.operations == ["Query", "Scan"], "it waits in the other book"


@pytest.mark.parametrize(("side", "units"), [(SELL, 19), (BUY, 19)])
def test_what_a_fill_costs(noon_worker, prices, side, units):
    """As that of a limit order: the trigger is in the same batch."""
    name = open_trader("10000", BTC="1")
    with clock.at(NOON):
        place_stop(name, side, "1", "100", limit="150" if side is BUY else None)
        prices.set("BTC", "100")
        with metered() as meter:
            assert done_of(noon_worker) == (1, 0, 0, 0)
    assert (meter.operations[-3:], meter.write_units) == (["Query", "BatchGetItem", "TransactWriteItems"], units)
