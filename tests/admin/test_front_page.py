"""The front page of the operators, and the lists that it leads to, as page and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.errors import StoreUnavailable
from app.domain.users import Role
from app.factory import create_app
from app.models.balance_changes import open_account
from app.models.closing import close_account
from app.models.create_tables import create_tables
from app.models.system import Pulse
from app.models.users import get_user, list_joined
from app.services import admin as operators
from tests.support.accounts import open_trader, user_item
from tests.support.applications import config, tables_named
from tests.support.books import query
from tests.support.page_client import Browser
from tests.support.people import problem, register
from tests.support.prices import SetPrices
from tests.support.usage import metered, usage, usage_of

TABLES = tables_named("front")
NEXT_YEAR = datetime(2031, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def _front_app(endpoint: str) -> Flask:
    return create_app(config(endpoint, users_table=TABLES["users"], orders_table=TABLES["orders"]))


@pytest.fixture
def front_app(_front_app: Flask, store: Any) -> Iterator[Flask]:
    """An application on empty tables: what it shows are sums of all that is there."""
    _front_app.extensions["prices"] = SetPrices(BTC="50000", ETH="2000")
    with _front_app.app_context():
        create_tables()
    yield _front_app
    for name in TABLES.values():
        store.delete_table(TableName=name)


@pytest.fixture
def boss(front_app: Flask) -> Browser:
    browser = Browser(front_app).enter(Role.ADMIN)
    assert browser.person
    browser.person.log_in()
    return browser


def audit(app: Flask) -> None:
    assert app.test_cli_runner().invoke(args=["audit", "--save"]).exit_code in (0, 1)


def test_a_fresh_installation_says_what_to_do(boss: Browser) -> None:
    page = boss.get("/admin")
    for text in ("make demo", "flask audit --save", "No worker runs", "No administrator has changed"):
        assert text in page.text, text
    assert "Owed to users" not in page.text and boss.username in page.text


def test_it_says_what_is_owed_and_that_the_books_are_sound(front_app: Flask, boss: Browser) -> None:
    with front_app.app_context():
        open_trader("100.00", BTC="0.5", ETH="1")
    audit(front_app)
    page = boss.get("/admin")
    for text in ("Owed to users $27,100.00", "Cash $100.00", "Assets $27,000.00", "Bitcoin 0.5 BTC $25,000.00"):
        assert text in page.text, text
    assert "Sound:" in page.text and "make demo" not in page.text and "more than a day ago" not in page.text
    assert usage_of(page.response) == usage(1 + 4, 1 + 4 * Decimal("0.5"), 0)
    with clock.at(clock.now() + timedelta(hours=37)):
        assert "more than a day ago" in Browser(front_app).enter(Role.ADMIN).get("/admin").text


def test_books_that_are_not_sound_are_told(front_app: Flask, boss: Browser, store: Any) -> None:
    with front_app.app_context():
        name = open_trader("100.00")
    store.delete_item(TableName=TABLES["users"], Key={"PK": {"S": name}, "SK": {"S": "TRANS#000000000001"}})
    audit(front_app)
    assert "Not sound: the last audit found" in boss.get("/admin").text


def test_an_asset_without_a_price_counts_as_nothing(front_app: Flask, boss: Browser) -> None:
    with front_app.app_context():
        open_trader("1.00", DOGE="10")
    front_app.extensions["prices"].missing.add("DOGE")
    audit(front_app)
    page = boss.get("/admin")
    assert "Owed to users $1.00" in page.text and "Dogecoin 10 DOGE no price" in page.text


def test_it_says_whether_workers_run(front_app: Flask, boss: Browser) -> None:
    now = clock.now()
    with front_app.app_context():
        for age in (200, 20, 30):
            with clock.at(now - timedelta(seconds=age)):
                Pulse(f"{age:016d}").beat()
    with clock.at(now):
        assert "2 workers, last seen 20 seconds ago." in boss.get("/admin").text
    with clock.at(now + timedelta(minutes=10)):
        assert "No worker runs. The last one was seen 10 minutes ago." in boss.get("/admin").text


def test_the_command_beats(front_app: Flask, boss: Browser) -> None:
    assert front_app.test_cli_runner().invoke(args=["orders", "run", "--once"]).exit_code == 0
    assert "1 worker, last seen" in boss.get("/admin").text


@pytest.mark.parametrize("error", [StoreUnavailable(), RuntimeError("a bug")])
def test_a_worker_that_cannot_say_so_goes_on(front_app: Flask, monkeypatch: Any, error: Exception) -> None:
    def fail(_: Pulse) -> bool:
        raise error

    monkeypatch.setattr(Pulse, "beat", fail)
    assert front_app.test_cli_runner().invoke(args=["orders", "run", "--once"]).exit_code == 0


def test_what_operators_did_is_listed(front_app: Flask, boss: Browser) -> None:
    """Each act once, with who did it to whom, and none of the people themselves."""
    admin, ann = boss.person, register(front_app)
    assert admin
    path = f"/admin/users/{ann.username}"
    admin.post(f"{path}/adjustments", {"amount": "5", "reason": "gift"})
    admin.call("PATCH", path, json={"status": "suspended"})
    admin.call("PATCH", path, json={"status": "active"})
    admin.delete(f"{path}/sessions")
    admin.post(f"{path}/reset-link")
    ann.log_in()
    ann.post("/auth/logout")
    assert front_app.test_cli_runner().invoke(args=["users", "promote", ann.username]).exit_code == 0
    answer = admin.get("/admin/acts")
    listed = [(each["event"], each["actor"]) for each in answer.json["data"] if each["username"] == ann.username]
    by_admin = ["reset_link_made", "sessions_ended", "reinstated", "suspended", "adjusted"]
    assert listed == [("promoted", "command line"), *((event, admin.username) for event in by_admin)]
    assert usage_of(answer).calls == 2
    shown = boss.get("/admin/acts")
    assert "Balance adjusted" in shown.text and f"by {admin.username}" in shown.text and "Logged in " not in shown.text
    assert "Made an administrator" in boss.get("/admin").text
    earlier = f"{clock.now().replace(day=1) - timedelta(days=1):%Y-%m}"
    assert f"/admin/acts?month={earlier}" in shown.shown.links
    assert "Nothing." in boss.get(f"/admin/acts?month={earlier}").text


def test_acts_end_with_their_events(front_app: Flask, boss: Browser) -> None:
    month = f"{clock.now():%Y-%m}"
    with front_app.app_context():
        operators.adjust_balance(get_user(boss.username), open_trader(), Decimal(1), "x", approval_over=Decimal(10))
        with clock.at(clock.now() + timedelta(days=91)):
            later = Browser(front_app).enter(Role.ADMIN)
            assert "Nothing" in later.get(f"/admin/acts?month={month}").text


def test_an_act_and_its_trace_are_one(front_app: Flask, boss: Browser, store: Any) -> None:
    """What an operator does to an account is written with the event, or not at all."""
    with front_app.app_context():
        name = open_trader()
        with metered() as meter:
            operators.end_sessions(get_user(boss.username), name)
    assert meter.operations.count("TransactWriteItems") == 1 and "PutItem" not in meter.operations
    [event] = [row for row in query(store, TABLES["users"], "PK", name) if row["SK"].startswith("EVENT#")]
    assert event["act_month"] == event["created_at"][:7] and event["kind"] == "sessions_ended"


def test_who_closes_the_account_is_listed_no_more(front_app: Flask, boss: Browser) -> None:
    with front_app.app_context(), clock.at(NEXT_YEAR):
        leaver, _ = (open_account(user_item(name)) for name in ("zoe_gone", "stays"))
        close_account(leaver, no_password="x")
        assert [each.username for each in list_joined("2031-04").items] == ["stays"]
    page = boss.get("/admin/users?month=2031-04")
    assert "stays" in page.text and "zoe_gone" not in page.text
    assert "Its owner closed this account" in boss.get("/admin/users/zoe_gone").text, "found by the name"


def test_the_list_shows_a_suspension(front_app: Flask, boss: Browser) -> None:
    with front_app.app_context(), clock.at(NEXT_YEAR):
        open_account(user_item("bad"))
    admin = boss.person
    assert admin
    admin.call("PATCH", "/admin/users/bad", json={"status": "suspended"})
    [row] = admin.get("/admin/users?month=2031-04").json["data"]
    assert (row["username"], row["status"]) == ("bad", "suspended")


@pytest.mark.parametrize("query", ["month=2026-11&username=ann", "month=2026-1", "month=2026-00", "month=1999-01"])
def test_an_odd_month_is_refused(boss: Browser, query: str) -> None:
    assert boss.person
    problem(boss.person.get(f"/admin/users?{query}"), 422, "invalid_input")
    if "username" not in query:
        problem(boss.person.get(f"/admin/acts?{query}"), 422, "invalid_input")
        boss.get(f"/admin/users?{query}", 422)


def test_the_totals_as_json(front_app: Flask, boss: Browser) -> None:
    admin = boss.person
    assert admin and admin.get("/admin/totals").json["data"] == []
    with front_app.app_context():
        open_trader("100.00", BTC="0.5")
    for _ in range(2):
        audit(front_app)
    first = admin.get("/admin/totals?limit=1")
    [latest] = first.json["data"]
    assert (latest["cash"], latest["accounts"], latest["violations"]) == ("100.00", 2, 0)
    assert latest["assets"] == [{"asset_id": "BTC", "owned_quantity": "0.5", "reserved_quantity": "0"}]
    assert usage_of(first).calls == 2
    [earlier] = admin.get(f"/admin/totals?cursor={first.json['next_cursor']}").json["data"]
    assert earlier["taken_at"] < latest["taken_at"]


def test_an_operator_who_moved_no_money_lands_here(front_app: Flask) -> None:
    browser = Browser(front_app).enter(Role.ADMIN)
    name, person = browser.username, browser.person
    assert person and browser.get("/", 303).location == "/admin"
    browser.log_out()
    assert browser.log_in(name).location == "/admin"
    browser.log_out()
    assert browser.log_in(name, page="/login?next=/orders").location == "/orders"
    person.log_in()
    person.deposit("5")
    assert browser.get("/", 303).location == "/dashboard"
    assert Browser(front_app).enter().get("/", 303).location == "/dashboard"


def test_a_user_is_shown_with_tokens_events_and_reserves(front_app: Flask, boss: Browser) -> None:
    ann = register(front_app)
    ann.deposit("100")
    order_id = ann.order("limit_buy", "BTC", "0.001", price="10000").json["data"]["order_id"]
    assert ann.post("/auth/tokens", {"name": "Nightly report"}).status_code == 201
    page = boss.get(f"/admin/users/{ann.username}")
    for text in ("Nightly report", "A script that logged in", "Personal token made", "reserves $10.00"):
        assert text in page.text, text
    for row in ann.get("/auth/tokens").json["data"]:
        assert row["token_id"] not in page.response.text
    link = f"/admin/users/{ann.username}/orders/{order_id}"
    assert link in page.shown.links
    shown = boss.get(link)
    for text in ("Buy 0.001 BTC", "Reserves $10.00", "Limit $10,000.00", "Reserved to buy"):
        assert text in shown.text, text
    assert usage_of(shown.response).calls == 1 + 3
    boss.get(f"/admin/users/{boss.username}/orders/{order_id}", 404)
    boss.get(f"/admin/users/{ann.username}/orders/{'x' * 3000}", 404)


def test_the_search_that_finds_nobody_keeps_the_page(front_app: Flask, boss: Browser) -> None:
    answer = boss.get("/admin?user=nobody_here", 404)
    assert answer.error_of("user") and "What was done to accounts" in answer.text
