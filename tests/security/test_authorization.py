"""docs/authorization.md: each route and each kind of caller, tried with a request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.domain import clock
from app.domain.errors import NotAdmin, ProofRequired
from app.domain.orders import Side
from app.domain.passkeys import Passkey
from app.domain.users import READ, Role, UserStatus
from app.domain.users import SCOPES as ALL_SCOPES
from app.models import adjustments
from app.models.factors import add_passkey, find_factor
from app.models.users import delete_token, get_user, set_role, set_status
from app.services.tokens import Origin, begin_session, create_personal_token, issue_login_token, list_personal_tokens
from app.views.authorization import ALLOWED, LOG_IN, NO_OBJECT, SCOPES, Caller, Route, as_markdown, routes
from tests.support.accounts import deposit, place_limit
from tests.support.applications import make_app, tables_named
from tests.support.authenticator import enrol
from tests.support.people import PASSWORD, register

DOCS = Path(__file__).parents[2] / "docs/authorization.md"
TABLES = tables_named("authorization")


@pytest.fixture(scope="module")
def rights_app(endpoint: str) -> Flask:
    return make_app(endpoint, **TABLES)


def test_the_document_is_that_of_the_routes(rights_app: Flask) -> None:
    assert DOCS.read_text() == as_markdown(rights_app), "run make docs"


class Owner:
    """A user with one of each thing that a path can name, whose number of transactions is `2 + more`."""

    def __init__(self, app: Flask, *, more: int = 0) -> None:
        person = register(app)
        self.name = person.username
        # Each is used up by one proof.
        self.codes = enrol(person).recovery_codes
        passkey = Passkey(self.name, "x", 0, "phone", clock.now())
        self.passkey_id = passkey.passkey_id
        with app.app_context():
            factor = find_factor(self.name)
            assert factor is not None
            add_passkey(get_user(self.name), factor, passkey)
            deposit(self.name, "1000")
            self.order_id = place_limit(self.name, Side.BUY, "1", "5", client_order_id=self.name).order_id
            for _ in range(more):
                deposit(self.name, "1")
        self.transaction_id = f"{2 + more:012d}"

    def value(self, parameter: str, path: str) -> str:
        """What fills a path. What its request uses up is made anew for each."""
        if parameter == "token_id" and "/sessions/" in path:
            return str(issue_login_token(get_user(self.name)).token.token_id)
        if parameter == "token_id":
            made = create_personal_token(get_user(self.name), name="x", scopes=READ, expires_at=None)
            return str(made.token.token_id)
        if parameter == "approval_id":
            waits = adjustments.adjust(self.name, Decimal(1), reason="x", actor="somebody", waits=True)
            return waits.item.reference
        values = {"username": self.name, "asset_id": "BTC", "order_id": self.order_id, "passkey_id": self.passkey_id}
        return {**values, "client_order_id": self.name, "transaction_id": self.transaction_id}[parameter]


PERSONAL = {kind: " ".join(scope for scope in ALL_SCOPES if scope in scopes) for kind, scopes in SCOPES.items()}
SESSIONS = {Caller.SESSION, Caller.ADMIN_SESSION}
ADMINS = {Caller.ADMIN_SESSION, Caller.ADMIN_LOGIN, Caller.ADMIN_PERSONAL}


@dataclass
class Credential:
    """How someone of a kind sends requests: with a token, or with a browser and the token of its forms."""

    client: FlaskClient
    bearer: str | None
    by_cookie: bool
    csrf_token: str = ""

    def send(self, route: Route, path: str, values: dict[str, str]) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.bearer}"} if self.bearer and not self.by_cookie else {}
        body: dict[str, Any] = {}
        if route.method not in {"GET", "DELETE"}:
            body = {"data": {"csrf_token": self._form_token(), **values}} if route.is_page else {"json": values}
        return self.client.open(path, method=route.method, headers=headers, **body)

    def _form_token(self) -> str:
        if not self.csrf_token:
            page = self.client.get("/account", follow_redirects=True).text
            [self.csrf_token, *_] = re.findall('name="csrf_token" value="([^"]+)"', page)
        return self.csrf_token


class World:
    """Someone of each kind, who has everything that a path can name, and one to whom none of it belongs."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.customer, self.admin, self.suspended = (Owner(app) for _ in range(3))
        self.other = Owner(app, more=3)
        with app.app_context():
            set_role(self.admin.name, Role.ADMIN, now=clock.now())
            set_status(self.suspended.name, UserStatus.SUSPENDED, now=clock.now())
        self._credentials: dict[tuple[Caller, bool], Credential] = {}

    def ask(self, kind: Caller, route: Route) -> str:
        """What a request comes to, in the words of the table."""
        is_others = kind is Caller.OTHERS_OBJECT
        who = self.admin if kind in ADMINS else self.suspended if kind is Caller.SUSPENDED else self.customer
        owner = self.other if is_others or "/admin/" in route.path else who
        by_cookie = kind in SESSIONS or (route.is_page and kind in {Caller.SUSPENDED, Caller.OTHERS_OBJECT})
        with self.app.app_context():
            path = re.sub("<([a-z_]+)>", lambda match: owner.value(match[1], route.path), route.path)
            if (kind, by_cookie) not in self._credentials:
                self._credentials[kind, by_cookie] = new_credential(self.app, kind, who.name, by_cookie=by_cookie)
        # Without a proof, some routes do not tell whether something is there.
        values = {"current_password": PASSWORD, "code": who.codes.pop()} if is_others and "passkey" in path else {}
        # Nor do those whose values are looked at first.
        values = {"price": "6"} if route.method == "PATCH" and route.path.endswith("/orders/<order_id>") else values
        response = self._credentials[kind, by_cookie].send(route, path, values)
        if route.method != "GET" and re.search("logout|sessions$|password$|login$|register$", route.path):
            # It may have ended.
            del self._credentials[kind, by_cookie]
        return said(route, response, is_others=is_others)


def new_credential(app: Flask, kind: Caller, name: str, *, by_cookie: bool) -> Credential:
    client = app.test_client()
    if kind is Caller.NOBODY:
        return Credential(client, None, by_cookie=False)
    user = get_user(name)
    if kind in PERSONAL:
        for each in list_personal_tokens(user):
            delete_token(each)
        made = create_personal_token(user, name="x", scopes=PERSONAL[kind], expires_at=None)
    else:
        made = begin_session(user, Origin()) if by_cookie else issue_login_token(user)
    if by_cookie:
        with client.session_transaction() as cookie:
            cookie["_user_id"], cookie["_fresh"] = made.bearer, True
    return Credential(client, made.bearer, by_cookie)


def said(route: Route, response: TestResponse, *, is_others: bool) -> str:
    if response.status_code >= 500:
        return str(response.status_code)
    if route.is_page:
        if response.status_code == 303 and response.location.startswith("/login?"):
            return LOG_IN
        if response.status_code == 403 and NotAdmin.message in response.text:
            return NotAdmin.code
        return "not_found" if response.status_code == 404 and is_others else ALLOWED
    code = response.json["code"] if response.content_type == "application/problem+json" else ""
    if code == ProofRequired.code:
        return ALLOWED
    return code if response.status_code in {401, 403} or (response.status_code == 404 and is_others) else ALLOWED


@pytest.fixture(scope="module")
def world(rights_app: Flask) -> World:
    return World(rights_app)


@pytest.mark.parametrize("kind", Caller)
def test_each_route_answers_this_caller_as_the_table_says(rights_app: Flask, world: World, kind: Caller) -> None:
    wrong = []
    for route in routes(rights_app):
        expected = route.answer(kind)
        if expected != NO_OBJECT and (found := world.ask(kind, route)) != expected:
            wrong.append(f"{route.method} {route.path}: {found}, not {expected}")
    assert wrong == []


def test_a_route_without_a_rule_is_seen(endpoint: str) -> None:
    """It is open to everybody, and so the document is another one until somebody has looked at it."""
    app = make_app(endpoint, **TABLES)
    app.add_url_rule("/api/v1/new", view_func=lambda: "")
    [added] = [route for route in routes(app) if route.path == "/api/v1/new"]
    assert {added.answer(kind) for kind in Caller} == {ALLOWED, NO_OBJECT}
    assert DOCS.read_text() != as_markdown(app)
