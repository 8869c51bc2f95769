"""An application on tables of its own, so that what is sent here at random limits and locks out nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.contract.specification import Specification
from tests.contract.travellers import app_of_the_journey, person_of_the_journey, specification_of
from tests.support.applications import tables_named
from tests.support.books import check_books
from tests.support.people import Person

TABLES = tables_named("contract")


@pytest.fixture(scope="session")
def contract_app(endpoint: str) -> Flask:
    return app_of_the_journey(endpoint, TABLES)


@pytest.fixture(scope="session")
def specification(contract_app: Flask) -> Specification:
    return specification_of(contract_app)


@pytest.fixture
def new_person(contract_app: Flask, store: Any) -> Iterator[Callable[..., Person]]:
    """Makes users with money, a holding and an open order; when the test is over, the books of each must balance."""
    made: list[Person] = []

    def make(*, is_admin: bool = False) -> Person:
        made.append(person_of_the_journey(contract_app, is_admin=is_admin))
        return made[-1]

    yield make
    for person in made:
        check_books(store, person.username, **TABLES)
