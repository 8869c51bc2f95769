"""Two ways to the product: the services, called as the views call them, and the JSON API.

Both take the same requests, with amounts as text, and give answers in the words of the API. Each driver has empty
tables, prices that a test sets, a worker, and a clock that stands still between two requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from flask import Flask
from marshmallow import Schema, ValidationError
from werkzeug.test import TestResponse

from app.audit.run import audit_all
from app.audit.totals import save_totals
from app.domain import clock
from app.domain.errors import ClosedSince, ProductError, ProofRequired
from app.domain.orders import NewOrder, NewTerms, OrderStatus
from app.domain.users import TRADE, TRANSFER, Role
from app.models import adjustments, ledger, users
from app.models import orders as order_items
from app.models.adjustments import Approval
from app.models.idempotency import Applied
from app.models.paging import PageRequest
from app.models.system import Totals, find_totals
from app.schemas import admin_outputs, inputs, order_inputs, outputs
from app.services import admin, auth, cash, closing, guesses, orders, portfolio, tokens
from app.services.history import get_portfolio_history
from app.services.proving import Evidence, renew_proof
from app.services.second_factor import FactorRules
from app.services.tokens import Authentication
from app.services.worker import Round, Worker
from app.views.proofs import take_evidence
from tests.proofs.state.model import APPROVAL_OVER, BY_LOGIN
from tests.proofs.state.people import HOLDING, SCRIPT_LIFETIME
from tests.proofs.state.words import Answer, Request, money
from tests.support.people import PASSWORD, Person, caller, problem, registration
from tests.support.prices import FixedPrices

START = datetime(2031, 1, 30, 22, tzinfo=UTC)
ALL_ROWS = 100
# What a portfolio shows in sum.
PORTFOLIO = ("cash_balance", "reserved_cash", "total_value", "realised_gain", "net_deposits", "total_gain")
SCOPES = {"script": "read trade transfer", "reader": "read"}


class Clock:
    """The application's time, in this context: it moves only when told to."""

    def __init__(self) -> None:
        self.now = START
        self._standing = ExitStack()
        self.advance(timedelta())

    def advance(self, by: timedelta) -> None:
        self.stop()
        self.now += by
        self._standing.enter_context(clock.at(self.now))

    def stop(self) -> None:
        self._standing.close()


class Driver:
    """What both have in common; `views` are the lists that a person sees, by name."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.clock = Clock()
        app.extensions["prices"] = self.prices = FixedPrices()
        with app.app_context():
            self.worker = Worker(self.prices, is_stopping=self._let_a_moment_pass)

    def _let_a_moment_pass(self) -> bool:
        # The worker asks before each order whether it shall stop: two trades of one asset need two moments.
        self.clock.advance(timedelta(microseconds=1))
        return False

    def run_worker_round(self) -> Round:
        with self.app.app_context():
            return self.worker.run_round()

    def totals(self) -> Totals:
        """What an audit keeps now."""
        with self.app.app_context():
            report = audit_all(pauses=())
            save_totals(report.sums, taken_at=clock.now(), seconds=0, items=report.items, violations=0)
            totals = find_totals()
            assert totals
            return totals

    def promote(self, username: str) -> None:
        with self.app.app_context():
            users.set_role(username, Role.ADMIN, now=self.clock.now)

    def register(self, username: str, email: str) -> str:
        """The code of the answer."""
        raise NotImplementedError

    def log_in(self, username: str, password: str = PASSWORD) -> str:
        """The code of the answer; who gets in makes new tokens `script` and `reader` too."""
        raise NotImplementedError

    def send(self, request: Request) -> Answer:
        raise NotImplementedError

    def views(self, username: str) -> dict[str, Any]:
        """What the owner sees, asked for with the token `reader`."""
        raise NotImplementedError


class Http(Driver):
    """JSON through Flask's test client."""

    ROUTES: ClassVar = {
        "deposit": ("POST", "/balance/deposit"),
        "withdraw": ("POST", "/balance/withdraw"),
        "order": ("POST", "/orders"),
        "cancel": ("POST", "/orders/{target}/cancel"),
        "change": ("PATCH", "/orders/{target}"),
        "adjust": ("POST", "/admin/users/{target}/adjustments"),
        "approve": ("POST", "/admin/approvals/{target}/approve"),
        "reject": ("POST", "/admin/approvals/{target}/reject"),
        "set_status": ("PATCH", "/admin/users/{target}"),
        "prove": ("POST", "/auth/proof"),
        "close": ("POST", "/account/close"),
    }

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.client = caller(app)
        self.people: dict[tuple[str, str], Person] = {}

    def register(self, username: str, email: str) -> str:
        response = self.client.post("/api/v1/auth/register", json=registration(username=username, email=email))
        return response.json.get("code", "done")

    def log_in(self, username: str, password: str = PASSWORD) -> str:
        response = self.client.post("/api/v1/auth/login", json={"username": username, "password": password})
        if response.status_code != 200:
            return response.json["code"]
        person = Person(self.client, username, "", response.json["access_token"])
        self.people[username, "login"] = person
        for name, scopes in SCOPES.items():
            end = clock.to_text(self.clock.now + SCRIPT_LIFETIME)
            made = person.post("/auth/tokens", {"name": name, "scopes": scopes, "expires_at": end})
            self.people[username, name] = Person(self.client, username, "", made.json["access_token"])
        return "done"

    def send(self, request: Request) -> Answer:
        method, path = self.ROUTES[request.action]
        response = self.people[request.actor, request.credential].call(
            method, path.format(target=request.target), key=request.key, json=request.body
        )
        return self._answer(response)

    @staticmethod
    def _answer(response: TestResponse) -> Answer:
        body = response.json
        if response.status_code >= 400:
            return Answer(problem(response, response.status_code, body["code"])["code"])
        return Answer(
            body=_without_hash((body or {}).get("transaction") or (body or {}).get("data") or {}),
            is_replay=response.headers.get("Idempotent-Replayed") == "true",
        )

    def views(self, username: str) -> dict[str, Any]:
        def get(path: str) -> Any:
            response = self.people[username, "reader"].get(path)
            assert response.status_code == 200, response.text
            return response.json

        balance, portfolio = get("/balance"), get("/portfolio")
        return {
            "balance": {name: balance[name] for name in ("current_balance", "total_deposits", "total_withdrawals")},
            "portfolio": {name: portfolio[name] for name in PORTFOLIO},
            "total of the history": get("/portfolio/history?days=1")["points"][-1]["total"],
            "holdings": {
                row["asset_id"]: tuple(row[name] for name in HOLDING) for row in get("/balance/assets")["data"]
            },
            "orders": get(f"/orders?limit={ALL_ROWS}")["data"],
            "open orders": get(f"/orders?status=pending&limit={ALL_ROWS}")["data"],
            "transactions": get(f"/balance/transactions?limit={ALL_ROWS}")["transactions"],
            "trades": get(f"/assets/transactions?limit={ALL_ROWS}")["data"],
        }


class Services(Driver):
    """The services behind the schemas, each call in an application context of its own, as a request has."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.bearers: dict[tuple[str, str], str] = {}

    def register(self, username: str, email: str) -> str:
        def register() -> None:
            values = inputs.RegistrationInput().load(registration(username=username, email=email))
            auth.register(auth.Registration(**values))

        return self._code_of(register)

    def log_in(self, username: str, password: str = PASSWORD) -> str:
        def log_in() -> None:
            user = auth.check_password(guesses.begin_login(username, address="10.0.0.1"), password)
            self.bearers[username, "login"] = tokens.issue_login_token(user).bearer
            for name, scopes in SCOPES.items():
                end = self.clock.now + SCRIPT_LIFETIME
                made = tokens.create_personal_token(user, name=name, scopes=scopes, expires_at=end)
                self.bearers[username, name] = made.bearer

        return self._code_of(log_in)

    def _code_of(self, call: Callable[[], None]) -> str:
        try:
            with self.app.app_context():
                call()
        except ProductError as error:
            return error.code
        return "done"

    def send(self, request: Request) -> Answer:
        try:
            with self.app.app_context():
                session = tokens.authenticate(self.bearers[request.actor, request.credential])
                self._check_scope(session, request.action)
                return getattr(self, f"_{request.action}")(session, request)
        except ClosedSince as error:
            return Answer() if request.action == "close" else Answer(error.code)
        except ProductError as error:
            return Answer(error.code)
        except ValidationError:
            return Answer("invalid_input")

    @staticmethod
    def _check_scope(session: Authentication, action: str) -> None:
        if action in BY_LOGIN:
            session.require_login()
        else:
            session.require(TRADE if action in {"order", "cancel", "change"} else TRANSFER)

    def _check_proof(self, session: Authentication) -> None:
        if not self.app.extensions["proofs"].is_fresh(session.token):
            raise ProofRequired()

    def _deposit(self, session: Authentication, request: Request) -> Answer:
        values = inputs.CashInput().load(request.body)
        return _applied(cash.deposit(session.user.username, **values, idempotency_key=request.key))

    def _withdraw(self, session: Authentication, request: Request) -> Answer:
        values = inputs.CashInput().load(request.body)
        if self.app.extensions["proofs"].asks_for_withdrawal(session, values["amount"]):
            self._check_proof(session)
        return _applied(cash.withdraw(session.user.username, **values, idempotency_key=request.key))

    def _order(self, session: Authentication, request: Request) -> Answer:
        order = NewOrder(**order_inputs.OrderInput(exclude=["dry_run"]).load(request.body))
        return _applied(orders.place_order(session.user.username, order, self.prices, idempotency_key=request.key))

    def _cancel(self, session: Authentication, request: Request) -> Answer:
        return _applied(orders.cancel_order(session.user.username, request.target, idempotency_key=request.key))

    def _change(self, session: Authentication, request: Request) -> Answer:
        wanted = NewTerms(**order_inputs.OrderChangeForm().load(request.body))
        name = session.user.username
        return _applied(orders.change_order(name, request.target, wanted, idempotency_key=request.key))

    def _adjust(self, session: Authentication, request: Request) -> Answer:
        admin.require_admin(session.user)
        values = inputs.AdjustmentInput().load(request.body)
        take_evidence(values)
        self._check_proof(session)
        return _applied(
            admin.adjust_balance(
                session.user, request.target, **values, approval_over=APPROVAL_OVER, idempotency_key=request.key
            )
        )

    def _approve(self, session: Authentication, request: Request) -> Answer:
        admin.require_admin(session.user)
        self._check_proof(session)
        return Answer(body=_shown(adjustments.approve(request.target, actor=session.user.username).item))

    def _reject(self, session: Authentication, request: Request) -> Answer:
        admin.require_admin(session.user)
        return Answer(body=_shown(adjustments.reject(request.target, actor=session.user.username)))

    def _prove(self, session: Authentication, request: Request) -> Answer:
        renew_proof(session, *self._evidence(session, inputs.ProvenInput().load(request.body)))
        return Answer()

    def _close(self, session: Authentication, request: Request) -> Answer:
        evidence, attempt, factors = self._evidence(session, inputs.CloseInput().load(request.body))
        closing.close_account(attempt, evidence, factors)
        return Answer()

    def _evidence(
        self, session: Authentication, values: dict[str, Any]
    ) -> tuple[Evidence, guesses.LoginAttempt, FactorRules]:
        attempt = guesses.begin_login(session.user.username, address="10.0.0.1")
        return take_evidence(values), attempt, self.app.extensions["factors"]

    def _set_status(self, session: Authentication, request: Request) -> Answer:
        admin.require_admin(session.user)
        self._check_proof(session)
        admin.set_status(session.user, request.target, inputs.StatusInput().load(request.body)["status"])
        return Answer()

    def views(self, username: str) -> dict[str, Any]:
        with self.app.app_context():
            balance = ledger.get_balance(username)
            valued = outputs.PortfolioOutput().dump(portfolio.get_portfolio(username, self.prices, now=self.clock.now))
            page = PageRequest(limit=ALL_ROWS)
            return {
                "balance": {
                    name: str(getattr(balance, name))
                    for name in ("current_balance", "total_deposits", "total_withdrawals")
                },
                "portfolio": {name: valued[name] for name in PORTFOLIO},
                "total of the history": money(get_portfolio_history(username, self.prices, days=1).points[-1].total),
                "holdings": {
                    row["asset_id"]: tuple(row[name] for name in HOLDING)
                    for row in outputs.HoldingOutput(many=True).dump(portfolio.list_holdings(username, self.prices))
                },
                "orders": ORDER.dump(order_items.list_orders(username, page).items, many=True),
                "open orders": ORDER.dump(
                    order_items.list_orders(username, page, status=OrderStatus.PENDING).items, many=True
                ),
                "transactions": TRANSACTION.dump(ledger.list_transactions(username, page).items, many=True),
                "trades": outputs.AssetTransactionOutput(many=True).dump(ledger.list_trades(username, page).items),
            }


TRANSACTION, ORDER = outputs.TransactionOutput(), outputs.OrderOutput()
SCHEMAS: Mapping[type, Schema] = {
    ledger.BalanceTransaction: TRANSACTION,
    order_items.Order: ORDER,
    Approval: admin_outputs.ApprovalOutput(),
}


def _applied(applied: Applied[Any]) -> Answer:
    return Answer(body=_shown(applied.item), is_replay=applied.is_replay)


def _shown(item: object) -> dict[str, Any]:
    return _without_hash(SCHEMAS[type(item)].dump(item))


def _without_hash(body: Mapping[str, Any]) -> dict[str, Any]:
    """`check_books` computes the hashes, from what is stored."""
    return {name: value for name, value in body.items() if name != "hash"}
