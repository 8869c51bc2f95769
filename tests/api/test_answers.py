"""What every route answers: status, exact field names, and the headers that all answers have."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
import simplejson

from tests.support.people import problem

TRANSACTION = {
    "transaction_id",
    "transaction_type",
    "amount",
    "previous_balance",
    "new_balance",
    "status",
    "description",
    "order_id",
    "created_at",
}
ORDER = {
    "order_id",
    "order_type",
    "asset_id",
    "quantity",
    "price",
    "status",
    "total_amount",
    "expires_at",
    "executed_at",
    "created_at",
    "updated_at",
}
TRADE = {"asset_id", "transaction_type", "quantity", "price", "total_amount", "order_id", "status", "timestamp"}
HOLDING = {"asset_id", "asset_name", "quantity", "current_price", "total_value", "created_at", "updated_at"}
ASSET = {
    "asset_id",
    "name",
    "description",
    "category",
    "price_usd",
    "is_active",
    "symbol",
    "image",
    "market_cap_rank",
    "price_change_percentage_24h",
    "market_cap",
    "total_volume_24h",
}
ASSET_DETAIL = ASSET | {
    "availability_status",
    "price_change_24h",
    "price_change_percentage_7d",
    "price_change_percentage_30d",
    "high_24h",
    "low_24h",
    "circulating_supply",
    "total_supply",
    "max_supply",
    "ath",
    "ath_change_percentage",
    "ath_date",
    "atl",
    "atl_change_percentage",
    "atl_date",
    "last_updated",
}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


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
    assert body == {"current_balance": "859.99", "total_deposits": "1000.00", "total_withdrawals": "0.00"}


@pytest.mark.parametrize(
    ("route", "kind", "new_balance"), [("deposit", "deposit", "1100.10"), ("withdraw", "withdraw", "899.90")]
)
def test_deposit_and_withdraw(person, route, kind, new_balance):
    person.deposit("1000")
    response = person.post(f"/balance/{route}", {"amount": "100.1", "description": " Für später "})
    assert response.status_code == 201
    body = response.json
    assert set(body) == {"success", "message", "transaction_id", "timestamp", "transaction"}
    assert body["success"] is True and body["message"]
    transaction = body["transaction"]
    assert set(transaction) == TRANSACTION
    assert body["transaction_id"] == transaction["transaction_id"] == "000000000002"
    assert body["timestamp"] == transaction["created_at"]
    assert re.fullmatch(TIME, body["timestamp"])
    assert {name: transaction[name] for name in TRANSACTION - {"created_at", "transaction_id"}} == {
        "transaction_type": kind,
        "amount": "100.10",
        "previous_balance": "1000.00",
        "new_balance": new_balance,
        "status": "completed",
        "description": "Für später",
        "order_id": None,
    }
    assert person.get("/balance/transactions/000000000002").json == transaction


@pytest.mark.parametrize(
    "description", [None, "", "   ", "x" * 200, "=1+1", "<script>alert(1)</script>", "🪙", "a'b\"c\\"]
)
def test_a_description_comes_back_as_it_was_sent(person, description):
    sent = {"amount": "1", "description": description}
    response = person.post("/balance/deposit", sent)
    assert response.status_code == 201
    expected = description if description and description.strip() else None
    assert response.json["transaction"]["description"] == expected


@pytest.mark.parametrize("amount", [1000, "1000", "1000.0", "1000.00", Decimal("1e0") * 1000, "01000.00"])
def test_the_same_amount_in_other_notations(person, amount):
    sent = simplejson.dumps({"amount": amount}, use_decimal=True)
    response = person.post("/balance/deposit", data=sent, content_type="application/json")
    assert response.status_code == 201 and person.balance() == "1000.00"


def test_a_json_number_never_goes_through_float(person):
    """As floats these lose their cents or their last digits."""
    for amount in ("0.29", "999999.99", "1.10", "0.01"):
        assert (
            person.post("/balance/deposit", data=f'{{"amount": {amount}}}', content_type="application/json").json[
                "transaction"
            ]["amount"]
            == amount
        )
    assert person.balance() == "1000001.39"


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
    exact = simplejson.loads(trader.get("/balance/asset/BTC").text, use_decimal=True)
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
    assert re.fullmatch(TIME, body.pop("as_of"))
    assert body == {
        "assets": [
            {
                "asset_id": "BTC",
                "quantity": "0.015",
                "current_price": "12000",
                "market_value": "180.00",
                "percentage": "17.31",
            }
        ],
        "cash_balance": "859.99",
        "reserved_cash": "0.00",
        "total_value": "1039.99",
    }
    market.set("BTC", "24000")
    assert trader.get("/portfolio").json["total_value"] == "1219.99"


def test_a_new_account_is_empty(person):
    assert person.balance() == "0.00"
    assert person.get("/balance/assets").json == {"data": []}
    assert person.get("/portfolio").json["total_value"] == "0.00"
    for path in ("/orders", "/assets/transactions", "/assets/BTC/transactions"):
        assert person.get(path).json == {"data": [], "has_more": False, "next_cursor": None}


def test_selling_everything_leaves_a_holding_of_zero(trader):
    trader.sell("BTC", "0.015")
    assert trader.get("/balance/asset/BTC").json["quantity"] == "0"
    assert trader.get("/portfolio").json["assets"] == []
    problem(trader.order("market_sell", "BTC", "0.00001"), 422, "insufficient_holding")
    trader.buy("BTC", "0.001")
    assert trader.get("/balance/asset/BTC").json["quantity"] == "0.001"


def test_the_inventory(client):
    body = client.get("/api/v1/inventory/assets").json
    assert set(body) == {"data", "assets", "total_count", "active_count"}
    assert body["data"] == body["assets"] and len(body["data"]) == body["total_count"] >= 20
    assert all(set(asset) == ASSET for asset in body["data"])
    ranks = [asset["market_cap_rank"] for asset in body["data"]]
    assert ranks == sorted(ranks)
    assert body["active_count"] == sum(asset["is_active"] for asset in body["data"]) < body["total_count"]
    for asset in body["data"]:
        assert isinstance(asset["price_usd"], (int, float)) and asset["price_usd"] > 0
        assert re.fullmatch(r"[A-Z0-9]{1,10}", asset["asset_id"])
        assert asset["symbol"] == asset["asset_id"]


@pytest.mark.parametrize("query", ["active_only=true", "active_only=1", "active_only=TRUE"])
def test_the_inventory_of_active_assets(client, query):
    body = client.get(f"/api/v1/inventory/assets?{query}").json
    assert all(asset["is_active"] for asset in body["data"])
    assert body["total_count"] == body["active_count"] == len(body["data"])


def test_a_part_of_the_inventory(client):
    whole = client.get("/api/v1/inventory/assets?active_only=false&limit=250").json["data"]
    part = client.get("/api/v1/inventory/assets?limit=3").json["data"]
    assert [asset["asset_id"] for asset in part] == [asset["asset_id"] for asset in whole[:3]]


@pytest.mark.parametrize("asset_id", ["BTC", "btc", "Doge", "matic"])
def test_one_asset(client, asset_id):
    body = client.get(f"/api/v1/inventory/assets/{asset_id}").json
    assert set(body) == ASSET_DETAIL | {"data"}
    assert set(body["data"]) == ASSET_DETAIL
    assert {name: body[name] for name in ASSET_DETAIL} == body["data"]
    assert body["asset_id"] == asset_id.upper()
    assert body["low_24h"] <= body["price_usd"] <= body["high_24h"]
    assert body["atl"] <= body["low_24h"] and body["high_24h"] <= body["ath"]
    assert body["availability_status"] == ("available" if body["is_active"] else "unavailable")
    for name in ("ath_date", "atl_date", "last_updated"):
        assert re.fullmatch(TIME, body[name])


@pytest.mark.parametrize("days", [1, 30, 365])
def test_past_prices(client, days):
    body = client.get(f"/api/v1/inventory/assets/eth/prices?days={days}").json
    assert set(body) == {"asset_id", "points"} and body["asset_id"] == "ETH"
    assert 100 <= len(body["points"]) <= 250
    assert all(set(point) == {"time", "price"} and Decimal(point["price"]) > 0 for point in body["points"])
    times = [point["time"] for point in body["points"]]
    assert times == sorted(times) and all(re.fullmatch(TIME, time) for time in times)


def test_probes(client):
    for path in ("/health", "/ready"):
        response = client.get(path)
        assert response.status_code == 200
        assert set(response.json) >= {"status", "service", "version"}
        assert response.json["status"] == "healthy"


def test_the_document_of_the_api(client):
    document = client.get("/api/v1/openapi.json").json
    assert document["openapi"].startswith("3.1")
    for path in ("/auth/register", "/balance/deposit", "/orders", "/orders/{order_id}", "/inventory/assets"):
        assert f"/api/v1{path}" in document["paths"]
