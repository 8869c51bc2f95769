"""The OpenAPI file: valid, complete, and with examples that work. `test_journey.py` shows that answers keep to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from marshmallow import Schema
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.factory import create_app
from app.mail import MailSettings
from app.schemas import admin_outputs, dry_run_outputs, inputs, market_outputs, order_inputs, outputs
from app.schemas.fields import Output
from app.views.errors import ALL
from tests.contract.specification import Specification
from tests.support.applications import config
from tests.support.people import PASSWORD, register

OUTPUTS = (outputs, admin_outputs, dry_run_outputs, market_outputs)


def test_it_is_valid(specification: Specification) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(specification.document).iter_errors()] == []


def test_it_has_every_route(contract_app: Flask, specification: Specification) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in contract_app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") or rule.rule in {"/health", "/ready"}
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    # The file does not describe itself.
    assert routes - {("/api/v1/openapi.json", "get")} == {(path, method) for path, method, _ in specification.routes()}


def test_operations_have_names_of_their_own(specification: Specification) -> None:
    assert len(specification.operations) == len(specification.routes())
    for name, operation in specification.operations.items():
        assert re.fullmatch("[a-z_]+", name)
        assert operation["summary"].endswith(".") and len(operation["tags"]) == 1, name


def test_authentication_is_asked_for_everywhere_but_where_it_cannot_be(specification: Specification) -> None:
    free = {name for name, operation in specification.operations.items() if "security" not in operation}
    assert free == {
        *("register", "login", "begin_passkey_login", "confirm_email", "forget_password", "reset_password"),
        *("list_assets", "get_asset", "list_prices", "health", "ready"),
    }


def test_links_lead_to_parameters_of_operations(specification: Specification) -> None:
    for path, _method, operation in specification.routes():
        for response in operation["responses"].values():
            for link in specification.resolve(response).get("links", {}).values():
                [target] = [
                    (its_path, its_operation)
                    for its_path, _, its_operation in specification.routes()
                    if its_operation["operationId"] == link["operationId"]
                ]
                query = {each["name"] for each in target[1].get("parameters", []) if "name" in each}
                assert set(link["parameters"]) <= query | set(re.findall(r"\{(\w+)\}", target[0])), (path, link)


def test_every_field_is_there(specification: Specification) -> None:
    schemas = specification.document["components"]["schemas"]
    for module in (inputs, order_inputs, *OUTPUTS):
        suffix = "Output" if module in OUTPUTS else ""
        for name, schema in vars(module).items():
            written = isinstance(schema, type) and issubclass(schema, Schema) and name.endswith(suffix)
            if written and name.removesuffix(suffix) in schemas:
                fields = {field.data_key or key for key, field in schema().fields.items()}
                if schema is outputs.ProblemOutput:
                    fields |= {detail for each in ALL for detail in each.make_example().details}
                assert set(schemas[name.removesuffix(suffix)]["properties"]) == fields, name


def test_every_key_of_an_answer_is_required_and_no_other_allowed(specification: Specification) -> None:
    schemas = specification.document["components"]["schemas"]
    classes = {name: value for module in OUTPUTS for name, value in vars(module).items()}
    written = [name for name in classes if name.endswith("Output") and issubclass(classes[name], Output)]
    used = [schemas[name.removesuffix("Output")] for name in written if name.removesuffix("Output") in schemas]
    assert len(used) > 30
    for schema in used:
        assert schema["additionalProperties"] is False
        assert set(schema.get("required", [])) == set(schema["properties"])


def bodies(specification: Specification) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and the example of every operation that takes a body."""
    for path, method, operation in specification.routes():
        if "requestBody" in operation:
            schema = specification.resolve(operation["requestBody"]["content"]["application/json"]["schema"])
            yield (
                path,
                method,
                {name: field["example"] for name, field in schema["properties"].items() if "example" in field}
                | {
                    name: specification.resolve(field)["enum"][0]
                    for name, field in schema["properties"].items()
                    if name in schema.get("required", []) and "example" not in field
                },
            )


def test_examples_fit_their_schemas(specification: Specification) -> None:
    for path, method, body in bodies(specification):
        operation = specification.find(method, path)
        assert operation
        assert not specification.faults(operation["requestBody"]["content"]["application/json"]["schema"], body), path
    for path, _, operation in specification.routes():
        for parameter in specification.document["paths"][path].get("parameters", []):
            assert not specification.faults(parameter["schema"], parameter["example"]), parameter
        for response in map(specification.resolve, operation["responses"].values()):
            for content in response.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    assert not specification.faults(content["schema"], example["value"]), example


def test_each_refusal_has_its_codes_and_an_example_of_each(specification: Specification) -> None:
    kinds = {each.code: each for each in ALL}
    details = specification.document["components"]["schemas"]["Problem"]["properties"]
    for _, _, operation in specification.routes():
        for status, response in operation["responses"].items():
            response = specification.resolve(response)
            assert ("x-codes" in response) is (int(status) >= 400)
            for code in response.get("x-codes", []):
                assert kinds[code].status == int(status) and f"`{code}`" in response["description"]
                [content] = response["content"].values()
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                example = content["examples"][code]["value"]
                assert example["code"] == code and set(kinds[code].make_example().details) <= set(example)
                assert all(details[name].get("type") for name in example)


def test_examples_work_when_they_are_pasted(endpoint: str, specification: Specification) -> None:
    """In the order in which a reader would send them."""
    mail = MailSettings(folder="nowhere", site="https://orders.example")
    app = create_app(config(endpoint, users_table="example_users", orders_table="example_orders", mail=mail))
    assert app.test_cli_runner().invoke(args=["tables", "create"]).exit_code == 0
    client = app.test_client(use_cookies=False)
    examples = {(path.removeprefix("/api/v1"), method): body for path, method, body in bodies(specification)}
    headers: dict[str, str] = {}

    def send(method: str, path: str, status: int, template: str = "") -> Any:
        body = examples.pop((template or path, method))
        response = client.open(f"/api/v1{path}", method=method, json=body, headers=headers)
        assert response.status_code == status, response.text
        return response.json if response.data else None

    send("post", "/auth/register", 201)
    headers["Authorization"] = f"Bearer {send('post', '/auth/login', 200)['access_token']}"
    send("put", "/auth/profile", 200)
    send("post", "/auth/password/forgot", 202)
    # Only the mail has a token that is valid.
    send("post", "/auth/email/confirm", 422)
    send("post", "/auth/password/reset", 422)
    send("post", "/balance/deposit", 201)
    send("post", "/orders/preview", 200)
    send("post", "/orders", 201)
    send("patch", "/orders/order_00000000000000000000000000", 404, "/orders/{order_id}")
    send("post", "/orders/order_01JD0QZ5M4X8W3T7K2V9N6B1CF/cancel", 404, "/orders/{order_id}/cancel")
    send("post", "/orders/cancel", 200)
    client.post("/api/v1/balance/deposit", json={"amount": "1000.00"}, headers=headers)
    send("post", "/balance/withdraw", 201)
    send("post", "/auth/tokens", 201)
    send("post", "/auth/proof", 204)
    # Only the answer that begins it, and the app, have what is valid.
    send("post", "/auth/second-factor/confirm", 422)
    send("post", "/auth/second-factor/recovery-codes", 409)
    send("post", "/auth/second-factor/remove", 409)
    send("post", "/auth/login/passkey", 409)
    send("post", "/auth/second-factor/passkeys", 409)
    passkey = "/auth/second-factor/passkeys/{passkey_id}/remove"
    send("post", passkey.replace("{passkey_id}", "0" * 16), 409, passkey)
    assert app.test_cli_runner().invoke(args=["users", "promote", "ann_smith"]).exit_code == 0
    headers["Authorization"] = (
        "Bearer "
        + client.post("/api/v1/auth/login", json={"username": "ann_smith", "password": PASSWORD}).json["access_token"]
    )
    other = register(app)
    other.deposit("100")
    send("post", f"/admin/users/{other.username}/adjustments", 201, "/admin/users/{username}/adjustments")
    approve = "/admin/approvals/{approval_id}/approve"
    send("post", approve.replace("{approval_id}", "approval_01JD0QZ5M4X8W3T7K2V9N6B1CF"), 404, approve)
    send("patch", "/admin/users/ann_smith", 200, "/admin/users/{username}")
    headers["Authorization"] = (
        "Bearer "
        + client.post("/api/v1/auth/login", json={"username": "ann_smith", "password": PASSWORD}).json["access_token"]
    )
    send("post", "/auth/password", 204)
    # The account is not empty, and the password of the example is no longer right.
    send("post", "/account/close", 401)
    assert not examples


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("0.01", True),
        ("1000000.00", True),
        ("00012.5", True),
        (12.5, True),
        (1, True),
        ("0.00", False),
        ("0.001", False),
        ("1000000.01", False),
        ("1e3", False),
        ("", False),
        ("-1", False),
        (0, False),
        (1000001, False),
        (True, False),
        (None, False),
        ("١", False),
    ],
)
def test_the_schema_of_money_takes_what_the_code_takes(specification: Specification, value: Any, fits: bool) -> None:
    schema = {"$ref": "#/components/schemas/CashInput"}
    assert (not specification.faults(schema, {"amount": value})) is fits
