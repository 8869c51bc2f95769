"""An administrator, and someone who trades."""

from __future__ import annotations

import pytest

from tests.admin.routes import run
from tests.support.prices import SetPrices


@pytest.fixture
def admin(new_user, app):
    person = new_user()
    assert run(app, "promote", person.username).exit_code == 0
    person.log_in()
    return person


@pytest.fixture
def trader(new_user, market: SetPrices, market_app):
    """Someone with 860.00, of which 50.00 are reserved, and 0.6 BTC at 100.00, of which 0.2 wait to be sold."""
    person = new_user(market_app)
    market.set("BTC", "100.00")
    person.deposit("1000")
    person.buy("BTC", "1")
    person.sell("BTC", "0.4")
    person.order("limit_buy", "BTC", "1", price="50")
    person.order("limit_sell", "BTC", "0.2", price="200")
    return person
