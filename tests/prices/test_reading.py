"""What is read out of an answer of CoinGecko: exact prices, and nothing that is no figure."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.domain.errors import PriceUnavailable
from app.prices import CoinGeckoSettings, MarketSummary
from app.prices.coingecko import CoinGecko
from tests.prices.answers import BITCOIN, SHIBA, answer, body, coin, price
from tests.support.coingecko import NOW


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
