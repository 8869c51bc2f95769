"""The history of an account: what it was worth on each of the last days."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain import clock
from app.domain.errors import PriceUnavailable
from app.models.adjustments import adjust
from app.prices import PricePoint
from app.services.history import get_portfolio_history
from tests.support.people import NOON, Person, caller, fields_named, problem, register
from tests.support.prices import FixedPrices
from tests.support.usage import AUTHENTICATION, usage_of


@pytest.fixture
def trader(new_user, market, market_app) -> Person:
    """Nothing yet; BTC is 100 and ETH is 10, now and ever before."""
    market_app.extensions["prices"] = FixedPrices(BTC="100", ETH="10")
    return new_user(market_app)


def history(person: Person, days: int) -> list[tuple[str, str, str]]:
    """Cash, assets and total of each day, whose form is checked: one point a day, up to today."""
    response = person.get(f"/portfolio/history?days={days}")
    assert response.status_code == 200, response.text
    points = response.json["points"]
    today = clock.now().date()
    assert [point["date"] for point in points] == [
        (today - timedelta(days=ago)).isoformat() for ago in range(days, -1, -1)
    ]
    for point in points:
        assert Decimal(point["cash"]) + Decimal(point["assets"]) == Decimal(point["total"])
        assert Decimal(point["net_deposits"]) + Decimal(point["gain"]) == Decimal(point["total"])
        assert set(point) == {"date", "cash", "assets", "total", "net_deposits", "gain", "return_percent"}
    return [(point["cash"], point["assets"], point["total"]) for point in points]


def ago(days: int) -> AbstractContextManager[None]:
    """Lets things happen at noon, some days before today."""
    return clock.at(NOON - timedelta(days=days))


@pytest.mark.parametrize("days", [1, 30, 365])
def test_the_history_of_an_empty_account(trader, days):
    with clock.at(NOON):
        assert history(trader, days) == [("0.00", "0.00", "0.00")] * (days + 1)


@pytest.mark.parametrize("days", [1, 30, 365])
def test_the_history_of_today(trader, days):
    with clock.at(NOON):
        trader.deposit("1000")
        trader.buy("BTC", "2")
        trader.buy("ETH", "5")
    with clock.at(NOON + timedelta(seconds=1)):
        trader.sell("BTC", "0.5")
        assert history(trader, days) == [("0.00", "0.00", "0.00")] * days + [("800.00", "200.00", "1000.00")]
    assert trader.get("/portfolio").json["total_value"] == "1000.00"


@pytest.mark.parametrize("days", [1, 30, 365])
def test_the_history_of_some_days(trader, days):
    """Ten days ago a deposit and a purchase, five days ago a sale and a withdrawal, today another purchase."""
    with ago(10):
        trader.deposit("1000")
        trader.buy("BTC", "5")
    with ago(5):
        trader.sell("BTC", "2")
        trader.withdraw("100")
    with clock.at(NOON):
        trader.buy("ETH", "10")
        points = history(trader, days)
    expected = (
        [("0.00", "0.00", "0.00")] * 400
        + [("500.00", "500.00", "1000.00")] * 5
        + [("600.00", "300.00", "900.00")] * 5
        + [("500.00", "400.00", "900.00")]
    )
    assert points == expected[-days - 1 :]


def test_a_history_shows_the_prices_of_its_days(trader, market_app):
    prices = market_app.extensions["prices"]
    with clock.at(NOON):
        trader.deposit("1000")
        trader.buy("BTC", "2")
        prices.prices["BTC"] = Decimal("150.005")
        assert history(trader, 1)[-1] == ("800.00", "300.01", "1100.01")


def test_a_history_ends_with_the_portfolio_of_now(trader, market_app, monkeypatch):
    """Past prices are some minutes old."""
    prices = market_app.extensions["prices"]
    with clock.at(NOON):
        trader.deposit("1000")
        trader.buy("BTC", "2")
        past = prices.history("BTC", days=1)
        monkeypatch.setattr(prices, "history", lambda asset_id, *, days: past)
        prices.prices["BTC"] = Decimal(150)
        assert history(trader, 1)[-1] == ("800.00", "300.00", "1100.00")
        assert trader.get("/portfolio").json["total_value"] == "1100.00"


@pytest.mark.parametrize(("sold", "named"), [("0", ["ETH"]), ("5", ["ETH"]), (None, [])])
def test_an_asset_without_past_prices_stops_nothing(trader, market_app, monkeypatch, sold, named):
    """It is left out where it was never owned in that time, and named where it was."""
    prices = market_app.extensions["prices"]
    past = prices.history

    def history_of(asset_id: str, *, days: int) -> list[PricePoint]:
        if asset_id == "ETH":
            raise PriceUnavailable(asset_id=asset_id)
        return past(asset_id, days=days)

    with ago(2 if sold else 40):
        trader.deposit("1000")
        trader.buy("ETH", "5")
        if sold is None:
            trader.sell("ETH", "5")
    with clock.at(NOON):
        if sold and Decimal(sold):
            trader.sell("ETH", sold)
        monkeypatch.setattr(prices, "history", history_of)
        body = trader.get("/portfolio/history?days=30").json
        assert body["without_prices"] == named
        assert body["points"][-1]["total"] == "1000.00"
        gained = [point["gain"] for point in body["points"]]
        assert gained == ["0.00"] * 28 + [None] * 2 + ["0.00"] if named else ["0.00"] * 31
        assert {point["return_percent"] for point in body["points"]} == ({None} if named else {"0.00"})


@pytest.mark.parametrize(("order_type", "price"), [("limit_sell", "900"), ("limit_buy", "1")])
def test_what_open_orders_reserve_is_part_of_the_history(trader, order_type, price):
    """It is still the owner's, and before the order was placed it was neither missing nor below zero."""
    with ago(2):
        trader.deposit("1000")
        trader.buy("BTC", "2")
    with clock.at(NOON):
        trader.order(order_type, "BTC", "2", price=price)
        assert history(trader, 5) == [("0.00", "0.00", "0.00")] * 3 + [("800.00", "200.00", "1000.00")] * 3


@pytest.mark.parametrize("days", [1, 30, 365])
@pytest.mark.parametrize(("order_type", "price"), [("limit_sell", "900"), ("limit_buy", "1")])
def test_an_order_that_is_long_past_its_end_is_still_owned(trader, days, order_type, price):
    """No worker ran for 95 days, so it is open, and what it reserves is the owner's all the time."""
    placed = NOON - timedelta(days=95)
    with clock.at(placed):
        trader.deposit("1000")
        trader.buy("BTC", "2")
        trader.place(order_type, "BTC", "2", price=price, expires_at=clock.to_text(placed + timedelta(days=1)))
    with clock.at(NOON):
        assert history(trader, days)[-min(days, 95) - 1 :] == [("800.00", "200.00", "1000.00")] * (min(days, 95) + 1)


def test_what_happens_while_a_history_is_read_is_in_all_of_it_or_in_none(app, faulty_app, faults, monkeypatch):
    """Here a purchase, between the reading of the portfolio and that of the trades."""
    person = register(faulty_app)
    for each in (app, faulty_app):
        monkeypatch.setitem(each.extensions, "prices", FixedPrices(BTC="100"))
    with clock.at(NOON - timedelta(days=2)):
        person.deposit("1000")
        person.buy("BTC", "2")

    def buy_more(forwarder: Any, sent: bytes) -> Any:
        with clock.at(NOON):
            Person(caller(app), person.username, "", person.token).buy("BTC", "3")
        return forwarder.forward(sent)

    faults.break_call(3, buy_more)
    with clock.at(NOON):
        assert history(person, 3) == [("0.00", "0.00", "0.00")] + [("800.00", "200.00", "1000.00")] * 3
        assert history(person, 3)[-1] == ("500.00", "500.00", "1000.00")


@pytest.mark.parametrize("days", ["0", "366", "-1", "x", "1.5", "", "１"])
def test_no_number_of_days(person, days):
    assert fields_named(problem(person.get(f"/portfolio/history?days={days}"), 422, "invalid_input")) == ["days"]


def test_a_history_has_the_trades_of_a_clock_that_was_ahead(market_app, store):
    """Two copies of an older version: the balance was last changed by the one whose clock was behind."""
    market_app.extensions["prices"] = FixedPrices(BTC="100")
    person = register(market_app)
    with clock.at(NOON):
        person.deposit("1000")
        bought_at = person.buy("BTC", "2")["created_at"]
        store.update_item(
            TableName="users",
            Key={"PK": {"S": person.username}, "SK": {"S": "BALANCE"}},
            UpdateExpression="SET updated_at = :before",
            ExpressionAttributeValues={":before": {"S": clock.to_text(NOON - timedelta(seconds=2))}},
        )
        assert clock.from_text(bought_at) >= NOON
        assert history(person, 1) == [("0.00", "0.00", "0.00"), ("800.00", "200.00", "1000.00")]


@pytest.fixture
def mover(trader, market_app):
    """Paid in 1000.00 four days ago, when BTC was 100; 500.00 two days ago, when it was 150; now it is 120."""
    prices = {5: "100", 3: "150", 1: "120"}
    points = [PricePoint(NOON - timedelta(days=days), Decimal(price)) for days, price in prices.items()]
    source = market_app.extensions["prices"]
    source.history = lambda asset_id, *, days: points
    with ago(4):
        trader.deposit("1000")
        trader.buy("BTC", "10")
    source.prices["BTC"] = Decimal(150)
    with ago(2):
        trader.deposit("500")
        trader.withdraw("100")
    source.prices["BTC"] = Decimal(120)
    return trader


def test_what_was_gained_is_told_from_what_was_paid_in(mover):
    with clock.at(NOON):
        points = mover.get("/portfolio/history?days=5").json["points"]
        portfolio = mover.get("/portfolio").json
    assert [(point["total"], point["net_deposits"], point["gain"]) for point in points] == [
        ("0.00", "0.00", "0.00"),
        ("1000.00", "1000.00", "0.00"),
        ("1500.00", "1000.00", "500.00"),
        ("1900.00", "1400.00", "500.00"),
        ("1600.00", "1400.00", "200.00"),
        ("1600.00", "1400.00", "200.00"),
    ]
    # 1500 / 1000, then 1600 / 1900; a payment is not a return.
    assert [point["return_percent"] for point in points] == ["0.00", "0.00", "50.00", "50.00", "26.32", "26.32"]
    assert (portfolio["net_deposits"], portfolio["total_gain"]) == ("1400.00", "200.00")


def test_what_was_gained_today(mover, market_app):
    """Since the end of yesterday, whatever is paid in meanwhile: 240.00, of 1600.00 and then of 1700.00."""
    prices = market_app.extensions["prices"]
    prices.prices["BTC"] = Decimal(144)
    for paid_in, return_today in ((None, "15.00"), ("100", "14.12")):
        with clock.at(NOON), market_app.app_context():
            if paid_in:
                mover.deposit(paid_in)
            for days in (1, 5):
                found = get_portfolio_history(mover.username, prices, days=days)
                assert (found.gain_today, found.return_today) == (Decimal(240), Decimal(return_today))
    del prices.prices["BTC"]
    with clock.at(NOON), market_app.app_context():
        found = get_portfolio_history(mover.username, prices, days=1)
    assert (found.gain_today, found.return_today) == (None, None)


def test_an_adjustment_is_paid_in_or_out(trader, market_app):
    with ago(2):
        trader.deposit("100")
    with ago(1), market_app.app_context():
        adjust(trader.username, Decimal("-30.00"), reason="Wrong", actor="admin", waits=False)
    with clock.at(NOON):
        points = trader.get("/portfolio/history?days=2").json["points"]
    assert [(point["net_deposits"], point["return_percent"]) for point in points] == [
        ("100.00", "0.00"),
        *[("70.00", "0.00")] * 2,
    ]


def test_a_year_of_deposits_alone_gains_nothing(trader):
    for days in range(360, 0, -30):
        with ago(days):
            trader.deposit("77.77")
    with clock.at(NOON):
        points = trader.get("/portfolio/history?days=365").json["points"]
    assert {(point["gain"], point["return_percent"]) for point in points} == {("0.00", "0.00")}
    assert points[-1]["net_deposits"] == "933.24"


def test_a_gain_is_not_known_before_the_upgrade(trader, market_app, store):
    """A holding that an older version made has no cost."""
    with ago(2):
        trader.deposit("1000")
        trader.buy("BTC", "2")
    key = {"PK": {"S": trader.username}, "SK": {"S": "ASSET#BTC"}}
    held = store.get_item(TableName="users", Key=key)["Item"]
    old = {name: value for name, value in held.items() if name not in {"cost_total", "realised_gain"}}
    store.put_item(TableName="users", Item=old)
    with clock.at(NOON):
        points = trader.get("/portfolio/history?days=3").json["points"]
        assert {(point["net_deposits"], point["gain"], point["return_percent"]) for point in points} == {(None,) * 3}
        assert trader.get("/portfolio").json["net_deposits"] is None
    store.put_item(TableName="users", Item=held)


def test_what_a_history_costs(trader):
    """Portfolio, trades, transactions; not the age of the account."""
    with ago(3):
        trader.deposit("1000")
        trader.buy("BTC", "2")
    with clock.at(NOON):
        assert (usage_of(trader.get("/portfolio/history?days=30")) - AUTHENTICATION).calls == 3
