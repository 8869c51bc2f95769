"""Which orders a round fills, at what price, and what may go wrong."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain import clock
from app.domain.errors import OrderNotPending
from app.domain.orders import NewTerms, Side
from app.domain.users import UserStatus
from app.models import order_changes
from app.models.orders import get_order
from app.models.users import set_status
from tests.orders.worker.rounds import TABLES, done_of, status_of
from tests.support.accounts import place_limit
from tests.support.usage import metered


@pytest.mark.parametrize(
    ("side", "limit", "price", "filled"),
    [
        (Side.BUY, "100", "100", True),
        (Side.BUY, "100", "99.99999999", True),
        (Side.BUY, "100", "1", True),
        (Side.BUY, "100", "100.00000001", False),
        (Side.BUY, "9", "10", False),
        (Side.BUY, "1000", "999", True),
        (Side.SELL, "100", "100", True),
        (Side.SELL, "100", "100.00000001", True),
        (Side.SELL, "100", "5000", True),
        (Side.SELL, "100", "99.99999999", False),
        (Side.SELL, "10", "9", False),
        (Side.SELL, "999", "1000", True),
    ],
    ids=str,
)
def test_a_round_fills_what_the_price_reaches(worker, prices, trader, store, side, limit, price, filled):
    """Compared as numbers, not as text; at the market's price, not at the limit."""
    order = place_limit(trader, side, "1.5", limit)
    other_asset = place_limit(trader, side, "1", limit, asset_id="ETH")
    prices.set("BTC", price)
    assert done_of(worker) == (int(filled), 0, 0, 0)
    stored = get_order(trader, order.order_id)
    assert stored.status == ("COMPLETED" if filled else "PENDING")
    assert stored.order_price == Decimal(price if filled else limit)
    assert status_of(other_asset) == "PENDING"
    assert done_of(worker) == (0, 0, 0, 0)


def test_best_limits_first(worker, prices, trader, store):
    limits = {Side.BUY: ["101", "1000", "100", "9999.5", "99"], Side.SELL: ["9", "100", "99.99", "11", "101"]}
    placed = {side: [place_limit(trader, side, "0.1", limit) for limit in limits[side]] for side in Side}
    prices.set("BTC", "100")
    assert done_of(worker) == (8, 0, 0, 0)
    for side, best_first in ((Side.BUY, ["9999.5", "1000", "101", "100"]), (Side.SELL, ["9", "11", "99.99", "100"])):
        stored = [get_order(trader, order.order_id) for order in placed[side]]
        executed = sorted((order for order in stored if order.executed_at), key=lambda order: order.executed_at)
        assert [order.limit_price for order in executed] == list(map(Decimal, best_first))


@pytest.mark.parametrize("unfit", ["stale", "inactive", "unknown"])
def test_no_fill_without_a_good_price(worker, prices, trader, unfit):
    asset_id = {"inactive": "MATIC"}.get(unfit, "BTC")
    order = place_limit(trader, Side.BUY, "1", "100", asset_id=asset_id)
    if unfit != "unknown":
        prices.set(asset_id, "50")
    if unfit == "stale":
        prices.stale.add(asset_id)
    assert done_of(worker) == (0, 0, 0, 0)
    assert status_of(order) == "PENDING"


def test_a_price_is_not_kept_to_for_long(worker, prices, trader, monkeypatch):
    """Where many orders are to be filled time passes: the others wait for the next round, and its price."""
    placed = [place_limit(trader, Side.BUY, "1", limit) for limit in ("120", "110", "100")]
    now = clock.now()
    later = now + timedelta(seconds=11)
    prices.set("BTC", "100")
    with clock.at(now), ExitStack() as moments, monkeypatch.context() as patch:

        def is_stopping() -> bool:
            if status_of(placed[0]) == "COMPLETED":
                moments.enter_context(clock.at(later))
            return False

        patch.setattr(worker, "_is_stopping", is_stopping)
        assert done_of(worker) == (2, 0, 0, 0)
    prices.set("BTC", "95")
    assert done_of(worker) == (1, 0, 0, 0)
    assert [get_order(trader, order.order_id).order_price for order in placed] == [100, 100, 95]


def test_an_order_whose_time_ends_during_a_round_is_not_filled(worker, prices, trader, monkeypatch):
    order = place_limit(trader, Side.BUY, "1", "100", expires_at=clock.now() + timedelta(seconds=30))
    prices.set("BTC", "100")
    later, quote = clock.now() + timedelta(seconds=31), prices.quote
    with ExitStack() as moments:
        monkeypatch.setattr(prices, "quote", lambda asset: moments.enter_context(clock.at(later)) or quote(asset))
        assert done_of(worker) == (0, 0, 0, 0)
        assert done_of(worker) == (0, 1, 0, 0)
    assert status_of(order) == "EXPIRED"


def test_an_order_whose_time_ends_before_it_is_written_is_not_filled(worker, prices, trader, monkeypatch):
    """The price came in time, the write would not. Nobody took the order: the worker goes on with the others."""
    now = clock.now()
    late = [place_limit(trader, Side.BUY, "1", "110", expires_at=now + timedelta(seconds=5)) for _ in range(2)]
    waits = place_limit(trader, Side.BUY, "1", "100", expires_at=now + timedelta(seconds=9))
    prices.set("BTC", "100")
    with clock.at(now), ExitStack() as moments, monkeypatch.context() as patch:
        quote = prices.quote

        def slow_store() -> bool:
            if prices.quote is not quote:
                moments.enter_context(clock.at(now + timedelta(seconds=6)))
            return False

        def quoted(asset_id: str) -> Any:
            prices.quote = quote_again
            return quote(asset_id)

        quote_again = lambda asset_id: quote(asset_id)  # noqa: E731
        patch.setattr(prices, "quote", quoted, raising=False)
        patch.setattr(worker, "_is_stopping", slow_store)
        assert done_of(worker) == (1, 0, 0, 0)
    assert [status_of(order) for order in (*late, waits)] == ["PENDING", "PENDING", "COMPLETED"]


def test_an_order_that_fails_does_not_stop_the_others(worker, prices, trader, damaged, caplog):
    expire = place_limit(trader, Side.BUY, "1", "100", expires_at=clock.now() - timedelta(seconds=1))
    fill = place_limit(trader, Side.BUY, "1", "100")
    prices.set("BTC", "90")
    assert done_of(worker) == (1, 1, 0, 1)
    assert (status_of(fill), status_of(expire), status_of(damaged)) == ("COMPLETED", "EXPIRED", "PENDING")
    assert done_of(worker) == (0, 0, 0, 1), "it is tried again in each round"
    assert any(record.exc_info for record in caplog.records), "why it failed is in the log"


def test_an_order_that_cannot_be_read_does_not_stop_the_others(worker, prices, trader, damaged, store):
    store.update_item(
        TableName=TABLES["orders"],
        Key={"PK": {"S": damaged.order_id}, "SK": {"S": "ORDER"}},
        UpdateExpression="SET quantity = :q",
        ExpressionAttributeValues={":q": {"S": "many"}},
    )
    order = place_limit(trader, Side.BUY, "1", "100")
    prices.set("BTC", "90")
    worker.run_round()
    assert status_of(order) == "COMPLETED"


def test_the_order_of_someone_suspended_is_filled_and_ended_like_any_other(worker, prices, trader, store):
    """It was placed while the account was good, and its end gives back what it holds."""
    expire = place_limit(trader, Side.SELL, "1", "500", expires_at=clock.now() - timedelta(seconds=1))
    fill = place_limit(trader, Side.BUY, "1", "100")
    set_status(trader, UserStatus.SUSPENDED, now=clock.now())
    prices.set("BTC", "100")
    assert done_of(worker) == (1, 1, 0, 0)
    assert (status_of(fill), status_of(expire)) == ("COMPLETED", "EXPIRED")


def test_an_order_that_someone_else_ended_is_lost_and_costs_a_reading_more(worker, prices, trader):
    """The index may lag: what it shows as open may have ended."""
    order = place_limit(trader, Side.BUY, "1", "100")
    order_changes.cancel_order(trader, order.order_id)
    order.status, order.updated_at = "PENDING", clock.now()
    with metered() as used, pytest.raises(OrderNotPending, match="can no longer change"):
        order_changes.fill_order(order, Decimal(100))
    assert used.operations == ["BatchGetItem", "TransactWriteItems", "BatchGetItem"]
    assert (used.read_units, used.write_units) == (5, 0) and status_of(order) == "CANCELLED"


def test_an_order_that_its_owner_changed_is_lost_to_nobody(worker, prices, trader):
    """Its copy has a limit that the price reaches. The order has another one, or none of it is left to do."""
    order = place_limit(trader, Side.BUY, "1", "100")
    order_changes.change_order(trader, order.order_id, NewTerms(limit_price=Decimal(70)))
    with pytest.raises(order_changes.NotDue):
        order_changes.fill_order(order, Decimal(80))
    prices.set("BTC", "80")
    assert done_of(worker) == (0, 0, 0, 0)
    prices.set("BTC", "70")
    assert done_of(worker) == (1, 0, 0, 0) and status_of(order) == "COMPLETED"
