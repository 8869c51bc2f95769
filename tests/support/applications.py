"""The application under test, on tables of a test's own where it needs some."""

from __future__ import annotations

from typing import Any

from flask import Flask

from app.config import Config
from app.factory import create_app
from app.models.create_tables import create_tables
from app.prices import PriceSource


def config(endpoint: str | None, **settings: Any) -> Config:
    """The configuration of an application under test; no endpoint means AWS itself."""
    return Config(
        secret_key="a secret for tests only",
        dynamodb_endpoint=endpoint,
        bcrypt_rounds=4,
        cookie_secure=False,
        **settings,
    )


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
