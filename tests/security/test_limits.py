"""What one user or address may do so often: registering, moving money, statements, log-ins, tokens."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain import clock
from app.domain.limits import Limits
from app.factory import create_app
from app.services.settings import settings
from tests.security.conftest import SetLimits
from tests.support.applications import LIMITS, config
from tests.support.page_client import Browser
from tests.support.people import NOON, PASSWORD, Person, caller, problem, registration
from tests.support.usage import usage, usage_of

LOG_IN = "/api/v1/auth/login"


def test_registrations_of_one_address(app: Flask, person: Person, set_limits: SetLimits) -> None:
    set_limits(replace(LIMITS, registrations_per_hour=3))
    client = caller(app)

    def register(**fields: str) -> TestResponse:
        return client.post("/api/v1/auth/register", json=registration(**fields))

    with clock.at(NOON):
        assert usage_of(register()) == usage(3, 2, 9 + 2)
        # One that is refused tells who has an account, so that it counts too.
        assert (register(username=person.username).status_code, register().status_code) == (409, 201)
        refused = register()
        problem(refused, 429, "too_many_requests")
        assert usage_of(refused) == usage(1, 0, 0)
        stranger = Browser(app)
        stranger.client.environ_base = dict(client.environ_base)
        assert stranger.submit("/register", **registration()).status == 429
    with clock.at(NOON + timedelta(hours=1)):
        assert register().status_code == 201


ORDER = {"order_type": "market_buy", "quantity": "1"}
# What a user may do so often in a minute: the limit, as JSON and as a page.
PER_MINUTE: dict[str, tuple[str, Callable[[Person], TestResponse], Callable[[Browser], int]]] = {
    "deposit": (
        "money_changes_per_minute",
        lambda person: person.deposit("1"),
        lambda browser: browser.submit("/deposit", amount="1").status,
    ),
    "order": (
        "money_changes_per_minute",
        lambda person: person.order("market_buy", "BTC", "1"),
        lambda browser: browser.client.post("/assets/BTC", data={**ORDER, **_token_of(browser)}).status_code,
    ),
    "statement": (
        "statements_per_minute",
        lambda person: person.get("/balance/transactions.csv"),
        lambda browser: browser.client.get("/statement").status_code,
    ),
    "the past": (
        "statements_per_minute",
        lambda person: person.get("/portfolio?as_of=2021-02-03"),
        lambda browser: browser.client.get("/statement").status_code,
    ),
    "export": (
        "statements_per_minute",
        lambda person: person.get("/assets/transactions.csv"),
        lambda browser: browser.client.get("/activity/trades.csv").status_code,
    ),
    "gains": (
        "statements_per_minute",
        lambda person: person.get("/portfolio/gains?method=fifo"),
        lambda browser: browser.client.get("/activity/gains").status_code,
    ),
    "gains as CSV": (
        "statements_per_minute",
        lambda person: person.get("/portfolio/gains.csv"),
        lambda browser: browser.client.get("/activity/gains.csv").status_code,
    ),
    "everything": (
        "statements_per_minute",
        lambda person: person.get("/account/export"),
        lambda browser: browser.client.get("/account/export").status_code,
    ),
    "log-in": (
        "log_ins_per_minute",
        lambda person: person.client.post(LOG_IN, json={"username": person.username, "password": PASSWORD}),
        lambda browser: Browser(browser.client.application).log_in(browser.username).status,
    ),
}


def _token_of(browser: Browser) -> dict[str, str]:
    return browser.get("/deposit").form("/deposit").values


@pytest.mark.parametrize(("limit", "send", "submit"), PER_MINUTE.values(), ids=PER_MINUTE.keys())
def test_what_one_user_may_do_in_a_minute(
    ann: Browser,
    set_limits: SetLimits,
    limit: str,
    send: Callable[[Person], TestResponse],
    submit: Callable[[Browser], int],
) -> None:
    assert ann.person
    now = NOON + timedelta(minutes=next(_minutes), seconds=15)
    with clock.at(now):
        set_limits(replace(LIMITS, **{limit: 2}))
        assert submit(ann) != 429 and send(ann.person).status_code != 429
        refused = send(ann.person)
        problem(refused, 429, "too_many_requests")
        assert refused.headers["Retry-After"] == "45"
        assert submit(ann) == 429
    with clock.at(now + timedelta(minutes=1)):
        assert send(ann.person).status_code != 429


TRIED = {
    "/balance/deposit": {"amount": "1"},
    "/balance/withdraw": {"amount": "1"},
    "/orders": {**ORDER, "asset_id": "BTC"},
    "/orders/order_01JD0QZ5M4X8W3T7K2V9N6B1CF/cancel": {},
}


@pytest.mark.parametrize("path", TRIED)
def test_a_dry_run_is_not_counted_as_what_moves_money(person: Person, set_limits: SetLimits, path: str) -> None:
    with clock.at(NOON + timedelta(minutes=next(_minutes))):
        set_limits(replace(LIMITS, money_changes_per_minute=1))
        assert all(person.post(path, {**TRIED[path], "dry_run": True}).status_code != 429 for _ in range(3))
        statuses = [person.post(path, {**TRIED[path], "dry_run": False}).status_code for _ in range(2)]
        assert (statuses[0] != 429, statuses[1]) == (True, 429)


_minutes = itertools.count(1, 2)


def test_how_many_personal_tokens_one_user_has(person: Person, set_limits: SetLimits) -> None:
    set_limits(replace(LIMITS, personal_tokens=2))
    made = [person.post("/auth/tokens", {"name": "script", "scopes": "read"}) for _ in range(3)]
    assert [each.status_code for each in made] == [201, 201, 409]
    assert problem(made[-1], 409, "too_many_tokens")["detail"].startswith("You have 2 personal tokens")


def test_each_application_has_its_own_settings(app: Flask, endpoint: str) -> None:
    """Also where two run in one process: the last one that was made decides nothing for the others."""
    mine = app.extensions["services"]
    other = create_app(replace(config(endpoint), limits=Limits(), bcrypt_rounds=12, session_hours=1))
    with app.app_context():
        assert settings() is mine
        with other.app_context():
            of_other = settings()
        assert settings() is mine
    assert (of_other.bcrypt_rounds, of_other.session_lifetime, of_other.limits) == (12, timedelta(hours=1), Limits())
    with pytest.raises(LookupError):
        settings()
