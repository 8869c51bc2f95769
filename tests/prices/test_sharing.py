"""The quotes of CoinGecko are asked for by one process and read by all: how often, what it costs, what may go wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.domain.assets import CATALOGUE
from app.domain.errors import PriceUnavailable, StoreUnavailable
from app.models.shared_text import SharedText, StoredText
from app.prices import CoinGeckoSettings
from app.prices.coingecko import CoinGecko
from app.prices.sharing import LEASE, OwnText
from tests.support.applications import make_app, tables_named
from tests.support.coingecko import CACHE_SECONDS, NOW, Clock, FakeCoinGecko, fake_coingecko
from tests.support.faults import FaultyStore, drop
from tests.support.usage import metered, usage

ROOT = Path(__file__).parent.parent.parent
TABLES = tables_named("shared")


class Answers:
    """The API, as one process after the other asks it: prices that count up, or failures."""

    def __init__(self, api: Any) -> None:
        self.asked = 0
        self.status = 200
        self.headers: dict[str, str] = {}
        self.clock: Clock | None = None
        api.add_callback("GET", "https://api.coingecko.com/api/v3/coins/markets", self)

    def __call__(self, request: Any) -> tuple[int, dict[str, str], bytes]:
        self.asked += 1
        moment = (self.clock() if self.clock else NOW).isoformat()
        # As long as real ones.
        figures = {"market_cap": 1150263305000, "total_volume": 24826293957.339, "high_24h": 59004, "low_24h": 57120.5}
        changes = {"price_change_24h": -232.35889239136668, "price_change_percentage_24h": -0.39736}
        ever = {"ath": 126080, "ath_date": moment, "ath_change_percentage": -53.80616, "atl": 67.81, "atl_date": moment}
        coins = [
            {
                "id": asset.coingecko_id,
                "current_price": self.asked,
                "last_updated": moment,
                **figures,
                **changes,
                **ever,
            }
            for asset in CATALOGUE.values()
        ]
        return self.status, self.headers, json.dumps(coins).encode()


@pytest.fixture(scope="module")
def shared_app(endpoint: str) -> Flask:
    return make_app(endpoint, **TABLES)


@pytest.fixture(autouse=True)
def _context(shared_app: Flask) -> Iterator[None]:
    with shared_app.app_context():
        yield
        for item in SharedText.scan():
            item.delete()


@pytest.fixture
def answers(clock: Clock) -> Iterator[Answers]:
    import responses

    with responses.RequestsMock(assert_all_requests_are_fired=False) as api:
        made = Answers(api)
        made.clock = clock
        yield made


def processes(number: int, clock: Clock, text: Any = None, **settings: int) -> list[CoinGecko]:
    """Price sources that share nothing but the store, as those of different processes."""
    shared = text or StoredText("quotes")
    return [CoinGecko(CoinGeckoSettings(**settings), shared, clock=clock) for _ in range(number)]


def seen_by(sources: list[CoinGecko]) -> list[int]:
    return [int(source.quote("BTC").price) for source in sources]


@pytest.mark.parametrize("number", [1, 2, 12])
def test_the_api_is_asked_as_often_whatever_the_number_of_processes(answers, clock, number):
    sources = processes(number, clock)
    for _ in range(300):
        assert set(seen_by(sources)) == {answers.asked}
        clock.wait(1)
    assert answers.asked == 10


@pytest.mark.parametrize("cache_seconds", [3, 30, 300, 303, 3600])
def test_the_processes_ask_as_often_as_the_settings_say(answers, clock, cache_seconds):
    sources = processes(2, clock, OwnText(), cache_seconds=cache_seconds, max_age_seconds=2 * cache_seconds)
    for tick in range(7):
        assert seen_by(sources) == [1 + tick // 3] * 2
        clock.wait(cache_seconds / 3)
    assert answers.asked == 3


@pytest.mark.parametrize("behind", [1, 29, 60, 250, 400, -1, -60, -400])
def test_a_process_whose_clock_differs_has_the_newest_price_as_often(answers, clock, behind):
    """In any 30 seconds of its own: it must not trade at a price that the others replaced long ago."""
    text = OwnText()
    [source] = processes(1, clock, text)
    other_clock = Clock()
    other_clock.wait(-behind)
    [other] = processes(1, other_clock, text)
    for _ in range(300):
        [newest], [seen] = seen_by([source]), seen_by([other])
        assert newest - seen <= 1
        clock.wait(1)
        other_clock.wait(1)


def test_what_the_processes_cost(answers, clock):
    """Twenty-five coins: a read for each process, and two writes for the one that asks."""
    asker, reader = processes(2, clock)
    costs = []
    for source in (asker, reader, asker, reader):
        with metered() as meter:
            source.quotes()
        costs.append(usage(meter.calls, meter.read_units, meter.write_units))
    assert len(CATALOGUE) == 25
    assert costs[:2] == [usage(3, "0.5", 8), usage(1, 1, 0)], "the first lease is written without quotes"
    assert costs[2:] == [usage(0, 0, 0)] * 2
    clock.wait(30)
    with metered() as meter:
        reader.quotes()
    assert usage(meter.calls, meter.read_units, meter.write_units) == usage(3, 1, 14)


def test_every_figure_arrives_as_it_was_read(answers, clock):
    first, second = processes(2, clock)
    for asset_id in CATALOGUE:
        assert repr(first.stats(asset_id)) == repr(second.stats(asset_id))
    assert first.summaries() == second.summaries() and first.quotes() == second.quotes()
    assert answers.asked == 1


def test_a_process_that_dies_while_it_asks_is_replaced(answers, clock, monkeypatch):
    dead, other = processes(2, clock)
    seen_by([dead, other])
    clock.wait(30)

    class Killed(BaseException):
        """The process is gone."""

    with monkeypatch.context() as patch:

        def die(request: Any) -> Any:
            raise Killed

        patch.setattr(Answers, "__call__", lambda self, request: die(request))
        with pytest.raises(Killed):
            dead.quotes()
    for _ in range(int(LEASE.total_seconds())):
        assert seen_by([other]) == [1], "the old price, while the lease lasts"
        clock.wait(1)
    clock.wait(2)
    assert seen_by([other]) == [2]


def test_a_failing_api_is_left_alone_by_all(answers, clock):
    """As long by six processes as by one: each failure makes the pause of all longer."""
    sources = processes(6, clock)
    answers.status, answers.headers = 500, {"Retry-After": "3"}
    asked_at = []
    for second in range(200):
        before = answers.asked
        for source in sources:
            assert source.quotes() == {}
        asked_at += [second] * (answers.asked - before)
        clock.wait(1)
    assert asked_at == [0, 10, 30, 70, 130, 190]
    answers.status = 200
    clock.wait(60)
    assert set(seen_by(sources)) == {answers.asked}


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_was_wrong_does_not_keep_the_others_from_asking(answers, clock, hours):
    wrong = Clock()
    wrong.wait(hours * 3600)
    processes(1, wrong)[0].quotes()
    clock.wait(1)
    [source] = processes(1, clock)
    assert source.quotes() and answers.asked == 2


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"answer": 1, "next_at": "x"}', '{"next_at": null}'])
def test_a_text_that_nobody_understands_is_replaced(answers, clock, text):
    StoredText("quotes").replace(text, version=0)
    assert seen_by(processes(2, clock)) == [1, 1]


@pytest.mark.parametrize("answer", ["1", "[]", "{}", '{"": ["price"], "BTC": ["x"]}', '{"": [], "BTC": 1}'])
def test_quotes_that_nobody_understands_are_none_until_the_next_request(answers, clock, answer):
    next_at = (NOW + timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    note = f'{{"answer": {answer}, "next_at": "{next_at}", "asking": false, "failures": 0}}'
    StoredText("quotes").replace(note, version=0)
    [source] = processes(1, clock)
    assert source.quotes() == {}
    clock.wait(20)
    assert seen_by([source]) == [1]


class FailingText(OwnText):
    """A store of which any call may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: set[str] = set()

    def read(self) -> tuple[str, int]:
        if "read" in self.fails:
            raise StoreUnavailable()
        return super().read()

    def replace(self, text: str, *, version: int) -> bool:
        kind = "lease" if '"asking":true' in text else "answer"
        if kind in self.fails:
            raise StoreUnavailable()
        return super().replace(text, version=version)


@pytest.mark.parametrize("fails", ["read", "lease", "answer"])
def test_a_failing_store_leaves_each_process_what_it_has(answers, clock, fails):
    text = FailingText()
    one, other = processes(2, clock, text)
    assert seen_by([one, other]) == [1, 1]
    text.fails = {fails}
    clock.wait(30)
    own = 2 if fails == "answer" else 1
    assert seen_by([one, other]) == [own, 1], "who could ask has its answer, though nobody else has"
    clock.wait(91 if fails != "answer" else 0)
    assert one.quote("BTC").is_stale == (fails != "answer"), "an old price is not traded on"
    text.fails = set()
    clock.wait(45)
    latest = seen_by([one, other])
    assert latest == [answers.asked] * 2 and not one.quote("BTC").is_stale


def test_without_a_store_there_is_no_price_and_nothing_else_happens(answers, clock):
    text = FailingText()
    text.fails = {"read"}
    [source] = processes(1, clock, text)
    assert source.quotes() == {} and not answers.asked
    with pytest.raises(PriceUnavailable):
        source.quote("BTC")


@pytest.fixture
def fake() -> Iterator[FakeCoinGecko]:
    with fake_coingecko() as made:
        yield made


def test_real_processes_ask_as_often_as_one(endpoint, fake):
    """They start at the same moment, ask for prices all the time, and each sees what one of them was told."""
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.support.coingecko", fake.url, endpoint, "3"]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) for _ in range(3)
    ]
    try:
        seen = [set(json.loads(process.communicate(timeout=120)[0])) for process in running]
    finally:
        for process in running:
            process.kill()
    elapsed = time.monotonic() - started
    assert 2 <= fake.requests <= elapsed / CACHE_SECONDS + 1
    assert all(prices <= set(range(1, fake.requests + 1)) for prices in seen), "nobody was without a price"


def test_a_store_that_does_not_answer_is_one_line_in_the_log(answers, clock, faults: FaultyStore, endpoint, caplog):
    app = make_app(faults.endpoint, **TABLES)
    with app.app_context():
        [source] = processes(1, clock)
        assert seen_by([source]) == [1]
        clock.wait(30)
        faults.inject("GetItem", drop, drop, drop)
        assert seen_by([source]) == [1]
    assert [record.message for record in caplog.records if record.name == "app.prices.fetching"] == [
        "No new prices: the shared prices could not be read: StoreUnavailable"
    ]
    assert isinstance(source.quote("BTC").price, Decimal)
