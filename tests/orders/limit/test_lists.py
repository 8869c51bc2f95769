"""Limit orders in lists, and how the worker finds them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain.orders import Direction
from app.models.orders import iterate_reached_orders, open_books
from tests.orders.limit.account import cancel
from tests.support.usage import AUTHENTICATION, usage_of


def test_an_open_order_is_found_behind_any_number_of_newer_ones(trader, market_app, monkeypatch):
    """It is counted and listed everywhere, in one call, however many orders came after it."""
    monkeypatch.setattr("app.models.paging.EXAMINED_ROWS", 3)
    first = trader.place("limit_sell", "ETH", "1", price="60")
    second = trader.place("limit_buy", "BTC", "1", price="90")
    for _ in range(12):
        cancel(trader, trader.place("limit_sell", "ETH", "0.5", price="60"))
    listed = trader.get("/orders?status=pending&limit=1")
    assert usage_of(listed).calls == 1 + AUTHENTICATION.calls
    assert [row["order_id"] for row in listed.json["data"]] == [second["order_id"]]
    rest = trader.get(f"/orders?status=pending&cursor={listed.json['next_cursor']}").json
    assert ([row["order_id"] for row in rest["data"]], rest["has_more"]) == ([first["order_id"]], False)
    assert trader.get("/portfolio").json["total_value"] == "1100.00"


def test_an_order_that_waits_is_found_by_its_asset_its_side_and_a_price_that_reaches_it(trader, market_app):
    buy, sell = trader.place("limit_buy", "BTC", "1", price="90"), trader.place("limit_sell", "ETH", "1", price="60")
    with market_app.app_context():

        def found(asset_id: str, direction: Direction, price: str) -> set[str]:
            [book] = open_books(asset_id, direction)
            return {order.order_id for order in iterate_reached_orders(book, direction, Decimal(price))}

        down, up = Direction
        assert buy["order_id"] in found("BTC", down, "90") and sell["order_id"] in found("ETH", up, "60")
        assert buy["order_id"] not in found("BTC", down, "90.01") | found("BTC", up, "90")
        assert sell["order_id"] not in found("ETH", up, "59.99") | found("ETH", down, "60")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (
            "",
            [
                "limit_buy pending",
                "limit_sell pending",
                "limit_sell expired",
                "limit_buy cancelled",
                "limit_buy completed",
                "market_buy completed",
            ],
        ),
        ("status=pending", ["limit_buy pending", "limit_sell pending"]),
        ("status=PENDING&asset_id=eth", ["limit_sell pending"]),
        ("status=completed", ["limit_buy completed", "market_buy completed"]),
        ("status=cancelled", ["limit_buy cancelled"]),
        ("status=expired", ["limit_sell expired"]),
        ("order_type=limit_sell", ["limit_sell pending", "limit_sell expired"]),
        ("order_type=market_buy", ["market_buy completed"]),
        ("order_type=market_sell", []),
        ("order_type=limit_buy&status=pending&asset_id=BTC", ["limit_buy pending"]),
        ("order_type=limit_buy&status=pending&asset_id=ETH", []),
    ],
)
def test_orders_filtered(all_kinds, query, found):
    listed = all_kinds.get(f"/orders?{query}").json["data"]
    assert [f"{order['order_type']} {order['status']}" for order in listed] == found


def test_a_filtered_list_pages_through_everything(all_kinds):
    seen, cursor = [], ""
    while cursor is not None:
        body = all_kinds.get(f"/orders?status=pending&limit=1{cursor and '&cursor=' + cursor}").json
        seen += [order["order_type"] for order in body["data"]]
        cursor = body["next_cursor"]
    assert seen == ["limit_buy", "limit_sell"]
