"""How CoinGecko is asked: few calls, by many threads."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Event

import pytest
import requests
import responses

from app.domain.assets import CATALOGUE
from app.domain.errors import PriceUnavailable
from app.prices import CoinGeckoPlan, CoinGeckoSettings, create_price_source
from app.prices.coingecko import CoinGecko
from tests.prices.answers import MARKETS, SECOND, answer, body, coin, price
from tests.support.coingecko import NOW


class TestRequest:
    def test_one_call_for_the_whole_catalogue_serves_everything(self, api, source):
        answer(api, body())
        source.quote("btc"), source.quotes(), source.stats("BTC"), source.summaries(), source.quote("SHIB")
        assert len(api.calls) == 1
        params = api.calls[0].request.params
        assert params["vs_currency"] == "usd" and params["price_change_percentage"] == "24h,7d,30d"
        assert params["ids"].split(",") == [asset.coingecko_id for asset in CATALOGUE.values()]

    def test_it_has_timeouts_and_follows_no_redirect(self, api, source):
        answer(api, body())
        source.quotes()
        assert api.calls[0].request.req_kwargs["timeout"] == (2, 5)

    @pytest.mark.parametrize(
        "settings, address, keys",
        [
            ({}, "https://api.coingecko.com/api/v3", {}),
            ({"api_key": "CG-1"}, "https://api.coingecko.com/api/v3", {"x-cg-demo-api-key": "CG-1"}),
            (
                {"plan": CoinGeckoPlan.PRO, "api_key": "CG-1"},
                "https://pro-api.coingecko.com/api/v3",
                {"x-cg-pro-api-key": "CG-1"},
            ),
            (
                {"url": "http://prices.example", "api_key": "CG-1"},
                "http://prices.example",
                {"x-cg-demo-api-key": "CG-1"},
            ),
            (
                {"url": "http://prices.example", "plan": CoinGeckoPlan.PRO, "api_key": "CG-1"},
                "http://prices.example",
                {"x-cg-pro-api-key": "CG-1"},
            ),
        ],
    )
    def test_each_plan_has_its_address_and_its_header(self, api, clock, settings, address, keys):
        api.get(f"{address}/coins/markets", body=body())
        assert CoinGecko(CoinGeckoSettings(**settings), clock=clock).quotes()
        sent = api.calls[0].request.headers
        assert {name: value for name, value in sent.items() if name.startswith("x-cg-")} == keys

    def test_the_key_is_not_shown(self):
        assert "CG-demo" not in repr(CoinGeckoSettings(api_key="CG-demo"))

    def test_an_unknown_asset_costs_no_call(self, api, source):
        for ask in (source.quote, source.stats, lambda asset_id: source.history(asset_id, days=1)):
            with pytest.raises(PriceUnavailable):
                ask("NOPE")
        assert not api.calls


class TestCache:
    def test_within_30_seconds_nothing_is_asked_again(self, api, source, clock):
        answer(api, body())
        for _ in range(30):
            source.quotes()
            clock.wait(1)
        assert len(api.calls) == 1
        source.quotes()
        assert len(api.calls) == 2

    def test_a_clock_that_was_set_back_does_not_keep_old_prices(self, api, source, clock):
        answer(api, body())
        source.quotes()
        clock.wait(-3600)
        source.quotes()
        assert len(api.calls) == 2

    @pytest.mark.parametrize("age, is_stale", [(120, False), (121, True)])
    def test_a_price_that_comes_old_is_stale_at_once(self, api, source, age, is_stale):
        answer(api, body(coin(last_updated=json.dumps((NOW - age * SECOND).isoformat()))))
        assert source.quote("BTC").is_stale == is_stale
        assert source.quotes()["BTC"].is_stale == is_stale

    def test_the_ages_are_settings(self, api, clock):
        source = CoinGecko(CoinGeckoSettings(cache_seconds=5, max_age_seconds=40), clock=clock)
        answer(api, body(), {"status": 404})
        assert not source.quote("BTC").is_stale
        clock.wait(5)
        source.quotes()
        assert len(api.calls) == 2
        clock.wait(16)
        assert source.quote("BTC").is_stale

    def test_sixteen_threads_make_one_call(self, api, clock):
        source = CoinGecko(CoinGeckoSettings(), clock=clock)

        def slow(request):
            time.sleep(0.05)
            return 200, {}, body()

        api.add_callback(responses.GET, MARKETS, slow)
        with ThreadPoolExecutor(16) as threads:
            prices = list(threads.map(lambda _: source.quote("BTC").price, range(64)))
        assert set(prices) == {Decimal("58241.18")} and len(api.calls) == 1

    def test_sixteen_threads_make_one_call_to_an_api_that_fails(self, api, clock):
        source = CoinGecko(CoinGeckoSettings(), clock=clock)

        def slow(request):
            time.sleep(0.05)
            raise requests.ReadTimeout()

        api.add_callback(responses.GET, MARKETS, slow)
        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(lambda _: source.quotes(), range(64))) == [{}] * 64
        assert len(api.calls) == 1

    @pytest.fixture
    def held(self, api):
        """The API, from now on, answers only when the event is set."""
        asked, go_on = Event(), Event()

        def wait(request):
            asked.set()
            assert go_on.wait(5)
            return 200, {}, body(coin(current_price="60000"))

        def hold():
            api.remove(responses.GET, MARKETS)
            api.add_callback(responses.GET, MARKETS, wait)
            return asked, go_on

        yield hold
        go_on.set()

    def test_while_one_thread_fetches_the_others_have_the_old_price_at_once(self, api, source, clock, held):
        answer(api, body())
        source.quotes()
        clock.wait(31)
        asked, go_on = held()
        with ThreadPoolExecutor(1) as threads:
            fetching = threads.submit(price, source)
            assert asked.wait(5)
            assert [price(source) for _ in range(16)] == [Decimal("58241.18")] * 16
            go_on.set()
            assert fetching.result(5) == price(source) == 60000
        assert len(api.calls) == 2

    def test_without_an_old_price_the_others_wait_but_not_for_ever(self, source, held):
        asked, go_on = held()
        with ThreadPoolExecutor(1) as threads:
            fetching = threads.submit(price, source)
            assert asked.wait(5)
            assert price(source) is None
            go_on.set()
            assert fetching.result(5) == price(source) == 60000


class TestSettings:
    def test_the_factory_makes_one_without_a_call(self, api):
        assert isinstance(create_price_source("coingecko", speed=Decimal(1)), CoinGecko)
        assert not api.calls
