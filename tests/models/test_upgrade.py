"""A store of an older version: what it holds stays right, before, during and after the upgrade.

`stores/format_1.json` was written by version 0.1.0 of the product: two users with open orders, ended ones, idempotency
keys, and an adjustment by a third.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.audit.run import audit_all
from app.cli.upgrade import upgrade as command
from app.domain import clock
from app.domain.errors import Busy, UpgradeUnfinished
from app.domain.events import EventKind
from app.domain.orders import NewTerms, OrderStatus, Side
from app.domain.users import UserStatus
from app.factory import create_app
from app.models import order_changes, upgrade
from app.models.balance_changes import open_account
from app.models.closing import close_account
from app.models.cost_upgrade import upgrade_holding
from app.models.create_tables import tables_answer
from app.models.events import begin_request, end_request, event_of, identify, list_acts, record
from app.models.item import Item
from app.models.ledger import Holding, get_holding, list_trades
from app.models.orders import Order, list_orders
from app.models.users import get_user, list_joined, month_of, set_status
from app.services.tokens import issue_login_token
from tests.support.accounts import forget_cost, place, user_item
from tests.support.applications import config, tables_named
from tests.support.people import Person, caller, problem
from tests.support.prices import SetPrices
from tests.support.usage import metered

STORE = json.loads((Path(__file__).parent / "stores/format_1.json").read_text())
WRITTEN = datetime.fromisoformat("2026-11-28T23:00:00Z")
TABLES = tables_named("older")
ALL_STEPS = [
    "added index OperatorActsIndex",
    "added index UsersByJoinIndex",
    "added index UserOpenOrdersIndex",
    "brought 6 orders into line",
    "computed the cost of 6 holdings",
    "listed 3 users and acts of operators by month",
    "wrote format 5",
]


@pytest.fixture
def older(endpoint: str, store: Any) -> Iterator[Flask]:
    """An application on that store, an hour after it was written."""
    for table, schema in STORE["tables"].items():
        store.create_table(TableName=TABLES[table], **schema)
        for item in STORE["items"][table]:
            store.put_item(TableName=TABLES[table], Item=item)
    app = create_app(config(endpoint, users_table=TABLES["users"], orders_table=TABLES["orders"]))
    prices = app.extensions["prices"] = SetPrices()
    for asset_id, price in (("BTC", "50000"), ("ETH", "2000"), ("ADA", "0.5"), ("XRP", "0.5")):
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
    assert steps_of(older) == ALL_STEPS
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


def gains_of(one: Person) -> dict[str, tuple[str | None, ...]]:
    """Cost and gains as the portfolio shows them."""
    names = ("cost_total", "average_price", "realised_gain", "unrealised_gain")
    return {each["asset_id"]: tuple(each[name] for name in names) for each in one.get("/portfolio").json["assets"]}


def test_what_it_cost_and_gained_is_computed(older):
    """Of 0.1 BTC for 5000.00, 0.02 were sold at cost, and 0.005 for 305.00."""
    steps_of(older)
    ann = person(older, "ann")
    assert gains_of(ann) == {
        "BTC": ("3750.00", "50000", "55.00", "0.00"),
        "ETH": ("1185.01", "1975.02", "0.00", "14.99"),
        "ADA": ("40.00", "0.4", "0.00", "10.00"),
    }
    assert ann.get("/balance/asset/ETH").json["updated_at"] == "2026-11-28T22:34:21.971598Z", "nothing was changed"
    lines = ann.get("/portfolio/gains?year=2026").json["data"]
    assert [(each["cost"], each["gain"]) for each in lines] == [("1000.00", "0.00"), ("250.00", "55.00")]


def test_what_is_not_computed_yet_is_said_to_be_unknown(older):
    """Also after this version has traded: it leaves the cost to the upgrade, which counts what it did."""
    ann = person(older, "ann")
    assert gains_of(ann)["BTC"] == (None,) * 4
    ann.buy("BTC", "0.01")
    ann.sell("BTC", "0.02")
    ann.buy("XRP", "1")
    portfolio, report = ann.get("/portfolio").json, ann.get("/portfolio/gains?year=2026").json
    assert gains_of(ann)["BTC"] == (None,) * 4 and gains_of(ann)["XRP"] == ("0.50", "0.5", "0.00", "0.00")
    assert (portfolio["cost_total"], portfolio["total_gain"]) == (None, None)
    assert {each["gain"] for each in report["data"]} == {report["total"]["gain"]} == {None}
    fifo = ann.get("/portfolio/gains?year=2026&method=fifo").json
    assert fifo["total"] == {"proceeds": "2305.00", "cost": "2250.00", "gain": "55.00"}
    steps_of(older)
    assert violations(older) == []
    assert gains_of(ann)["BTC"] == ("3250.00", "50000", "55.00", "0.00")


def test_what_older_copies_traded_meanwhile_is_counted(older, store):
    """They change the quantity and leave the cost: here one buys 0.01 BTC, and another one sells it again."""
    steps_of(older)
    ann = person(older, "ann")
    ann.buy("BTC", "0.01")
    sold = ann.sell("BTC", "0.01")
    store.update_item(
        TableName=TABLES["users"],
        Key={"PK": {"S": "ann"}, "SK": {"S": "ASSET#BTC"}},
        UpdateExpression="SET cost_total = :cost",
        ExpressionAttributeValues={":cost": {"S": "3700.00"}},
    )
    store.update_item(
        TableName=TABLES["users"],
        Key={"PK": {"S": "TRANS#ann#BTC"}, "SK": {"S": sold["executed_at"]}},
        UpdateExpression="REMOVE cost_total, gain",
    )
    assert {"cost_mismatch", "trade_cost_wrong"} <= {each.split()[0] for each in violations(older)}
    assert steps_of(older) == ["computed the cost of 1 holding"]
    assert violations(older) == []


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


def _change(order: Order) -> None:
    terms = NewTerms(quantity=order.quantity / 2)
    changed = order_changes.change_order(order.username, order.order_id, terms).item
    assert changed.revision == 2
    order_changes.fill_order(order, order.limit_price)


ENDS: dict[str, Callable[[Order], object]] = {
    "change, and fill an old copy": _change,
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
    assert steps_of(older) == ["brought 4 orders into line", *ALL_STEPS[4:]]
    assert violations(older) == []


def test_two_upgrades_may_run_at_once(older, monkeypatch):
    """Two copies that start: the other one adds the index right after this one has missed it."""
    dispatch, others = upgrade._dispatch, []

    def after_the_other(table: type[Item], operation: str, **arguments: Any) -> dict[str, Any]:
        if operation == "UpdateTable" and not others:
            others.append("runs")
            others.extend(upgrade.upgrade())
        return dispatch(table, operation, **arguments)

    monkeypatch.setattr(upgrade, "_dispatch", after_the_other)
    assert steps_of(older) == ["added index OperatorActsIndex"]
    assert others[1:] == ALL_STEPS
    assert violations(older) == []


def test_an_upgrade_waits_for_the_index_that_another_one_adds(older, monkeypatch):
    """Else the store would count as upgraded while its open orders cannot be read."""
    steps_of(older)
    dispatch, seen = upgrade._dispatch, iter(["CREATING", "CREATING", "ACTIVE"])

    def not_yet(table: type[Item], operation: str, **arguments: Any) -> dict[str, Any]:
        answer = dispatch(table, operation, **arguments)
        for index in answer["Table"]["GlobalSecondaryIndexes"]:
            if index["IndexName"] == "UsersByJoinIndex":
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
    assert run(command).output.splitlines()[-1] == "wrote format 5"
    assert run(command).output == "Nothing to do.\n"
    assert run(command, ["--again"]).output == "no older version runs: orders can be changed, and stop orders placed\n"
    assert run(args=["audit"]).exit_code == 0


def without_months(store: Any) -> None:
    """As a version before format 4 wrote users and events."""
    for item in store.scan(TableName=TABLES["users"])["Items"]:
        if item["entity_type"]["S"] in {"USER", "EVENT"}:
            kept = {name: value for name, value in item.items() if name not in {"join_month", "act_month"}}
            store.put_item(TableName=TABLES["users"], Item=kept)


def test_users_and_acts_of_operators_are_listed(older, store):
    """Not who has closed the account, and not what people did to their own."""
    steps_of(older)
    with older.app_context():
        close_account(open_account(user_item("left")), no_password="x")
        set_status("ann", UserStatus.SUSPENDED, now=clock.now(), also=event_of("ann", EventKind.SUSPENDED))
        as_herself("ann")
    without_months(store)
    assert any("join_month_wrong" in each for each in violations(older))
    assert steps_of(older) == ["listed 5 users and acts of operators by month"]
    with older.app_context():
        assert {each.username for each in list_joined("2026-11").items} == {"ann", "ben", "boss"}
        # What the command line did: one account was closed there.
        assert {(each.username, each.kind) for each in list_acts("2026-11").items} == {
            ("left", "account_closed"),
            ("ann", "suspended"),
        }
    assert violations(older) == [] and steps_of(older) == []


def as_herself(username: str) -> None:
    """Leave an event that this user caused."""
    begin_request(address="", agent="", request_id="")
    identify(username, "session")
    record(username, EventKind.LOG_IN)
    end_request()


def test_who_closes_the_account_during_the_upgrade_is_not_listed(older, store, monkeypatch):
    steps_of(older)
    with older.app_context():
        left = open_account(user_item("left"))
    without_months(store)
    months = []

    def close_meanwhile(moment: datetime) -> str:
        if not months:
            close_account(left, no_password="x")
        months.append(month_of(moment))
        return months[-1]

    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "month_of", close_meanwhile)
        steps_of(older)
    with older.app_context():
        assert "left" not in {each.username for each in list_joined("2026-11").items}
    assert violations(older) == []


def test_an_older_store_is_not_audited(older):
    result = older.test_cli_runner().invoke(args=["audit"])
    assert result.exit_code and "Run `flask upgrade`" in result.output


def test_what_an_upgrade_that_was_done_costs(older):
    with older.app_context():
        for alone in (False, True):
            upgrade.bring_up_to_date(alone=alone)
            with metered() as meter:
                upgrade.bring_up_to_date(alone=alone)
            assert meter.calls == 1
            assert upgrade.is_alone() == alone, "of a database elsewhere, a start does not know who else runs"


# The upgrades that are run, and whether they say that no copy of an older version runs.
UPGRADES: dict[str, tuple[list[list[str]], bool]] = {
    "old copies run": ([[]], False),
    "they are gone": ([[], ["--again"]], True),
    "none runs": ([["--alone"]], True),
    "none runs, which is said later": ([[], ["--alone"]], True),
}


@pytest.mark.parametrize(("commands", "is_alone"), UPGRADES.values(), ids=UPGRADES)
def test_what_old_copies_would_undo_waits_for_their_end(older, commands, is_alone):
    for options in commands:
        assert older.test_cli_runner().invoke(command, options).exit_code == 0
    with older.app_context(), metered() as meter:
        for _ in range(2):
            with nullcontext() if is_alone else pytest.raises(UpgradeUnfinished):
                upgrade.require_alone()
    assert meter.calls == (1 if is_alone else 2), "only that none runs is remembered"


def test_the_next_trade_is_later_than_all_others(older):
    """Version 0.1.0 filled a sale without writing its holding."""
    steps_of(older)
    with older.app_context():
        place("ben", Side.SELL, "0.001", price="50000")
        forget_cost("ben")
        get_holding("ben", "BTC").update([Holding.updated_at.set(WRITTEN - timedelta(days=1))])
        upgrade_holding("ben", "BTC")
        latest = list_trades("ben", asset_id="BTC").items[0]
        assert get_holding("ben", "BTC").updated_at == latest.traded_at


def test_a_long_history_is_computed_in_parts(older, monkeypatch):
    """More sales than one batch can write: here 6 with the holding, in batches of 3 at most."""
    steps_of(older)
    monkeypatch.setattr("app.models.cost_upgrade.MOST_STEPS", 3)
    with older.app_context():
        for number in range(8):
            place("ben", list(Side)[number % 2], "0.001", price=str(50000 + number))
        forget_cost("ben")
        with metered() as meter:
            assert upgrade_holding("ben", "BTC") and not upgrade_holding("ben", "BTC")
    assert meter.operations.count("TransactWriteItems") == 4
    assert meter.write_units == 6 * 4 + 3, "each sale and the holding once"
    assert violations(older) == []


def test_a_busy_holding_keeps_no_other_waiting(older, monkeypatch):
    """Its owner trades all the time at first: it is computed after all others."""
    tried = []

    def busy_at_first(*holding: str) -> bool:
        tried.append(holding)
        if tried == [holding]:
            raise Busy()
        return upgrade_holding(*holding)

    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "upgrade_holding", busy_at_first)
        assert steps_of(older) == ALL_STEPS
    assert len(tried) == 7 and tried[0] == tried[-1]
    assert violations(older) == []
