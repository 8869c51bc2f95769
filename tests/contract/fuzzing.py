"""schemathesis on the application: every phase and every check over the specification, as one user."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import schemathesis
from flask import Flask
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.context import EngineContext

from app.models.users import get_user
from app.services.tokens import issue_login_token

CONFIG: dict[str, Any] = {
    "generation": {"database": "none", "no-shrink": True},
    "continue-on-failure": True,
    "checks": {
        # By default 400 and 422 would both mean that valid data were refused. Here 422 also says that a rule said no
        # (too little money), and 400 that a cursor is not one of ours: `refused_for_a_reason` tells the two apart.
        # 304 is no refusal.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "304", "400", "401", "403", "404", "409", "422", "429"]
        }
    },
}

# What a JSON Schema cannot say of a field, so that a value which fits it may still be refused.
BEYOND_SCHEMA = {
    "email": "the format of e-mail addresses is looser than what mail servers take",
    "first_name": "letters of any script is nothing that a portable pattern can say",
    "last_name": "the same",
    "password": "those that are easy to guess, and those with a name of the person in them",
    "new_password": "the same",
    "current_password": "must be right",
    "setup": "must be that of an answer",
    "code": "must be the one that an app shows",
    "date_of_birth": "counts from today",
    "expires_at": "counts from today; not for market orders",
    "price": "required for limit orders; a change of an order has it, the quantity or the end",
    "stop_price": "stop orders have it, and no others",
    "time_in_force": "not gtc or day for market orders",
    "quantity": "required unless a purchase says what to spend",
    "spend": "for purchases, instead of a quantity",
    "username": "a search takes a username or an e-mail address, not both",
    "to": "not before `from`",
    "as_of": "not in the future",
}
ENDS_ITS_TOKEN = {"/api/v1/auth/logout", "/api/v1/auth/password", "/api/v1/auth/sessions"}
RULES = {
    "link_invalid",
    "asset_not_tradeable",
    "idempotency_key_reused",
    "insufficient_funds",
    "insufficient_holding",
    "order_too_large",
    "order_too_small",
    "stop_reached",
    "invalid_cursor",
    "account_not_empty",
}


@schemathesis.check
def refused_for_a_reason(context: Any, response: Any, case: Any) -> None:
    """What fits its schema is refused by a rule, or for what no schema can say, and for nothing else."""
    if response.status_code not in {400, 422} or not case.meta or not case.meta.generation.mode.is_positive:
        return
    problem = response.json()
    if problem["code"] in RULES:
        return
    assert problem["code"] == "invalid_input", f"valid data were refused: {response.text}"
    unexplained = [error for error in problem["errors"] if error["field"] not in BEYOND_SCHEMA]
    assert not unexplained, f"valid data were refused: {unexplained}"


@schemathesis.check
def codes_are_documented(context: Any, response: Any, case: Any) -> None:
    """An error has one of the codes that its operation names for its status. All errors share one schema."""
    documented = case.operation.responses.find_by_status_code(response.status_code)
    if response.status_code < 400 or case.method == "HEAD" or documented is None:
        return  # a status without documentation is what `status_code_conformance` refuses
    code = response.json()["code"]
    assert code in documented.definition["x-codes"], f"{code} is not documented"


@schemathesis.check
def errors_are_problems(context: Any, response: Any, case: Any) -> None:
    """Also where the specification says nothing, as of methods that a route does not take."""
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == ["application/problem+json"], response.headers["content-type"]
    if case.method != "HEAD":
        problem = response.json()
        assert problem["status"] == response.status_code
        assert response.headers["x-request-id"] == [problem["request_id"]]
        assert problem["type"] == f"/api/docs/errors#{problem['code']}"


@dataclass
class Run:
    """What one run did, and what it found: each failure once, with the request that shows it."""

    cases: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    failures: dict[tuple[str, str, str], str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def record(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.ScenarioFinished):
            self._record_answers(event)
            self._record_failures(event)
        elif isinstance(event, events.NonFatalError):
            self.errors.append(f"{event.label}: " + "".join(traceback.format_exception(event.value)[-3:]))
        elif isinstance(event, events.FatalError):
            raise event.exception

    def _record_answers(self, event: events.ScenarioFinished) -> None:
        for case_id, interaction in event.recorder.interactions.items():
            self.cases[event.phase.value] += 1
            if interaction.response is not None:
                label = event.recorder.cases[case_id].value.operation.label
                self.answers.setdefault(label, Counter())[interaction.response.status_code] += 1

    def _record_failures(self, event: events.ScenarioFinished) -> None:
        for case_id, checks in event.recorder.checks.items():
            label = event.recorder.cases[case_id].value.operation.label
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    shown = f"{failure.message}\n{check.failure_info.code_sample}"
                    self.failures.setdefault((check.name, label, failure.title), shown)

    def report(self) -> str:
        return "\n".join(
            [
                f"{sum(self.cases.values())} cases: {dict(self.cases)}",
                *(f"{' '.join(key)}\n{shown}" for key, shown in self.failures.items()),
                *self.errors,
            ]
        )


def fuzz(app: Flask, username: str, *, max_examples: int, seed: int | None = None) -> Run:
    """Run the phases on every operation, as this user. Without a seed every run is another one, and has all phases."""
    settings: dict[str, Any] = {**CONFIG, "generation": {**CONFIG["generation"], "max-examples": max_examples}}
    if seed is not None:
        # The bounded run. The phase left out sends 1,500 requests, much as the tests of untrusted input do.
        settings |= {"seed": seed, "phases": {"coverage": {"enabled": False}}}
    config = SchemathesisConfig.from_dict(settings)
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, config=config)

    @schema.auth(refresh_interval=None)
    class Bearer:
        token = ""

        def get(self, case: Any, context: Any) -> str:
            if not self.token:
                with app.app_context():
                    self.token = issue_login_token(get_user(username)).bearer
            token = self.token
            if case.path in ENDS_ITS_TOKEN:
                self.token = ""
            return token

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    run = Run()
    with patch.object(EngineContext, "get_transport_kwargs", _in_process_kwargs):
        for event in from_schema(schema).execute():
            run.record(event)
    return run


def _in_process_kwargs(context: EngineContext, operation: Any = None) -> dict[str, Any]:
    """Without what belongs to sockets: `ignored_auth` hands it on to an application in this process (4.32.5)."""
    return {"headers": context.config.headers_for(operation=operation)}
