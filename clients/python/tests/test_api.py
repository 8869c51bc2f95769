"""The client knows the API as the OpenAPI file has it: each class, each field and type, each field that is sent."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from order_processor_client import Client
from order_processor_client.client import Terms

from clients.python.generate import USED, generate

FOLDER = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    from app.factory import create_app
    from tests.support.applications import config

    found: dict[str, Any] = create_app(config(None)).test_client().get("/api/v1/openapi.json").json
    return found


def test_the_classes_are_those_of_the_file(document: dict[str, Any]) -> None:
    assert (FOLDER / "order_processor_client/api.py").read_text() == generate(document), "run make docs"


def test_a_new_field_or_type_changes_the_classes(document: dict[str, Any]) -> None:
    """So that the test above fails when the file gains one."""
    schemas = document["components"]["schemas"]
    order = schemas["Order"]["properties"]
    for change in ({"colour": {"type": "string"}}, {"status": {"type": "integer"}}, {"price": {"type": "string"}}):
        changed = {**schemas, "Order": {"properties": {**order, **change}}}
        assert generate({**document, "components": {"schemas": changed}}) != generate(document), change


# The method of each operation that sends a body or a query, where it is not called as the operation.
METHODS = {
    "login": Client.log_in,
    "logout": Client.log_out,
    "get_balance": Client.balance,
    "list_transactions": Client.transactions,
    "download_statement": Client.statement_csv,
    "get_portfolio": Client.portfolio,
    "get_portfolio_history": Client.history,
    "get_gains": Client.gains,
    "list_orders": Client.orders,
    "get_account": Client.account,
    "list_account_events": Client.events,
    "list_changes": Client.changes,
    "cancel_order": Client.cancel,
    "cancel_orders": Client.cancel_all,
    "list_trades": Client.trades,
    "list_trades_of_asset": Client.trades,
    "list_assets": Client.assets,
    "list_prices": Client.prices,
    "list_holdings": Client.holdings,
}
# What a parameter is called in Python.
NAMES = {"from": "start", "to": "end", "current_password": "password"}
# What a method does not take, and why.
LEFT_OUT = {
    ("*", "limit"): "lists ask for pages of 100 by themselves",
    ("*", "cursor"): "the same",
    ("*", "offset"): "for clients older than cursors",
    ("*", "dry_run"): "the preview methods send it",
    ("withdraw", "current_password"): "a password must not be in the journal: give_proof sends it before",
    ("withdraw", "code"): "the same",
    ("create_token", "current_password"): "give_proof sends it before",
    ("create_token", "code"): "the same",
    ("list_assets", "active_only"): "an asset says whether it is active",
}


@pytest.mark.parametrize("name", USED)
def test_every_field_that_an_operation_takes_can_be_given(document: dict[str, Any], name: str) -> None:
    method = METHODS.get(name) or getattr(Client, name, None)
    taken = set(fields_of(document, name)) - {field for each, field in LEFT_OUT if each in {"*", name}}
    if method is None:
        assert not taken
        return
    parameters = inspect.signature(method).parameters
    given = set(parameters) | (set(Terms.__annotations__) if "terms" in parameters else set())
    assert {NAMES.get(field, field) for field in taken} <= given


def test_no_term_of_an_order_is_sent_that_the_service_does_not_know(document: dict[str, Any]) -> None:
    assert set(Terms.__annotations__) <= set(fields_of(document, "place_order"))


def fields_of(document: dict[str, Any], name: str) -> list[str]:
    """The fields of its body and its query."""
    [operation] = [
        operation
        for item in document["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and operation.get("operationId") == name
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    schema = document["components"]["schemas"].get(body.get("$ref", "").rpartition("/")[2], {})
    query = [each["name"] for each in operation.get("parameters", []) if each.get("in") == "query"]
    return [*schema.get("properties", {}), *query]
