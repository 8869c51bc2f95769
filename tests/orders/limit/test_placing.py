"""Limit orders that are placed: what waits, what is executed at once, what is refused, and what that costs."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from app.domain import clock
from tests.orders.limit.account import DAY, NOW, cancel, cash, described, holding, transactions
from tests.support.people import TIME, fields_named, problem
from tests.support.usage import usage, usage_of


def test_an_order_to_buy_waits_and_reserves_its_cost_at_the_limit(trader):
    with clock.at(NOW):
        order = trader.place("limit_buy", "btc", "1.5", price="90.001")
    assert {
        name: order[name]
        for name in ("order_type", "asset_id", "quantity", "price", "status", "total_amount", "executed_at")
    } == {
        "order_type": "limit_buy",
        "asset_id": "BTC",
        "quantity": "1.5",
        "price": "90.001",
        "status": "pending",
        "total_amount": "135.01",
        "executed_at": None,
    }
    assert re.fullmatch(TIME, order["expires_at"]) and order["created_at"] == order["updated_at"]
    assert clock.from_text(order["expires_at"]) == NOW + 30 * DAY
    assert cash(trader) == ("864.99", "135.01")
    assert trader.get("/portfolio").json["total_value"] == "1100.00", "what is reserved is still the owner's"
    assert transactions(trader) == [("order_payment", "135.01", order["order_id"])]
    assert holding(trader, "BTC") is None and trader.get("/assets/BTC/transactions").json["data"] == []
    assert trader.get(f"/orders/{order['order_id']}").json == {"data": order}


def test_what_the_transactions_of_an_order_say(trader, market, fill, expire):
    """Each says what was done, how much, and at which price."""
    market.set("BTC", "58950.08")
    market.set("SHIB", "0.00000042")
    trader.buy("BTC", "0.01")
    trader.sell("BTC", "0.005")
    trader.buy("SHIB", "100000")
    fill(trader.place("limit_buy", "BTC", "0.001", price="30000"), "29000.5")
    fill(trader.place("limit_buy", "BTC", "0.001", price="30000"), "30000")
    fill(trader.place("limit_sell", "BTC", "0.001", price="60000"), "61000.1")
    cancel(trader, trader.place("limit_buy", "ETH", "1.5", price="49.995"))
    cancel(trader, trader.place("limit_sell", "ETH", "1", price="60"))
    expire(trader.place("limit_buy", "ETH", "1", price="40"))
    assert described(trader) == [
        "Bought 0.01 BTC at 58,950.08",
        "Sold 0.005 BTC at 58,950.08",
        "Bought 100000 SHIB at 0.00000042",
        "Reserved to buy 0.001 BTC at 30,000.00 or less",
        "Returned: bought below the limit",
        "Reserved to buy 0.001 BTC at 30,000.00 or less",
        "Sold 0.001 BTC at 61,000.10",
        "Reserved to buy 1.5 ETH at 49.995 or less",
        "Returned: cancelled",
        "Reserved to buy 1 ETH at 40.00 or less",
        "Returned: expired",
    ]


def test_an_order_tells_its_limit_its_execution_and_its_reserve(trader, fill, expire):
    names = ("price", "limit_price", "executed_price", "reserved_amount", "reserved_quantity")

    def told(order_id: str) -> tuple[str | None, ...]:
        order = trader.get(f"/orders/{order_id}").json["data"]
        return tuple(order[name] for name in names)

    now = trader.buy("BTC", "1", price="101")
    at_once = trader.place("limit_buy", "BTC", "1", price="101")
    buy = trader.place("limit_buy", "BTC", "2", price="90")
    sell = trader.place("limit_sell", "ETH", "1.25", price="60")
    assert told(now["order_id"]) == ("100", None, "100", None, None)
    assert told(at_once["order_id"]) == ("100", "101", "100", None, None)
    assert told(buy["order_id"]) == ("90", "90", None, "180.00", None)
    assert told(sell["order_id"]) == ("60", "60", None, None, "1.25")
    fill(buy, "80.5")
    expire(sell)
    assert told(buy["order_id"]) == ("80.5", "90", "80.5", "180.00", None)
    assert told(sell["order_id"]) == ("60", "60", None, None, "1.25")


def test_an_order_to_sell_waits_and_reserves_its_quantity(trader):
    order = trader.place("limit_sell", "ETH", "1.25", price="60")
    assert (order["status"], order["price"], order["total_amount"]) == ("pending", "60", "75.00")
    assert cash(trader) == ("1000.00", "0.00") and holding(trader, "ETH") == "0.75"
    assert transactions(trader) == []
    assert trader.get("/balance/asset/ETH").json["updated_at"] == order["created_at"]
    for refused in (trader.order("market_sell", "ETH", "1"), trader.order("limit_sell", "ETH", "1", price="60")):
        assert problem(refused, 422, "insufficient_holding")["asset_id"] == "ETH"


# side, limit, market price; the price that the order is executed at, and what it comes to.
AT_ONCE = {
    "buy at exactly the price": ("limit_buy", "50.00", "50.00"),
    "buy above the price": ("limit_buy", "70", "50.00"),
    "sell at exactly the price": ("limit_sell", "50", "50.00"),
    "sell below the price": ("limit_sell", "0.01", "50.00"),
}


@pytest.mark.parametrize(("order_type", "limit", "total"), AT_ONCE.values(), ids=AT_ONCE.keys())
def test_a_limit_that_the_price_reaches_already_is_executed_at_once_at_the_price(trader, order_type, limit, total):
    order = trader.place(order_type, "ETH", "1", price=limit)
    assert (order["status"], order["price"], order["total_amount"]) == ("completed", "50", total)
    assert re.fullmatch(TIME, order["executed_at"]) and order["order_type"] == order_type
    buying = order_type == "limit_buy"
    assert cash(trader) == ("950.00" if buying else "1050.00", "0.00")
    assert holding(trader, "ETH") == ("3" if buying else "1")
    assert [row["order_id"] for row in trader.get("/assets/ETH/transactions?limit=1").json["data"]] == [
        order["order_id"]
    ]
    problem(cancel(trader, order), 409, "order_not_pending")


REFUSED = {
    "no limit": ({"price": None}, "price"),
    "a limit of zero": ({"price": "0"}, "price"),
    "a negative limit": ({"price": "-1"}, "price"),
    "a limit of 9 decimals": ({"price": "1.123456789"}, "price"),
    "a limit with an exponent": ({"price": "1e2"}, "price"),
    "a tiny number with an exponent": ({"price": 1e-9}, "price"),
    "a limit too high": ({"price": "1000000000.01"}, "price"),
    "a market order with an end": ({"order_type": "market_buy", "expires_at": "2099-01-01"}, "expires_at"),
    "an order type in capitals": ({"order_type": "LIMIT_BUY"}, "order_type"),
    "no quantity": ({"quantity": None}, "quantity"),
}


def test_a_limit_that_python_writes_with_an_exponent(trader):
    """As `json.dumps` writes the prices of small coins."""
    body = {"order_type": "limit_buy", "asset_id": "SHIB", "quantity": 1e5, "price": 1e-05}
    assert "1e-05" in json.dumps(body)
    order = trader.post("/orders", body).json["data"]
    assert (order["quantity"], order["price"]) == ("100000", "0.00001")


@pytest.mark.parametrize(("changes", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_orders(trader, changes, field):
    if "expires_at" in changes:
        changes = {**changes, "expires_at": (clock.now() + timedelta(days=1)).isoformat()}
    body = {"order_type": "limit_buy", "asset_id": "BTC", "quantity": "1", "price": "90", **changes}
    assert fields_named(problem(trader.post("/orders", body), 422, "invalid_input")) == [field]
    assert cash(trader) == ("1000.00", "0.00")


# order type, asset, quantity, limit, code
UNAFFORDABLE = {
    "a cent more than the balance": ("limit_buy", "BTC", "1", "99.99", "insufficient_funds"),
    "more than is held": ("limit_sell", "ETH", "2.00000001", "60", "insufficient_holding"),
    "never held": ("limit_sell", "BTC", "1", "200", "insufficient_holding"),
    "worth less than a cent": ("limit_buy", "BTC", "0.0001", "99.99", "order_too_small"),
    "worth more than a million": ("limit_sell", "ETH", "2", "500000.01", "order_too_large"),
    "of no asset": ("limit_buy", "NOSUCH", "1", "1", "asset_not_tradeable"),
    "of an inactive asset": ("limit_buy", "MATIC", "1", "0.01", "asset_not_tradeable"),
}


@pytest.mark.parametrize("case", UNAFFORDABLE.values(), ids=UNAFFORDABLE.keys())
def test_what_cannot_be_reserved_is_refused(trader, case):
    order_type, asset_id, quantity, limit, code = case
    trader.withdraw("900.02")  # leaves 99.98
    quantity = "0.00001" if code == "order_too_small" else quantity
    problem(trader.order(order_type, asset_id, quantity, price=limit), 422, code)
    assert cash(trader) == ("99.98", "0.00") and holding(trader, "ETH") == "2"
    assert [order["order_type"] for order in trader.get("/orders").json["data"]] == ["market_buy"]


def test_a_stale_price_places_nothing(trader, market):
    market.stale.add("BTC")
    problem(trader.order("limit_buy", "BTC", "1", price="90"), 503, "price_unavailable")
    assert cash(trader) == ("1000.00", "0.00")


# Read: user, token, and for a cancel the order, or else balance and holding, half a unit each, in the first call. A
# cancel then reads the balance and the holding, a unit each. Write: an order is 7
# (2, and 5 indexes), a balance 2, a transaction 2, a holding 2 (a new one 3: AssetIndex), a trade 4 (2 indexes), a
# claim 2.
COSTS = {
    "place a buy": (lambda trader, placed: trader.order("limit_buy", "BTC", "1", price="90"), None, (2, 2, 11)),
    "place a sell": (lambda trader, placed: trader.order("limit_sell", "ETH", "1", price="90"), None, (2, 2, 9)),
    "place with a key": (
        lambda trader, placed: trader.order("limit_buy", "BTC", "1", price="90", key="k"),
        None,
        (2, 2, 13),
    ),
    "cancel a buy": (lambda trader, placed: cancel(trader, placed), "limit_buy", (3, 3.5, 13)),
    "cancel a sell": (lambda trader, placed: cancel(trader, placed), "limit_sell", (3, 3.5, 13)),
}


@pytest.mark.parametrize(("do", "placed", "expected"), COSTS.values(), ids=COSTS.keys())
def test_what_requests_cost(trader, do, placed, expected):
    order = placed and trader.place(placed, "BTC" if placed == "limit_buy" else "ETH", "1", price="90")
    response = do(trader, order)
    assert response.status_code in {200, 201}
    assert usage_of(response) == usage(*expected)
