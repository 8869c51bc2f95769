"""The portfolio as of a past moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import responses

from app.domain import clock
from app.prices import CoinGeckoSettings, PricePoint
from app.prices.coingecko import CoinGecko
from tests.prices.answers import CHART, answer, chart_body
from tests.support.people import LONG_AGO, NOON, Person, caller, fields_named, problem, register
from tests.support.prices import FixedPrices
from tests.support.usage import AUTHENTICATION, usage_of

DAY = timedelta(days=1)


@pytest.fixture
def trader(new_user, market, market_app) -> Person:
    """1000.00 and 2 BTC for 200.00 two days ago; orders for 1 BTC and 10.00 wait since yesterday; today all is sold."""
    prices = market_app.extensions["prices"] = FixedPrices(BTC="100", ETH="20")
    points = [PricePoint(NOON - 3 * DAY, Decimal(80)), PricePoint(NOON - 2 * DAY, Decimal(100))]
    prices.history = lambda asset_id, *, days: points
    person = new_user(market_app)
    with clock.at(NOON - 2 * DAY):
        person.deposit("1000")
        person.buy("BTC", "2")
    with clock.at(NOON - DAY):
        sale = person.place("limit_sell", "BTC", "1", price="900")
        purchase = person.place("limit_buy", "ETH", "1", price="10")
    with clock.at(NOON):
        for order in (sale, purchase):
            person.post(f"/orders/{order['order_id']}/cancel")
        person.sell("BTC", "2")
    return person


def as_of(person: Person, moment: Any) -> dict[str, Any]:
    text = moment if isinstance(moment, str) else clock.to_text(moment)
    with clock.at(NOON + DAY):
        response = person.get(f"/portfolio?as_of={text}")
    assert response.status_code == 200, response.text
    return response.json


# Moment; cash, reserved cash; BTC and what of it waits; total, net deposits, gain.
MOMENTS = {
    "before the account": ("1999-12-31", "0.00", "0.00", None, "0.00", "0.00", "0.00"),
    "the first year": ("0001-01-01", "0.00", "0.00", None, "0.00", "0.00", "0.00"),
    "before all": (NOON - 3 * DAY, "0.00", "0.00", None, "0.00", "0.00", "0.00"),
    "the end of a day": ("2026-01-13", "800.00", "0.00", ("2", "0"), "1000.00", "1000.00", "0.00"),
    "while orders waited": ("2026-01-14", "790.00", "10.00", ("1", "1"), "1000.00", "1000.00", "0.00"),
    "in another zone": ("2026-01-15T01:00:00-09:00", "790.00", "10.00", ("1", "1"), "1000.00", "1000.00", "0.00"),
    "when all was sold": ("2026-01-15", "1000.00", "0.00", None, "1000.00", "1000.00", "0.00"),
}


def test_a_portfolio_as_of_a_moment(trader):
    for name, (moment, cash, reserved, bitcoin, *sums) in MOMENTS.items():
        found = as_of(trader, moment)
        assert (found["cash_balance"], found["reserved_cash"]) == (cash, reserved), name
        held = {each["asset_id"]: (each["quantity"], each["reserved_quantity"]) for each in found["assets"]}
        assert held == ({"BTC": bitcoin} if bitcoin else {}), name
        assert [found["total_value"], found["net_deposits"], found["total_gain"]] == sums, name


def test_a_change_has_happened_at_its_own_moment(trader):
    with clock.at(NOON + DAY):
        (deposited,) = trader.get("/balance/transactions?transaction_type=deposit").json["transactions"]
    made_at = clock.from_text(deposited["created_at"])
    assert as_of(trader, made_at)["cash_balance"] == "1000.00"
    assert as_of(trader, made_at - timedelta.resolution)["cash_balance"] == "0.00"
    with clock.at(NOON + DAY):
        sold_at = clock.from_text(trader.get("/assets/transactions?limit=1").json["data"][0]["timestamp"])
    assert as_of(trader, sold_at)["assets"] == []
    assert as_of(trader, sold_at - timedelta.resolution)["assets"][0]["quantity"] == "2"


def test_a_price_says_its_own_time(trader):
    """The newest one of the time before, and none from later."""
    (bitcoin,) = as_of(trader, "2026-01-14")["assets"]
    assert (bitcoin["current_price"], bitcoin["priced_at"]) == ("100", clock.to_text(NOON - 2 * DAY))
    trader.client.application.extensions["prices"].history = lambda asset_id, *, days: [PricePoint(NOON, Decimal(7))]
    found = as_of(trader, "2026-01-14")
    assert [(each["current_price"], each["priced_at"]) for each in found["assets"]] == [(None, None)]
    assert (found["total_value"], found["total_gain"], found["net_deposits"]) == ("800.00", None, "1000.00")


def test_prices_reach_back_a_year(trader):
    days_asked = []

    def history(asset_id: str, *, days: int) -> list[PricePoint]:
        days_asked.append(days)
        return [PricePoint(LONG_AGO, Decimal(5))]

    trader.client.application.extensions["prices"].history = history
    for days, value in ((364, "10.00"), (365, None)):
        with clock.at(NOON - DAY + days * DAY):
            trader.log_in()
            (bitcoin,) = trader.get(f"/portfolio?as_of={clock.to_text(NOON - DAY)}").json["assets"]
        assert bitcoin["market_value"] == value
    assert days_asked == [365]


def test_no_moment_that_has_been(person):
    with clock.at(NOON):
        for moment in ("2026-01-16", clock.to_text(NOON + timedelta(seconds=1)), "x", "", "2026-01-14T12:00"):
            refused = problem(person.get(f"/portfolio?as_of={moment}"), 422, "invalid_input")
            assert fields_named(refused) == ["as_of"], moment


@pytest.mark.parametrize("days", [40, 250])
@pytest.mark.parametrize("hour", ["01:30", "23:30"])
def test_a_source_may_have_a_price_for_a_day_or_two(trader, days, hour):
    """CoinGecko's points are of midnight, and beyond 200 of them every second one is left out."""
    now = datetime.fromisoformat(f"{(NOON + (days - 2) * DAY).date()}T{hour}Z")
    trader.client.application.extensions["prices"] = CoinGecko(CoinGeckoSettings(), clock=lambda: now)
    with clock.at(now), responses.RequestsMock() as api:
        answer(api, chart_body(points=366, step=DAY, newest=clock.start_of(now.date())), url=CHART)
        trader.log_in()
        (bitcoin,) = trader.get("/portfolio?as_of=2026-01-13").json["assets"]
        assert len(api.calls) == 1
    assert bitcoin["priced_at"] in {f"2026-01-{day}T00:00:00.000000Z" for day in ("12", "13")}


def test_today_is_now(trader):
    with clock.at(NOON + timedelta(hours=1)):
        assert trader.get("/portfolio?as_of=2026-01-15").json == trader.get("/portfolio").json


def test_what_happens_while_it_is_read_is_not_taken_back(app, faulty_app, faults, monkeypatch):
    """Here a deposit and a purchase, after the reading of the portfolio."""
    person = register(faulty_app)
    for each in (app, faulty_app):
        monkeypatch.setitem(each.extensions, "prices", FixedPrices(BTC="100"))
    with clock.at(NOON - DAY):
        person.deposit("1000")
        person.buy("BTC", "2")

    def buy_more(forwarder: Any, sent: bytes) -> Any:
        with clock.at(NOON):
            other = Person(caller(app), person.username, "", person.token)
            other.deposit("5")
            other.buy("BTC", "3")
        return forwarder.forward(sent)

    faults.break_call(3, buy_more)
    found = as_of(person, NOON - timedelta(hours=1))
    assert (found["cash_balance"], found["reserved_cash"], found["total_value"]) == ("800.00", "0.00", "1000.00")
    assert as_of(person, NOON + timedelta(hours=1))["cash_balance"] == "505.00"


def test_what_it_costs(trader):
    """Portfolio, orders, transactions, and one for each asset ever held: here one. Before the account, the first."""
    with clock.at(NOON + DAY):
        for moment, used in (("2026-01-14", (4, 3.5)), ("1999-12-31", (1, 1))):
            found = usage_of(trader.get(f"/portfolio?as_of={moment}")) - AUTHENTICATION
            assert (found.calls, found.read_units, found.write_units) == (*used, 0)
