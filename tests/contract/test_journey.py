"""A journey through every route: each answer, and each refusal that the OpenAPI file has, is as it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask

from app.domain.errors import Refusal
from app.domain.mails import MailKind
from app.services.tokens import MOST_CREDENTIALS
from app.views.errors import ALL
from tests.contract.specification import Specification
from tests.support.mail import token_to
from tests.support.people import PASSWORD, Person, registration
from tests.support.prices import FixedPrices

NewPerson = Callable[..., Person]
NO_ORDER = "order_01JD0QZ5M4X8W3T7K2V9N6B1CF"

# What needs a fault, a limit or a setting is not the refusal of a rule: tested where those are.
NEW_PASSWORD = "nine yellow saucers"
NEEDS_A_FAULT = {each.code for each in ALL if not issubclass(each, Refusal)}


def test_every_answer_of_a_journey_is_as_documented(
    contract_app: Flask, specification: Specification, new_person: NewPerson
) -> None:
    """Each route succeeds here once, and refuses in every way that it documents and in no other."""
    contract_app.extensions["prices"].prices.pop("XRP", None)
    person, other, admin = new_person(), new_person(), new_person(is_admin=True)
    journey = Journey(specification, person, other, admin)
    journey.register_and_log_in()
    journey.open_links(contract_app)
    journey.change_account()
    journey.move_cash()
    journey.trade()
    journey.look_at_assets(contract_app)
    journey.administrate()
    journey.refuse_what_all_refuse()
    documented = {
        (name, int(status), code)
        for name, operation in specification.operations.items()
        for status, response in operation["responses"].items()
        for code in codes_of(specification.resolve(response))
        if code not in NEEDS_A_FAULT and not (code == "bad_request" and "requestBody" not in operation)
    }
    assert documented - specification.seen == set()


def codes_of(response: dict[str, Any]) -> list[str]:
    problem = response.get("content", {}).get("application/problem+json")
    return problem["schema"]["allOf"][1]["properties"]["code"]["enum"] if problem else [""]


class Journey:
    """Requests whose answers are compared with the specification."""

    def __init__(self, specification: Specification, person: Person, other: Person, admin: Person) -> None:
        self.specification = specification
        self.person, self.other, self.admin = person, other, admin
        self.taken = registration()["email"]

    def send(
        self, method: str, path: str, expected: str, json: Any = None, *, who: Person | None = None, **kwargs: Any
    ) -> Any:
        """`expected` is the status, and the code of an error."""
        if json is not None:
            kwargs["json"] = json
        response = (who or self.person).call(method, path, **kwargs)
        self.specification.check(response)
        code = response.json["code"] if response.status_code >= 400 else ""
        assert f"{response.status_code} {code}".strip() == expected, response.text
        return response.json if response.is_json and response.data else response.text

    @contextmanager
    def as_token(self, token: str) -> Iterator[None]:
        kept, self.person.token = self.person.token, token
        yield
        self.person.token = kept

    def register_and_log_in(self) -> None:
        body = registration()
        self.send("POST", "/auth/register", "201", body)
        self.send("POST", "/auth/register", "409 username_taken", {**body, "email": "another@example.com"})
        self.send("POST", "/auth/register", "409 email_taken", {**registration(), "email": body["email"]})
        self.send("POST", "/auth/register", "422 invalid_input", {})
        login = {"username": body["username"], "password": body["password"]}
        self.send("POST", "/auth/login", "200", login)
        self.send("POST", "/auth/login", "401 invalid_credentials", {**login, "password": "not this one"})
        self.send("POST", "/auth/login", "422 invalid_input", {"username": ""})
        self.send("PATCH", f"/admin/users/{body['username']}", "200", {"status": "suspended"}, who=self.admin)
        self.send("POST", "/auth/login", "403 account_suspended", login)

    def open_links(self, app: Flask) -> None:
        name, confirm = self.person.username, "/auth/email/confirm"
        self.send("POST", confirm, "422 link_invalid", {"token": "x"})
        self.send("POST", confirm, "422 invalid_input", {})
        email = registration()["email"]
        self.send("PUT", "/auth/profile", "200", {"email": email})
        self.send("POST", confirm, "204", {"token": token_to(app, name, MailKind.CONFIRM_EMAIL)})
        self.send("PUT", "/auth/profile", "200", {"email": self.taken})
        self.send("POST", "/auth/email/link", "202")
        token = token_to(app, name, MailKind.CONFIRM_EMAIL)
        self.send("POST", "/auth/register", "201", {**registration(), "email": self.taken})
        self.send("POST", confirm, "409 email_taken", {"token": token})
        self.send("POST", "/auth/password/forgot", "422 invalid_input", {"email": "x"})
        self.send("POST", "/auth/password/forgot", "202", {"email": email})
        reset = {"token": token_to(app, name, MailKind.RESET_PASSWORD), "new_password": PASSWORD}
        self.send("POST", "/auth/password/reset", "422 invalid_input", {**reset, "new_password": "short"})
        self.send("POST", "/auth/password/reset", "204", reset)
        self.send("POST", "/auth/password/reset", "422 link_invalid", reset)
        self.person.log_in()

    def change_account(self) -> None:
        self.send("GET", "/auth/profile", "200")
        self.send("PUT", "/auth/profile", "200", {"phone": "0123456789", "date_of_birth": "1990-12-31"})
        self.send("PUT", "/auth/profile", "409 email_taken", {"email": self.taken})
        self.send("PUT", "/auth/profile", "422 invalid_input", {"phone": "1"})
        made = self.send("POST", "/auth/tokens", "201", {"name": "reader"})
        self.send("POST", "/auth/tokens", "422 invalid_input", {"name": ""})
        self.send("GET", "/auth/tokens", "200")
        with self.as_token(made["access_token"]):
            self.refuse_a_reader()
        token = made["data"]["token_id"]
        self.send("DELETE", f"/auth/tokens/{token}", "204")
        self.send("DELETE", f"/auth/tokens/{token}", "404 token_not_found")
        self.end_sessions()
        change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        self.send("POST", "/auth/password", "422 invalid_input", {**change, "current_password": "wrong"})
        self.send("POST", "/auth/password", "204", change)
        login = {"username": self.person.username, "password": change["new_password"]}
        for _ in range(2):
            self.person.token = self.send("POST", "/auth/login", "200", login)["access_token"]
            if _ == 0:
                self.send("POST", "/auth/logout", "200")

    def end_sessions(self) -> None:
        for number in range(MOST_CREDENTIALS):
            self.send("POST", "/auth/tokens", "201", {"name": f"token {number}"})
        self.send("POST", "/auth/tokens", "409 too_many_tokens", {"name": "one more"})
        log_in = {"username": self.person.username, "password": PASSWORD}
        self.send("POST", "/auth/login", "200", log_in)
        listed = self.send("GET", "/auth/sessions", "200")
        one = next(each for each in listed["data"] if each["session_id"] != listed["current_session_id"])
        self.send("DELETE", f"/auth/sessions/{one['session_id']}", "204")
        self.send("DELETE", f"/auth/sessions/{one['session_id']}", "404 session_not_found")
        self.send("DELETE", "/auth/sessions?keep_tokens=maybe", "422 invalid_input")
        self.send("DELETE", "/auth/sessions", "204")
        self.person.token = self.send("POST", "/auth/login", "200", log_in)["access_token"]

    def refuse_a_reader(self) -> None:
        for _name, operation in self.specification.operations.items():
            path, method = next(
                (path, method) for path, method, each in self.specification.routes() if each is operation
            )
            if "security" in operation and (method != "get" or "/admin/" in path) and not path.endswith("/auth/logout"):
                self.send(method.upper(), filled(path), "403 insufficient_scope", {})

    def move_cash(self) -> None:
        for way in ("deposit", "withdraw"):
            key = {"key": f"{way} once"[:3] + way}
            moved = self.send("POST", f"/balance/{way}", "201", {"amount": "2.00", "description": "x"}, **key)
            self.send("POST", f"/balance/{way}", "201", {"amount": 2}, who=self.other)
            self.send("POST", f"/balance/{way}", "422 idempotency_key_reused", {"amount": "3.00"}, **key)
            self.send("POST", f"/balance/{way}", "422 invalid_input", {"amount": "x"})
            self.send("POST", f"/balance/{way}", "422 invalid_input", {"amount": "1"}, key="two words")
            again = self.person.post(f"/balance/{way}", {"amount": "2.00", "description": "x"}, **key)
            self.specification.check(again)
            assert again.headers["Idempotent-Replayed"] == "true" and again.json == moved
            self.send("GET", f"/balance/transactions/{moved['transaction_id']}", "200")
        self.send("POST", "/balance/withdraw", "422 insufficient_funds", {"amount": "1000000"})
        self.send("GET", "/balance", "200")
        self.send("GET", "/balance/transactions/000000009999", "404 transaction_not_found")
        self.send("GET", "/balance/transactions.csv", "200")
        self.send("GET", "/balance/transactions.csv?from=soon", "422 invalid_input")
        self.send("GET", "/portfolio", "200")
        self.send("GET", "/portfolio/history?days=2", "200")
        self.send("GET", "/portfolio/history?days=0", "422 invalid_input")
        self.lists("/balance/transactions")

    def lists(self, path: str, who: Person | None = None) -> None:
        first = self.send("GET", f"{path}?limit=1", "200", who=who)
        if first["next_cursor"]:
            self.send("GET", f"{path}?limit=1&cursor={first['next_cursor']}", "200", who=who)
        self.send("GET", f"{path}?limit=0", "422 invalid_input", who=who)
        self.send("GET", f"{path}?cursor=x", "400 invalid_cursor", who=who)

    def trade(self) -> None:
        def buy(expected: str, **more: Any) -> Any:
            order = {"order_type": "market_buy", "asset_id": "BTC", "quantity": "0.1", **more}
            return self.send(
                "POST",
                "/orders",
                expected,
                {k: v for k, v in order.items() if k != "key"},
                **({"key": more["key"]} if "key" in more else {}),
            )

        buy("201", key="order")
        buy("422 idempotency_key_reused", key="order", quantity="0.2")
        buy("422 invalid_input", quantity="x")
        buy("422 not_supported", stop_price="1")
        buy("422 asset_not_tradeable", asset_id="MATIC")
        buy("503 price_unavailable", asset_id="AVAX")
        buy("409 price_moved", price="99")
        buy("422 order_too_small", asset_id="SHIB", quantity="0.00000001")
        buy("422 order_too_large", quantity="1000000")
        buy("422 insufficient_funds", quantity="10000")
        buy("422 insufficient_holding", order_type="market_sell", quantity="9999")
        placed = buy("201", order_type="limit_buy", price="1", expires_at=None)["data"]["order_id"]
        self.send("GET", f"/orders/{placed}", "200")
        self.send("GET", f"/orders/{NO_ORDER}", "404 order_not_found")
        self.send("GET", "/orders/short", "422 invalid_input")
        self.send("POST", f"/orders/{placed}/cancel", "200", key="cancel")
        other = buy("201", order_type="limit_buy", price="1")["data"]["order_id"]
        self.send("POST", f"/orders/{other}/cancel", "422 idempotency_key_reused", key="cancel")
        self.send("POST", f"/orders/{placed}/cancel", "409 order_not_pending")
        self.send("POST", f"/orders/{NO_ORDER}/cancel", "404 order_not_found")
        self.send("POST", "/orders/short/cancel", "422 invalid_input")
        for path in ("/orders", "/assets/transactions", "/assets/btc/transactions"):
            self.lists(path)
        self.send("GET", "/assets/transactions.csv", "200")
        self.send("GET", "/assets/transactions.csv?asset_id=-", "422 invalid_input")
        self.send("GET", "/balance/assets", "200")
        self.send("GET", "/balance/assets?limit=0", "422 invalid_input")
        self.send("GET", "/balance/asset/btc", "200")
        self.send("GET", "/balance/asset/nope", "404 asset_not_found")
        self.send("GET", "/balance/asset/eth", "404 holding_not_found")

    def look_at_assets(self, app: Flask) -> None:
        self.send("GET", "/inventory/assets", "200")
        self.send("GET", "/inventory/assets?limit=251", "422 invalid_input")
        self.send("GET", "/inventory/assets/btc", "200")
        self.send("GET", "/inventory/assets/nope", "404 asset_not_found")
        self.send("GET", "/inventory/assets/no-id", "422 invalid_input")
        self.send("GET", "/inventory/assets/btc/prices?days=1", "200")
        self.send("GET", "/inventory/assets/btc/prices?days=x", "422 invalid_input")
        self.send("GET", "/inventory/assets/nope/prices", "404 asset_not_found")
        with without_prices(app):
            self.send("GET", "/inventory/assets", "200")
            self.send("GET", "/inventory/assets/btc", "503 price_unavailable")
            self.send("GET", "/inventory/assets/btc/prices", "503 price_unavailable")
            self.send("GET", "/portfolio", "200")
            self.send("GET", "/balance/assets", "200")
            self.send("GET", "/portfolio/history", "200")

    def administrate(self) -> None:
        admin, username = self.admin, self.other.username
        self.send("GET", f"/admin/users?username={username}", "200", who=admin)
        self.send("GET", "/admin/users?email=nobody@example.com", "200", who=admin)
        self.send("GET", "/admin/users", "422 invalid_input", who=admin)
        self.send("GET", f"/admin/users/{username}", "200", who=admin)
        self.send("PATCH", f"/admin/users/{username}", "200", {"status": "active"}, who=admin)
        self.other.log_in()
        self.send("PATCH", f"/admin/users/{username}", "422 invalid_input", {"status": "x"}, who=admin)
        self.send("PATCH", f"/admin/users/{admin.username}", "409 own_account", {"status": "suspended"}, who=admin)
        self.send("PATCH", "/admin/users/nobody_at_all", "404 user_not_found", {"status": "active"}, who=admin)
        self.send("POST", f"/admin/users/{username}/reset-link", "201", who=admin)
        self.send("POST", f"/admin/users/{admin.username}/reset-link", "409 operator_account", who=admin)
        self.send("POST", "/admin/users/nobody_at_all/reset-link", "404 user_not_found", who=admin)
        adjustments, body = f"/admin/users/{username}/adjustments", {"amount": "-1.00", "reason": "x"}
        self.send("POST", adjustments, "201", body, who=admin, key="adjust")
        self.send("POST", adjustments, "422 idempotency_key_reused", {**body, "amount": 1}, who=admin, key="adjust")
        self.send("POST", adjustments, "422 insufficient_funds", {**body, "amount": "-1000000"}, who=admin)
        self.send("POST", adjustments, "422 invalid_input", {}, who=admin)
        self.send("POST", f"/admin/users/{admin.username}/adjustments", "409 own_account", body, who=admin)
        self.send("POST", "/admin/users/nobody_at_all/adjustments", "404 user_not_found", body, who=admin)
        for path in (
            f"/admin/users/{username}/transactions",
            f"/admin/users/{username}/orders",
            "/admin/assets/btc/balances",
            "/admin/assets/btc/transactions",
        ):
            self.lists(path, admin)
        for path in ("", "/transactions", "/orders"):
            self.send("GET", f"/admin/users/nobody_at_all{path}", "404 user_not_found", who=admin)

    def refuse_what_all_refuse(self) -> None:
        suspended = self.other
        self.send("PATCH", f"/admin/users/{suspended.username}", "200", {"status": "suspended"}, who=self.admin)
        with_personal_token = dict(self.send("POST", "/auth/tokens", "201", {"name": "x", "scopes": "read trade"}))
        self.send("PATCH", f"/admin/users/{self.person.username}", "200", {"status": "suspended"}, who=self.admin)
        for path, method, operation in self.specification.routes():
            self.refuse(method.upper(), filled(path), path, operation, with_personal_token["access_token"])
        self.send("PATCH", f"/admin/users/{self.person.username}", "200", {"status": "active"}, who=self.admin)
        log_in = {"username": self.person.username, "password": NEW_PASSWORD}
        with self.as_token(self.send("POST", "/auth/login", "200", log_in)["access_token"]):
            for path, method, operation in self.specification.routes():
                if "/admin/" in path:
                    self.send(method.upper(), filled(path), "403 not_admin", {})
                elif "requestBody" in operation and "security" in operation:
                    self.refuse_bodies(method.upper(), filled(path))
        for path, method, operation in self.specification.routes():
            if "/admin/" in path and "requestBody" in operation:
                self.refuse_bodies(method.upper(), filled(path), who=self.admin)
        for path in ("register", "login", "email/confirm", "password/forgot", "password/reset"):
            path = f"/auth/{path}"
            self.refuse_bodies("POST", path)

    def refuse(self, method: str, path: str, template: str, operation: dict[str, Any], suspended: str) -> None:
        if template in {"/health", "/ready"}:
            self.specification.check(self.person.client.open(template, method=method))
            return
        self.send(method, f"{path}?nonsense=1", "422 unknown_parameter", who=self.admin)
        if "{" in template:
            response = self.person.call(method, path.replace(filled_parameter(template), "a%2Fb", 1))
            operation_id = operation["operationId"]
            assert response.status_code == 404 and response.json["code"] == "not_found", (template, response.text)
            self.specification.seen.add((operation_id, 404, "not_found"))
        if "security" in operation:
            with self.as_token("nonsense"):
                self.send(method, path, "401 not_authenticated")
            with self.as_token(suspended):
                self.send(method, path, "403 account_suspended")

    def refuse_bodies(self, method: str, path: str, **kwargs: Any) -> None:
        json_type = {"content_type": "application/json", **kwargs}
        self.send(method, path, "400 bad_request", data="{", **json_type)
        self.send(method, path, "413 body_too_large", data=b" " * 70_000, **json_type)
        self.send(method, path, "415 unsupported_media_type", data="{}", content_type="text/plain", **kwargs)


FILLED = {
    "username": "somebody",
    "asset_id": "BTC",
    "order_id": NO_ORDER,
    "transaction_id": "000000000001",
    "token_id": "0" * 16,
}


def filled(template: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: FILLED[match[1]], template.removeprefix("/api/v1"))


def filled_parameter(template: str) -> str:
    return FILLED[re.findall(r"\{(\w+)\}", template)[0]]


@contextmanager
def without_prices(app: Flask) -> Iterator[None]:
    """The market is closed."""
    kept, app.extensions["prices"] = app.extensions["prices"], FixedPrices()
    yield
    app.extensions["prices"] = kept
