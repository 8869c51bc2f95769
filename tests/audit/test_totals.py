"""What `flask audit --save` keeps: the sums of all accounts, against a sum that knows nothing of the audit."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.orders import Side
from app.domain.users import Role, UserStatus
from app.models.closing import close_account
from app.models.system import COUNTS_FOR, KEPT_FOR, Pulse, find_totals, list_totals, list_workers
from app.models.users import get_user, set_role
from app.services import admin as operators
from tests.support.accounts import deposit, open_trader, place, place_limit
from tests.support.applications import make_app, tables_named
from tests.support.books import scan
from tests.support.totals import sums_in, sums_of
from tests.support.usage import metered

TABLES = tables_named("totals")


@pytest.fixture(scope="module")
def totals_app(endpoint: str) -> Flask:
    """Some accounts: with everything in them, suspended, closed, and empty."""
    app = make_app(endpoint, **TABLES)
    with app.app_context():
        boss = open_trader("5.00")
        set_role(boss, Role.ADMIN, now=clock.now())
        for _ in range(3):
            name = open_trader("1000.00", BTC="1.5", ETH="2")
            place(name, Side.SELL, "0.5", price="3")
            place_limit(name, Side.BUY, "1", "7.25")
            place_limit(name, Side.SELL, "0.25", "90000")
            operators.adjust_balance(get_user(boss), name, Decimal("-12.34"), "A fee", approval_over=Decimal(100))
        operators.set_status(get_user(boss), name, UserStatus.SUSPENDED)
        close_account(get_user(open_trader()), no_password="x")
    return app


def test_the_totals_are_the_sums_of_all_items(totals_app: Flask, store: Any) -> None:
    run = totals_app.test_cli_runner().invoke
    expected, before = sums_of(*(scan(store, name) for name in TABLES.values())), clock.now()
    result = run(args=["audit", "--save", "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.output)
    assert set(printed) == {"accounts", "items", "violations"}, "as ever"
    with totals_app.app_context():
        with metered() as meter:
            totals = find_totals()
        assert (meter.calls, meter.read_units) == (1, Decimal("0.5"))
    found = sums_in(totals)
    assert found == expected
    assert found["cash"] == 3 * Decimal("981.91") + 5, found
    assert (totals.items, totals.violations) == (printed["items"], 0)
    assert before <= totals.taken_at <= clock.now() and totals.seconds < 60


def test_each_audit_is_kept_and_the_last_one_counts(totals_app: Flask, store: Any) -> None:
    run = totals_app.test_cli_runner().invoke
    with totals_app.app_context():
        kept = len(list_totals().items)
    assert run(args=["audit"]).exit_code == 0
    assert run(args=["audit", "--save"]).exit_code == 0
    with totals_app.app_context():
        assert len(list_totals().items) == kept + 1
        name = open_trader("1.00")
        store.update_item(
            TableName=TABLES["users"],
            Key={"PK": {"S": name}, "SK": {"S": "BALANCE"}},
            UpdateExpression="SET current_balance = :more",
            ExpressionAttributeValues={":more": {"S": "2.00"}},
        )
        before = find_totals()
    wrong = run(args=["audit", "--save"])
    assert wrong.exit_code == 1 and "balance_mismatch" in wrong.output
    with totals_app.app_context():
        assert (find_totals().violations, find_totals().cash - before.cash) == (1, Decimal("2.00"))
        deposit(name, "1.00")


def test_one_account_has_no_totals(totals_app: Flask) -> None:
    result = totals_app.test_cli_runner().invoke(args=["audit", "--save", "--user", "ann"])
    assert result.exit_code == 2 and "--save" in result.output


def test_a_worker_says_once_a_minute_that_it_runs(totals_app: Flask) -> None:
    now = clock.now()
    with totals_app.app_context(), metered() as meter:
        with clock.at(now):
            pulse = Pulse("a" * 16)
            assert pulse.beat() and not pulse.beat()
        assert (meter.calls, meter.write_units) == (1, 1)
        with clock.at(now + timedelta(seconds=61)):
            assert pulse.beat()
        with clock.at(now + timedelta(seconds=30)):
            # The clock went back: what is known already is newer.
            assert not Pulse("a" * 16).beat()
            Pulse("b" * 16).beat()
        with clock.at(now + timedelta(seconds=61) + COUNTS_FOR - timedelta(seconds=1)):
            assert [(each.worker_id, each.is_running) for each in list_workers()] == [
                ("a" * 16, True),
                ("b" * 16, False),
            ]
        with clock.at(now + KEPT_FOR + timedelta(seconds=62)):
            assert list_workers() == []
