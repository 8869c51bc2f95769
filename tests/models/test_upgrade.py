"""A store of an older version: what it holds stays right, before, during and after the upgrade.

`stores/format_1.json` was written by version 0.1.0 of the product: two users with open orders, ended ones, idempotency
keys, and an adjustment by a third.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.audit.run import audit_all
from app.cli.upgrade import upgrade as command
from app.domain import clock
from app.domain.orders import OrderStatus
from app.factory import create_app
from app.models import order_changes, upgrade
from app.models.create_tables import tables_answer
from app.models.orders import Order, list_orders
from app.models.users import get_user
from app.services.tokens import issue_login_token
from tests.support.applications import config, tables_named
from tests.support.people import Person, caller, problem
from tests.support.prices import SetPrices
from tests.support.usage import metered

STORE = json.loads((Path(__file__).parent / "stores/format_1.json").read_text())
WRITTEN = datetime.fromisoformat("2026-11-28T23:00:00Z")
TABLES = tables_named("older")


@pytest.fixture
def older(endpoint: str, store: Any) -> Iterator[Flask]:
    """An application on that store, an hour after it was written."""
    for table, schema in STORE["tables"].items():
        store.create_table(TableName=TABLES[table], **schema)
        for item in STORE["items"][table]:
            store.put_item(TableName=TABLES[table], Item=item)
    app = create_app(config(endpoint, users_table=TABLES["users"], orders_table=TABLES["orders"]))
    prices = app.extensions["prices"] = SetPrices()
    for asset_id, price in (("BTC", "50000"), ("ETH", "2000"), ("ADA", "0.5")):
        prices.set(asset_id, price)
    with clock.at(WRITTEN):
        yield app
    for name in TABLES.values():
        store.delete_table(TableName=name)


def person(app: Flask, username: str) -> Person:
    with app.app_context():
        token = issue_login_token(get_user(username)).bearer
    return Person(caller(app), username, f"{username}@example.com", token)


def steps_of(app: Flask) -> list[str]:
    with app.app_context():
        return list(upgrade.upgrade())


def violations(app: Flask) -> list[str]:
    with app.app_context():
        return [f"{each.check} {each.item}" for each in audit_all().violations]


def open_orders(app: Flask, username: str) -> list[Order]:
    with app.app_context():
        return list_orders(username, status=OrderStatus.PENDING).items


def test_an_older_store_is_upgraded_once(older):
    with older.app_context():
        assert not upgrade.is_current() and not tables_answer()
    assert steps_of(older) == ["added index UserOpenOrdersIndex", "brought 6 orders into line", "wrote format 2"]
    assert violations(older) == []
    with older.app_context():
        assert upgrade.is_current() and tables_answer()
    assert steps_of(older) == []


def test_what_it_holds_is_shown_whole(older):
    """0.035 BTC to sell and 0.04 in open orders, 0.6 ETH, 100 ADA, and cash of which 500.00 is in an open order."""
    steps_of(older)
    ann = person(older, "ann")
    portfolio = ann.get("/portfolio").json
    [btc] = [each for each in portfolio["assets"] if each["asset_id"] == "BTC"]
    assert (btc["quantity"], btc["reserved_quantity"], btc["market_value"]) == ("0.035", "0.04", "3750.00")
    assert (portfolio["cash_balance"], portfolio["reserved_cash"]) == ("4474.99", "500.00")
    assert portfolio["total_value"] == "9974.99"
    assert ann.get("/portfolio/history?days=7").json["points"][-1]["total"] == "9974.99"
    assert len(ann.get("/orders?status=pending").json["data"]) == 3
    for path in ("/balance/transactions", "/balance/transactions.csv", "/orders", "/balance/assets"):
        assert ann.get(path).status_code == 200


def test_requests_of_before_are_replayed(older, store):
    steps_of(older)
    ann, boss = person(older, "ann"), person(older, "boss")
    sent = [
        ann.deposit("10000.00", key="cash"),
        ann.order("market_buy", "BTC", "0.1", key="order"),
        ann.order("limit_buy", "ETH", "0.5", price="1000", key="open"),
        boss.post("/admin/users/ann/adjustments", {"amount": "-5.00", "reason": "A fee"}, key="fee"),
    ]
    assert [(answer.status_code, answer.headers.get("Idempotent-Replayed")) for answer in sent] == [(201, "true")] * 4
    changed = {"amount": "-6.00", "reason": "A fee"}
    problem(boss.post("/admin/users/ann/adjustments", changed, key="fee"), 422, "idempotency_key_reused")
    assert ann.balance() == "4474.99" and violations(older) == []


def _fill(order: Order) -> None:
    order_changes.fill_order(order, order.limit_price)


ENDS: dict[str, Callable[[Order], object]] = {
    "fill": _fill,
    "cancel": lambda order: order_changes.cancel_order(order.username, order.order_id),
    "expire": order_changes.expire_order,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_open_order_may_end_before_the_upgrade(older, end):
    """The worker of this version may come first."""
    with older.app_context():
        for order in Order.scan(Order.status == OrderStatus.PENDING.value):
            end(order)
    assert "brought" not in "".join(steps_of(older))
    assert violations(older) == [] and open_orders(older, "ann") == []


def test_an_interrupted_upgrade_goes_on(older, monkeypatch):
    upgrade_order, seen = upgrade.upgrade_order, []

    def fail_at_the_third(order: Order) -> Order:
        seen.append(order)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return upgrade_order(order)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(upgrade, "upgrade_order", fail_at_the_third)
        steps_of(older)
    with older.app_context():
        assert not upgrade.is_current()
    assert steps_of(older) == ["brought 4 orders into line", "wrote format 2"]
    assert violations(older) == []


def test_two_upgrades_may_run_at_once(older, monkeypatch):
    """Two copies that start: the other one adds the index right after this one has missed it."""
    dispatch, others = upgrade._dispatch, []

    def after_the_other(operation: str, **arguments: Any) -> dict[str, Any]:
        if operation == "UpdateTable" and not others:
            others.append("runs")
            others.extend(upgrade.upgrade())
        return dispatch(operation, **arguments)

    monkeypatch.setattr(upgrade, "_dispatch", after_the_other)
    assert steps_of(older) == ["added index UserOpenOrdersIndex"]
    assert others[1:] == ["added index UserOpenOrdersIndex", "brought 6 orders into line", "wrote format 2"]
    assert violations(older) == []


def test_an_upgrade_waits_for_the_index_that_another_one_adds(older, monkeypatch):
    """Else the store would count as upgraded while its open orders cannot be read."""
    steps_of(older)
    dispatch, seen = upgrade._dispatch, iter(["CREATING", "CREATING", "ACTIVE"])

    def not_yet(operation: str, **arguments: Any) -> dict[str, Any]:
        answer = dispatch(operation, **arguments)
        [index] = [
            each for each in answer["Table"]["GlobalSecondaryIndexes"] if each["IndexName"] == "UserOpenOrdersIndex"
        ]
        index["IndexStatus"] = next(seen)
        return answer

    monkeypatch.setattr(upgrade, "_dispatch", not_yet)
    monkeypatch.setattr(upgrade, "POLL_SECONDS", 0)
    assert steps_of(older) == [] and list(seen) == []


def test_what_older_copies_wrote_meanwhile_is_repaired(older, store):
    """They know neither the index nor the reserve: here one cancels an order to sell 0.01 BTC that is counted."""
    steps_of(older)
    [sale] = [each for each in open_orders(older, "ann") if each.quantity == Decimal("0.01")]
    store.update_item(
        TableName=TABLES["orders"],
        Key={"PK": {"S": sale.order_id}, "SK": {"S": "ORDER"}},
        UpdateExpression="SET #s = :ended REMOVE open_book, expiry_day",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":ended": {"S": "CANCELLED"}},
    )
    store.update_item(
        TableName=TABLES["users"],
        Key={"PK": {"S": "ann"}, "SK": {"S": "ASSET#BTC"}},
        UpdateExpression="SET quantity = :more",
        ExpressionAttributeValues={":more": {"S": "0.045"}},
    )
    assert any("holding_reserve_mismatch" in each for each in violations(older))
    assert steps_of(older) == ["brought 1 order into line"]
    assert violations(older) == []


def test_the_command(older):
    run = older.test_cli_runner().invoke
    assert run(command).output.splitlines()[-1] == "wrote format 2"
    assert run(command).output == "Nothing to do.\n"
    assert run(command, ["--again"]).output == ""
    assert run(args=["audit"]).exit_code == 0


def test_an_older_store_is_not_audited(older):
    result = older.test_cli_runner().invoke(args=["audit"])
    assert result.exit_code and "Run `flask upgrade`" in result.output


def test_what_an_upgrade_that_was_done_costs(older):
    steps_of(older)
    with older.app_context(), metered() as meter:
        upgrade.bring_up_to_date()
        assert meter.calls == 1
