"""The tables as DynamoDB knows them, and the items as they stand on the wire."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from app.domain.account_events import AccountEventType
from app.mail import MailSettings
from app.models.adjustments import adjust
from app.models.balance_changes import telling
from app.models.batch import Batch
from app.models.create_tables import create_tables, tables_answer
from app.models.outbox import SHARDS
from tests.support.applications import make_app
from tests.support.authenticator import enrol
from tests.support.books import plain_row
from tests.support.prices import SetPrices


def including(*names: str) -> dict[str, Any]:
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(names)}


KEYS_ONLY_AND_KIND = including("entity_type")
ALL = {"ProjectionType": "ALL"}
INDEXES = {
    "users": {
        "EmailIndex": (["email"], KEYS_ONLY_AND_KIND),
        "AssetIndex": (["asset_id", "username"], {"ProjectionType": "KEYS_ONLY"}),
        "UserTransactionsIndex": (["username", "traded_at"], ALL),
        "UsersByJoinIndex": (["join_month", "created_at"], including("entity_type", "username", "status")),
        "OperatorActsIndex": (
            ["act_month", "created_at"],
            including("entity_type", "username", "kind", "outcome", "actor", "via", "ttl"),
        ),
    },
    "orders": {
        "UserOrdersIndex": (["username", "asset_id"], ALL),
        "UserOrderHistoryIndex": (["username", "PK"], ALL),
        "UserOpenOrdersIndex": (["open_owner", "PK"], ALL),
        "OpenOrdersIndex": (["open_book", "limit_price"], ALL),
        "ExpiringOrdersIndex": (["expiry_day", "expires_at"], KEYS_ONLY_AND_KIND),
    },
}


def keys(schema: list[dict[str, str]]) -> list[str]:
    assert [key["KeyType"] for key in schema] == ["HASH", "RANGE"][: len(schema)]
    return [key["AttributeName"] for key in schema]


@pytest.mark.parametrize("table", INDEXES)
def test_tables_and_indexes(app, store, table):
    description = store.describe_table(TableName=table)["Table"]
    assert keys(description["KeySchema"]) == ["PK", "SK"]
    indexes = description["GlobalSecondaryIndexes"]
    assert {index["IndexName"]: (keys(index["KeySchema"]), index["Projection"]) for index in indexes} == INDEXES[table]
    types = {each["AttributeName"]: each["AttributeType"] for each in description["AttributeDefinitions"]}
    assert {name for name, type_ in types.items() if type_ == "N"} == {"limit_price"} & set(types)
    assert description["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_making_the_tables_again_changes_nothing(in_app):
    assert create_tables() == []
    assert tables_answer()


# Of each kind: the attributes that an item may have beyond its keys and entity_type, and those that it always has.
KINDS = {
    "USER": (
        "username email password_hash first_name last_name phone date_of_birth marketing_emails_consent role status "
        "session_epoch token_epoch join_month created_at updated_at email_unconfirmed_since second_factor events_seen",
        "phone date_of_birth email_unconfirmed_since second_factor events_seen",
    ),
    "EMAIL": ("username unconfirmed_since", "unconfirmed_since"),
    "PROOF": ("username kind secret_hash address session_epoch created_at expires_at ttl", ""),
    "FACTOR": (
        "username seed totp_step recovery_hashes wrong_codes wrong_since falls_at passkeys version created_at",
        "wrong_since falls_at passkeys",
    ),
    "MAIL": ("mail_id kind username recipient text_values attempts next_attempt_at created_at expires_at ttl", ""),
    "BALANCE": (
        "username current_balance total_deposits total_withdrawals reserved_cash version head_hash head_number "
        "event_version created_at updated_at",
        "event_version",
    ),
    "TRANSACTION": (
        "username transaction_id transaction_type amount previous_balance new_balance status description order_id "
        "actor approved_by event_number hash created_at",
        "description order_id actor approved_by event_number",
    ),
    "ASSET": (
        "username asset_id quantity reserved_quantity cost_total realised_gain created_at updated_at",
        "reserved_quantity cost_total realised_gain",
    ),
    "ASSET_TRANSACTION": (
        "username asset_id transaction_type quantity price total_amount cost_total gain order_id status traded_at "
        "created_at",
        "cost_total gain",
    ),
    "EVENT": (
        "username event_id kind outcome actor via address agent request_id act_month created_at ttl",
        "actor via address agent request_id act_month",
    ),
    "ACCOUNT_EVENT": (
        "username event_number event_type order_id transaction_id created_at ttl",
        "order_id transaction_id",
    ),
    "APPROVAL": (
        "approval_id username amount reason asked_by status decided_by decided_at transaction_id created_at expires_at "
        "ttl",
        "decided_by decided_at transaction_id",
    ),
    "REQUEST": ("fingerprint reference created_at ttl", ""),
    "CLIENT": ("username client_order_id order_id fingerprint created_at", ""),
    "TOKEN": (
        "username token_id secret_hash name scopes kind session_epoch token_epoch created_at expires_at ends_at "
        "last_used_at proved_at address agent ttl",
        "kind session_epoch ends_at last_used_at proved_at address agent",
    ),
    "ORDER": (
        "order_id username asset_id order_type price_type quantity order_price total_amount status expires_at "
        "executed_at reserved_amount reserved_quantity open_owner open_book limit_price expiry_day "
        "stop_price stop_limit_price triggered_at time_in_force client_order_id event_number revision "
        "created_at updated_at",
        "expires_at executed_at reserved_amount reserved_quantity open_owner open_book limit_price expiry_day "
        "stop_price stop_limit_price triggered_at time_in_force client_order_id event_number revision",
    ),
}
TIMES = {
    *("created_at", "updated_at", "executed_at", "expires_at", "traded_at", "last_used_at", "next_attempt_at"),
    *("unconfirmed_since", "email_unconfirmed_since", "second_factor", "proved_at"),
}
MONEY = {
    "current_balance",
    "total_deposits",
    "total_withdrawals",
    "amount",
    "previous_balance",
    "new_balance",
    "total_amount",
    "reserved_cash",
    "reserved_amount",
    "cost_total",
    "realised_gain",
    "gain",
}
PLAIN = {"quantity", "price", "order_price", "reserved_quantity"}


@pytest.fixture
def items(new_user, endpoint, store):
    """One item of each kind, as the store has it, by kind."""
    mail = MailSettings(folder="nowhere", site="https://orders.example")
    app = make_app(endpoint, prices=SetPrices(BTC="50000.10"), mail=mail)
    person = new_user(app, phone="+44 20 7946 0000", date_of_birth="1990-12-31")
    person.post("/balance/deposit", {"amount": 1000, "description": "Savings"}, key="k")
    order = person.buy("BTC", "0.010", client_order_id="mine-1")
    enrol(person)
    assert person.post("/auth/password/forgot", {"email": person.email}).status_code == 202
    with app.app_context():
        waiting = adjust(person.username, Decimal(5), reason="x", actor="admin", waits=True).item
        batch = Batch()
        telling(person.username, AccountEventType.REINSTATED)(batch)
        batch.commit()
    key = {"PK": {"S": waiting.PK}, "SK": {"S": waiting.SK}}
    approval = store.get_item(TableName="users", Key=key)["Item"]
    own = store.query(
        TableName="users", KeyConditionExpression="PK = :pk", ExpressionAttributeValues={":pk": {"S": person.username}}
    )["Items"]
    trades = store.query(
        TableName="users",
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": f"TRANS#{person.username}#BTC"}},
    )["Items"]
    claim = store.get_item(TableName="users", Key={"PK": {"S": f"EMAIL#{person.email}"}, "SK": {"S": "EMAIL"}})
    [queued] = [
        item
        for shard in range(SHARDS)
        for item in store.query(
            TableName="users",
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": f"OUTBOX#{shard}"}},
        )["Items"]
        if item["username"]["S"] == person.username and item["kind"]["S"] == "reset_password"
    ]
    placed = store.get_item(TableName="orders", Key={"PK": {"S": order["order_id"]}, "SK": {"S": "ORDER"}})
    return {item["entity_type"]["S"]: item for item in [*own, *trades, claim["Item"], queued, placed["Item"], approval]}


def test_items_on_the_wire(items):
    """Names, and the form of each value: money and times as text, plain quantities, small items."""
    assert set(items) == set(KINDS)
    for kind, item in items.items():
        allowed, optional = (set(names.split()) for names in KINDS[kind])
        names = set(item) - {"PK", "SK", "entity_type"}
        assert allowed - optional <= names <= allowed, kind
        values = plain_row(item)
        for name in names & MONEY:
            assert "S" in item[name] and re.fullmatch(r"[0-9]+\.[0-9]{2}", values[name]), (kind, name)
        for name in names & PLAIN:
            assert "S" in item[name] and re.fullmatch(r"[0-9]+(\.[0-9]*[1-9])?", values[name]), (kind, name)
        for name in names & TIMES:
            assert "S" in item[name], (kind, name)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", values[name]), (kind, name)
        assert {name for name in names if "N" in item[name]} <= {
            "version",
            "head_number",
            "event_version",
            "session_epoch",
            "token_epoch",
            "ttl",
            "limit_price",
            "attempts",
            "revision",
            "totp_step",
            "wrong_codes",
        }
        assert all(re.fullmatch(r"[0-9]+", value["N"]) for value in item.values() if "N" in value)
        assert sum(len(name) + len(str(value)) for name, value in values.items()) < 1024, kind


def test_values_on_the_wire(items):
    rows = {kind: plain_row(item) for kind, item in items.items()}
    user = rows["USER"]["username"]
    assert {kind: (row["PK"], row["SK"]) for kind, row in rows.items()} == {
        "USER": (user, "USER"),
        "EMAIL": (f"EMAIL#{rows['USER']['email']}", "EMAIL"),
        "BALANCE": (user, "BALANCE"),
        "TRANSACTION": (user, "TRANS#000000000002"),
        "ASSET": (user, "ASSET#BTC"),
        "ASSET_TRANSACTION": (f"TRANS#{user}#BTC", rows["ASSET_TRANSACTION"]["traded_at"]),
        "REQUEST": (user, "REQUEST#k"),
        "CLIENT": (user, "CLIENT#mine-1"),
        "TOKEN": (user, f"TOKEN#{rows['TOKEN']['token_id']}"),
        "PROOF": (user, "PROOF#reset_password"),
        "FACTOR": (user, "FACTOR"),
        "MAIL": (rows["MAIL"]["PK"], f"{rows['MAIL']['created_at']}#{rows['MAIL']['mail_id']}"),
        "APPROVAL": ("APPROVALS#ADJUSTMENT", rows["APPROVAL"]["approval_id"]),
        "EVENT": (user, f"EVENT#{rows['EVENT']['created_at']}#{rows['EVENT']['event_id']}"),
        "ACCOUNT_EVENT": (user, "ACCOUNT_EVENT#000000000001"),
        "ORDER": (rows["ORDER"]["order_id"], "ORDER"),
    }
    assert (rows["BALANCE"]["current_balance"], rows["BALANCE"]["version"]) == ("499.99", "2")
    assert rows["BALANCE"]["total_deposits"] == "1000.00"
    assert rows["ASSET"]["quantity"] == "0.01"
    order = rows["ORDER"]
    assert (order["order_type"], order["price_type"], order["status"]) == ("BUY", "MARKET", "COMPLETED")
    assert (order["quantity"], order["order_price"], order["total_amount"]) == ("0.01", "50000.1", "500.01")
    assert re.fullmatch(r"order_[0-9A-Z]{26}", order["order_id"])
    assert (rows["USER"]["role"], rows["USER"]["status"]) == ("CUSTOMER", "ACTIVE")
    assert rows["MAIL"]["PK"] in {f"OUTBOX#{shard}" for shard in range(SHARDS)}
    assert rows["USER"]["password_hash"].startswith("$2b$04$")


def test_no_secret_is_stored(items):
    """A token and a password stand nowhere as they are, and the secret of a link nowhere but in its mail."""
    secret = json.loads(items["MAIL"]["text_values"]["S"])["token"].partition(".")[2]
    assert not [kind for kind, item in items.items() if secret in str(item) and kind != "MAIL"]
    assert re.fullmatch(r"[0-9a-f]{64}", items["PROOF"]["secret_hash"]["S"])
    assert re.fullmatch(r"[0-9a-f]{64}", items["TOKEN"]["secret_hash"]["S"])
    assert "kettles" not in str(items)
