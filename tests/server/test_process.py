"""The server as a process: what a crash leaves, how much memory it takes, and how fast it is without the database."""

from __future__ import annotations

import re
import statistics
from contextlib import closing

import pytest

from dev.launcher import free_port
from tests.support.books import check_books
from tests.support.engine import start_engine
from tests.support.server import WORKERS, Caller, at_once, resident_megabytes, serve
from tests.support.wire import BareStore

pytestmark = pytest.mark.engine

KEPT = [
    "/auth/profile",
    "/balance",
    "/balance/transactions",
    "/balance/asset/BTC",
    "/orders",
    "/assets/transactions",
    "/assets/BTC/transactions",
]


OF_THE_PRICE_NOW = {"current_price", "total_value", "unrealised_gain", "unrealised_gain_percent"}


def without_prices(body):
    return {name: value for name, value in body.items() if name not in OF_THE_PRICE_NOW}


def test_kill_9_of_everything_and_a_restart_keep_everything(tmp_path):
    """Also what was answered a moment before, the token, and the memory of keys."""
    port, path, log = free_port(), tmp_path / "orders.db", tmp_path / "gunicorn.log"
    endpoint = f"http://127.0.0.1:{port}"
    store_process = start_engine(port, path)
    try:
        with serve(endpoint, log) as server, server.account(deposit="500") as account:
            order = {"order_type": "market_buy", "asset_id": "BTC", "quantity": "0.001"}
            assert account.post("/orders", order, key="bought").status_code == 201
            kept = {each: without_prices(account.get(each).json()) for each in KEPT}
            token, username = account.token, account.username
            last = account.post("/balance/withdraw", {"amount": "1.00"}, key="last")
            assert last.status_code == 201
            server.kill()
            store_process.kill()
            store_process.wait()
        store_process = start_engine(port, path)
        with serve(endpoint, log) as server:
            caller = Caller(server.address, token)
            again = caller.post("/balance/withdraw", {"amount": "1.00"}, key="last")
            assert again.headers["Idempotent-Replayed"] == "true" and again.json() == last.json()
            replayed = caller.post("/orders", order, key="bought")
            assert replayed.headers["Idempotent-Replayed"] == "true"
            found = {each: without_prices(caller.get(each).json()) for each in KEPT}
            assert found["/balance/transactions"]["transactions"][0] == last.json()["transaction"]
            del found["/balance/transactions"]["transactions"][0]
            found["/balance/transactions"]["total_count"] -= 1
            for body in (kept, found):
                del body["/balance"]
            assert found == kept
            caller.close()
        with closing(BareStore(endpoint)) as store:
            check_books(store, username)
    finally:
        store_process.kill()
        store_process.wait()


def test_memory_and_time_after_350_requests(running, record_property):
    """Under 90 MB for each worker; times are told, not judged."""
    server, _ = running
    with server.account(callers=8, deposit="10000") as account:

        def work(caller):
            for _ in range(4):
                for response in (
                    caller.get("/inventory/assets"),
                    caller.get("/inventory/assets/BTC"),
                    caller.get("/inventory/assets/ETH/prices?days=30"),
                    caller.get("/balance"),
                    caller.post("/balance/deposit", {"amount": "1"}),
                    caller.get("/balance/transactions"),
                    caller.post("/orders", {"order_type": "market_buy", "asset_id": "ADA", "quantity": "1"}),
                    caller.get("/portfolio"),
                    caller.get("/orders"),
                    caller.get("/health"),
                    caller.post("/balance/withdraw", {"amount": "x"}),
                ):
                    assert response.status_code < 500 or response.status_code == 503, response.text

        at_once([lambda caller=caller: work(caller) for caller in account.callers])
        megabytes = [resident_megabytes(pid) for pid in server.workers]
        times = {path: server_milliseconds(account, path) for path in ("/health", "/inventory/assets")}
    record_property("worker_megabytes", megabytes)
    record_property("milliseconds", times)
    print("worker MB", [round(each, 1) for each in megabytes], "median ms", times)
    assert len(megabytes) == WORKERS
    assert max(megabytes) < 90


def server_milliseconds(account, path):
    """The median of 20 requests one after the other, by the server's own clock."""
    found = [float(re.search(r"total;dur=([0-9.]+)", account.get(path).headers["Server-Timing"])[1]) for _ in range(20)]
    return statistics.median(found)
