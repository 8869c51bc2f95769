"""The service for tests of the client: gunicorn on an engine, as people run it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from order_processor_client import Client

from clients.python.tests.scripted import PATIENCE

if TYPE_CHECKING:
    from tests.support.server import Server

# As in tests/conftest.py, which is not read where these tests are run alone.
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true")


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An engine in memory."""
    from tests.support.engine import engine

    with engine() as address:
        yield address


@pytest.fixture(scope="session")
def service(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn with one worker."""
    from tests.support.server import serve

    log = tmp_path_factory.mktemp("service") / "gunicorn.log"
    with serve(endpoint, log, WEB_CONCURRENCY="1", PROOF_OVER="100.00") as server:
        yield server


@pytest.fixture
def registered(service: Server, endpoint: str) -> Iterator[dict[str, Any]]:
    """A new user, as it registered; when the test is over, its books must balance."""
    import requests

    from tests.support.books import check_books
    from tests.support.people import registration
    from tests.support.wire import BareStore

    body = registration()
    assert requests.post(f"{service.address}/api/v1/auth/register", json=body, timeout=30).status_code == 201
    yield body
    with closing(BareStore(endpoint)) as store:
        check_books(store, body["username"])


@pytest.fixture
def connect(service: Server, registered: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """A client of this user, logged in."""
    made: list[Client] = []

    def connect(**options: Any) -> Client:
        client = Client(service.address, journal=tmp_path / "journal.jsonl", patience=PATIENCE, **options)
        made.append(client)
        client.log_in(registered["username"], registered["password"])
        return client

    yield connect
    for client in made:
        client.close()
