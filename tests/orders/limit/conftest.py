"""Someone who places limit orders, and what the worker does to one of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.models import order_changes
from app.models.orders import Order
from tests.orders.limit.account import Fill, cancel
from tests.support.people import LONG_AGO, Person
from tests.support.prices import SetPrices


@pytest.fixture
def trader(new_user, market: SetPrices, market_app: Flask) -> Person:
    """Someone with 1000.00 and 2 ETH, where BTC costs 100.00 and ETH 50.00."""
    person = new_user(market_app)
    market.set("BTC", "100.00")
    market.set("ETH", "50.00")
    with clock.at(LONG_AGO):
        person.deposit("1100")
        person.buy("ETH", "2")
    return person


@pytest.fixture
def fill(market_app: Flask) -> Fill:
    """Fills a waiting order at a price, as the worker does."""

    def fill(placed: dict[str, Any], price: str) -> Order:
        with market_app.app_context():
            return order_changes.fill_order(Order.get(*Order.key(placed["order_id"])), Decimal(price))

    return fill


@pytest.fixture
def expire(market_app: Flask) -> Callable[[dict[str, Any]], Order]:
    def expire(placed: dict[str, Any]) -> Order:
        with market_app.app_context():
            return order_changes.expire_order(Order.get(*Order.key(placed["order_id"])))

    return expire


@pytest.fixture
def all_kinds(trader, fill, expire) -> Person:
    """An order in each state, and each type among the pending ones."""
    fill(trader.place("limit_buy", "BTC", "1", price="90"), "90")
    cancel(trader, trader.place("limit_buy", "BTC", "1", price="90"))
    expire(trader.place("limit_sell", "ETH", "1", price="90"))
    trader.place("limit_sell", "ETH", "1", price="90")
    trader.place("limit_buy", "BTC", "1", price="90")
    return trader
