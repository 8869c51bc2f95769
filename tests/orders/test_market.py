"""Market orders by JSON: what they answer, and what balance, lists, holdings and portfolio show afterwards."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest

from app.schemas.outputs import OrderOutput
from tests.support.people import TIME, TRANSACTION, problem

ORDER = set(OrderOutput().fields)
TRADE = {
    *("asset_id", "transaction_type", "quantity", "price", "total_amount", "cost_total", "gain"),
    *("order_id", "status", "timestamp"),
}
GAINS = {"cost_total", "unrealised_gain", "unrealised_gain_percent", "realised_gain"}
HOLDING = {
    "asset_id",
    "asset_name",
    "quantity",
    "reserved_quantity",
    "current_price",
    "total_value",
    "average_price",
    "created_at",
    "updated_at",
    *GAINS,
}


@pytest.fixture
def trader(new_user, market, market_app):
    """Someone with 1000.00 deposited, 0.02 BTC bought at 10000.50 and 0.005 of them sold at 12000."""
    person = new_user(market_app)
    person.deposit("1000.00")
    market.set("BTC", "10000.50")
    person.buy("BTC", "0.0200")
    market.set("BTC", "12000")
    person.sell("BTC", "0.005")
    return person


def test_balance(trader):
    response = trader.get("/balance")
    assert response.status_code == 200
    body = response.json
    assert re.fullmatch(TIME, body.pop("updated_at"))
    assert body.pop("head") == trader.get("/balance/transactions").json["transactions"][0]["hash"]
    sums = {"current_balance": "859.99", "total_deposits": "1000.00", "total_withdrawals": "0.00"}
    assert body == {**sums, "number": 3}


def test_transactions(trader):
    body = trader.get("/balance/transactions").json
    assert set(body) == {"transactions", "total_count", "has_more", "next_cursor"}
    assert (body["total_count"], body["has_more"], body["next_cursor"]) == (3, False, None)
    rows = body["transactions"]
    assert all(set(row) == TRANSACTION for row in rows)
    assert [(row["transaction_type"], row["amount"], row["new_balance"]) for row in rows] == [
        ("order_sale", "60.00", "859.99"),
        ("order_payment", "200.01", "799.99"),
        ("deposit", "1000.00", "1000.00"),
    ]
    orders = trader.get("/orders").json["data"]
    assert [row["order_id"] for row in rows] == [orders[0]["order_id"], orders[1]["order_id"], None]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ("deposit", 1),
        ("DEPOSIT", 1),
        ("withdraw", 0),
        ("order_payment", 1),
        ("order_sale", 1),
        ("order_refund", 0),
        ("system_adjustment", 0),
    ],
)
def test_transactions_of_one_type(trader, wanted, count):
    body = trader.get(f"/balance/transactions?transaction_type={wanted}").json
    assert {row["transaction_type"] for row in body["transactions"]} <= {wanted.lower()}
    assert body["total_count"] == len(body["transactions"]) == count


def test_market_orders(trader, market):
    market.set("ETH", "2000.123")
    response = trader.order("market_buy", "eth", 0.1, price=None)
    assert response.status_code == 201 and set(response.json) == {"data"}
    order = response.json["data"]
    assert set(order) == ORDER
    assert re.fullmatch(r"order_[0-9A-Z]{26}", order["order_id"])
    shown = ("order_type", "asset_id", "quantity", "price", "status", "total_amount")
    assert {name: order[name] for name in shown} == {
        "order_type": "market_buy",
        "asset_id": "ETH",
        "quantity": "0.1",
        "price": "2000.123",
        "status": "completed",
        "total_amount": "200.02",
    }
    assert order["expires_at"] is None
    for name in ("executed_at", "created_at", "updated_at"):
        assert re.fullmatch(TIME, order[name])
    sold = trader.order("market_sell", "ETH", "0.10000000").json["data"]
    assert (sold["order_type"], sold["quantity"], sold["total_amount"]) == ("market_sell", "0.1", "200.01")
    for each in (order, sold):
        assert trader.get(f"/orders/{each['order_id']}").json == {"data": each}


def test_orders_newest_first(trader):
    body = trader.get("/orders").json
    assert set(body) == {"data", "has_more", "next_cursor"}
    assert [order["order_type"] for order in body["data"]] == ["market_sell", "market_buy"]
    assert all(set(order) == ORDER for order in body["data"])


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("asset_id=btc", 2),
        ("asset_id=ETH", 0),
        ("order_type=market_buy", 1),
        ("status=completed", 2),
        ("status=pending", 0),
        ("status=cancelled", 0),
        ("status=expired", 0),
        ("asset_id=BTC&order_type=market_sell&status=COMPLETED", 1),
        ("limit=1", 1),
        ("offset=1", 1),
        ("offset=2", 0),
    ],
)
def test_orders_filtered(trader, query, count):
    response = trader.get(f"/orders?{query}")
    assert response.status_code == 200 and len(response.json["data"]) == count


@pytest.mark.parametrize("path", ["/assets/BTC/transactions", "/assets/btc/transactions", "/assets/transactions"])
def test_trades(trader, path):
    body = trader.get(path).json
    assert set(body) == {"data", "has_more", "next_cursor"}
    assert all(set(row) == TRADE for row in body["data"])
    assert [
        [row[name] for name in ("asset_id", "transaction_type", "quantity", "price", "total_amount", "status")]
        for row in body["data"]
    ] == [
        ["BTC", "SELL", "0.005", "12000", "60.00", "COMPLETED"],
        ["BTC", "BUY", "0.02", "10000.5", "200.01", "COMPLETED"],
    ]
    assert [row["order_id"] for row in body["data"]] == [row["order_id"] for row in trader.get("/orders").json["data"]]
    assert trader.get("/assets/ETH/transactions").json["data"] == []


def test_holdings(trader):
    [holding] = trader.get("/balance/assets").json["data"]
    assert set(holding) == HOLDING
    assert trader.get("/balance/asset/btc").json == holding
    exact = json.loads(trader.get("/balance/asset/BTC").text, parse_int=Decimal, parse_float=Decimal)
    assert (exact["asset_name"], exact["quantity"]) == ("Bitcoin", "0.015")
    assert (exact["current_price"], exact["total_value"]) == (Decimal(12000), Decimal(180))
    assert re.fullmatch(TIME, exact["created_at"]) and exact["created_at"] < exact["updated_at"]
    for path in ("/balance/asset/ETH", "/balance/asset/NOSUCH", "/balance/asset/not-an-id"):
        assert trader.get(path).status_code == 404


def test_portfolio(trader, market):
    market.set("ETH", "100.00")
    trader.buy("ETH", "1")
    trader.sell("ETH", "1")
    body = trader.get("/portfolio").json
    assert re.fullmatch(TIME, body.pop("as_of")) and re.fullmatch(TIME, body["assets"][0].pop("priced_at"))
    assert body == {
        "assets": [
            {
                "asset_id": "BTC",
                "quantity": "0.015",
                "reserved_quantity": "0",
                "current_price": "12000",
                "market_value": "180.00",
                "percentage": "17.31",
                "average_price": "10000.67",
                "cost_total": "150.01",
                "realised_gain": "10.00",
                "unrealised_gain": "29.99",
                "unrealised_gain_percent": "19.99",
            }
        ],
        "cash_balance": "859.99",
        "reserved_cash": "0.00",
        "total_value": "1039.99",
        "cost_total": "150.01",
        "realised_gain": "10.00",
        "unrealised_gain": "29.99",
        "unrealised_gain_percent": "19.99",
        "net_deposits": "1000.00",
        "total_gain": "39.99",
    }
    market.set("BTC", "24000")
    assert trader.get("/portfolio").json["total_value"] == "1219.99"


def test_a_part_of_the_holdings(trader):
    for asset_id in ("BTC", "ETH"):
        trader.place("market_buy", asset_id, "0.01")
    whole = trader.get("/balance/assets").json["data"]
    assert len(whole) >= 2
    for offset, limit in ((0, 1), (1, 1), (1, 250), (1000, 1)):
        part = trader.get(f"/balance/assets?limit={limit}&offset={offset}").json["data"]
        assert [each["asset_id"] for each in part] == [each["asset_id"] for each in whole[offset : offset + limit]]


def test_selling_everything_leaves_a_holding_of_zero(trader):
    trader.sell("BTC", "0.015")
    assert trader.get("/balance/asset/BTC").json["quantity"] == "0"
    assert trader.get("/portfolio").json["assets"] == []
    problem(trader.order("market_sell", "BTC", "0.00001"), 422, "insufficient_holding")
    trader.buy("BTC", "0.001")
    assert trader.get("/balance/asset/BTC").json["quantity"] == "0.001"
