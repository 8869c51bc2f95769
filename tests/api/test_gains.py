"""Gains by year as JSON and CSV, by average cost and first in, first out; and what trades say of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.gains import CostMethod
from app.domain.orders import Side
from app.models import order_changes
from app.models.users import get_user
from app.services.gains import read_gains
from app.services.tokens import issue_login_token
from tests.support.accounts import open_trader, place, place_limit
from tests.support.books import check_books
from tests.support.people import Person, caller, fields_named, problem
from tests.support.usage import usage, usage_of

# What happened: when, what, how much of what, at which price. 3 BTC cost 10.00 in all; 1 of them waited to be sold.
HISTORY = [
    ("2024-12-31T23:59:59.999999Z", Side.BUY, "1", "BTC", "4.00"),
    ("2025-01-01T00:00:00Z", Side.BUY, "2", "BTC", "3.00"),
    ("2025-06-01T12:00:00Z", Side.BUY, "10", "ETH", "1.00"),
    ("2025-12-31T23:59:59.999999Z", Side.SELL, "0.5", "BTC", "5.00"),
    ("2026-01-01T00:00:00Z", Side.SELL, "1.5", "BTC", "6.00"),
    ("2026-02-01T12:00:00Z", Side.SELL, "10", "ETH", "0.50"),
    ("2026-03-01T12:00:00Z", Side.BUY, "1", "ETH", "7.00"),
]


@pytest.fixture(scope="module")
def person(app: Flask, store: Any) -> Iterator[Person]:
    """Someone with that history, for tests that change nothing."""
    with app.app_context():
        name = open_trader("1000")
        for moment, side, quantity, asset_id, price in HISTORY:
            with clock.at(datetime.fromisoformat(moment)):
                place(name, side, quantity, asset_id=asset_id, price=price)
                if moment.startswith("2025-01"):
                    waiting = place_limit(name, Side.SELL, "1", "8.00", expires_at=clock.now().replace(month=4))
        with clock.at(datetime.fromisoformat("2025-02-01T12:00:00Z")):
            order_changes.cancel_order(name, waiting.order_id)
        token = issue_login_token(get_user(name)).bearer
    yield Person(caller(app), name, f"{name}@example.com", token)
    check_books(store, name)


SALES = {
    # Half a BTC of 3 that cost 10.00 takes 1.66, then 1.5 of 2.5 takes 5.00 of 8.34.
    "2025": [("BTC", "0.5", "2.50", "1.66", "0.84", None, None)],
    "2026&method=average": [
        ("BTC", "1.5", "9.00", "5.00", "4.00", None, None),
        ("ETH", "10", "5.00", "10.00", "-5.00", None, None),
    ],
    "2025&method=fifo": [("BTC", "0.5", "2.50", "2.00", "0.50", "2024-12-31T23:59:59.999999Z", 365)],
    "2026&method=FIFO": [
        ("BTC", "0.5", "3.00", "2.00", "1.00", "2024-12-31T23:59:59.999999Z", 366),
        ("BTC", "1", "6.00", "3.00", "3.00", "2025-01-01T00:00:00.000000Z", 365),
        ("ETH", "10", "5.00", "10.00", "-5.00", "2025-06-01T12:00:00.000000Z", 245),
    ],
    "2024": [],
    "2027&method=fifo": [],
}
NAMES = ("asset_id", "quantity", "proceeds", "cost", "gain", "acquired_at", "days_held")


def added_up(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {name: str(sum((Decimal(row[name]) for row in rows), Decimal("0.00"))) for name in NAMES[2:5]}


@pytest.mark.parametrize(("query", "lines"), SALES.items())
def test_the_gains_of_a_year(person, query, lines):
    body = person.get(f"/portfolio/gains?year={query}").json
    assert set(body) == {"year", "method", "data", "has_more", "assets", "total"}
    assert (body["year"], body["has_more"]) == (int(query[:4]), False)
    assert body["method"] == ("fifo" if "fifo" in query.lower() else "average")
    assert [tuple(row[name] for name in NAMES) for row in body["data"]] == lines
    times = [row["sold_at"] for row in body["data"]]
    assert times == sorted(times) and all(time.startswith(query[:4]) for time in times)
    assert body["total"] == added_up(body["data"])
    sold = sorted({row["asset_id"] for row in body["data"]})
    assert body["assets"] == [
        {"asset_id": asset_id, **added_up([row for row in body["data"] if row["asset_id"] == asset_id])}
        for asset_id in sold
    ]


@pytest.mark.parametrize(("query", "lines"), SALES.items())
def test_the_same_as_csv(person, query, lines):
    """The lines, then the totals of each asset and of all; a point before decimals, times in UTC."""
    answer = person.get(f"/portfolio/gains.csv?year={query}")
    method = "fifo" if "fifo" in query.lower() else "average"
    assert answer.headers["Content-Disposition"] == f"attachment; filename=gains-{query[:4]}-{method}.csv"
    assert answer.text.splitlines()[0] == (
        "asset_id,sold_at,quantity,proceeds,cost,gain,acquired_at,days_held,order_id"
    )
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    body = person.get(f"/portfolio/gains?year={query}").json
    as_text = [{name: "" if value is None else str(value) for name, value in row.items()} for row in body["data"]]
    assert rows[: len(lines)] == as_text
    totals = [*body["assets"], {"asset_id": "", **body["total"]}]
    assert [{name: row[name] for name in totals[-1]} for row in rows[len(lines) :]] == totals
    assert {row["sold_at"] for row in rows[len(lines) :]} == {"total"}


def test_this_year_by_average_cost_unless_asked(person):
    with clock.at(datetime.fromisoformat("2025-12-31T23:59:59.999999Z")):
        assert person.get("/portfolio/gains").json == person.get("/portfolio/gains?year=2025&method=average").json


def test_a_report_with_more_lines_than_it_shows_counts_them_all(app, person):
    with app.app_context():
        for method, count in ((CostMethod.AVERAGE, 2), (CostMethod.FIFO, 3)):
            whole = read_gains(person.username, 2026, method, rows=count)
            first = read_gains(person.username, 2026, method, rows=1)
            assert (whole.has_more, first.has_more, first.lines) == (False, True, whole.lines[:1])
            assert first.totals == whole.totals


def test_what_a_report_costs(person):
    """By average cost one call; first in, first out one more for each asset that was sold; authentication besides."""
    assert usage_of(person.get("/portfolio/gains?year=2026")) == usage(2, 1.5, 0)
    assert usage_of(person.get("/portfolio/gains?year=2026&method=fifo")) == usage(4, 3.5, 0)


@pytest.mark.parametrize(
    ("query", "field"), [("year=1969", "year"), ("year=x", "year"), ("year=10000", "year"), ("method=lifo", "method")]
)
def test_what_is_not_a_report(person, query, field):
    for path in ("/portfolio/gains", "/portfolio/gains.csv"):
        assert fields_named(problem(person.get(f"{path}?{query}"), 422, "invalid_input")) == [field]


def test_trades_say_what_a_sale_gained(person):
    rows = person.get("/assets/BTC/transactions").json["data"]
    assert [(row["transaction_type"], row["cost_total"], row["gain"]) for row in rows] == [
        ("SELL", "5.00", "4.00"),
        ("SELL", "1.66", "0.84"),
        ("BUY", None, None),
        ("BUY", None, None),
    ]
    text = person.get("/assets/transactions.csv?asset_id=BTC").text
    sales = [row for row in csv.DictReader(io.StringIO(text)) if row["transaction_type"] == "SELL"]
    assert [(row["cost_total"], row["gain"]) for row in sales] == [("1.66", "0.84"), ("5.00", "4.00")]


def test_what_was_all_sold_begins_anew(person):
    """10 ETH were sold at half of their cost: the next one costs what was paid for it, and the loss stays."""
    holding = person.get("/balance/asset/ETH").json
    assert (holding["cost_total"], holding["average_price"], holding["realised_gain"]) == ("7.00", "7", "-5.00")


def test_what_is_all_sold_costs_nothing_and_has_gained(new_user, market, market_app):
    seller = new_user(market_app)
    seller.deposit("100")
    market.set("BTC", "10")
    seller.buy("BTC", "3")
    market.set("BTC", "12.50")
    seller.sell("BTC", "3")
    holding, portfolio = seller.get("/balance/asset/BTC").json, seller.get("/portfolio").json
    names = ("cost_total", "average_price", "realised_gain", "unrealised_gain", "unrealised_gain_percent")
    assert [holding[name] for name in names] == ["0.00", None, "7.50", "0.00", None]
    assert portfolio["assets"] == [] and portfolio["unrealised_gain_percent"] is None
    assert (portfolio["realised_gain"], portfolio["total_gain"], portfolio["total_value"]) == ("7.50", "7.50", "107.50")


def test_a_gain_without_a_price_is_not_known(new_user, market, market_app):
    owner = new_user(market_app)
    owner.deposit("100")
    market.set("BTC", "10")
    owner.buy("BTC", "3")
    market.missing.add("BTC")
    portfolio = owner.get("/portfolio").json
    [btc] = portfolio["assets"]
    assert (btc["cost_total"], btc["unrealised_gain"], btc["unrealised_gain_percent"]) == ("30.00", None, None)
    assert (portfolio["cost_total"], portfolio["realised_gain"], portfolio["total_gain"]) == ("30.00", "0.00", None)
