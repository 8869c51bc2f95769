"""A journey through every route: each answer, and each refusal that the OpenAPI file has, is as it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flask import Flask

from app.domain import clock
from app.domain.errors import Refusal
from app.domain.mails import MailKind
from app.domain.passkeys import MOST_PASSKEYS
from app.models.account_events import AccountEvent
from app.models.factors import SecondFactor
from app.services.tokens import MOST_CREDENTIALS
from app.views.errors import ALL
from tests.contract.specification import Specification, codes_of
from tests.support.authenticator import App
from tests.support.mail import token_to
from tests.support.passkeys import Authenticator
from tests.support.people import PASSWORD, Person, prove_long_ago, registration
from tests.support.prices import FixedPrices

NewPerson = Callable[..., Person]
NO_ORDER = "order_01JD0QZ5M4X8W3T7K2V9N6B1CF"
NO_APPROVAL = "approval_01JD0QZ5M4X8W3T7K2V9N6B1CF"

# What needs a fault, a limit or a setting is not the refusal of a rule: tested where those are.
NEW_PASSWORD = "nine yellow saucers"
PROOF = {"current_password": PASSWORD}
NEEDS_A_FAULT = {each.code for each in ALL if not issubclass(each, Refusal)}


def test_every_answer_of_a_journey_is_as_documented(
    contract_app: Flask, specification: Specification, new_person: NewPerson
) -> None:
    """Each route succeeds here once, and refuses in every way that it documents and in no other."""
    travel(contract_app, specification, new_person)
    documented = {
        (name, int(status), code)
        for name, operation in specification.operations.items()
        for status, response in operation["responses"].items()
        for code in codes_of(specification.resolve(response))
        if code not in NEEDS_A_FAULT and not (code == "bad_request" and "requestBody" not in operation)
    }
    assert documented - specification.seen == set()


def travel(app: Flask, specification: Specification, new_person: NewPerson) -> None:
    """The whole journey, of new people. The prices of the application are SetPrices."""
    app.extensions["prices"].prices.pop("XRP", None)
    person, other, admin, colleague = new_person(), new_person(), new_person(is_admin=True), new_person(is_admin=True)
    journey = Journey(specification, person, other, admin, colleague)
    journey.register_and_log_in()
    journey.open_links(app)
    journey.change_account()
    journey.have_a_second_factor(new_person(), colleague)
    journey.move_cash()
    journey.trade()
    journey.follow_events(app)
    journey.look_at_assets(app)
    journey.administrate()
    journey.refuse_what_all_refuse()
    journey.leave(new_person())


class Journey:
    """Requests whose answers are compared with the specification."""

    def __init__(
        self, specification: Specification, person: Person, other: Person, admin: Person, second: Person
    ) -> None:
        self.specification = specification
        self.person, self.other, self.admin, self.second = person, other, admin, second
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
        return response.json if response.is_json and response.data else response.data.decode(errors="replace")

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
        self.send("POST", "/auth/login/passkey", "403 account_suspended", login)
        self.send("POST", "/auth/login/passkey", "401 invalid_credentials", {**login, "password": "not this one"})
        self.send("POST", "/auth/login/passkey", "422 invalid_input", {})

    def open_links(self, app: Flask) -> None:
        name, confirm = self.person.username, "/auth/email/confirm"
        self.send("POST", confirm, "422 link_invalid", {"token": "x"})
        self.send("POST", confirm, "422 invalid_input", {})
        email = registration()["email"]
        self.send("PUT", "/auth/profile", "200", {"email": email, **PROOF})
        self.send("POST", confirm, "204", {"token": token_to(app, name, MailKind.CONFIRM_EMAIL)})
        self.send("PUT", "/auth/profile", "200", {"email": self.taken, **PROOF})
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
        self.send("PUT", "/auth/profile", "200", {"phone": "0123456789", "date_of_birth": "1990-12-31", **PROOF})
        self.send("PUT", "/auth/profile", "403 proof_required", {"phone": None})
        self.send("PUT", "/auth/profile", "409 email_taken", {"email": self.taken, **PROOF})
        self.send("PUT", "/auth/profile", "422 invalid_input", {"phone": "1"})
        self.forget_proof(self.person)
        self.send("POST", "/auth/tokens", "403 proof_required", {"name": "reader"})
        self.send("POST", "/balance/withdraw", "403 proof_required", {"amount": "1000.01"})
        self.send("POST", "/auth/proof", "403 proof_required", {})
        self.send("POST", "/auth/proof", "422 invalid_input", {"current_password": "wrong"})
        self.send("POST", "/auth/proof", "204", PROOF)
        made = self.send("POST", "/auth/tokens", "201", {"name": "reader"})
        self.send("POST", "/auth/tokens", "422 invalid_input", {"name": ""})
        self.send("GET", "/auth/tokens", "200")
        with self.as_token(made["access_token"]):
            self.refuse_a_reader()
        token = made["data"]["token_id"]
        self.send("DELETE", f"/auth/tokens/{token}", "204")
        self.send("DELETE", f"/auth/tokens/{token}", "404 token_not_found")
        self.end_sessions()
        self.lists("/auth/events")
        change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        self.send("POST", "/auth/password", "422 invalid_input", {**change, "current_password": "wrong"})
        self.send("POST", "/auth/password", "204", change)
        login = {"username": self.person.username, "password": change["new_password"]}
        for _ in range(2):
            self.person.token = self.send("POST", "/auth/login", "200", login)["access_token"]
            if _ == 0:
                self.send("POST", "/auth/logout", "200")

    def have_passkeys(self, owner: Person, codes: list[str]) -> None:
        passkeys, device = "/auth/second-factor/passkeys", Authenticator()
        begun = self.send("GET", f"{passkeys}/new", "200", who=owner)["public_key"]
        sent = {"name": "phone", "credential": device.create(begun)}
        self.send("POST", passkeys, "403 proof_required", sent, who=owner)
        self.send("POST", passkeys, "422 invalid_input", {}, who=owner)
        added = self.send("POST", passkeys, "201", {**sent, **PROOF, "code": codes[-1]}, who=owner)
        log_in = {"username": owner.username, "password": PASSWORD}
        extensions = owner.client.application.extensions
        kept, extensions["mail"] = extensions["mail"], replace(extensions["mail"], site="https://192.0.2.7")
        self.send("GET", f"{passkeys}/new", "409 passkeys_need_name", who=owner)
        self.send("GET", f"{passkeys}/challenge", "409 passkeys_need_name", who=owner)
        self.send("POST", "/auth/login/passkey", "409 passkeys_need_name", log_in)
        extensions["mail"] = kept
        asked = self.send("POST", "/auth/login/passkey", "200", log_in)["public_key"]
        self.send("POST", "/auth/login", "200", {**log_in, "code": device.get(asked)})

        def proof() -> dict[str, Any]:
            given = self.send("GET", f"{passkeys}/challenge", "200", who=owner)
            return {**PROOF, "code": device.get(given["public_key"])}

        with owner.client.application.app_context():
            factor = SecondFactor.get(*SecondFactor.key(owner.username))
            most = [replace(factor.keys[0], credential_id=f"c{number}") for number in range(1, MOST_PASSKEYS)]
            factor.update([SecondFactor.passkeys.set((factor.keys[0], *most))])
        self.send("GET", f"{passkeys}/new", "409 too_many_passkeys", who=owner)
        self.send("POST", passkeys, "409 too_many_passkeys", {**sent, **proof()}, who=owner)
        self.send("POST", f"{passkeys}/{'0' * 16}/remove", "404 passkey_not_found", proof(), who=owner)
        remove = f"{passkeys}/{added['passkey_id']}/remove"
        self.send("POST", remove, "403 proof_required", {}, who=owner)
        self.send("POST", remove, "422 invalid_input", {**PROOF, "code": "x"}, who=owner)
        self.send("POST", remove, "204", proof(), who=owner)

    def have_a_second_factor(self, owner: Person, colleague: Person) -> None:
        factor, reset = "/auth/second-factor", f"/admin/users/{owner.username}/second-factor/reset"
        self.send("GET", factor, "200", who=owner)
        for path in ("recovery-codes", "remove"):
            self.send("POST", f"{factor}/{path}", "409 no_second_factor", PROOF, who=owner)
        self.send("DELETE", f"{factor}/reset", "409 no_second_factor", who=owner)
        self.send("GET", f"{factor}/passkeys/new", "409 no_second_factor", who=owner)
        self.send("GET", f"{factor}/passkeys/challenge", "409 no_passkey", who=owner)
        none = {"name": "phone", "credential": "x"}
        self.send("POST", f"{factor}/passkeys", "409 no_second_factor", none, who=owner)
        self.send("POST", f"{factor}/passkeys/{'0' * 16}/remove", "409 no_second_factor", PROOF, who=owner)
        log_in = {"username": owner.username, "password": PASSWORD}
        self.send("POST", "/auth/login/passkey", "409 no_passkey", log_in)
        self.send("POST", reset, "409 no_second_factor", who=self.admin)
        begun = self.send("POST", factor, "201", who=owner)
        sent = {"setup": begun["setup"], "code": "123456"}
        self.send("POST", f"{factor}/confirm", "422 invalid_input", {**sent, **PROOF, "setup": "x"}, who=owner)
        self.send("POST", f"{factor}/confirm", "403 proof_required", sent, who=owner)
        with clock.at(clock.now()):
            sent["code"] = App(begun["secret"]).show()
            codes = self.send("POST", f"{factor}/confirm", "201", {**sent, **PROOF}, who=owner)["recovery_codes"]
        self.send("POST", f"{factor}/confirm", "409 second_factor_exists", sent, who=owner)
        self.send("POST", factor, "409 second_factor_exists", who=owner)
        self.send("GET", factor, "200", who=owner)
        self.send("POST", "/auth/login", "401 code_required", log_in)
        self.send("POST", "/auth/login", "401 invalid_code", {**log_in, "code": "x"})
        self.send("POST", "/auth/login", "200", {**log_in, "code": codes[0]})
        self.have_passkeys(owner, codes)
        self.send("POST", "/auth/password", "403 proof_required", {**PROOF, "new_password": NEW_PASSWORD}, who=owner)
        self.send("POST", "/account/close", "403 proof_required", PROOF, who=owner)
        self.send("POST", reset, "202", who=self.admin)
        self.send("POST", reset.replace(owner.username, self.admin.username), "409 own_account", who=self.admin)
        self.send("POST", reset.replace(owner.username, colleague.username), "409 operator_account", who=self.admin)
        self.send("POST", reset.replace(owner.username, "nobody_at_all"), "404 user_not_found", who=self.admin)
        self.send("DELETE", f"{factor}/reset", "204", who=owner)
        for path, success, code in (("recovery-codes", "201", codes[1]), ("remove", "204", "")):
            self.send("POST", f"{factor}/{path}", "403 proof_required", {}, who=owner)
            self.send("POST", f"{factor}/{path}", "422 invalid_input", {**PROOF, "code": "x"}, who=owner)
            code = code or codes[0]
            made = self.send("POST", f"{factor}/{path}", success, {**PROOF, "code": code}, who=owner)
            codes = made["recovery_codes"] if made else codes

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
            self.send("POST", f"/balance/{way}", "200", {"amount": "2.00", "dry_run": True})
            self.send("POST", f"/balance/{way}", "422 not_supported", {"amount": "2.00", "dryRun": True})
        self.send("POST", "/balance/withdraw", "422 insufficient_funds", {"amount": "1000000"})
        self.send("GET", "/balance", "200")
        etag = self.person.get("/account").headers["ETag"]
        self.send("GET", "/account", "200")
        self.send("GET", "/account", "304", headers={"If-None-Match": etag})
        self.send("GET", "/balance/transactions/000000009999", "404 transaction_not_found")
        self.send("GET", "/balance/transactions.csv", "200")
        self.send("GET", "/balance/transactions.csv?from=soon", "422 invalid_input")
        self.send("GET", "/portfolio", "200")
        self.send("GET", "/portfolio?as_of=2021-02-03", "200")
        self.send("GET", "/portfolio?as_of=9999-02-03", "422 invalid_input")
        self.send("GET", "/portfolio/history?days=2", "200")
        self.send("GET", "/portfolio/history?days=0", "422 invalid_input")
        self.lists("/balance/transactions")

    def forget_proof(self, person: Person) -> None:
        with person.client.application.app_context():
            prove_long_ago(person)

    def lists(self, path: str, who: Person | None = None) -> None:
        first = self.send("GET", f"{path}?limit=1", "200", who=who)
        if first["next_cursor"]:
            self.send("GET", f"{path}?limit=1&cursor={first['next_cursor']}", "200", who=who)
        self.send("GET", f"{path}?limit=0", "422 invalid_input", who=who)
        self.send("GET", f"{path}?cursor=x", "400 invalid_cursor", who=who)

    def change(self, placed: str) -> None:
        """Of an order to buy 0.1 BTC at 1.00."""
        path = f"/orders/{placed}"
        self.send("PATCH", path, "200", {"price": "2"}, key="change")
        self.send("PATCH", path, "422 idempotency_key_reused", {"price": "3"}, key="change")
        self.send("PATCH", path, "422 invalid_input", {"limit_price": "3"})
        self.send("PATCH", path, "200", {"price": "3", "dry_run": True})
        self.send("PATCH", path, "422 not_supported", {"price": "3", "test": True})
        self.send("PATCH", path, "422 order_too_small", {"quantity": "0.00000001"})
        self.send("PATCH", path, "422 order_too_large", {"quantity": "1000000"})
        self.send("PATCH", path, "422 insufficient_funds", {"quantity": "499999"})
        self.send("PATCH", f"/orders/{NO_ORDER}", "404 order_not_found", {"price": "3"})
        sale = {"order_type": "limit_sell", "asset_id": "BTC", "quantity": "0.01", "price": "900"}
        waiting = self.send("POST", "/orders", "201", sale)["data"]["order_id"]
        self.send("PATCH", f"/orders/{waiting}", "422 insufficient_holding", {"quantity": "900"})
        stop = {**sale, "order_type": "stop_limit_buy", "stop_price": "899"}
        with_stop = self.send("POST", "/orders", "201", stop)["data"]["order_id"]
        self.send("PATCH", f"/orders/{with_stop}", "409 stop_not_changeable", {"price": "900"})
        self.lists(f"{path}/changes")
        self.send("GET", f"/orders/{NO_ORDER}/changes", "404 order_not_found")
        self.send("GET", "/orders/short/changes", "422 invalid_input")

    def trade(self) -> None:
        def buy(expected: str, **more: Any) -> Any:
            order = {"order_type": "market_buy", "asset_id": "BTC", "quantity": "0.1", **more}
            body = {name: value for name, value in order.items() if name != "key"}
            if "idempotency" not in expected:
                # Tried first, it is answered alike.
                tried = "200" if expected == "201" else expected
                self.send("POST", "/orders/preview", tried, body)
                self.send("POST", "/orders", tried, {**body, "dry_run": True})
            return self.send("POST", "/orders", expected, body, **({"key": more["key"]} if "key" in more else {}))

        buy("201", key="order")
        buy("422 idempotency_key_reused", key="order", quantity="0.2")
        buy("422 invalid_input", quantity="x")
        buy("422 not_supported", trail_price="1")
        buy("422 asset_not_tradeable", asset_id="MATIC")
        buy("503 price_unavailable", asset_id="AVAX")
        buy("409 price_moved", price="99")
        buy("422 stop_reached", order_type="stop_limit_buy", price="101", stop_price="100")
        buy("422 order_too_small", asset_id="SHIB", quantity="0.00000001")
        buy("422 order_too_large", quantity="1000000")
        buy("422 insufficient_funds", quantity="10000")
        buy("422 insufficient_holding", order_type="market_sell", quantity="9999")
        placed = buy("201", order_type="limit_buy", price="1", expires_at=None)["data"]["order_id"]
        self.send("GET", f"/orders/{placed}", "200")
        buy("201", quantity=None, spend="12.34")
        buy("422 invalid_input", spend="12.34")
        buy("201", quantity="0.001", client_order_id="mine")
        buy("409 client_order_id_taken", quantity="0.002", client_order_id="mine")
        self.send("GET", "/orders/by-client-id/mine", "200")
        self.send("GET", "/orders/by-client-id/yours", "404 order_not_found")
        self.send("GET", "/orders/by-client-id/a%20b", "422 invalid_input")
        self.send("GET", f"/orders/{NO_ORDER}", "404 order_not_found")
        self.send("GET", "/orders/short", "422 invalid_input")
        self.change(placed)
        self.send("POST", f"/orders/{placed}/cancel", "200", {"dry_run": True})
        self.send("POST", f"/orders/{placed}/cancel", "422 not_supported", {"test": True})
        self.send("POST", f"/orders/{placed}/cancel", "200", key="cancel")
        self.send("PATCH", f"/orders/{placed}", "409 order_not_pending", {"price": "3"})
        other = buy("201", order_type="limit_buy", price="1")["data"]["order_id"]
        self.send("POST", f"/orders/{other}/cancel", "422 idempotency_key_reused", key="cancel")
        self.send("POST", f"/orders/{placed}/cancel", "409 order_not_pending")
        self.send("POST", f"/orders/{NO_ORDER}/cancel", "404 order_not_found")
        self.send("POST", "/orders/short/cancel", "422 invalid_input")
        self.send("POST", "/orders/cancel", "200", {"asset_id": "BTC"}, key="cancel-all")
        self.send("POST", "/orders/cancel", "422 idempotency_key_reused", {}, key="cancel-all")
        self.send("POST", "/orders/cancel", "422 invalid_input", {"side": "both"})
        for path in ("/orders", "/assets/transactions", "/assets/btc/transactions"):
            self.lists(path)
        self.send("GET", "/assets/transactions.csv", "200")
        self.send("GET", "/assets/transactions.csv?asset_id=-", "422 invalid_input")
        buy("201", order_type="market_sell", quantity="0.05")
        for path in ("/portfolio/gains", "/portfolio/gains.csv"):
            for query in ("", "?method=fifo", "?year=2020&method=AVERAGE"):
                self.send("GET", f"{path}{query}", "200")
            self.send("GET", f"{path}?method=lifo", "422 invalid_input")
        self.send("GET", "/balance/assets", "200")
        self.send("GET", "/balance/assets?limit=0", "422 invalid_input")
        self.send("GET", "/balance/asset/btc", "200")
        self.send("GET", "/balance/asset/nope", "404 asset_not_found")
        self.send("GET", "/balance/asset/eth", "404 holding_not_found")

    def follow_events(self, app: Flask) -> None:
        read = self.send("GET", "/events?limit=1", "200")
        self.send("GET", f"/events?after={read['next_after']}", "200")
        self.send("GET", "/events?after=x", "422 invalid_input")
        self.send("GET", "/events?after=999999999999", "409 events_ahead")
        with app.app_context():
            for number in ("000000000001", "000000000002"):
                event = AccountEvent(*AccountEvent.key(self.person.username, number))
                event.update([AccountEvent.ttl.set(clock.now())])
        self.send("GET", f"/events?after={read['next_after']}", "410 events_expired")

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
        self.send("GET", "/admin/users?month=2026-13", "422 invalid_input", who=admin)
        self.send("GET", "/admin/acts?month=2026-11-01", "422 invalid_input", who=admin)
        month = clock.now().strftime("%Y-%m")
        assert self.send("GET", f"/admin/users?month={month}&limit=1", "200", who=admin)["data"]
        self.send("GET", f"/admin/users?month={month}&cursor=x", "400 invalid_cursor", who=admin)
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
        self.forget_proof(admin)
        self.send("PATCH", f"/admin/users/{username}", "403 proof_required", {"status": "active"}, who=admin)
        self.send("POST", f"/admin/users/{username}/reset-link", "403 proof_required", who=admin)
        self.send("POST", adjustments, "403 proof_required", body, who=admin)
        self.send("POST", f"/admin/users/{username}/second-factor/reset", "403 proof_required", who=admin)
        self.send("DELETE", f"/admin/users/{username}/sessions", "403 proof_required", who=admin)
        self.send("POST", f"/admin/approvals/{NO_APPROVAL}/approve", "403 proof_required", who=admin)
        self.send("POST", "/auth/proof", "204", PROOF, who=admin)
        self.send("POST", adjustments, "200", {**body, "dry_run": True}, who=admin)
        self.send("POST", adjustments, "422 not_supported", {**body, "preview": True}, who=admin)
        self.send("POST", adjustments, "201", body, who=admin, key="adjust")
        self.send("POST", adjustments, "422 idempotency_key_reused", {**body, "amount": 1}, who=admin, key="adjust")
        self.send("POST", adjustments, "422 insufficient_funds", {**body, "amount": "-1000000"}, who=admin)
        self.send("POST", adjustments, "422 invalid_input", {}, who=admin)
        self.send("POST", f"/admin/users/{admin.username}/adjustments", "409 own_account", body, who=admin)
        self.send("POST", "/admin/users/nobody_at_all/adjustments", "404 user_not_found", body, who=admin)
        self.administrate_together(adjustments)
        for path in (
            "/admin/approvals",
            "/admin/totals",
            "/admin/acts",
            f"/admin/users/{username}/transactions",
            f"/admin/users/{username}/orders",
            f"/admin/users/{username}/events",
            "/admin/assets/btc/balances",
            "/admin/assets/btc/transactions",
        ):
            self.lists(path, admin)
        for path in ("", "/transactions", "/orders", "/events"):
            self.send("GET", f"/admin/users/nobody_at_all{path}", "404 user_not_found", who=admin)

    def administrate_together(self, adjustments: str) -> None:
        admin, second, username = self.admin, self.second, self.other.username
        large = {"amount": "20000.00", "reason": "x"}
        self.send("POST", adjustments, "202", large, who=admin, key="large")
        waiting = self.send("POST", adjustments, "202", large, who=admin)["data"]["approval_id"]
        path, missing = f"/admin/approvals/{waiting}", f"/admin/approvals/{NO_APPROVAL}"
        self.send("GET", path, "200", who=admin)
        self.send("GET", missing, "404 approval_not_found", who=admin)
        self.send("GET", "/admin/approvals?status=x", "422 invalid_input", who=admin)
        for decision in ("approve", "reject"):
            self.send("POST", f"{missing}/{decision}", "404 approval_not_found", who=admin)
        self.send("POST", f"{path}/approve", "422 not_supported", {"dry_run": True}, who=second)
        self.send("POST", f"{path}/approve", "422 invalid_input", [], who=second)
        self.send("POST", f"{path}/approve", "409 second_operator_needed", who=admin)
        self.send("POST", f"{path}/approve", "201", who=second)
        self.send("POST", f"{path}/reject", "409 approval_not_waiting", who=second)
        taking = self.send("POST", adjustments, "202", {**large, "amount": "-20000.00"}, who=admin)["data"]
        path = f"/admin/approvals/{taking['approval_id']}"
        spent = self.other.balance()
        self.send("POST", "/balance/withdraw", "201", {"amount": spent}, who=self.other)
        self.send("POST", f"{path}/approve", "422 insufficient_funds", who=second)
        self.send("POST", f"{path}/reject", "200", who=second)
        self.send("POST", f"{path}/approve", "409 approval_not_waiting", who=second)
        own = self.send("POST", f"/admin/users/{second.username}/adjustments", "202", large, who=admin)["data"]
        for decision in ("approve", "reject"):
            self.send("POST", f"/admin/approvals/{own['approval_id']}/{decision}", "409 own_account", who=second)
        sessions = f"/admin/users/{username}/sessions"
        self.send("DELETE", sessions, "204", who=admin)
        self.send("DELETE", f"{sessions}?keep_tokens=maybe", "422 invalid_input", who=admin)
        self.send("DELETE", f"/admin/users/{admin.username}/sessions", "409 own_account", who=admin)
        self.send("DELETE", "/admin/users/nobody_at_all/sessions", "404 user_not_found", who=admin)
        self.other.log_in()

    def leave(self, leaver: Person) -> None:
        self.send("GET", "/account/export", "200", who=leaver)
        proof, path = {"current_password": PASSWORD}, "/account/close"
        self.send("POST", path, "409 still_admin", proof, who=self.admin)
        self.send("POST", path, "422 invalid_input", {}, who=leaver)
        self.send("POST", path, "422 invalid_input", {"current_password": "wrong"}, who=leaver)
        self.send("POST", path, "422 not_supported", {**proof, "dry_run": True}, who=leaver)
        self.send("POST", path, "409 account_not_empty", proof, who=leaver)
        [waiting] = leaver.get("/orders?status=pending").json["data"]
        leaver.post(f"/orders/{waiting['order_id']}/cancel")
        leaver.sell("BTC", "10")
        leaver.withdraw(leaver.balance())
        large, adjustments = {"amount": "20000.00", "reason": "x"}, f"/admin/users/{leaver.username}/adjustments"
        asked = self.send("POST", adjustments, "202", large, who=self.admin)["data"]["approval_id"]
        for _ in range(2):
            self.send("POST", path, "204", proof, who=leaver)
        self.send("POST", f"/admin/approvals/{asked}/approve", "404 user_not_found", who=self.second)
        self.send("POST", adjustments, "404 user_not_found", large, who=self.admin)

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
        for path in ("register", "login", "login/passkey", "email/confirm", "password/forgot", "password/reset"):
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
    "client_order_id": "mine",
    "username": "somebody",
    "asset_id": "BTC",
    "order_id": NO_ORDER,
    "approval_id": NO_APPROVAL,
    "transaction_id": "000000000001",
    "token_id": "0" * 16,
    "passkey_id": "0" * 16,
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
