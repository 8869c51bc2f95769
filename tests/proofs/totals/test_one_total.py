"""Whatever happens to an account, every surface shows one total, and every statement of every period adds up."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.cli.users import users as users_command
from app.domain import clock
from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus, PriceType, Side
from app.domain.periods import period_of
from app.models.ledger import list_trades, list_transactions
from app.models.orders import list_orders
from app.models.paging import Page, PageRequest
from app.models.users import get_user
from app.prices import PricePoint
from app.services.statements import read_statement
from app.services.worker import Worker
from tests.support.books import check_books
from tests.support.page_client import Browser
from tests.support.people import LONG_AGO, PASSWORD, Person, register
from tests.support.prices import SetPrices

# What a person may do next; a refusal is fine.
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["deposit", "withdraw"]), st.sampled_from(["0.01", "77.77", "500.00"])),
    st.tuples(
        st.sampled_from(["market_buy", "market_sell", "limit_buy", "limit_sell"]),
        st.sampled_from(["BTC", "ETH"]),
        st.sampled_from(["0.00333", "0.5", "1.23456789", "2"]),
        st.sampled_from(["33.337", "90", "150.005"]),
    ),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("change"), st.sampled_from(["0.004", "0.75", "3"]), st.sampled_from(["34.01", "91", "149.995"])),
    st.tuples(st.just("move"), st.sampled_from(["BTC", "ETH"]), st.sampled_from(["31.111", "100", "151.003"])),
    st.tuples(st.just("wait"), st.integers(1, 40)),
)
STORIES = settings(
    max_examples=int(os.environ.get("STORIES", 3)),
    # A story that fails is told as it is: finding the shortest one takes minutes.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Life:
    """A person whose clock and prices stand still between two actions."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.prices = app.extensions["prices"] = SetPrices()
        self.prices.set("BTC", "100")
        self.prices.set("ETH", "33.337")
        self.worker = Worker(self.prices)
        self.person = register(app)
        self.now = datetime.fromisoformat("2026-01-15T12:00:00Z")
        with clock.at(self.now - timedelta(hours=1)):
            self.person.deposit("1000.00")

    def open_browser(self) -> Browser:
        browser = Browser(self.app)
        with clock.at(self.now):
            browser.log_in(self.person.username, PASSWORD)
        return browser

    def ask_of_the_newest(self, method: str, path: str, **more: Any) -> None:
        """Of the newest open order, if there is one."""
        for order in self.person.get("/orders?status=pending&limit=1").json["data"]:
            self.person.call(method, f"/orders/{order['order_id']}{path}", **more)

    def do(self, action: str, *words: str | int) -> None:
        self.now += timedelta(seconds=1)
        if action == "wait":
            self.now += timedelta(days=int(words[0]))
        elif action == "move":
            self.prices.set(*map(str, words))
        with clock.at(self.now):
            if action in {"deposit", "withdraw"}:
                self.person.post(f"/balance/{action}", {"amount": words[0]})
            elif action == "cancel":
                self.ask_of_the_newest("POST", "/cancel")
            elif action == "change":
                self.ask_of_the_newest("PATCH", "", json=dict(zip(("quantity", "price"), words, strict=True)))
            elif "_" in action:
                asset_id, quantity, price = words
                more = {"price": price} if action.startswith("limit") else {}
                self.person.order(action, str(asset_id), str(quantity), **more)
            with self.app.app_context():
                self.worker.run_round()


@pytest.fixture
def admin(market_app: Flask) -> Person:
    admin = register(market_app)
    market_app.test_cli_runner().invoke(users_command, ["promote", admin.username])
    admin.log_in()
    return admin


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("$", "").replace("\N{MINUS SIGN}", "-"))


def totals(life: Life, admin: Person, browser: Browser) -> dict[str, Decimal]:
    """The total value of one account on every surface that shows it or can be added up to it."""
    get, username = life.person.get, life.person.username
    portfolio, page = get("/portfolio").json, browser.get("/dashboard").text
    cash = Decimal(portfolio["cash_balance"]) + Decimal(portfolio["reserved_cash"])
    part = r"(?:Bitcoin|Ethereum) [^%]*? \$([\d,]+\.\d\d) at \$[\d,.]+ "
    shown = {
        "portfolio": Decimal(portfolio["total_value"]),
        "parts of the portfolio": sum((Decimal(each["market_value"]) for each in portfolio["assets"]), cash),
        "holdings": sum((Decimal(str(each["total_value"])) for each in get("/balance/assets").json["data"]), cash),
        "operator": Decimal(admin.get(f"/admin/users/{username}").json["portfolio"]["total_value"]),
        "dashboard": number(re.search(r"Total value \$([\d,.]+)", page)[1]),
        "parts of the dashboard": sum(map(number, re.findall(part, page)), cash),
    }
    for days in (1, 30):
        shown[f"history of {days}"] = Decimal(get(f"/portfolio/history?days={days}").json["points"][-1]["total"])
    for each in portfolio["assets"]:
        assert f"Share of the total value {each['percentage']}%" in browser.get(f"/assets/{each['asset_id']}").text
    return shown


def gains(life: Life, admin: Person, browser: Browser) -> dict[str, Decimal]:
    """What one account gained, on every surface that shows it or can be added up to it."""
    get, username = life.person.get, life.person.username
    portfolio, balance, held = get("/portfolio").json, get("/balance").json, get("/balance/assets").json["data"]
    paid_in = Decimal(balance["total_deposits"]) - Decimal(balance["total_withdrawals"])
    years = [get(f"/portfolio/gains?year={year}").json["total"]["gain"] for year in range(2026, life.now.year + 1)]
    sales = [Decimal(row["gain"]) for row in get("/assets/transactions?limit=100").json["data"] if row["gain"]]
    left = sum((Decimal(each["unrealised_gain"]) for each in portfolio["assets"]), Decimal(0))
    shown = r"Gain(?: since you began)? ([+\N{MINUS SIGN}]?\$[\d,.]+) (?:no )?(?:gain|loss)"
    return {
        "value beyond what was paid in": Decimal(portfolio["total_value"]) - paid_in,
        "portfolio": Decimal(portfolio["total_gain"]),
        "parts of the portfolio": left + Decimal(portfolio["realised_gain"]),
        "holdings": sum(Decimal(each["realised_gain"]) + Decimal(each["unrealised_gain"]) for each in held),
        "sales, and what is left": left + sum(sales),
        "years, and what is left": left + sum(map(Decimal, years)),
        "operator": Decimal(admin.get(f"/admin/users/{username}").json["portfolio"]["total_gain"]),
        "dashboard": number(re.search(shown, browser.get("/dashboard").text)[1]),
    }


@STORIES
@given(story=st.lists(ACTIONS, min_size=3, max_size=12))
def test_every_surface_shows_one_total_and_one_gain(market_app, store, admin, story):
    life = Life(market_app)
    browser = life.open_browser()
    for action in story:
        life.do(*action)
        if action[0] == "wait":
            browser = life.open_browser()  # the session may have ended
        with clock.at(life.now):
            assert len(set(totals(life, admin, browser).values())) == 1, totals(life, admin, browser)
            assert len(set(gains(life, admin, browser).values())) == 1, gains(life, admin, browser)
    check_books(store, life.person.username)


@STORIES
@given(story=st.lists(ACTIONS, min_size=5, max_size=20), days=st.lists(st.integers(0, 200), min_size=2, max_size=6))
def test_every_statement_of_every_period_adds_up(market_app, store, story, days):
    """Opening + movements = closing; the page and the CSV agree; what one ends with, the next begins with."""
    life = Life(market_app)
    for action in story:
        life.do(*action)
    today, day = life.now.date(), timedelta(days=1)
    starts = sorted({LONG_AGO.date(), *(today - day * ago for ago in days)})
    closing = Decimal(0)
    for first, last in zip(starts, [*(start - day for start in starts[1:]), today], strict=True):
        for slack in (0, 3, 400):
            with market_app.app_context():
                found = read_statement(get_user(life.person.username), first, last, rows=500, slack=slack)
            effects = [row.effect for row in found.transactions]
            assert found.opening_balance == closing
            assert found.opening_balance + sum(effects) == found.closing_balance
            assert sum(found.effects.values()) == sum(effects)
            for type_, total in found.effects.items():
                assert total == sum(row.effect for row in found.transactions if row.transaction_type == type_)
        response = life.person.get(f"/balance/transactions.csv?from={first}&to={last}")
        rows = list(csv.DictReader(io.StringIO(response.text.removeprefix("\ufeff"))))
        assert Decimal(rows[0]["new_balance"]) == closing
        assert [Decimal(row["effect"]) for row in rows[1:-1]] == effects
        closing = found.closing_balance
        assert Decimal(rows[-1]["new_balance"]) == closing


@STORIES
@given(story=st.lists(ACTIONS, min_size=5, max_size=12))
def test_the_portfolio_as_of_each_moment_is_the_one_of_that_moment(market_app, store, story):
    """What was recorded then is computed back later, field by field; each point of the history adds up."""
    life = Life(market_app)
    records, points = {}, defaultdict(list)
    life.prices.history = lambda asset_id, *, days: points[asset_id]
    for action in story:
        life.do(*action)
        moment = life.now + timedelta(milliseconds=500)
        with clock.at(moment):
            records[moment] = life.person.get("/portfolio").json
            for asset_id, price in life.prices.prices.items():
                points[asset_id].append(PricePoint(moment, price))
    with clock.at(life.now + timedelta(seconds=1)):
        for moment, record in records.items():
            if life.now - moment < timedelta(days=360):
                assert life.person.get(f"/portfolio?as_of={clock.to_text(moment)}").json == record
        for point in life.person.get("/portfolio/history?days=365").json["points"]:
            assert Decimal(point["net_deposits"]) + Decimal(point["gain"]) == Decimal(point["total"])
    check_books(store, life.person.username)


def walk(read: Callable[[PageRequest], Page], limit: int) -> list[str]:
    """The references of a list's rows, page by page."""
    found, start = [], None
    while True:
        page = read(PageRequest(limit=limit, start_key=start))
        assert page.items or not page.next_start_key, "a page is not empty while there is more"
        found += [(row.PK, row.SK) for row in page.items]
        start = page.next_start_key
        if not start:
            return found


@STORIES
@given(story=st.lists(ACTIONS, min_size=5, max_size=20), limit=st.integers(1, 7))
def test_a_list_has_what_a_scan_finds(market_app, store, monkeypatch, story, limit):
    """However it is filtered and paged, also where one call looks at few rows."""
    monkeypatch.setattr("app.models.paging.EXAMINED_ROWS", 3)
    life = Life(market_app)
    for action in story:
        life.do(*action)
    username = life.person.username
    books = check_books(store, username)

    def keys(rows, **wanted):
        chosen = [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]
        return sorted((row["PK"], row["SK"]) for row in chosen)

    with market_app.app_context():
        for status in OrderStatus:
            found = walk(lambda page, status=status: list_orders(username, page, status=status), limit)
            assert sorted(found) == keys(books.orders, status=status.value) and found == sorted(found, reverse=True)
        for side, kind in ((side, kind) for side in Side for kind in PriceType):
            wanted = {"side": side, "price_type": kind, "asset_id": "BTC"}
            found = walk(lambda page, wanted=wanted: list_orders(username, page, **wanted), limit)
            assert sorted(found) == keys(books.orders, order_type=side, price_type=kind, asset_id="BTC")
        for each in TransactionType:
            found = walk(lambda page, each=each: list_transactions(username, page, transaction_type=each), limit)
            assert sorted(found) == keys(books.transactions, transaction_type=each.value)
        period = period_of(date(2026, 1, 16), date(2026, 2, 20))
        found = walk(lambda page: list_transactions(username, page, period=period, slack=1), limit)
        inside = [row for row in books.transactions if "2026-01-16" <= row["created_at"] < "2026-02-21"]
        assert sorted(found) == keys(inside)
        assert sorted(walk(lambda page: list_trades(username, page), limit)) == keys(books.trades)
