"""Words that the API does not know: refused where dropping them would do something else than was meant."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.users import Role
from app.models.users import set_role
from tests.support.people import PASSWORD, Person, fields_named, problem
from tests.support.usage import usage_of

# Fields of an order at other services, each with the word of the advice that says what to use here.
FOREIGN = {
    "stop_limit_price": ("51000", "limit beside it"),
    "trigger_price": (51000, "as stop_price"),
    "trail_percent": ("1", "fixed price"),
    "tif": ("ioc", "time_in_force"),
    "good_till_date": ("2030-01-01", "expires_at"),
    "notional": ("10", "as spend"),
    "amount": (10, "as spend"),
    "side": ("sell", "order_type"),
    "type": ("stop", "order_type"),
    "post_only": (True, "Send a price"),
    "limit_price": ("1", "as price"),
    "max_price": ("1", "as price"),
    "reduce_only": (True, "what you have"),
    "leverage": (2, "what you have"),
    "order_class": ("bracket", "stands alone"),
    "take_profit": ({"limit_price": "1"}, "stands alone"),
    "stop_loss": ({"stop_price": "1"}, "stands alone"),
    "iceberg_qty": ("1", "as a whole"),
    "validate_only": (True, "dry_run: true"),
    "dryRun": (True, "dry_run"),
    "idempotency_key": ("mine", "Idempotency-Key"),
    "new_client_order_id": ("mine", "client_order_id"),
    # As other services spell them.
    "activationPrice": ("51000", "as stop_price"),
    "goodTillDate": ("2030-01-01", "expires_at"),
    # Our own, as other services spell them.
    "timeInForce": ("IOC", "time_in_force"),
    "clientOrderId": ("mine", "client_order_id"),
    "Expires-At": ("2030-01-01", "expires_at"),
    "stopPrice": ("51000", "stop_price"),
    "Post-Only": (1, "Send a price"),
}
ORDER = {"order_type": "market_buy", "asset_id": "BTC", "quantity": "0.0001"}


@pytest.mark.parametrize(("field", "case"), FOREIGN.items(), ids=FOREIGN.keys())
def test_an_order_with_a_field_that_would_change_it_elsewhere(person: Person, field: str, case: tuple[Any, str]):
    value, advice = case
    person.deposit("100")
    response = person.post("/orders", {**ORDER, field: value}, key="once")
    found = problem(response, 422, "not_supported")
    assert fields_named(found) == [field]
    assert advice in found["detail"] and field in found["detail"] and advice in found["errors"][0]["message"]
    assert (usage_of(response).calls, usage_of(response).write_units) == (1, 0), "only authentication"
    assert person.balance() == "100.00"
    # The refusal left no claim on the key.
    assert person.post("/orders", ORDER, key="once").status_code == 201


# Every other change that can be tried, with what it needs.
TRIED = {
    "deposit": ("/balance/deposit", {"amount": "1"}),
    "withdrawal": ("/balance/withdraw", {"amount": "1"}),
    "cancellation": ("/orders/order_01JD0QZ5M4X8W3T7K2V9N6B1CF/cancel", {}),
}


@pytest.mark.parametrize(("path", "body"), TRIED.values(), ids=TRIED)
@pytest.mark.parametrize("word", ["dryRun", "dry-run", "validate_only", "test", "preview"])
def test_a_change_that_was_only_to_be_tried(person: Person, path: str, body: dict[str, Any], word: str):
    """Under another name, `dry_run` would be dropped, and the money moved."""
    person.deposit("100")
    found = problem(person.post(path, {**body, word: True}), 422, "not_supported")
    assert fields_named(found) == [word] and "dry_run" in found["detail"]
    for sent in ("yes", 1, "true"):
        assert fields_named(problem(person.post(path, {**body, "dry_run": sent}), 422, "invalid_input")) == ["dry_run"]
    assert person.balance() == "100.00"


@pytest.mark.parametrize("word", ["dry_run", "dryRun", "test"])
def test_what_cannot_be_tried_is_not_done(person: Person, admin: Person, word: str):
    """An adjustment has a dry run, and what follows it has none."""
    approval = "/admin/approvals/approval_01JD0QZ5M4X8W3T7K2V9N6B1CF/approve"
    for caller, path, body in ((person, "/account/close", {"current_password": PASSWORD}), (admin, approval, {})):
        assert fields_named(problem(caller.post(path, {**body, word: True}), 422, "not_supported")) == [word]
    assert person.get("/account").status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type"), [("", "text/plain"), (" ", "text/plain"), ("null", "application/json")]
)
def test_a_cancellation_needs_no_body(person: Person, body: str, content_type: str):
    person.deposit("1")
    order = person.place("limit_buy", "BTC", "1", price="1")
    path, headers = f"/api/v1/orders/{order['order_id']}/cancel", {"Authorization": f"Bearer {person.token}"}
    answer = person.client.post(path, data=body, content_type=content_type, headers=headers)
    assert answer.json["data"]["status"] == "cancelled"


def test_all_of_them_are_named_before_anything_else_is_said(person: Person):
    found = problem(person.post("/orders", {"side": "buy", "type": "limit", "quantity": "x"}), 422, "not_supported")
    assert fields_named(found) == ["side", "type"]


HARMLESS = {
    "null": {"stop_price": None, "tif": None, "time_in_force": None, "spend": None, "dry_run": None},
    "false": {"post_only": False, "dry_run": False, "test": False},
    "unknown everywhere": {"username": "ann", "note": "mine", "created_at": "2026-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("more", HARMLESS.values(), ids=HARMLESS.keys())
def test_an_order_with_fields_that_ask_for_nothing(person: Person, more: dict[str, Any]):
    person.deposit("100")
    assert person.post("/orders", {**ORDER, **more}).status_code == 201


def test_an_old_client_may_send_a_whole_profile(person: Person):
    profile = person.get("/auth/profile").json
    assert person.call("PUT", "/auth/profile", json={**profile, "side": "left", "theme": "dark"}).status_code == 200


@pytest.fixture
def admin(app: Flask, person: Person) -> Person:
    with app.app_context():
        set_role(person.username, Role.ADMIN, now=clock.now())
    person.log_in()
    return person


def operations(app: Flask) -> list[tuple[str, str, list[str]]]:
    """Every address of the API with its method and its query parameters, as the OpenAPI file lists them."""
    return [
        (
            re.sub(r"\{(\w+)\}", lambda match: {"asset_id": "BTC"}.get(match[1], "0" * 16), path),
            method.upper(),
            [each["name"] for each in operation.get("parameters", []) if each.get("in") == "query"],
        )
        for path, item in app.test_client().get("/api/v1/openapi.json").json["paths"].items()
        for method, operation in item.items()
        if method != "parameters" and path.startswith("/api/v1/")
    ]


def test_every_address_refuses_parameters_that_it_does_not_take(app: Flask, admin: Person):
    """Also where it changes something: `POST /orders?dry_run=1` must not place an order."""
    checked = operations(app)
    assert len(checked) > 30
    assert {method for _, method, known in checked if known} == {"GET", "DELETE"}
    for path, method, known in checked:
        found = problem(
            admin.call(method, f"{path.removeprefix('/api/v1')}?frm=1&dry_run=yes"), 422, "unknown_parameter"
        )
        assert fields_named(found) == ["dry_run", "frm"], path
        takes = f"takes only: {', '.join(known)}." if known else "takes none."
        assert found["detail"].endswith(takes), (path, found["detail"])


@pytest.mark.parametrize(
    ("path", "unknown"),
    [
        ("/assets/transactions?since=2026-01-01&until=2026-02-01", ["since", "until"]),
        ("/orders?client_order_id=x", ["client_order_id"]),
        ("/orders?page=2&sort=price", ["page", "sort"]),
        ("/orders?Limit=1", ["Limit"]),
        ("/orders?limit=x&=1", [""]),
        ("/portfolio?limit=1", ["limit"]),
    ],
)
def test_filters_that_would_have_been_dropped(person: Person, path: str, unknown: list[str]):
    assert fields_named(problem(person.get(path), 422, "unknown_parameter")) == unknown
    assert person.call("HEAD", path).status_code == 422


def test_a_parameter_twice_says_two_things(person: Person):
    found = problem(person.get("/orders?status=pending&status=completed&limit=1"), 422, "invalid_input")
    assert fields_named(found) == ["status"]


OLD_LISTS = [
    "/balance/transactions",
    "/balance/assets",
    "/orders",
    "/assets/transactions",
    "/assets/BTC/transactions",
    "/inventory/assets",
]


@pytest.mark.parametrize("path", OLD_LISTS)
def test_what_old_clients_send(person: Person, path: str):
    assert person.get(f"{path}?limit=10&offset=0").status_code == 200


@pytest.mark.parametrize(
    "path", ["/health?from=balancer", "/ready?x=1", "/api/v1/openapi.json?v=2", "/assets?utm_source=x"]
)
def test_what_others_may_add_to_an_address(app: Flask, path: str):
    assert app.test_client().get(path).status_code == 200


def test_a_browser_may_ask_what_it_may_send(app: Flask):
    assert app.test_client().options("/api/v1/orders?dry_run=1").status_code == 200
