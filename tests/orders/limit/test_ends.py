"""How a limit order ends: filled, cancelled or expired; what it gives back, and what that costs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.models import order_changes
from app.models.orders import Order
from tests.orders.limit.account import cancel, cash, holding, transactions
from tests.support.people import problem
from tests.support.usage import metered, usage

# order type, quantity, limit, fill price; then total, refund if any, cash after.
FILLS = {
    "buy at exactly the limit": ("limit_buy", "BTC", "2", "90", "90", "180.00", None, "820.00"),
    "buy below the limit": ("limit_buy", "BTC", "2", "90", "80.5", "161.00", "19.00", "839.00"),
    "buy by less than a cent": ("limit_buy", "BTC", "1", "90", "89.99999999", "90.00", None, "910.00"),
    "buy by a cent": ("limit_buy", "BTC", "1", "90", "89.99", "89.99", "0.01", "910.01"),
    "buy for almost nothing": ("limit_buy", "BTC", "1", "90", "0.00000001", "0.01", "89.99", "999.99"),
    "sell at exactly the limit": ("limit_sell", "ETH", "2", "60.005", "60.005", "120.01", None, "1120.01"),
    "sell above the limit": ("limit_sell", "ETH", "1.5", "60", "61.999", "92.99", None, "1092.99"),
}


@pytest.mark.parametrize("case", FILLS.values(), ids=FILLS.keys())
def test_a_fill(trader, fill, case):
    order_type, asset_id, quantity, limit, price, total, refund, left = case
    order = trader.place(order_type, asset_id, quantity, price=limit)
    fill(order, price)
    filled = trader.get(f"/orders/{order['order_id']}").json["data"]
    assert (filled["status"], Decimal(filled["price"]), filled["total_amount"]) == ("completed", Decimal(price), total)
    assert filled["executed_at"] == filled["updated_at"] > order["created_at"] == filled["created_at"]
    assert filled["expires_at"] == order["expires_at"]
    assert cash(trader) == (left, "0.00")
    reserve = [("order_payment", order["total_amount"])] if order_type == "limit_buy" else [("order_sale", total)]
    assert transactions(trader) == [
        (*row, order["order_id"]) for row in reserve + ([("order_refund", refund)] if refund else [])
    ]
    [trade] = trader.get(f"/assets/{asset_id}/transactions?limit=1").json["data"]
    assert (trade["order_id"], trade["quantity"], trade["total_amount"]) == (order["order_id"], quantity, total)
    assert trade["timestamp"] == filled["executed_at"]
    assert trader.get("/balance").json["updated_at"] == filled["executed_at"]
    problem(cancel(trader, order), 409, "order_not_pending")


@pytest.mark.parametrize(
    ("order_type", "asset_id", "status"),
    [
        ("limit_buy", "BTC", "cancelled"),
        ("limit_sell", "ETH", "cancelled"),
        ("limit_buy", "BTC", "expired"),
        ("limit_sell", "ETH", "expired"),
    ],
)
def test_an_order_that_ends_unfilled_gives_everything_back(trader, expire, order_type, asset_id, status):
    order = trader.place(order_type, asset_id, "1.1", price="90.009")
    if status == "cancelled":
        response = cancel(trader, order)
        assert response.status_code == 200
        ended = response.json["data"]
    else:
        expire(order)
        ended = trader.get(f"/orders/{order['order_id']}").json["data"]
    assert ended["status"] == status and ended["executed_at"] is None and ended["updated_at"] > order["updated_at"]
    assert {name: ended[name] for name in order if name not in {"status", "updated_at"}} == {
        name: order[name] for name in order if name not in {"status", "updated_at"}
    }
    assert cash(trader) == ("1000.00", "0.00") and holding(trader, "ETH") == "2"
    assert trader.get(f"/orders/{order['order_id']}").json["data"] == ended
    changed = "/balance" if order_type == "limit_buy" else "/balance/asset/ETH"
    assert trader.get(changed).json["updated_at"] == ended["updated_at"]
    assert [row[:2] for row in transactions(trader)] == (
        [("order_payment", "99.01"), ("order_refund", "99.01")] if order_type == "limit_buy" else []
    )
    body = problem(cancel(trader, order), 409, "order_not_pending")
    assert body["order_status"] == status
    assert cash(trader) == ("1000.00", "0.00")


def test_cancelling_what_is_not_there_or_not_ones_own(trader, new_user, market_app):
    order = trader.place("limit_buy", "BTC", "1", price="90")
    other = new_user(market_app)
    answers = [
        problem(cancel(other, {"order_id": order_id}), 404, "order_not_found")
        for order_id in (order["order_id"], f"order_{'0' * 26}", order["order_id"].lower())
    ]
    assert len({answer["detail"] for answer in answers}) == 1
    for order_id in ("short", "x" * 51, "order-0123456789"):
        problem(cancel(trader, {"order_id": order_id}), 422, "invalid_input")
    assert cash(trader) == ("910.00", "90.00")


# The first purchase of an asset makes a holding, which AssetIndex takes up.
FILL_COSTS = {
    "buy at the limit": ("limit_buy", "BTC", "90", (2, 2, 18)),
    "buy below the limit": ("limit_buy", "BTC", "80", (2, 2, 20)),
    "buy of what is held": ("limit_buy", "ADA", "90", (2, 2, 17)),
    "buy of what is held, below the limit": ("limit_buy", "ADA", "80", (2, 2, 19)),
    "sell": ("limit_sell", "ETH", "90", (2, 2, 19)),
    "expire a buy": ("limit_buy", "BTC", None, (2, 2, 13)),
    "expire a sell": ("limit_sell", "ETH", None, (2, 2, 13)),
}


@pytest.mark.parametrize(("order_type", "asset_id", "price", "expected"), FILL_COSTS.values(), ids=FILL_COSTS.keys())
def test_what_the_worker_pays_for_an_order(trader, market_app, order_type, asset_id, price, expected):
    if asset_id == "ADA":
        market_app.extensions["prices"].set("ADA", "100")
        trader.buy("ADA", "1")
    placed = trader.place(order_type, asset_id, "1", price="90")
    with market_app.app_context():
        order = Order.get(*Order.key(placed["order_id"]))
        with metered() as meter:
            order_changes.fill_order(order, Decimal(price)) if price else order_changes.expire_order(order)
        assert usage(meter.calls, meter.read_units, meter.write_units) == usage(*expected)
