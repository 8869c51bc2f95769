"""The application and the people of the journey, on any tables."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask

from app.domain import clock
from app.domain.users import Role
from app.mail import MailSettings
from app.models.users import set_role
from tests.contract.specification import Specification
from tests.support.applications import make_app
from tests.support.people import Person, register
from tests.support.prices import SetPrices


def app_of_the_journey(endpoint: str, tables: Mapping[str, str]) -> Flask:
    """BTC costs 100.00 and ETH 10.00 here; DOGE has no price, and AVAX a stale one."""
    prices = SetPrices(BTC="100.00", ETH="10.00")
    prices.stale.add("AVAX")
    # Nothing sends its mail.
    mail = MailSettings(folder="nowhere", site="https://orders.example")
    return make_app(endpoint, prices=prices, mail=mail, **tables)


def specification_of(app: Flask) -> Specification:
    response = app.test_client().get("/api/v1/openapi.json")
    assert response.status_code == 200 and response.content_type == "application/json"
    return Specification(response.json)


def person_of_the_journey(app: Flask, *, is_admin: bool = False) -> Person:
    """A user with money, a holding and an open order."""
    person = register(app)
    person.deposit("900000")
    person.buy("BTC", "10")
    assert person.order("limit_buy", "BTC", "1", price="1").status_code == 201
    if is_admin:
        with app.app_context():
            set_role(person.username, Role.ADMIN, now=clock.now())
        person.log_in()
    return person
