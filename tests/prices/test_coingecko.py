"""CoinGecko: exact prices out of a public API, few calls to it, and calm when it fails."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from threading import Event

import pytest
import requests
import responses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3.exceptions import MaxRetryError
from urllib3.response import HTTPResponse

from app.domain.assets import CATALOGUE
from app.domain.errors import PriceUnavailable
from app.prices import CoinGeckoPlan, CoinGeckoSettings, MarketSummary, create_price_source
from app.prices.coingecko import MAX_POINTS, CoinGecko
from app.prices.fetching import _RETRY, MAX_BODY_BYTES
from tests.support.coingecko import NOW, Clock

SECOND = timedelta(seconds=1)
URL = "https://api.coingecko.com/api/v3"
MARKETS = f"{URL}/coins/markets"
CHART = f"{URL}/coins/bitcoin/market_chart"

# As CoinGecko writes it; the numbers are text here, because their digits matter.
BITCOIN = """{
    "id": "bitcoin", "symbol": "btc", "name": "Bitcoin",
    "image": "https://assets.coingecko.com/coins/images/1/large/bitcoin.png",
    "current_price": 58241.18, "market_cap": 1150263305000, "market_cap_rank": 1,
    "fully_diluted_valuation": 1223064780000, "total_volume": 24826293957.339,
    "high_24h": 59004, "low_24h": 57120.555, "price_change_24h": -232.35889239136668,
    "price_change_percentage_24h": -0.39736, "market_cap_change_24h": -4588982108,
    "circulating_supply": 19750000.0, "total_supply": 21000000.0, "max_supply": 21000000.0,
    "ath": 126080, "ath_change_percentage": -53.80616, "ath_date": "2025-10-06T18:57:42.558Z",
    "atl": 67.81, "atl_change_percentage": 85788.77, "atl_date": "2013-07-06T00:00:00.000Z",
    "roi": null, "last_updated": "2026-03-14T15:09:06.250Z",
    "price_change_percentage_24h_in_currency": -0.39736128,
    "price_change_percentage_30d_in_currency": 12.344999,
    "price_change_percentage_7d_in_currency": -1.005
}"""
SHIBA = """{
    "id": "shiba-inu", "symbol": "shib", "name": "Shiba Inu", "current_price": 1.2e-05,
    "market_cap": 7070400000, "total_volume": 141000000, "high_24h": 1.234567891e-05, "low_24h": 1.19E-5,
    "price_change_24h": -3.1e-7, "price_change_percentage_24h": -2.5, "ath": 8.616e-05,
    "ath_change_percentage": -86.07, "ath_date": "2021-10-28T03:54:55.568Z", "atl": 5.6366e-11,
    "atl_change_percentage": 21289354.1, "atl_date": "2020-11-28T11:26:25.838Z",
    "last_updated": "2026-03-14T15:09:05.000Z"
}"""


def coin(text: str = BITCOIN, **changes: str) -> str:
    """A coin with some fields replaced by JSON text, or left out where that is empty."""
    values = {name: json.dumps(value) for name, value in json.loads(text, parse_float=Digits).items()}
    values |= changes
    return "{" + ", ".join(f'"{name}": {value}' for name, value in values.items() if value) + "}"


class Digits(float):
    """A number that is written with the digits that it was read from."""

    def __new__(cls, digits: str) -> Digits:
        number = super().__new__(cls, digits)
        number.digits = digits
        return number

    def __repr__(self) -> str:
        return self.digits


def body(*coins: str) -> str:
    return "[" + ", ".join(coins or (BITCOIN, SHIBA)) + "]"


def chart_body(*, points: int, step: timedelta, newest: datetime = NOW) -> str:
    times = [newest - (points - 1 - index) * step for index in range(points)]
    rows = [[int(each.timestamp() * 1000), 58000.5 + index] for index, each in enumerate(times)]
    return json.dumps({"prices": rows, "market_caps": rows, "total_volumes": rows})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def source(clock: Clock) -> CoinGecko:
    return CoinGecko(CoinGeckoSettings(), clock=clock, max_wait_seconds=0.2)


def answer(api: responses.RequestsMock, *answers: str | Exception | dict, url: str = MARKETS) -> None:
    """From now on these answers come one after the other, and the last one repeats."""
    api.remove(responses.GET, url)
    for each in answers:
        # As bytes: responses looks at each character of a text.
        text = each.encode() if isinstance(each, str) else each
        api.get(url, **(each if isinstance(each, dict) else {"body": text}))


def price(source: CoinGecko, asset_id: str = "BTC") -> Decimal | None:
    quote = source.quotes().get(asset_id)
    return quote and quote.price


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


class TestReading:
    def test_a_quote_is_as_old_as_the_coin(self, api, source):
        answer(api, body())
        quote = source.quote("btc")
        assert (quote.asset_id, str(quote.price), quote.is_stale) == ("BTC", "58241.18", False)
        assert quote.as_of == datetime(2026, 3, 14, 15, 9, 6, 250_000, tzinfo=UTC)

    STATS = [
        ("BTC", "price", "58241.18"),
        ("BTC", "price_change_24h", "-232.35889239"),
        ("BTC", "price_change_percentage_24h", "-0.40"),
        ("BTC", "price_change_percentage_7d", "-1.00"),
        ("BTC", "price_change_percentage_30d", "12.34"),
        ("BTC", "high_24h", "59004.00"),
        ("BTC", "low_24h", "57120.555"),
        ("BTC", "market_cap", "1150263305000.00"),
        ("BTC", "total_volume_24h", "24826293957.34"),
        ("BTC", "ath", "126080.00"),
        ("BTC", "ath_change_percentage", "-53.81"),
        ("BTC", "ath_date", "2025-10-06 18:57:42.558000+00:00"),
        ("BTC", "atl", "67.81"),
        ("BTC", "atl_change_percentage", "85788.77"),
        ("BTC", "atl_date", "2013-07-06 00:00:00+00:00"),
        ("BTC", "last_updated", "2026-03-14 15:09:06.250000+00:00"),
        ("SHIB", "price", "0.00001200"),
        ("SHIB", "high_24h", "0.00001235"),
        ("SHIB", "price_change_24h", "-3.1E-7"),
        ("SHIB", "atl", "None"),
        ("SHIB", "atl_date", "2020-11-28 11:26:25.838000+00:00"),
        ("SHIB", "price_change_percentage_7d", "None"),
    ]

    @pytest.mark.parametrize("asset_id, field, value", STATS)
    def test_stats(self, api, source, asset_id, field, value):
        answer(api, body())
        read = getattr(source.stats(asset_id), field)
        assert str(read) == value or read == Decimal(value)

    @pytest.mark.parametrize("field", [field.name for field in fields(MarketSummary)])
    def test_summaries_are_as_the_stats(self, api, source, field):
        answer(api, body(SHIBA, BITCOIN))
        summaries = source.summaries()
        assert list(summaries) == ["BTC", "SHIB"], "in the order of the catalogue"
        assert getattr(summaries["BTC"], field) == getattr(source.stats("BTC"), field)

    PRICES = [
        ("58241", "58241.00"),
        ("58241.1", "58241.10"),
        ("58241.123456789", "58241.12345679"),
        ("5.8E4", "58000.00"),
        ("58e3", "58000.00"),
        ("1.2e-05", "0.000012"),
        ("5e-9", None),
        ("6e-9", "0.00000001"),
        ("1000000000", "1000000000.00"),
        ("1000000000.01", None),
        ("0.1000000000000000055511151231257827", "0.10"),
        ("1e999999", None),
        ("1e-999999", None),
        ("0", None),
        ("0.0", None),
        ("-1", None),
        ("-0.0", None),
        ("null", None),
        ("", None),
        ("NaN", None),
        ("Infinity", None),
        ("-Infinity", None),
        ("true", None),
        ('"58241.18"', None),
        ("[1]", None),
        ("{}", None),
        ("9" * 4000, None),
    ]

    @pytest.mark.parametrize("digits, expected", PRICES)
    def test_prices(self, api, source, digits, expected):
        answer(api, body(SHIBA, coin(current_price=digits)))
        read = price(source)
        assert (read and f"{read:f}") == expected
        assert price(source, "SHIB") == Decimal("0.000012"), "the other coins stay"

    UNKNOWN = ["null", "", "NaN", '"many"', "true", "[]", "1e30", "-1e18"]
    NUMBERS = [
        "price_change_24h",
        "price_change_percentage_24h",
        "price_change_percentage_7d_in_currency",
        "price_change_percentage_30d_in_currency",
        "high_24h",
        "low_24h",
        "market_cap",
        "total_volume",
        "ath",
        "ath_change_percentage",
        "ath_date",
        "atl",
        "atl_change_percentage",
        "atl_date",
    ]

    @pytest.mark.parametrize("field", NUMBERS)
    def test_an_unusable_field_is_unknown_and_the_price_stays(self, api, clock, field):
        name = {"total_volume": "total_volume_24h"}.get(field, field.removesuffix("_in_currency"))
        for value in self.UNKNOWN:
            answer(api, body(coin(**{field: value})))
            stats = CoinGecko(CoinGeckoSettings(), clock=clock).stats("BTC")
            assert stats.price and getattr(stats, name) is None, value

    def test_a_coin_of_nothing_but_a_price_is_enough(self, api, source):
        answer(api, '[{"id": "bitcoin", "current_price": 7}]')
        stats = source.stats("BTC")
        assert (stats.price, stats.last_updated, stats.is_stale) == (7, NOW, False)
        known = {"asset_id", "price", "last_updated", "is_stale"}
        assert {getattr(stats, name) for name in stats.__slots__ if name not in known} == {None}

    @pytest.mark.parametrize(
        "field, digits, expected",
        [
            ("market_cap", "0", None),
            ("total_volume", "0.0", None),
            ("market_cap", "-5", None),
            ("price_change_percentage_24h", "-0.001", "0.00"),
            ("price_change_percentage_24h", "0", "0.00"),
            ("ath", "0", None),
            ("high_24h", "-3", None),
        ],
    )
    def test_zero_and_negative_figures(self, api, source, field, digits, expected):
        answer(api, body(coin(**{field: digits})))
        name = {"total_volume": "total_volume_24h"}.get(field, field)
        assert str(getattr(source.stats("BTC"), name)) == str(expected)

    @pytest.mark.parametrize(
        "written, as_of",
        [
            ('"2026-03-14T16:09:00+01:00"', NOW.replace(second=0)),
            ('"2999-01-01T00:00:00Z"', NOW),
            ('"2026-03-14T15:09:00"', NOW),
            ('"yesterday"', NOW),
            ("null", NOW),
            ("1773500000", NOW),
            ('"0001-01-01T00:00:00+14:00"', NOW),
        ],
    )
    def test_times(self, api, source, written, as_of):
        answer(api, body(coin(last_updated=written)))
        assert source.quote("BTC").as_of == as_of

    def test_missing_coins_have_no_quote(self, api, source):
        answer(api, body(SHIBA))
        assert list(source.quotes()) == list(source.summaries()) == ["SHIB"]
        for ask in (source.quote, source.stats):
            with pytest.raises(PriceUnavailable):
                ask("BTC")

    def test_coins_of_no_interest_and_rubbish_between_coins_are_passed_over(self, api, source):
        rubbish = ["1", "null", '"bitcoin"', "[]", "{}", '{"id": ["bitcoin"]}', coin(id='"frogcoin"')]
        answer(api, body(*rubbish, BITCOIN))
        assert list(source.quotes()) == ["BTC"]


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


class TestHistory:
    @pytest.mark.parametrize(
        "days, asked, points, step, expected",
        [
            (1, "1", 289, timedelta(minutes=5), 145),
            (2, "7", 169, timedelta(hours=1), 49),
            (7, "7", 169, timedelta(hours=1), 169),
            (8, "30", 721, timedelta(hours=1), 193),
            (30, "30", 721, timedelta(hours=1), 181),
            (31, "365", 366, timedelta(days=1), 32),
            (365, "365", 366, timedelta(days=1), 183),
        ],
    )
    def test_points_run_evenly_up_to_the_newest(self, api, source, days, asked, points, step, expected):
        answer(api, chart_body(points=points, step=step), url=CHART)
        history = source.history("btc", days=days)
        times = [point.time for point in history]
        assert api.calls[0].request.params == {"vs_currency": "usd", "days": asked}
        assert len(history) == expected <= MAX_POINTS and times[-1] == NOW
        assert len({after - before for before, after in pairwise(times)}) == 1
        assert times[0] - (NOW - timedelta(days=days)) < max(step, times[1] - times[0])
        assert str(history[-1].price) == f"{58000 + points - 1}.50"

    @pytest.mark.parametrize("days", [-1, 0, 366])
    def test_other_spans_are_refused_without_a_call(self, api, source, days):
        with pytest.raises(ValueError, match="1 to 365"):
            source.history("BTC", days=days)
        assert not api.calls

    def test_a_chart_is_kept_for_five_minutes_and_serves_several_spans(self, api, source, clock):
        answer(api, chart_body(points=721, step=timedelta(hours=1)), url=CHART)
        for days in (*range(8, 31), 30):
            source.history("BTC", days=days)
        clock.wait(299)
        source.history("BTC", days=30)
        assert len(api.calls) == 1
        clock.wait(1)
        source.history("BTC", days=30)
        assert len(api.calls) == 2

    def test_an_old_chart_stays_while_the_api_fails_until_its_span_is_over(self, api, source, clock):
        answer(api, chart_body(points=289, step=timedelta(minutes=5)), url=CHART)
        source.history("BTC", days=1)
        answer(api, {"status": 500}, url=CHART)
        clock.wait(3600)
        assert source.history("BTC", days=1)[-1].time == NOW
        clock.wait(24 * 3600)
        with pytest.raises(PriceUnavailable):
            source.history("BTC", days=1)

    def test_the_answer_is_the_callers_own(self, api, source):
        answer(api, chart_body(points=3, step=SECOND), url=CHART)
        source.history("BTC", days=1).clear()
        assert len(source.history("BTC", days=1)) == 3

    ROWS = [
        "1",
        "null",
        "[]",
        '{"time": 1}',
        "[1773500966000]",
        "[1773500966000, 1, 2]",
        "[1773500966000, null]",
        "[1773500966000, 0]",
        "[1773500966000, -1.5]",
        "[1773500966000, NaN]",
        '["now", 1]',
        "[null, 1]",
        "[true, 1]",
        "[1e17, 1]",
        "[-1e17, 1]",
        "[1e400, 1]",
    ]

    @pytest.mark.parametrize("row", ROWS)
    def test_unusable_points_are_left_out(self, api, source, row):
        answer(api, f'{{"prices": [{row}, [1773500965999.7, 1.2e-05], {row}]}}', url=CHART)
        (point,) = source.history("BTC", days=1)
        assert (point.time, str(point.price)) == (NOW, "0.000012")

    @pytest.mark.parametrize(
        "text", ["[]", "{}", "7", '{"prices": null}', '{"prices": {}}', '{"prices": []}', '{"prices": [[1, 0]]}']
    )
    def test_a_chart_of_another_shape_is_none(self, api, source, text):
        answer(api, text, url=CHART)
        with pytest.raises(PriceUnavailable):
            source.history("BTC", days=1)

    def test_points_out_of_order_are_sorted(self, api, source):
        answer(api, '{"prices": [[1773500966000, 2], [1773500960000, 1]]}', url=CHART)
        assert [point.price for point in source.history("BTC", days=1)] == [1, 2]


class TestSettings:
    def test_the_factory_makes_one_without_a_call(self, api):
        assert isinstance(create_price_source("coingecko", speed=Decimal(1)), CoinGecko)
        assert not api.calls
