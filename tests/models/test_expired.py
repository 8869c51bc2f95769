"""What is past its `ttl` is deleted a little at a time, where the database does not do it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.models.database import Database
from app.models.expired import REST, ROWS_OF_A_STEP, Sweeper
from app.models.idempotency import IdempotencyClaim
from app.models.rate_limits import RateLimit, add_hit
from app.models.users import Token, UsersItem, add_token
from tests.support.accounts import open_trader
from tests.support.applications import make_app, tables_named
from tests.support.sweeping import sweep_all
from tests.support.usage import metered

ROOT = Path(__file__).parent.parent.parent
TABLES = tables_named("expired")
NOW = datetime.fromisoformat("2026-06-15T12:00:00.400000+00:00")
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def expired_app(endpoint: str) -> Flask:
    return make_app(endpoint, **TABLES)


@pytest.fixture(autouse=True)
def _context(expired_app: Flask) -> Iterator[None]:
    with expired_app.app_context(), clock.at(NOW):
        yield
        for item in UsersItem.scan():
            item.delete()


def claim(name: str, ttl: datetime) -> IdempotencyClaim:
    made = IdempotencyClaim(*IdempotencyClaim.key("ann", name), fingerprint="f", reference="r", created_at=NOW, ttl=ttl)
    made.save()
    return made


def token(number: int, ttl: datetime) -> Token:
    key = Token.key("ann", f"{number:016d}")
    text = {"username": "ann", "token_id": key[1], "secret_hash": "x", "name": "n", "scopes": "read"}
    made = Token(*key, **text, created_at=NOW, expires_at=ttl, ttl=ttl)
    add_token(made)
    return made


def kept() -> set[tuple[str, str]]:
    return {(item.PK, item.SK) for item in UsersItem.scan(consistent_read=True)}


@pytest.mark.parametrize(
    ("ttl", "is_deleted"),
    [
        (NOW - timedelta(days=400), True),
        (NOW - 2 * SECOND, True),
        (NOW, False),
        (NOW + SECOND, False),
        (NOW + timedelta(days=30), False),
    ],
    ids=["long ago", "just over", "this very second", "soon", "in a month"],
)
def test_every_kind_of_item_goes_once_its_time_is_over(ttl: datetime, is_deleted: bool) -> None:
    items = [claim("k", ttl), token(1, ttl)]
    with clock.at(ttl - SECOND):
        add_hit(RateLimit("log-in", 10, 1), "ann", now=clock.now())
    assert sweep_all(Sweeper()) == (3 if is_deleted else 0)
    assert {(item.PK, item.SK) for item in items} & kept() == (
        set() if is_deleted else {(item.PK, item.SK) for item in items}
    )


def test_what_has_no_ttl_stays() -> None:
    open_trader("100", BTC="1")
    before = kept()
    assert len(before) > 4
    with clock.at(NOW + timedelta(days=4000)):
        sweep_all(Sweeper())
    assert kept() == before


def test_a_step_is_small_and_the_next_one_goes_on(expired_app: Flask) -> None:
    past, number = NOW - timedelta(days=1), 3 * ROWS_OF_A_STEP
    for index in range(number):
        claim(f"past {index}", past)
        claim(f"lives {index}", NOW + timedelta(days=1))
    sweeper, steps = Sweeper(), 0
    while any("past" in key[1] for key in kept()):
        with metered() as meter:
            assert sweeper.sweep() <= ROWS_OF_A_STEP
        assert meter.calls <= 1 + ROWS_OF_A_STEP
        steps += 1
    assert steps >= 2 * number // ROWS_OF_A_STEP - 1
    assert len(kept()) == number


def test_after_the_last_row_it_rests(expired_app: Flask) -> None:
    sweeper = Sweeper()
    sweep_all(sweeper)
    late = claim("late", NOW - timedelta(days=1))
    with clock.at(NOW + REST - SECOND), metered() as meter:
        assert (sweeper.sweep(), meter.calls) == (0, 0)
    with clock.at(NOW - timedelta(days=1)), metered() as meter:
        assert (sweeper.sweep(), meter.calls) == (0, 1), "the clock was set back"
    with clock.at(NOW + REST):
        assert sweeper.sweep() == 1
    assert (late.PK, late.SK) not in kept()


def test_what_is_renewed_meanwhile_stays(faults: Any) -> None:
    """Between the look and the deletion, a new request with the same key may have taken the claim's place."""
    renewed = claim("k", NOW - timedelta(days=1))

    def renew(forwarder: Any, sent: bytes) -> Any:
        with direct.app_context():
            claim("k", NOW + timedelta(days=30))
        return forwarder.forward(sent)

    direct, app = make_app(faults._engine, **TABLES), make_app(faults.endpoint, **TABLES)
    faults.inject("DeleteItem", renew)
    with app.app_context(), clock.at(NOW):
        assert Sweeper().sweep() == 0
    assert (renewed.PK, renewed.SK) in kept() and not faults.waiting


@pytest.mark.parametrize(
    ("endpoint_of", "deletes"),
    [
        (None, True),
        ("https://dynamodb.eu-central-1.amazonaws.com", True),
        ("https://vpce-1.dynamodb.eu-central-1.vpce.amazonaws.com:443", True),
        ("https://dynamodb.cn-north-1.amazonaws.com.cn", True),
        ("http://127.0.0.1:8001", False),
        ("http://dynamodb:8000", False),
        ("http://notamazonaws.com", False),
        ("http://dynamodb.amazonaws.com.example.org", False),
    ],
)
def test_aws_deletes_by_itself(endpoint_of: str | None, deletes: bool) -> None:
    somewhere = Database(endpoint=endpoint_of, region="eu-central-1", table_names=TABLES)
    assert somewhere.deletes_expired is deletes
    if deletes:
        # Nothing answers there: a call would fail.
        with somewhere.active() as meter:
            assert (Sweeper().sweep(), meter.calls) == (0, 0)


def test_the_worker_sweeps(endpoint: str) -> None:
    with clock.at(clock.now() + timedelta(days=1)):
        open_trader("1")
    gone = claim("k", NOW - timedelta(days=1))
    settings = {
        **os.environ,
        "DYNAMODB_ENDPOINT": endpoint,
        "SECRET_KEY": "a secret for tests only",
        "USERS_TABLE": TABLES["users"],
        "ORDERS_TABLE": TABLES["orders"],
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", "orders", "run"], cwd=ROOT, env=settings
    )
    try:
        deadline = time.monotonic() + 60
        while (gone.PK, gone.SK) in kept():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0
