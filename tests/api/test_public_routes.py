"""What needs no token: the inventory of assets, their past prices, the probes and the OpenAPI document."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from app.prices.simulated import SimulatedMarket
from tests.support.people import TIME

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


def test_the_inventory(client):
    body = client.get("/api/v1/inventory/assets").json
    assert set(body) == {"data", "assets", "total_count", "active_count"}
    assert body["data"] == body["assets"] and len(body["data"]) == body["total_count"] >= 20
    assert all(set(asset) == ASSET for asset in body["data"])
    caps = [asset["market_cap"] for asset in body["data"]]
    assert caps == sorted(caps, reverse=True)
    assert [asset["market_cap_rank"] for asset in body["data"]] == list(range(1, len(caps) + 1))
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


@pytest.fixture
def upside_down(market_app):
    """A client where the market capitalisation of ALGO is the largest, and that of BTC is not known."""

    class Market(SimulatedMarket):
        def summaries(self):
            caps = {"ALGO": Decimal("9e15"), "BTC": None}
            found = super().summaries()
            changed = {name: replace(found[name], market_cap=cap) for name, cap in caps.items()}
            return {name: each for name, each in (found | changed).items() if name != "ETH"}

    market_app.extensions["prices"] = Market()
    return market_app.test_client()


def test_the_largest_come_first_and_the_unknown_last(upside_down):
    data = upside_down.get("/api/v1/inventory/assets").json["data"]
    assert (data[0]["asset_id"], data[0]["market_cap_rank"]) == ("ALGO", 1)
    assert [(asset["asset_id"], asset["market_cap_rank"]) for asset in data[-2:]] == [("BTC", 24), ("ETH", 25)]
    [first] = upside_down.get("/api/v1/inventory/assets?limit=1").json["data"]
    assert first["asset_id"] == "ALGO"
    active = upside_down.get("/api/v1/inventory/assets?active_only=true").json["data"]
    ranks = [asset["market_cap_rank"] for asset in active]
    assert ranks == sorted(ranks) and len(ranks) < 25
    for asset_id, rank in (("ALGO", 1), ("BTC", 24)):
        assert upside_down.get(f"/api/v1/inventory/assets/{asset_id}").json["market_cap_rank"] == rank
    page = upside_down.get("/assets").text
    assert page.index("/assets/ALGO") < page.index("/assets/SOL") < page.index("/assets/BTC")


def test_a_part_of_the_inventory(client):
    whole = client.get("/api/v1/inventory/assets?active_only=false&limit=250").json["data"]
    part = client.get("/api/v1/inventory/assets?limit=3").json["data"]
    assert [asset["asset_id"] for asset in part] == [asset["asset_id"] for asset in whole[:3]]
    part = client.get("/api/v1/inventory/assets?limit=3&offset=2").json["data"]
    assert [asset["asset_id"] for asset in part] == [asset["asset_id"] for asset in whole[2:5]]
    body = client.get("/api/v1/inventory/assets?offset=1000").json
    assert (body["data"], body["total_count"]) == ([], 0)


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
