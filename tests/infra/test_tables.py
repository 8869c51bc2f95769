"""The template of the tables makes what the models read and write, and protects it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from flask import Flask
from pynamodb.attributes import TTLAttribute

from app.factory import create_app
from app.models.create_tables import ROOTS
from app.models.item import table_schema
from app.models.ledger import list_holders, list_trades_of_asset
from app.models.upgrade import FORMAT
from dev.child import end_with_parent
from dev.launcher import free_port, wait_until_ready
from tests.infra.templates import FOLDER, resources, template
from tests.support.applications import config
from tests.support.people import Person, caller, register
from tests.support.prices import SetPrices

TEMPLATED = resources("tables", "DynamoDB::Table")
NAMES = {"UsersTable": "shop-users", "OrdersTable": "shop-orders"}
SCHEMAS = {"Users": table_schema(ROOTS[0]), "Orders": table_schema(ROOTS[1])}


def shape(table: Mapping[str, Any]) -> dict[str, Any]:
    """Keys, types and indexes of a table, without what has no order."""
    return {
        "types": {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]},
        "key": keys_of(table),
        "indexes": {
            index["IndexName"]: (
                keys_of(index),
                index["Projection"]["ProjectionType"],
                set(index["Projection"].get("NonKeyAttributes", ())),
            )
            for index in table["GlobalSecondaryIndexes"]
        },
    }


def keys_of(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key["AttributeName"], key["KeyType"]) for key in schema["KeySchema"]]


def expiring_attribute(item: type[Any]) -> set[str]:
    """By which attribute DynamoDB deletes items of a table: that of its kinds of items."""
    attributes = [each for kind in item.__subclasses__() for each in kind.get_attributes().values()]
    return {each.attr_name for each in attributes if isinstance(each, TTLAttribute)}


@pytest.mark.parametrize(("name", "item"), list(zip(TEMPLATED, ROOTS, strict=True)))
def test_a_table_is_that_of_the_models(name: str, item: type[Any]) -> None:
    properties = TEMPLATED[name]
    assert shape(properties) == shape(SCHEMAS[name])
    expiry = properties.get("TimeToLiveSpecification")
    assert ({expiry["AttributeName"]} if expiry else set()) == expiring_attribute(item)


@pytest.mark.parametrize("name", TEMPLATED)
def test_a_table_is_protected_and_bounded(name: str) -> None:
    resource, properties = template("tables")["Resources"][name], TEMPLATED[name]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["SSESpecification"]["SSEEnabled"] is True
    assert properties.get("TimeToLiveSpecification", {"Enabled": True})["Enabled"] is True
    assert {tag["Key"] for tag in properties["Tags"]} == {"application", "stage"}
    reads, writes = {"Ref": "MaxReadUnits"}, {"Ref": "MaxWriteUnits"}
    assert properties["OnDemandThroughput"] == {"MaxReadRequestUnits": reads, "MaxWriteRequestUnits": writes}
    for index in properties["GlobalSecondaryIndexes"]:
        assert index["OnDemandThroughput"] == {"MaxReadRequestUnits": reads}, index["IndexName"]
    assert {"MaxReadUnits", "MaxWriteUnits"} <= template("tables")["Parameters"].keys()


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """moto as a server, with the tables of the template in it; what it ignores of a table is tested above."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    # In a process of its own: it is another Flask application, which shares nothing with ours.
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )
    wait_until_ready(endpoint, server)
    client_of("cloudformation", endpoint).create_stack(
        StackName="tables",
        TemplateBody=(FOLDER / "tables.yaml").read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": name} for key, name in NAMES.items()],
    )
    yield endpoint
    server.kill()
    server.wait()


def client_of(service: str, endpoint: str) -> Any:
    return botocore.session.get_session().create_client(service, region_name="us-east-1", endpoint_url=endpoint)


def app_on(endpoint: str, users: str, orders: str) -> Flask:
    app = create_app(config(endpoint, users_table=users, orders_table=orders))
    app.extensions["prices"] = SetPrices(BTC="10000")
    return app


def run(app: Flask, *arguments: str) -> str:
    result = app.test_cli_runner().invoke(args=list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def protect(dynamodb: Any, table: str) -> None:
    """As docs/aws.md does it: a restored table has neither."""
    asked = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
    dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=asked)
    dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})


def worth(person: Person) -> tuple[str, str, str]:
    shown = person.get("/portfolio").json
    return shown["cash_balance"], shown["reserved_cash"], shown["total_value"]


def test_the_stack_makes_these_tables(aws: str) -> None:
    dynamodb = client_of("dynamodb", aws)
    for name, schema in SCHEMAS.items():
        made = dynamodb.describe_table(TableName=NAMES[f"{name}Table"])["Table"]
        assert shape(made) == shape(schema)
        assert made["DeletionProtectionEnabled"] is True
        assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_from_new_tables_to_restored_ones(aws: str) -> None:
    """The way of docs/aws.md: the first order, then both tables under new names, audited and used."""
    app = app_on(aws, *NAMES.values())
    said = "no older version runs: orders can be changed, and stop orders placed"
    assert run(app, "upgrade", "--alone").splitlines() == [f"wrote format {FORMAT}", said]
    person = register(app)
    assert person.deposit("1000", key="first").status_code == 201
    order = person.buy("BTC", "0.05")
    with app.app_context():
        for rows in (list_holders("BTC"), list_trades_of_asset("BTC")):
            assert [str(row.quantity) for row in rows.items] == ["0.05"]
    waiting = person.place("limit_buy", "BTC", "0.01", price="9000")
    run(app, "users", "promote", person.username)
    person.log_in()
    assert worth(person) == ("410.00", "90.00", "1000.00")

    dynamodb = client_of("dynamodb", aws)
    restored = {name: f"{name}-restored" for name in NAMES.values()}
    for name, new in restored.items():
        dynamodb.restore_table_to_point_in_time(SourceTableName=name, TargetTableName=new, UseLatestRestorableTime=True)
    assert person.withdraw("400").status_code == 201, "what is lost: it was written after the moment"
    again = app_on(aws, *restored.values())
    assert "No violation in " in run(again, "audit")
    for new in restored.values():
        protect(dynamodb, new)
    person.client = caller(again)
    assert worth(person) == ("410.00", "90.00", "1000.00")
    assert person.get(f"/orders/{order['order_id']}").json["data"] == order
    again.extensions["prices"].set("BTC", "9000")
    assert "filled 1, " in run(again, "orders", "run", "--once")
    assert person.get(f"/orders/{waiting['order_id']}").json["data"]["status"] == "completed"
    assert "No violation in " in run(again, "audit")
