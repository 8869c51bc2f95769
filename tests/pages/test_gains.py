"""Gains on pages: in the dashboard, on an asset's page, beside trades and by year; by sign and word, not by colour."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from tests.support.accounts import forget_cost
from tests.support.page_client import Browser


@pytest.fixture(autouse=True)
def one_year() -> Iterator[None]:
    """No test may trade in one year and ask for the gains of the next."""
    with clock.at(clock.now()):
        yield


@pytest.fixture
def seller(rich: Browser, market: Any) -> Browser:
    """Bought 3 BTC for 300.00 and sold 1 for 150.00; 2 are left, worth 80.00 each. 10 ETH lost 20.00."""
    rich.done("/assets/BTC", quantity="3")
    rich.done("/assets/ETH", quantity="10")
    market.set("BTC", "150.00")
    market.set("ETH", "8.00")
    rich.done("/assets/BTC", order_type="market_sell", quantity="1")
    rich.done("/assets/ETH", order_type="market_sell", quantity="10")
    market.set("BTC", "80.00")
    return rich


def test_the_dashboard_shows_what_was_gained(seller: Browser) -> None:
    """Sales gained 50.00 and lost 20.00, and what is left has lost 40.00."""
    text = seller.get("/dashboard").text
    assert "Total value $9,990.00 Gain since you began \N{MINUS SIGN}$10.00 loss Cash to spend" in text
    assert re.search(r"Bitcoin 2 BTC \$160.00 at \$80.00 (. .\d+.\d\d|0.00)% in 24 hours", text)
    assert "\N{MINUS SIGN}$40.00 loss, \N{MINUS SIGN}20.00% 1.60%" in text
    assert "Sales so far: +$30.00 gain. See the gains of each year" in text


def test_the_value_over_time_says_what_was_gained_today(seller: Browser) -> None:
    text = seller.get("/history?days=7").text.replace("\N{MINUS SIGN}", "-")
    assert "-$10.00 loss since you began, -0.10% return (a loss) in 7 days. Today: -$10.00 loss, -0.10%." in text


def test_the_page_of_an_asset_shows_what_it_cost(seller: Browser) -> None:
    text = seller.get("/assets/BTC").text
    assert "Worth now $160.00 Cost $200.00 Average price paid $100.00 Gain \N{MINUS SIGN}$40.00 loss," in text
    assert "Sales so far +$50.00 gain" in text


def test_trades_show_what_sales_gained(seller: Browser) -> None:
    text = seller.get("/activity/trades").text
    assert "$80.00 at $8.00 \N{MINUS SIGN}$20.00 loss" in text and "$150.00 at $150.00 +$50.00 gain" in text


def test_the_page_of_an_order_shows_what_its_sale_gained(seller: Browser) -> None:
    ether, bitcoin = [link for link in seller.get("/activity/trades").shown.links if "/orders/order_" in link][:2]
    assert "Total received $150.00" in (text := seller.get(bitcoin).text) and "Gain +$50.00 gain" in text
    assert "Gain \N{MINUS SIGN}$20.00 loss" in seller.get(ether).text
    bought = seller.done("/assets/BTC", quantity="1").text
    assert "Total paid $80.00" in bought and "Gain" not in bought.partition("Total paid")[2]


def test_the_gains_of_a_year(seller: Browser) -> None:
    year = clock.now().year
    page = seller.get("/activity/trades")
    assert "/activity/gains" in page.shown.links
    for method, cost in (("average", "Average cost: each sale"), ("fifo", "First in, first out: each sale")):
        answer = seller.get(f"/activity/gains?year={year}&method={method}")
        assert f"Gain by sales +$30.00 gain Proceeds $230.00 Cost of what was sold $200.00 {cost}" in answer.text
        assert "Bitcoin $150.00 cost $100.00 +$50.00 gain" in answer.text
        assert "Ethereum $80.00 cost $100.00 \N{MINUS SIGN}$20.00 loss" in answer.text
        assert ("bought" in answer.text) == (method == "fifo")
        lines = seller.client.get(f"/activity/gains.csv?year={year}&method={method}").text
        assert lines.startswith("\N{BYTE ORDER MARK}asset_id,sold_at,") and len(lines.splitlines()) == 6
        assert f"/activity/gains.csv?year={year}&method={method}" in answer.shown.links


def test_a_year_without_sales_and_one_that_is_none(seller: Browser) -> None:
    answer = seller.get("/activity/gains?year=2001")
    assert "Nothing was sold in 2001." in answer.text and "Gain by sales $0.00 no gain" in answer.text
    assert "Write a whole number from 1970 to 9999." in seller.get("/activity/gains?year=x", 422).text


def test_what_is_not_known_is_said_to_be(seller: Browser, market_app: Flask) -> None:
    """Until the upgrade has computed what an older version did not write."""
    with market_app.app_context():
        forget_cost(seller.username)
    assert "Gain since you began not known" in seller.get("/dashboard").text
    assert "Cost not known Average price paid not known Gain not known" in seller.get("/assets/BTC").text
    assert "$150.00 at $150.00 not known" in seller.get("/activity/trades").text
    assert "Gain by sales not known" in seller.get("/activity/gains").text
    form = seller.get("/assets/BTC").form()
    form.action = "/assets/BTC/review"
    answer = seller.send(form, order_type="market_sell", quantity="1")
    assert "What your BTC cost is not known yet, and so is the gain." in answer.text
