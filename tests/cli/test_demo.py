"""The demonstration accounts: believable, sound, made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from app.audit.run import audit_all
from app.cli import demo_accounts
from app.cli.demo import _password
from app.domain import clock
from app.domain.orders import OrderStatus, PriceType, Side
from app.factory import create_app
from app.models.balance_changes import open_account
from app.models.expired import Sweeper
from app.models.ledger import list_trades, list_transactions
from app.models.orders import list_orders
from app.models.paging import PageRequest
from app.models.users import find_user, get_user
from app.prices.simulated import SimulatedMarket
from app.services import portfolio
from app.services.history import get_portfolio_history
from tests.support.accounts import user_item
from tests.support.applications import config
from tests.support.sweeping import sweep_all

Run = Callable[..., Result]
TABLES = {"users_table": "demo_users", "orders_table": "demo_orders"}
ALL = PageRequest(limit=500)


@pytest.fixture(scope="module")
def demo_app(endpoint: str) -> Flask:
    return create_app(config(endpoint, **TABLES))


@pytest.fixture(scope="module")
def run(demo_app: Flask) -> Run:
    runner = demo_app.test_cli_runner()

    def run(*arguments: str) -> Result:
        return runner.invoke(args=arguments)

    return run


@pytest.fixture(scope="module")
def midnight() -> datetime:
    """The last moment of yesterday: a year before it was the last one of a day too."""
    return clock.end_of((clock.now() - timedelta(days=1)).date())


@pytest.fixture(scope="module")
def first_run(run: Run, midnight: datetime) -> Result:
    """A demonstration with two lively months; the whole year takes a few seconds more."""
    with clock.at(midnight):
        result = run("demo", "--months", "2")
    assert result.exit_code == 0, result.output
    return result


def password_in(result: Result) -> str:
    return str(result.stdout.rsplit("Password of each: ", 1)[1].strip())


def test_its_accounts_are_sound(first_run: Result, run: Run) -> None:
    audit = run("audit")
    assert (audit.exit_code, audit.output.splitlines()[-1][:12]) == (0, "No violation"), audit.output


def test_it_prints_a_password_with_which_one_can_log_in(first_run: Result, demo_app: Flask) -> None:
    who = {"username": "demo", "password": password_in(first_run)}
    assert demo_app.test_client().post("/api/v1/auth/login", json=who).status_code == 200
    with demo_app.app_context():
        assert get_user("demo_suspended").is_suspended
        assert get_user("demo_admin").is_admin


def test_every_page_has_something_to_show(first_run: Result, demo_app: Flask, midnight: datetime) -> None:
    market = SimulatedMarket(clock=clock.now)
    with demo_app.app_context(), clock.at(midnight):
        valued = portfolio.get_portfolio("demo", market, now=clock.now())
        assert len(valued.assets) >= 5 and valued.cash_balance > 0 and valued.reserved_cash > 0
        history = get_portfolio_history("demo", market, days=365).points
        assert all(point.total > 0 for point in history) and history[-1].assets > 0
        assert list_transactions("demo", ALL).items and list_trades("demo", ALL).items
        orders = list_orders("demo", ALL).items
    waited = {(order.side, order.status) for order in orders if order.price_type == PriceType.LIMIT}
    assert waited == {
        (Side.BUY, OrderStatus.COMPLETED),
        (Side.BUY, OrderStatus.CANCELLED),
        (Side.BUY, OrderStatus.EXPIRED),
        (Side.BUY, OrderStatus.PENDING),
        (Side.SELL, OrderStatus.PENDING),
    }


def test_its_past_is_in_order_and_at_the_prices_of_its_time(first_run: Result, demo_app: Flask) -> None:
    with demo_app.app_context():
        orders, moves = list_orders("demo", ALL).items, list_transactions("demo", ALL).items
    for items in (orders, moves):
        times = [item.created_at for item in items]
        assert times == sorted(times, reverse=True) and times[0] <= clock.now()
    assert moves[-1].created_at < clock.now() - timedelta(days=364)
    bought = [order for order in orders if order.price_type == PriceType.MARKET]
    for order in bought:
        with clock.at(order.executed_at):
            assert SimulatedMarket(clock=clock.now).quote(order.asset_id).price == order.order_price


def _rows(store: Any) -> list[Any]:
    return [store.scan(TableName=name)["Items"] for name in TABLES.values()]


def test_a_second_run_changes_nothing_and_says_so(first_run: Result, run: Run, store: Any) -> None:
    before = _rows(store)
    again = run("demo", "--months", "2")
    assert (again.exit_code, _rows(store)) == (0, before)
    assert "already there" in again.stdout
    assert password_in(again) == password_in(first_run)


def test_after_the_secret_changed_it_sets_the_password_that_it_prints(
    first_run: Result, run: Run, endpoint: str, demo_app: Flask, midnight: datetime
) -> None:
    renewed = create_app(replace(config(endpoint, **TABLES), secret_key="another secret for tests"))
    result = renewed.test_cli_runner().invoke(args=["demo"])
    assert result.exit_code == 0, result.output
    assert password_in(result) != password_in(first_run)
    for username in ("demo", "demo_admin"):
        who = {"username": username, "password": password_in(result)}
        assert renewed.test_client().post("/api/v1/auth/login", json=who).status_code == 200
    assert "set again" in result.stdout
    assert password_in(run("demo")) == password_in(first_run), "the first secret gives the first password again"
    who = {"username": "demo", "password": password_in(first_run)}
    assert demo_app.test_client().post("/api/v1/auth/login", json=who).status_code == 200


def test_an_interrupted_run_is_completed(endpoint: str, demo_app: Flask) -> None:
    app = create_app(config(endpoint, users_table="demo_cut_users", orders_table="demo_cut_orders"))
    runner = app.test_cli_runner()
    whole, done = 0, 0

    def interrupt(count: int) -> None:
        nonlocal done
        done += count
        if done == whole - 12:
            raise KeyboardInterrupt

    with app.app_context():
        runner.invoke(args=["tables", "create"])
        market = SimulatedMarket(clock=clock.now)
        plan = demo_accounts.plan_demo(market, "a password", months=1)
        whole = len(plan.steps)
        with pytest.raises(KeyboardInterrupt):
            plan.carry_out(interrupt)
        assert not demo_accounts.is_complete()
        sweep_all(Sweeper())
        demo_accounts.plan_demo(market, "a password", months=1).carry_out(lambda count: None)
        assert demo_accounts.is_complete() and demo_accounts.is_demo_password("a password")
        assert not audit_all(pauses=()).violations
        keys = [transaction.description for transaction in list_transactions("demo", ALL).items]
        assert keys.count("Salary") == 1


def test_a_run_that_was_interrupted_long_ago_is_not_repeated(endpoint: str) -> None:
    """Its claims are gone, so it would deposit everything again."""
    tables = {"users_table": "demo_old_users", "orders_table": "demo_old_orders"}
    app = create_app(config(endpoint, **tables))

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    def deposits() -> list[Any]:
        with app.app_context():
            return [each.transaction_id for each in list_transactions("demo", ALL).items]

    runner = app.test_cli_runner()
    with app.app_context(), pytest.raises(KeyboardInterrupt):
        runner.invoke(args=["tables", "create"])
        password = _password(str(app.config["SECRET_KEY"]))
        plan = demo_accounts.plan_demo(SimulatedMarket(clock=clock.now), password, months=1)
        plan.carry_out(interrupt)
    before = deposits()
    assert len(before) == 1
    with clock.at(clock.now() + timedelta(days=31)):
        kept = runner.invoke(args=["demo", "--months", "1"])
        with app.app_context():
            sweep_all(Sweeper())
        swept = runner.invoke(args=["demo", "--months", "1"])
    for result in (kept, swept):
        assert result.exit_code == 1 and result.output.count("\n") == 1 and "too long ago" in result.output
    assert deposits() == before


@pytest.mark.parametrize("username", demo_accounts.USERNAMES)
def test_an_address_that_belongs_to_somebody_else_is_one_sentence(endpoint: str, username: str) -> None:
    """For each of the accounts, also the last one, before anything is written."""
    tables = {"users_table": f"taken_{username}_users", "orders_table": f"taken_{username}_orders"}
    app = create_app(config(endpoint, **tables))
    with app.app_context():
        app.test_cli_runner().invoke(args=["tables", "create"])
        user = user_item("somebody")
        user.email = f"{username}@example.com"
        open_account(user)
    result = app.test_cli_runner().invoke(args=["demo", "--months", "1"])
    assert result.exit_code == 1 and result.output.count("\n") == 1 and user.email in result.output
    with app.app_context():
        assert not any(find_user(name) for name in demo_accounts.USERNAMES)


def test_a_name_that_belongs_to_somebody_else_is_left_alone(endpoint: str, demo_app: Flask) -> None:
    app = create_app(config(endpoint, users_table="demo_other_users", orders_table="demo_other_orders"))
    with app.app_context():
        app.test_cli_runner().invoke(args=["tables", "create"])
        demo_accounts.plan_demo(SimulatedMarket(clock=clock.now), "their password", months=1)
    result = app.test_cli_runner().invoke(args=["demo"])
    assert result.exit_code == 1 and "with another password" in result.output
    with app.app_context():
        assert not list_transactions("demo", ALL).items


def test_an_unusable_moment_ends_with_its_context() -> None:
    moment = clock.now() - timedelta(days=1)
    with clock.at(moment):
        assert clock.now() == moment
    assert clock.now() > moment
