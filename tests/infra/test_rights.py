"""The policies of the template grant what each program asks of each table and index, and nothing more.

Each program does here, on the tables of the template, what it can do: the web server answers every route, the worker
has something to fill, to expire and to send, and the operator gives every command that docs/aws.md leaves to one.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.orders import NewTerms, Side
from app.domain.users import Role
from app.factory import create_app
from app.mail import MailSettings
from app.models.order_changes import change_order
from app.prices import CoinGeckoSettings
from app.server import warm_up
from tests.contract.test_journey import travel
from tests.contract.travellers import app_of_the_journey, person_of_the_journey, specification_of
from tests.infra.calls import Right, Watch
from tests.infra.conftest import TABLES
from tests.infra.templates import resources
from tests.support.accounts import open_trader, place
from tests.support.applications import config
from tests.support.authenticator import enrol
from tests.support.coingecko import fake_coingecko
from tests.support.faults import FaultyStore, let
from tests.support.mail import SENDER, SITE, queued
from tests.support.page_client import Browser
from tests.support.people import registration
from tests.support.prices import SetPrices

pytestmark = pytest.mark.engine
NAMES = {"users_table": TABLES["users"], "orders_table": TABLES["orders"]}
OLDER = json.loads((Path(__file__).parents[1] / "models/stores/format_1.json").read_text())


@pytest.fixture
def watch(watched: FaultyStore) -> Watch:
    return Watch(watched, {name: table for table, name in TABLES.items()})


def run(app: Flask, *arguments: str) -> str:
    result = app.test_cli_runner().invoke(args=list(arguments))
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result.output


def granted_to(program: str) -> set[Right]:
    """What the one policy of a program grants: its role has no other."""
    role = resources("service", "IAM::Role")[f"{program}Role"]
    assert role["ManagedPolicyArns"] == [{"Ref": f"{program}Policy"}] and "Policies" not in role
    granted = set()
    for statement in resources("service", "IAM::ManagedPolicy")[f"{program}Policy"]["PolicyDocument"]["Statement"]:
        assert statement.keys() == {"Effect", "Action", "Resource"} and statement["Effect"] == "Allow"
        granted |= {
            Right(action.removeprefix("dynamodb:"), resource_of(arn["Fn::Sub"]))
            for action in statement["Action"]
            for arn in statement["Resource"]
        }
    return granted


def resource_of(arn: str) -> str:
    """`orders/index/OpenOrdersIndex` for the address of that index of the table that the template was given."""
    where, _, name = arn.partition(":table/")
    assert where == "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}"
    match = re.fullmatch(r"\$\{(Users|Orders)Table\}(/index/\w+)?", name)
    assert match, arn
    return match[1].lower() + (match[2] or "")


def test_web(watched: FaultyStore, watch: Watch) -> None:
    app = app_of_the_journey(watched.endpoint, TABLES)
    # As an operator does for new tables.
    assert run(app, "upgrade", "--alone")
    watch.watch_requests(app)
    travel(app, specification_of(app), partial(person_of_the_journey, app))
    walk(app)
    with fake_coingecko() as market:
        priced = another(watched.endpoint, price_source="coingecko", coingecko=CoinGeckoSettings(url=market.url))
        watch.watch_requests(priced)
        assert priced.test_client().get("/api/v1/inventory/assets/btc").status_code == 200
    with watch.watching():
        warm_up(app)
    assert watch.rights == granted_to("Web")


def another(endpoint: str, **settings: Any) -> Flask:
    return create_app(config(endpoint, **NAMES, **settings))


def walk(app: Flask) -> None:
    """Every page without a name in its address, of an administrator with some history; and the forms of money."""
    visitor = Browser(app).enter(Role.ADMIN)
    visitor.done("/deposit", amount="1000")
    visitor.done("/assets/BTC", quantity="0.1")
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.arguments and "/api/" not in rule.rule:
            answer = visitor.client.get(rule.rule)
            assert answer.data is not None and answer.status_code < 500, rule.rule


def test_worker(watched: FaultyStore, watch: Watch, endpoint: str, tmp_path: Path) -> None:
    mail = MailSettings(folder=str(tmp_path / "mail"), sender=SENDER, site=SITE)
    people = another(endpoint, mail=mail)
    body = registration()
    assert people.test_client().post("/api/v1/auth/register", json=body).status_code == 201
    with people.app_context():
        trader = open_trader("1000", BTC="1")
        with clock.at(clock.now() - timedelta(days=3)):
            for side in Side:
                place(trader, side, "0.1", price="100", limit="1" if side is Side.BUY else "10000")
        for side, limit in ((Side.BUY, "90"), (Side.SELL, "110")):
            place(trader, side, "0.1", price="100", limit=limit)
        place(trader, Side.SELL, "0.1", price="100", stop="60", limit="10000")
    assert queued(people, body["username"])
    worker = another(watched.endpoint, mail=mail)
    for price in ("50", "150"):
        worker.extensions["prices"] = SetPrices(BTC=price)
        with watch.watching():
            done = run(worker, "orders", "run", "--once")
        assert f"filled 1, triggered {int(price == '50')}, " in done and "failed 0" in done
    assert not queued(people)
    with people.app_context():
        changed = place(trader, Side.BUY, "0.1", price="200", limit="160")
    # Its owner is a moment faster than the worker, which then reads the order.
    more = NewTerms(quantity=Decimal("0.2"))
    watched.inject("TransactWriteItems", let(people, lambda: change_order(trader, changed.order_id, more)))
    with watch.watching():
        assert "filled 1, " in run(worker, "orders", "run", "--once")
    with fake_coingecko() as market, watch.watching():
        settings = CoinGeckoSettings(url=market.url)
        run(another(watched.endpoint, price_source="coingecko", coingecko=settings), "orders", "run", "--once")
    assert watch.rights == granted_to("Worker")
    # By these the alarm knows that a worker runs.
    alarm = resources("service", "CloudWatch::Alarm")["WorkerSilent"]["Dimensions"]
    assert alarm == [{"Name": "TableName", "Value": {"Ref": "OrdersTable"}}, {"Name": "Operation", "Value": "Scan"}]
    assert "Scan" not in {right.action for right in granted_to("Web")}


def test_operator(watched: FaultyStore, watch: Watch, endpoint: str, store: Any, tmp_path: Path) -> None:
    for table, items in OLDER["items"].items():
        for item in items:
            store.put_item(TableName=TABLES[table], Item=item)
    people, operator = another(endpoint), another(watched.endpoint)
    with watch.watching():
        assert "computed the cost of " in run(operator, "upgrade", "--alone")
    person = person_of_the_journey(people)
    enrol(person)
    [waiting] = person.get("/orders?status=pending").json["data"]
    assert person.call("PATCH", f"/orders/{waiting['order_id']}", json={"price": "2"}).status_code == 200
    with watch.watching():
        for command in ("promote", "demote", "reset-link", "reset-factor"):
            run(operator, "users", command, person.username)
        run(operator, "upgrade", "--again")
        run(operator, "audit", "--user", person.username)
        run(operator, "audit", "--save")
        run(operator, "export", str(tmp_path / "export"))
    assert watch.rights == granted_to("Operator")
