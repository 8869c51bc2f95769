"""CoinGecko fails: what stays, and when it is asked again."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from dataclasses import replace

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3.exceptions import MaxRetryError
from urllib3.response import HTTPResponse

from app.domain.errors import PriceUnavailable
from app.prices import CoinGeckoSettings
from app.prices.coingecko import CoinGecko
from app.prices.fetching import _RETRY, MAX_BODY_BYTES
from tests.prices.answers import BITCOIN, CHART, SECOND, answer, body, coin, price
from tests.support.coingecko import NOW

FAILURES = {
    "connect timeout": requests.ConnectTimeout(),
    "read timeout": requests.ReadTimeout(),
    "connection error": requests.ConnectionError(),
    "broken body": requests.exceptions.ChunkedEncodingError(),
    "429": {"status": 429},
    "429 with Retry-After": {"status": 429, "headers": {"Retry-After": "60"}},
    "429 with a date": {"status": 429, "headers": {"Retry-After": "Sat, 14 Mar 2099 15:09:26 GMT"}},
    "429 with nonsense": {"status": 429, "headers": {"Retry-After": "soon"}},
    "429 with a number without end": {"status": 429, "headers": {"Retry-After": "9" * 5000}},
    "500": {"status": 500, "body": "<html>"},
    "503 with Retry-After": {"status": 503, "headers": {"Retry-After": "1"}},
    "401": {"status": 401, "json": {"status": {"error_code": 10002}}},
    "403": {"status": 403},
    "404": {"status": 404, "json": {"error": "coin not found"}},
    "204": {"status": 204},
    "redirect": {"status": 302, "headers": {"Location": "https://elsewhere.example/"}},
    "empty": "",
    "HTML": "<html>Just a moment...</html>",
    "cut off": body()[:-20],
    "not UTF-8": {"body": b'[{"id": "\xff"}]'},
    "bad gzip": {"body": b"not gzip", "headers": {"Content-Encoding": "gzip"}},
    "null": "null",
    "a number": "7",
    "an error with 200": '{"status": {"error_code": 429, "error_message": "rate limit"}}',
    "an empty list": "[]",
    "a list of numbers": "[1, 2.5]",
    "a list of lists": "[[]]",
    "no price": body(coin(current_price="null")),
    "nested without end": "[" * 100_000,
    "an exponent without end": body(coin(current_price="1e" + "9" * 30)),
    "digits without end": body(coin(current_price="9" * 5000)),
    "huge": body() + " " * MAX_BODY_BYTES,
}


EACH_FAILURE = pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*json.loads(BITCOIN), "prices"]), inner, max_size=6)
    ),
    max_leaves=12,
)


COINS = st.fixed_dictionaries(dict.fromkeys(("ath_date", "last_updated", "current_price"), JSON))


class TestFailures:
    @EACH_FAILURE
    def test_at_first_there_is_no_price_and_nothing_else_happens(self, api, source, failure):
        answer(api, copy.deepcopy(failure))
        assert source.quotes() == {} and source.summaries() == {}
        with pytest.raises(PriceUnavailable):
            source.quote("BTC")
        with pytest.raises(PriceUnavailable):
            source.stats("BTC")
        assert 1 <= len(api.calls) <= 3

    @EACH_FAILURE
    def test_later_the_old_price_stays_then_is_stale_then_recovers(self, api, source, clock, failure):
        answer(api, body())
        fresh = source.quote("BTC")
        answer(api, copy.deepcopy(failure))
        clock.wait(31)
        assert source.quote("BTC") == fresh
        clock.wait(70)
        assert source.quote("BTC") == replace(fresh, is_stale=True)
        assert source.stats("BTC").is_stale and source.summaries()["BTC"].is_stale
        answer(api, body(coin(current_price="59000", last_updated='"2026-03-14T15:16:00Z"')))
        clock.wait(301)
        assert str(source.quote("BTC").price) == "59000.00" and not source.quote("BTC").is_stale

    @EACH_FAILURE
    def test_charts_fail_alike(self, api, source, failure):
        answer(api, copy.deepcopy(failure), url=CHART)
        for _ in range(3):
            with pytest.raises(PriceUnavailable):
                source.history("BTC", days=1)
        assert 1 <= len(api.calls) <= 3

    RETRIES = [
        ("500 once", [{"status": 500}, body()], 2),
        ("500 twice", [{"status": 500}, {"status": 502}, body()], 3),
        ("500 three times", [{"status": 500}] * 3 + [body()], 3),
        ("429 once", [{"status": 429}, body()], 2),
        ("429, soon again", [{"status": 429, "headers": {"Retry-After": "2"}}, body()], 2),
        ("429, later", [{"status": 429, "headers": {"Retry-After": "3"}}, body()], 1),
        ("401", [{"status": 401}, body()], 1),
        ("404", [{"status": 404}, body()], 1),
        ("read timeout", [requests.ReadTimeout(), body()], 1),
        ("bad JSON", ["[", body()], 1),
    ]

    @pytest.mark.parametrize("answers, calls", [pytest.param(*each[1:], id=each[0]) for each in RETRIES])
    def test_only_what_may_pass_soon_is_repeated_at_once_and_boundedly(self, api, source, answers, calls):
        answer(api, *answers)
        assert bool(source.quotes()) == (calls == len(answers))
        assert len(api.calls) == calls

    def test_a_connection_is_tried_twice_and_a_body_read_once(self):
        assert (_RETRY.connect, _RETRY.read, _RETRY.total) == (1, 0, 2)

    @pytest.mark.parametrize("seconds, patient", [("0", True), ("2", True), ("3", False)])
    def test_a_retry_waits_as_long_as_asked_or_gives_up(self, seconds, patient):
        response = HTTPResponse(status=429, headers={"Retry-After": seconds})
        if patient:
            assert _RETRY.increment("GET", "/", response).total == 1
        else:
            with pytest.raises(MaxRetryError):
                _RETRY.increment("GET", "/", response)

    PAUSES = [
        pytest.param({"status": 500}, [10, 20, 40, 60, 60], id="500: doubles up to a minute"),
        pytest.param(requests.ConnectionError(), [10, 20, 40, 60, 60], id="connection error: likewise"),
        pytest.param("[]", [10, 10, 10], id="a useless answer: the same each time"),
        pytest.param({"status": 429, "headers": {"Retry-After": "90"}}, [90, 90], id="as long as asked"),
        pytest.param({"status": 429, "headers": {"Retry-After": "86400"}}, [300], id="at most five minutes"),
    ]

    @pytest.mark.parametrize("failure, pauses", PAUSES)
    def test_a_failing_api_is_left_alone_for_longer_and_longer(self, api, source, clock, failure, pauses):
        answer(api, failure)
        source.quotes()
        for pause in pauses:
            calls = len(api.calls)
            for _ in range(pause - 1):
                clock.wait(1)
                source.quotes()
            assert len(api.calls) == calls
            # The next try of an answer may come up to 10 seconds after the pause of the API.
            for _ in range(11):
                clock.wait(1)
                source.quotes()
                if len(api.calls) > calls:
                    break
            assert len(api.calls) > calls

    def test_a_success_ends_the_series_of_failures(self, api, source, clock):
        for _ in range(3):
            answer(api, {"status": 500})
            clock.wait(31)
            source.quotes()
            answer(api, body())
            clock.wait(10)
            assert source.quotes()

    def test_an_api_that_is_down_is_not_asked_for_charts_either(self, api, source):
        answer(api, requests.ReadTimeout())
        source.quotes()
        for days in (1, 7, 30, 365):
            with pytest.raises(PriceUnavailable):
                source.history("BTC", days=days)
        assert len(api.calls) == 1

    def test_a_chart_that_is_not_there_does_not_stop_the_quotes(self, api, source):
        answer(api, {"status": 404}, url=CHART)
        answer(api, body())
        with pytest.raises(PriceUnavailable):
            source.history("BTC", days=1)
        assert price(source)

    @EACH_FAILURE
    def test_a_failing_chart_does_not_stop_the_quotes(self, api, source, clock, failure):
        """People look at charts all the time, and the quotes are asked for as often as ever."""
        answer(api, copy.deepcopy(failure), url=CHART)
        for minute in range(5):
            for days in (1, 7, 30, 365):
                with pytest.raises(PriceUnavailable):
                    source.history("BTC", days=days)
            now = json.dumps((NOW + 60 * minute * SECOND).isoformat())
            answer(api, body(coin(last_updated=now)))
            assert not source.quote("BTC").is_stale
            clock.wait(60)

    def test_charts_that_fail_are_left_alone_together(self, api, source):
        """The pause is of their kind: another span of the same asset is not asked for either."""
        answer(api, requests.ReadTimeout(), url=CHART)
        for days in (1, 7, 30, 365):
            with pytest.raises(PriceUnavailable):
                source.history("BTC", days=days)
        assert len(api.calls) == 1

    def test_a_body_that_drips_is_given_up(self, api, source, monkeypatch):
        answer(api, body())
        ticks = iter(range(0, 1000, 11))
        monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
        assert source.quotes() == {}

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(JSON | COINS)
    def test_no_answer_of_any_kind_raises_anything_else(self, api, clock, value):
        coins = [{"id": "bitcoin", **value} if isinstance(value, dict) else value]
        for text in (json.dumps(value), json.dumps(coins)):
            source = CoinGecko(CoinGeckoSettings(), clock=clock)
            answer(api, text)
            answer(api, text, url=CHART)
            assert all(quote.price > 0 and quote.as_of <= NOW for quote in source.quotes().values())
            with contextlib.suppress(PriceUnavailable):
                assert source.history("BTC", days=30)
