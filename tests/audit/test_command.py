"""The command `audit`: what it prints and how it ends, and that nothing is held against an account in use."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from app.audit.reading import count_items
from app.audit.rows import Row
from app.audit.run import audit_all
from app.audit.sorter import RowSorter
from app.domain import clock
from tests.support.applications import make_app, tables_named
from tests.support.people import Person, register

TABLES = tables_named("command")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def command_app(endpoint: str) -> Flask:
    return make_app(endpoint, **TABLES)


@pytest.fixture(scope="module")
def run(command_app: Flask) -> Run:
    runner = command_app.test_cli_runner()
    return lambda *arguments: runner.invoke(args=["audit", *arguments])


@pytest.fixture
def owner(command_app: Flask) -> Person:
    """An account that has not changed for an hour: a younger one is read again after a pause."""
    with clock.at(clock.now() - timedelta(hours=1)):
        person = register(command_app)
        person.deposit("1000.00", key="first")
        person.buy("BTC", "0.001")
    return person


def test_sound_books_end_with_status_0(run: Run, owner: Person) -> None:
    result = run("--user", owner.username.upper())
    # User, claim, balance, token, 2 transactions, holding, trade, order, idempotency claim.
    assert (result.exit_code, result.output) == (0, "No violation in 10 items of 1 account.\n")


def test_all_accounts_as_json(run: Run, owner: Person) -> None:
    result = run("--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["violations"]) == (0, [])
    assert answer["accounts"] >= 1 and answer["items"] >= 10


@pytest.mark.parametrize("arguments", [(), ("--user",)])
def test_a_violation_ends_with_status_1(run: Run, owner: Person, store: Any, arguments: tuple[str, ...]) -> None:
    arguments += (owner.username,) if arguments else ()
    key = {"PK": {"S": owner.username}, "SK": {"S": "BALANCE"}}
    sound = store.get_item(TableName=TABLES["users"], Key=key)["Item"]
    store.put_item(TableName=TABLES["users"], Item={**sound, "version": {"N": "7"}})
    plain, as_json = run(*arguments), run(*arguments, "--json")
    store.put_item(TableName=TABLES["users"], Item=sound)
    assert (plain.exit_code, as_json.exit_code) == (1, 1)
    message = "version is 7, and should be 2."
    assert plain.stdout.splitlines()[0] == f"version_mismatch: users {owner.username} BALANCE: {message}"
    assert plain.stdout.splitlines()[1].startswith("1 violation in ")
    assert json.loads(as_json.stdout)["violations"] == [
        {
            "check": "version_mismatch",
            "table": "users",
            "PK": owner.username,
            "SK": "BALANCE",
            "message": message,
            "figures": {"found": "7", "expected": "2"},
        }
    ]


def test_an_unknown_user_is_an_error_of_use(run: Run) -> None:
    result = run("--user", "nobody_at_all")
    assert result.exit_code == 2 and "nobody_at_all" in result.output


def test_an_account_in_use_has_no_violation(command_app: Flask, owner: Person) -> None:
    """Items change between the pages of a scan, and between the queries of one account."""
    owner.log_in()  # the token of an hour ago has expired
    stop = False

    def use() -> None:
        while not stop:
            owner.buy("BTC", "0.0001")
            owner.order("limit_buy", "BTC", "0.001", price="1")
            owner.deposit("10.00")

    with ThreadPoolExecutor(1) as pool:
        used = pool.submit(use)
        try:
            with command_app.app_context():
                found = [audit_all(pauses=(0.1, 0.2, 0.3)).violations for _ in range(5)]
        finally:
            stop = True
        used.result()
    assert found == [[]] * 5


def test_each_item_is_told_of_twice(command_app: Flask, owner: Person) -> None:
    with command_app.app_context():
        told: list[int] = []
        report = audit_all(told.append)
        assert sum(told) == 2 * report.items == 2 * count_items()


def test_rows_come_out_by_account_in_order_and_once() -> None:
    def row(PK: str, SK: str, **values: str) -> Row:
        return Row("users", {name: {"S": text} for name, text in {"PK": PK, "SK": SK, **values}.items()})

    kind = {"entity_type": "TRANSACTION"}
    rows = [row("zoe", "TRANS#2", **kind), row("ann", "USER", entity_type="USER"), row("zoe", "TRANS#1", **kind)]
    with RowSorter() as sorter:
        sorter.add(rows)
        sorter.add(rows[:1])
        sorter.add([row("\ud800", "USER")])
        accounts = [(owner, [each.row.item.SK for each in found]) for owner, found in sorter.accounts()]
    assert accounts == [("ann", ["USER"]), ("zoe", ["TRANS#1", "TRANS#2"]), ("\ud800", ["USER"])]
