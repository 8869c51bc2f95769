"""Copies are replaced while people act: no request fails, and each change that was acknowledged is there once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from decimal import Decimal
from threading import Event

import pytest

from tests.proxy.conftest import Copies, through
from tests.support.nginx import Proxy
from tests.support.server import Caller

pytestmark = pytest.mark.engine
CLIENTS = 6


def test_a_rolling_restart_fails_no_request(copies: Copies, proxy: Proxy) -> None:
    """Half of the clients keep their connection, the others make one for each request; none sends anything again."""
    over = Event()
    with through(copies, proxy).account(callers=CLIENTS, deposit="1.00") as ann:

        def kept(number: int) -> AbstractContextManager[Caller]:
            return nullcontext(ann.callers[number])

        def new() -> Caller:
            return Caller(proxy.address, ann.callers[0].token, certificate=proxy.certificate)

        def act(number: int) -> Counter[str]:
            seen: Counter[str] = Counter()
            while not over.is_set():
                with kept(number) if number % 2 else closing(new()) as own:
                    seen[f"deposit {own.post('/balance/deposit', {'amount': '0.01'}).status_code}"] += 1
                    seen[f"read {own.get('/portfolio').status_code}"] += 1
                    seen[f"page {own.session.get(f'{proxy.address}/login', timeout=30).status_code}"] += 1
            return seen

        with ThreadPoolExecutor(CLIENTS) as pool:
            acting = [pool.submit(act, number) for number in range(CLIENTS)]
            try:
                for number in (1, 2):
                    copies.stop(number)
                    copies.start(number)
                    copies.wait_for(number)
            finally:
                over.set()
            seen = sum((each.result() for each in acting), Counter())
        print(dict(seen))
        assert seen.keys() == {"deposit 201", "read 200", "page 200"}
        assert Decimal(ann.get("/balance").json()["current_balance"]) == 1 + seen["deposit 201"] * Decimal("0.01")


def test_requests_wait_where_no_copy_runs_for_a_moment(copies: Copies, proxy: Proxy) -> None:
    """As where the only copy is replaced: the socket stays."""
    with through(copies, proxy).account() as ann, ThreadPoolExecutor(1) as pool:
        for number in (1, 2):
            copies.stop(number)
        try:
            waiting = pool.submit(ann.post, "/balance/deposit", {"amount": "0.01"})
        finally:
            for number in (1, 2):
                copies.start(number)
        assert waiting.result().status_code == 201
        for number in (1, 2):
            copies.wait_for(number)
