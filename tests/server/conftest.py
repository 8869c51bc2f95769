"""One server for all the tests that do not kill it."""

from __future__ import annotations

from contextlib import ExitStack, closing

import pytest

from dev.launcher import free_port
from tests.support.engine import engine, start_engine
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


@pytest.fixture(scope="module")
def start_single(tmp_path_factory):
    """Starts a server with one worker, for this file alone; gives it with the process and the port of its engine."""
    with ExitStack() as stack:

        def start(**settings):
            folder, port = tmp_path_factory.mktemp("single"), free_port()
            store = start_engine(port, folder / "orders.db")
            stack.callback(store.wait)
            stack.callback(store.kill)
            served = serve(f"http://127.0.0.1:{port}", folder / "gunicorn.log", WEB_CONCURRENCY="1", **settings)
            return stack.enter_context(served), store, port

        yield start
