"""One in-memory engine and its applications for the whole run; users of their own for each test.

After each test the books of every user that it made must balance. Fixtures import the application themselves, because
that takes a second, and the tests of rules do without it.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from tests.support.faults import FaultyStore
    from tests.support.people import Person
    from tests.support.prices import SetPrices
    from tests.support.wire import BareStore

# botocore sends nothing without credentials, and must look for none outside.
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true")
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
    os.environ.pop(name, None)

NewUser = Callable[..., "Person"]

# Machines are shared and noisy: how long an example takes says nothing.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_configure() -> None:
    """Collecting makes objects by the hundred thousand, and no garbage: not to look for any saves a fifth of it."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor is what was collected looked through again and again by what follows."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An engine in memory."""
    from tests.support.engine import engine

    with engine() as address:
        yield address


def _create_app(endpoint: str) -> Flask:
    from app.factory import create_app
    from tests.support.applications import config

    return create_app(config(endpoint))


def _in_use(app: Flask) -> Flask:
    """The application as it is after its first stop order: what it asked once, no test pays for."""
    from app.models.upgrade import require_alone

    with app.app_context():
        require_alone()
    return app


@pytest.fixture(scope="session")
def app(endpoint: str) -> Flask:
    """The application, on the engine in memory, its tables made."""
    from app.models.create_tables import create_tables

    made = _create_app(endpoint)
    with made.app_context():
        create_tables()
    return _in_use(made)


@pytest.fixture(scope="session")
def store(endpoint: str) -> Iterator[BareStore]:
    """A bare client, to see what really stands in the tables."""
    from tests.support.wire import BareStore

    with closing(BareStore(endpoint)) as bare:
        yield bare


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A caller without token."""
    from tests.support.people import caller

    return caller(app)


@pytest.fixture
def in_app(app: Flask) -> Iterator[None]:
    """For tests of the models: an application context, in which no request must be made."""
    with app.app_context():
        yield


@pytest.fixture
def new_user(app: Flask, store: Any) -> Iterator[NewUser]:
    """Makes users; when the test is over, the books of each must balance."""
    from tests.support.books import check_books
    from tests.support.people import register

    made: list[Person] = []

    def make(app: Flask = app, **fields: Any) -> Person:
        made.append(register(app, **fields))
        return made[-1]

    yield make
    for person in made:
        check_books(store, person.username, **person.tables)


@pytest.fixture
def person(new_user: NewUser) -> Person:
    return new_user()


@pytest.fixture(scope="session")
def _market_app(app: Flask, endpoint: str) -> Flask:
    return _in_use(_create_app(endpoint))


@pytest.fixture
def market(_market_app: Flask) -> SetPrices:
    """Prices that the test sets, in `market_app`."""
    from tests.support.prices import SetPrices

    _market_app.extensions["prices"] = prices = SetPrices()
    return prices


@pytest.fixture
def market_app(_market_app: Flask, market: SetPrices) -> Flask:
    """An application on the same tables whose prices are `market`'s."""
    return _market_app


@pytest.fixture(scope="session")
def _faulty_store(app: Flask, endpoint: str) -> Iterator[FaultyStore]:
    from tests.support.faults import FaultyStore

    with FaultyStore(endpoint) as faulty:
        yield faulty


@pytest.fixture
def impatient() -> Iterator[None]:
    """No wait before an attempt or a resend of the application."""
    from tests.support.faults import no_waits

    with no_waits():
        yield


@pytest.fixture
def faults(_faulty_store: FaultyStore, impatient: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    """A way to the same engine that can answer wrongly, late or not at all; see `tests/support/faults.py`."""
    # botocore limits the resends of a client: no test may use up another's.
    monkeypatch.setattr("botocore.retries.quota.RetryQuota.acquire", lambda quota, amount: True)
    _faulty_store.heal()
    yield _faulty_store
    _faulty_store.heal()


@pytest.fixture(scope="session")
def _faulty_app(_faulty_store: FaultyStore) -> Flask:
    return _create_app(_faulty_store.endpoint)


@pytest.fixture
def faulty_app(_faulty_app: Flask, faults: FaultyStore) -> Flask:
    """An application that reaches the engine through `faults`."""
    return _faulty_app
