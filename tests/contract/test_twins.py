"""What a page can do, a script can too: each page has its twin in the API, which takes all that the page takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from app.views.authorization import Route, routes
from tests.contract.specification import Specification

PREFIX = "/api/v1"
# What only a browser does, or what only leads elsewhere.
OF_BROWSERS = {
    "GET /": "a way to the dashboard or the market",
    "GET /.well-known/change-password": "for managers of passwords",
    "GET /.well-known/security.txt": "how to report a weakness",
    "POST /account/theme": "the colours of this browser",
    "POST /assets/<asset_id>/change": "back to a form with what was typed",
    "POST /admin/users/<username>/adjustment/change": "back to a form with what was typed",
    "POST /login/code/passkey": "the second of two steps; a script logs in with one",
}
# Each page with its twin. Left out is a page that shows the form of an action at the same address.
TWINS = {
    # To see.
    "GET /account/events": "GET /auth/events",
    "GET /account/export": "GET /account/export",
    "GET /account/second-factor/passkeys/challenge": "GET /auth/second-factor/passkeys/challenge",
    "GET /activity": "GET /balance/transactions",
    "GET /activity/<transaction_id>": "GET /balance/transactions/<transaction_id>",
    "GET /activity/gains": "GET /portfolio/gains",
    "GET /activity/gains.csv": "GET /portfolio/gains.csv",
    "GET /activity/trades": "GET /assets/transactions",
    "GET /activity/trades.csv": "GET /assets/transactions.csv",
    "GET /admin": "GET /admin/totals",
    "GET /admin/acts": "GET /admin/acts",
    "GET /admin/approvals": "GET /admin/approvals",
    "GET /admin/approvals/<approval_id>": "GET /admin/approvals/<approval_id>",
    "GET /admin/assets/<asset_id>": "GET /admin/assets/<asset_id>/balances",
    "GET /admin/assets/<asset_id>/trades": "GET /admin/assets/<asset_id>/transactions",
    "GET /admin/users": "GET /admin/users",
    "GET /admin/users/<username>": "GET /admin/users/<username>",
    "GET /admin/users/<username>/events": "GET /admin/users/<username>/events",
    "GET /admin/users/<username>/orders": "GET /admin/users/<username>/orders",
    "GET /admin/users/<username>/orders/<order_id>": "GET /admin/users/<username>/orders",
    "GET /admin/users/<username>/transactions": "GET /admin/users/<username>/transactions",
    "GET /assets": "GET /inventory/assets",
    "GET /dashboard": "GET /portfolio",
    "GET /history": "GET /portfolio/history",
    "GET /orders": "GET /orders",
    "GET /orders/<order_id>/transactions": "GET /balance/transactions",
    "GET /statement": "GET /balance/transactions",
    "GET /statement.csv": "GET /balance/transactions.csv",
    "GET /statement/check": "GET /balance/transactions/<transaction_id>",
    # To do.
    "POST /account": "PUT /auth/profile",
    "POST /account/close": "POST /account/close",
    "POST /account/email/link": "POST /auth/email/link",
    "POST /account/password": "POST /auth/password",
    "POST /account/second-factor": "POST /auth/second-factor/confirm",
    "POST /account/second-factor/codes": "POST /auth/second-factor/recovery-codes",
    "POST /account/second-factor/keep": "DELETE /auth/second-factor/reset",
    "POST /account/second-factor/passkeys/<passkey_id>/remove": (
        "POST /auth/second-factor/passkeys/<passkey_id>/remove"
    ),
    "POST /account/second-factor/passkeys/new": "POST /auth/second-factor/passkeys",
    "POST /account/second-factor/remove": "POST /auth/second-factor/remove",
    "POST /account/sessions": "DELETE /auth/sessions",
    "POST /account/sessions/<token_id>": "DELETE /auth/sessions/<token_id>",
    "POST /account/tokens": "POST /auth/tokens",
    "POST /account/tokens/<token_id>": "DELETE /auth/tokens/<token_id>",
    "POST /admin/approvals/<approval_id>/approve": "POST /admin/approvals/<approval_id>/approve",
    "POST /admin/approvals/<approval_id>/reject": "POST /admin/approvals/<approval_id>/reject",
    "POST /admin/users/<username>/adjustment": "POST /admin/users/<username>/adjustments",
    "POST /admin/users/<username>/adjustment/review": "POST /admin/users/<username>/adjustments",
    "POST /admin/users/<username>/reset-link": "POST /admin/users/<username>/reset-link",
    "POST /admin/users/<username>/second-factor": "POST /admin/users/<username>/second-factor/reset",
    "POST /admin/users/<username>/sessions": "DELETE /admin/users/<username>/sessions",
    "POST /admin/users/<username>/status": "PATCH /admin/users/<username>",
    "POST /assets/<asset_id>": "POST /orders",
    "POST /assets/<asset_id>/review": "POST /orders/preview",
    "POST /confirm-email": "POST /auth/email/confirm",
    "POST /deposit": "POST /balance/deposit",
    "POST /forgot-password": "POST /auth/password/forgot",
    "POST /login": "POST /auth/login",
    "POST /login/code": "POST /auth/login",
    "POST /logout": "POST /auth/logout",
    "POST /orders/<order_id>": "POST /orders/<order_id>/cancel",
    "POST /orders/<order_id>/change": "PATCH /orders/<order_id>",
    "POST /orders/<order_id>/change/confirm": "PATCH /orders/<order_id>",
    "POST /orders/cancel": "POST /orders/cancel",
    "POST /register": "POST /auth/register",
    "POST /reset-password": "POST /auth/password/reset",
    "POST /withdraw": "POST /balance/withdraw",
}
# A field of a form that has another name in the API.
RENAMED = {"ends_on": "expires_at"}
# What says that the first step of a log-in is done, which the API does in one.
STEPS = {"ticket"}
# Where the API takes a proof by itself, before a change that has no body.
PROOF = {"current_password", "code"}


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_every_page_has_a_twin(app: Flask) -> None:
    every = routes(app)
    pages = {named(each) for each in every if each.is_page}
    forms = {name.replace("POST", "GET") for name in pages if name.startswith("POST")}
    # What a form leads to is in the table by its action, and lists that can be filtered by themselves.
    listed = (pages - forms) | {name for name in pages if name.startswith("POST")}
    assert listed == TWINS.keys() | OF_BROWSERS.keys()
    assert not TWINS.keys() & OF_BROWSERS.keys()
    there = {named(each).replace(PREFIX, "", 1) for each in every if each.path.startswith(PREFIX)}
    assert set(TWINS.values()) <= there


def fields_of(specification: Specification, twin: str) -> set[str]:
    """What the twin takes: in its body, its query and its path."""
    method, path = twin.split()
    address = re.sub("<(.*?)>", r"{\1}", PREFIX + path)
    operation = specification.document["paths"][address][method.lower()]
    body: Any = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    queried = {each["name"] for each in operation.get("parameters", []) if "name" in each}
    return {*specification.resolve(body).get("properties", {}), *queried, *re.findall("<(.*?)>", path)}


@pytest.mark.parametrize("page", [page for page in TWINS if page.startswith("POST")])
def test_a_twin_takes_all_that_its_page_takes(app: Flask, specification: Specification, page: str) -> None:
    method, path = page.split()
    [rule] = [each for each in app.url_map.iter_rules() if each.rule == path and method in (each.methods or ())]
    schema = getattr(app.view_functions[rule.endpoint], "schema", None)
    typed = {RENAMED.get(name, name) for name in schema.names()} - STEPS if schema else set()
    taken = fields_of(specification, TWINS[page])
    missing = typed - taken
    assert not missing or (missing == PROOF and fields_of(specification, "POST /auth/proof") == PROOF), missing
