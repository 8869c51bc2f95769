"""People who use the JSON API through Flask's test client, and the errors that they are answered."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.domain import clock
from app.models.balance_changes import open_account
from app.models.users import Token, User
from app.services.passwords import hash_password
from app.services.settings import settings
from app.services.tokens import issue_login_token

PASSWORD = "seven green kettles"
# How every answer writes a time, and the fields of a balance transaction.
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
TRANSACTION = {
    "transaction_id",
    "transaction_type",
    "amount",
    "previous_balance",
    "new_balance",
    "status",
    "description",
    "order_id",
    "actor",
    "hash",
    "created_at",
}
# For `clock.at`, in tests that must not depend on the day and hour at which they run. It is long past, so that the
# tokens of people who log in now are valid then.
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
# When the accounts of the people in these tests were opened.
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_numbers = itertools.count(1)


@dataclass
class Person:
    """A user with a token, through the API."""

    client: FlaskClient
    username: str
    email: str
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, str]:
        """The tables that hold this person's data, as `check_books` takes them."""
        return self.client.application.extensions["database"].table_names

    def call(
        self, method: str, path: str, *, key: str | None = None, headers: dict[str, str] | None = None, **kwargs: Any
    ) -> TestResponse:
        """A request under `/api/v1`, by default with this person's token."""
        sent = {"Authorization": f"Bearer {self.token}", **self.headers, **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key
        return self.client.open(f"/api/v1{path}", method=method, headers=sent, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, json: Any = None, **kwargs: Any) -> TestResponse:
        return self.call("POST", path, json=json, **kwargs) if json is not None else self.call("POST", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("DELETE", path, **kwargs)

    def deposit(self, amount: str, **kwargs: Any) -> TestResponse:
        return self.post("/balance/deposit", {"amount": amount}, **kwargs)

    def withdraw(self, amount: str, **kwargs: Any) -> TestResponse:
        return self.post("/balance/withdraw", {"amount": amount}, **kwargs)

    def order(self, order_type: str, asset_id: str, quantity: str, **more: Any) -> TestResponse:
        """`market_buy`, `limit_sell` and the like; `price`, `expires_at` and `key` as keywords."""
        fields = {"order_type": order_type, "asset_id": asset_id, "quantity": quantity}
        key = more.pop("key", None)
        return self.post("/orders", {**fields, **more}, key=key)

    def place(self, order_type: str, asset_id: str, quantity: str, **more: Any) -> dict[str, Any]:
        """An order that must succeed."""
        response = self.order(order_type, asset_id, quantity, **more)
        assert response.status_code == 201, response.text
        return response.json["data"]

    def buy(self, asset_id: str, quantity: str, **more: Any) -> dict[str, Any]:
        return self.place("market_buy", asset_id, quantity, **more)

    def sell(self, asset_id: str, quantity: str, **more: Any) -> dict[str, Any]:
        return self.place("market_sell", asset_id, quantity, **more)

    def balance(self) -> str:
        return self.get("/balance").json["current_balance"]

    def log_in(self, identifier: str | None = None) -> str:
        """A new token, which becomes this person's."""
        response = self.client.post(
            "/api/v1/auth/login", json={"username": identifier or self.username, "password": PASSWORD}
        )
        assert response.status_code == 200, response.text
        self.token = response.json["access_token"]
        return self.token


def registration(**fields: Any) -> dict[str, Any]:
    """A body for `/auth/register` that nobody has used yet; None leaves a field out."""
    name = f"person_{next(_numbers)}"
    filled = {
        "username": name,
        "email": f"{name}@example.com",
        "password": PASSWORD,
        "first_name": "Ann",
        "last_name": "Smith",
        **fields,
    }
    return {field: value for field, value in filled.items() if value is not None}


def caller(app: Flask) -> FlaskClient:
    """A client without cookies, at an address of its own: attempts to log in are counted by address."""
    client = app.test_client(use_cookies=False)
    client.environ_base["REMOTE_ADDR"] = new_address()
    return client


def new_address() -> str:
    return str(IPv4Address("10.0.0.0") + next(_numbers))


@cache
def _hash(password: str, rounds: int) -> str:
    """The hash as the application of the context makes it, whose work factor is `rounds`."""
    return hash_password(password)


def register(app: Flask, *, password: str = PASSWORD, **fields: Any) -> Person:
    """A new user as the service stores one, logged in: by the models, at a third of the time that forms and HTTP take.

    The account is old, because nothing can happen in it before it was opened.
    """
    filled = registration(password=None, **fields)
    with app.app_context():
        hashed = _hash(password, settings().bcrypt_rounds)
        user = User(
            *User.key(filled["username"]), **filled, password_hash=hashed, created_at=LONG_AGO, updated_at=LONG_AGO
        )
        token = issue_login_token(open_account(user)).bearer
    return Person(caller(app), user.username, user.email, token)


def prove_long_ago(person: Person) -> None:
    """As if this person's credential had been given its password a day ago. In the context of the application."""
    username, token_id, _ = person.token.split(".")
    Token(*Token.key(username, token_id)).update([Token.proved_at.set(clock.now() - timedelta(days=1))])


def problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The body of an error, after checking the shape that all errors have."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    body = response.json
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"] and body["title"] and body["detail"].endswith((".", "?")), body
    assert body["request_id"] == response.headers["X-Request-ID"]
    return body


def fields_named(body: dict[str, Any]) -> list[str]:
    """The fields that a 422 names, each once, sorted."""
    assert all(set(error) == {"field", "message"} and error["message"] for error in body["errors"])
    return sorted({error["field"] for error in body["errors"]})
