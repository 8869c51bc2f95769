"""One server for all the tests that do not kill it."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.support.engine import engine
from tests.support.server import serve
from tests.support.wire import BareStore


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """A server with two workers on an engine with a file, and a bare client to look into the tables."""
    folder = tmp_path_factory.mktemp("server")
    with (
        engine(folder / "orders.db") as endpoint,
        serve(endpoint, folder / "gunicorn.log") as server,
        closing(BareStore(endpoint)) as store,
    ):
        yield server, store
