"""An application on tables of its own, so that what is sent here at random limits and locks out nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.users import Role
from app.mail import MailSettings
from app.models.users import set_role
from tests.contract.specification import Specification
from tests.support.applications import make_app, tables_named
from tests.support.books import check_books
from tests.support.people import Person, register
from tests.support.prices import SetPrices

TABLES = tables_named("contract")


@pytest.fixture(scope="session")
def contract_app(endpoint: str) -> Flask:
    """BTC costs 100.00 and ETH 10.00 here; DOGE has no price, and AVAX a stale one."""
    prices = SetPrices(BTC="100.00", ETH="10.00")
    prices.stale.add("AVAX")
    # Nothing sends its mail.
    mail = MailSettings(folder="nowhere", site="https://orders.example")
    return make_app(endpoint, prices=prices, mail=mail, **TABLES)


@pytest.fixture(scope="session")
def specification(contract_app: Flask) -> Specification:
    response = contract_app.test_client().get("/api/v1/openapi.json")
    assert response.status_code == 200 and response.content_type == "application/json"
    return Specification(response.json)


@pytest.fixture
def new_person(contract_app: Flask, store: Any) -> Iterator[Callable[..., Person]]:
    """Makes users with money, a holding and an open order; when the test is over, the books of each must balance."""
    made: list[Person] = []

    def make(*, is_admin: bool = False) -> Person:
        person = register(contract_app)
        made.append(person)
        person.deposit("900000")
        person.buy("BTC", "10")
        assert person.order("limit_buy", "BTC", "1", price="1").status_code == 201
        if is_admin:
            with contract_app.app_context():
                set_role(person.username, Role.ADMIN, now=clock.now())
            person.log_in()
        return person

    yield make
    for person in made:
        check_books(store, person.username, **TABLES)
