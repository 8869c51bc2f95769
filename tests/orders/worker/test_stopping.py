"""How a worker stops, and its command."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.domain import clock
from app.domain.mails import MailKind
from app.domain.orders import Side
from app.mail import MailSettings
from app.models.batch import Batch
from app.models.outbox import queue_mail
from app.services.worker import Worker
from tests.orders.worker.rounds import TABLES, done_of, status_of
from tests.support.accounts import place_limit
from tests.support.applications import make_app
from tests.support.prices import FixedPrices
from tests.support.usage import metered

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("orders", [0, 1, 3])
def test_stopping_is_asked_before_each_order(trader, orders):
    now = clock.now()
    ended = now - timedelta(days=99)  # one of the first days that a new worker looks at
    placed = [place_limit(trader, Side.BUY, "1", "100", expires_at=ended) for _ in range(4)]

    def enough() -> bool:
        return [status_of(order) for order in placed].count("EXPIRED") >= orders

    with clock.at(now):
        assert done_of(Worker(FixedPrices(), is_stopping=enough)) == (0, orders, 0, 0)


def test_stopping_is_asked_before_each_query(trader):
    filled = place_limit(trader, Side.BUY, "1", "100")
    stopping = Worker(FixedPrices(BTC="100"), is_stopping=lambda: status_of(filled) == "COMPLETED")
    with metered() as meter:
        assert done_of(stopping) == (1, 0, 0, 0)
    assert "Query" not in meter.operations[meter.operations.index("TransactWriteItems") :]


Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def command(endpoint: str) -> Iterator[Command]:
    """`flask --app wsgi orders run`, as an operator starts it, on these tables and the simulated market."""
    settings = {
        **os.environ,
        "DYNAMODB_ENDPOINT": endpoint,
        "SECRET_KEY": "a secret for tests only",
        "AWS_REGION": "us-east-1",
        "USERS_TABLE": TABLES["users"],
        "ORDERS_TABLE": TABLES["orders"],
    }
    started: list[subprocess.Popen[str]] = []

    def start(**more: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", "orders", "run"],
                cwd=ROOT,
                env=settings | more,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


# The simulated BTC is always below 100,000 and above 1,000.
def test_one_round_as_a_command(app, trader):
    late = place_limit(trader, Side.BUY, "0.01", "1", expires_at=clock.now() - timedelta(days=3))
    fills = place_limit(trader, Side.BUY, "0.01", "100000"), place_limit(trader, Side.SELL, "1", "1")
    waits = place_limit(trader, Side.BUY, "0.01", "1"), place_limit(trader, Side.SELL, "1", "100000")
    result = app.test_cli_runner().invoke(args=["orders", "run", "--once"])
    output = result.output
    assert result.exit_code == 0, output
    assert re.search(r"filled\D*2\D", output) and re.search(r"expired\D*1\D", output), output
    assert [status_of(order) for order in (*fills, late, *waits)] == [
        "COMPLETED",
        "COMPLETED",
        "EXPIRED",
        "PENDING",
        "PENDING",
    ]


def test_sigterm_stops_also_in_the_middle_of_a_round(command, trader, store):
    """What it has begun it finishes; the rest waits for the next worker."""
    for _ in range(60):
        place_limit(trader, Side.BUY, "0.0001", "100000")
    process = command()
    wait_until(lambda: reserved(store, trader) < 600, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert 0 < reserved(store, trader) < 600, "stopped before the round began, or after it ended"


def test_ctrl_c_stops_a_worker_that_sleeps(command, trader):
    order = place_limit(trader, Side.BUY, "0.001", "100000")
    process = command()
    wait_until(lambda: status_of(order) == "COMPLETED", process)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_mail_server_that_hangs_holds_up_no_order(command, trader, endpoint):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.settimeout(60)
        mail = {
            "SMTP_URL": f"smtp://127.0.0.1:{silent.getsockname()[1]}",
            "MAIL_FROM": "orders@shop.example",
            "SITE_URL": "https://orders.example",
        }
        with make_app(endpoint, **TABLES, mail=MailSettings(folder="nowhere")).app_context():
            batch = Batch()
            # By the clock of the process that is to send it.
            now = datetime.now(UTC)
            queue_mail(batch, MailKind.PASSWORD_CHANGED, username=trader, to="ann@example.com", values={}, now=now)
            batch.commit()
        process = command(**mail)
        waiting, _ = silent.accept()
        with closing(waiting):
            order = place_limit(trader, Side.BUY, "0.001", "100000")
            wait_until(lambda: status_of(order) == "COMPLETED", process)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output


def reserved(store: Any, username: str) -> Decimal:
    item = store.get_item(
        TableName=TABLES["users"], Key={"PK": {"S": username}, "SK": {"S": "BALANCE"}}, ConsistentRead=True
    )["Item"]
    return Decimal(item["reserved_cash"]["S"])


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
