"""The application under test, on tables of a test's own where it needs some.

Whatever test it is: a route of the API that answers an error which it does not name in `refuses` fails with 500.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any

from flask import Flask, Response, request, request_finished
from jinja2 import FileSystemBytecodeCache

from app.config import Config
from app.domain.limits import Limits
from app.factory import create_app
from app.models.create_tables import create_tables
from app.prices import PriceSource

# Each application compiles the templates that it shows: here all of them, and all processes, do so once.
Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": FileSystemBytecodeCache()}


SECRET_KEY = "a secret for tests only"
# Tests do in a moment what people do in hours, and nearly all of them from one machine.
LIMITS = Limits(log_ins_per_minute=0, registrations_per_hour=0, money_changes_per_minute=0, statements_per_minute=0)


def config(endpoint: str | None, *, secret_key: str = SECRET_KEY, **settings: Any) -> Config:
    """The configuration of an application under test; no endpoint means AWS itself."""
    return Config(
        limits=LIMITS,
        secret_key=secret_key,
        dynamodb_endpoint=endpoint,
        bcrypt_rounds=4,
        cookie_secure=False,
        **settings,
    )


def change_settings(app: Flask, **changed: Any) -> None:
    """Change settings of the services of an application that runs."""
    app.extensions["services"] = replace(app.extensions["services"], **changed)


def tables_named(prefix: str) -> dict[str, str]:
    """The names of two tables, as `make_app` and `check_books` take them."""
    return {"users": f"{prefix}_users", "orders": f"{prefix}_orders"}


def make_app(
    endpoint: str | None,
    *,
    users: str = "users",
    orders: str = "orders",
    prices: PriceSource | None = None,
    **settings: Any,
) -> Flask:
    """An application whose tables exist: `make_app(endpoint, **tables_named("audit"))`."""
    app = create_app(config(endpoint, users_table=users, orders_table=orders, **settings))
    with app.app_context():
        create_tables()
    if prices is not None:
        app.extensions["prices"] = prices
    return app


@request_finished.connect
def _check_error_is_documented(app: Flask, response: Response, **_: Any) -> None:
    if response.content_type == "application/problem+json" and request.url_rule:
        route = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", request.url_rule.rule)
        codes = _documented_codes(app.extensions["openapi"]()).get((route, request.method.replace("HEAD", "GET")))
        code = response.get_json()["code"]
        assert codes is None or code in codes, f"{request.method} {route}: name {code} in its refuses(...)"


@cache
def _documented_codes(openapi: str) -> dict[tuple[str, str], set[str]]:
    """The codes of the errors that each operation names, by path and method."""
    return {
        (path, method.upper()): {
            # An answer is shared by the operations with the same codes, which are its name.
            code
            for answer in operation["responses"].values()
            for code in answer.get("$ref", "").split(".")[1:]
        }
        for path, item in json.loads(openapi)["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }
