"""The simulated market: the same for everyone, within bounds, alive, and consistent with itself."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import money
from app.domain.assets import CATALOGUE
from app.domain.errors import PriceUnavailable
from app.prices import MarketSummary, create_price_source
from app.prices.simulated import EPOCH, SimulatedMarket, price_at, price_bounds

NOW = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
BTC = CATALOGUE["BTC"]

ALL_ASSETS = [pytest.param(asset, id=asset.asset_id) for asset in CATALOGUE.values()]
THREE_ASSETS = [pytest.param(CATALOGUE[asset_id], id=asset_id) for asset_id in ("BTC", "SHIB", "MATIC")]
ASSETS = st.sampled_from(list(CATALOGUE.values()))
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
SPEEDS = st.decimals(Decimal("0.001"), 10_000, places=3)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, time: datetime = NOW) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def market(clock: Clock) -> SimulatedMarket:
    return SimulatedMarket(clock=clock)


class TestDeterminism:
    PINNED = [
        ("BTC", EPOCH, "67685.82"),
        ("BTC", NOW, "58241.18"),
        ("DOGE", NOW, "0.06670"),
        ("SHIB", NOW, "0.00001337"),
        ("ETH", EPOCH - 400 * DAY, "3142.86"),
        ("ETH", EPOCH + 9_000 * DAY, "2777.74"),
    ]

    @pytest.mark.parametrize("asset_id, time, price", PINNED)
    def test_a_price_is_the_same_on_every_platform(self, asset_id, time, price):
        assert str(price_at(CATALOGUE[asset_id], time)) == price

    def test_another_process_sees_the_same_prices(self, market):
        program = (
            "from datetime import datetime\n"
            "from app.prices.simulated import SimulatedMarket\n"
            f"market = SimulatedMarket(clock=lambda: datetime.fromisoformat('{NOW.isoformat()}'))\n"
            "for quote in market.quotes().values(): print(quote.asset_id, quote.price)\n"
            "print(market.stats('ETH'))"
        )
        seeds = {"PYTHONHASHSEED": "12345" if os.environ.get("PYTHONHASHSEED") != "12345" else "54321"}
        output = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env=os.environ | seeds,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        quotes = [f"{quote.asset_id} {quote.price}" for quote in market.quotes().values()]
        assert output == [*quotes, str(market.stats("ETH"))]

    def test_two_markets_agree_whatever_they_were_asked_before(self, market, clock):
        other = SimulatedMarket(clock=clock)
        other.stats("SOL")
        other.history("SOL", days=30)
        assert other.stats("SOL") == market.stats("SOL")

    def test_assets_do_not_move_alike(self, market):
        changes = {summary.price_change_percentage_24h for summary in market.summaries().values()}
        assert len(changes) > 20


class TestBounds:
    @pytest.mark.parametrize("asset", ALL_ASSETS)
    def test_prices_of_thirty_years_stay_within_the_bounds(self, asset):
        lowest, highest = price_bounds(asset)
        step = timedelta(days=73, seconds=12_347)
        prices = [price_at(asset, EPOCH + index * step) for index in range(-30, 120)]
        assert 0 < lowest <= min(prices) and max(prices) <= highest

    def test_btc_stays_under_100000(self):
        assert price_bounds(BTC)[1] < 100_000

    def test_every_asset_wanders_by_a_tenth_and_more_within_years(self):
        for asset in CATALOGUE.values():
            prices = [price_at(asset, EPOCH + index * 60 * DAY) for index in range(30)]
            assert min(prices) < asset.base_price * Decimal("0.9"), asset.asset_id
            assert max(prices) > asset.base_price * Decimal("1.1"), asset.asset_id

    @settings(max_examples=50)
    @given(ASSETS, TIMES)
    def test_any_time_has_a_price_within_the_bounds_at_the_decimals_of_the_asset(self, asset, time):
        price = price_at(asset, time)
        lowest, highest = price_bounds(asset)
        assert 0 < lowest <= price <= highest
        assert -price.as_tuple().exponent == asset.price_decimals


class TestLiveliness:
    HOURS = [NOW + 37 * timedelta(hours=index) for index in range(40)]

    def _btc(self, start: datetime, *, count: int, step: timedelta) -> list[Decimal]:
        return [price_at(BTC, start + index * step) for index in range(count)]

    def test_a_reload_after_five_seconds_shows_another_price(self):
        changed = [len(set(self._btc(hour, count=2, step=5 * SECOND))) == 2 for hour in self.HOURS]
        assert sum(changed) >= 38

    def test_a_second_moves_the_price_by_less_than_a_tenth_of_a_percent(self):
        prices = self._btc(NOW, count=300, step=SECOND)
        assert max(abs(after / before - 1) for before, after in pairwise(prices)) < Decimal("0.001")

    def test_within_an_hour_the_price_ranges_over_a_percent_or_two(self):
        hours = [self._btc(hour, count=31, step=timedelta(minutes=2)) for hour in self.HOURS]
        ranges = [max(prices) / min(prices) - 1 for prices in hours]
        assert Decimal("0.01") < median(ranges) < Decimal("0.02")
        assert min(ranges) > Decimal("0.003") and max(ranges) < Decimal("0.06")

    def test_every_asset_moves_within_the_hour(self):
        instants = [NOW + timedelta(minutes=minutes) for minutes in range(0, 61, 3)]
        for asset in CATALOGUE.values():
            assert len({price_at(asset, instant) for instant in instants}) >= 3, asset.asset_id

    def test_longer_spans_move_the_price_further(self):
        def typical_move(span: timedelta) -> Decimal:
            starts = [EPOCH + index * 17 * DAY for index in range(60)]
            return median(abs(price_at(BTC, start + span) / price_at(BTC, start) - 1) for start in starts)

        moves = [typical_move(span) for span in (60 * SECOND, 3600 * SECOND, DAY, 30 * DAY, 365 * DAY)]
        assert moves == sorted(moves) and moves[-1] > Decimal("0.05")


class TestSpeedAndResolution:
    @settings(max_examples=50)
    @given(ASSETS, TIMES, SPEEDS)
    def test_a_faster_market_shows_the_price_of_its_own_later_time(self, asset, time, speed):
        # Exact reference arithmetic: thousandths of the speed times microseconds, floored to the second.
        second = (time - EPOCH) // timedelta(microseconds=1) * int(speed * 1000) // 1_000_000_000
        try:
            market_time = EPOCH + timedelta(seconds=second)
        except OverflowError:
            market_time = None
        quote = SimulatedMarket(speed=speed, clock=Clock(time)).quote(asset.asset_id)
        assert quote.as_of == time
        assert market_time is None or quote.price == price_at(asset, market_time)

    @pytest.mark.parametrize("speed", [1, Decimal("1.0")])
    def test_at_speed_one_the_market_lives_in_real_time(self, speed, clock):
        assert SimulatedMarket(speed=speed, clock=clock).quote("BTC").price == price_at(BTC, NOW)

    def test_the_epoch_is_where_markets_of_any_speed_meet(self):
        markets = [SimulatedMarket(speed=speed, clock=Clock(EPOCH)) for speed in (1, 60, 3600)]
        assert {market.quote("BTC").price for market in markets} == {price_at(BTC, EPOCH)}

    def test_within_one_second_of_the_market_the_price_stands_still(self):
        start = NOW.replace(microsecond=0)
        later = [timedelta(microseconds=micros) for micros in (1, 500_000, 999_999)]
        assert {price_at(BTC, start + offset) for offset in later} == {price_at(BTC, start)}
        assert price_at(BTC, start + SECOND) != price_at(BTC, start)

    def test_a_fast_market_moves_within_one_real_second(self, clock):
        market = SimulatedMarket(speed=60, clock=clock)
        before = market.quote("BTC").price
        clock.time += SECOND / 2
        assert market.quote("BTC").price != before

    @pytest.mark.parametrize("speed", [0, -1, Decimal("NaN"), Decimal("Infinity")])
    def test_a_speed_that_is_no_number_above_zero_is_refused(self, speed):
        with pytest.raises(ValueError, match="speed"):
            SimulatedMarket(speed=speed)


class TestQuotes:
    def test_quotes_hold_the_whole_catalogue_at_one_instant(self, market):
        quotes = market.quotes()
        assert list(quotes) == list(CATALOGUE)
        assert {quote.as_of for quote in quotes.values()} == {NOW}
        assert not any(quote.is_stale for quote in quotes.values())

    @pytest.mark.parametrize("asset", THREE_ASSETS)
    def test_one_quote_is_the_one_among_all(self, market, asset):
        assert market.quote(asset.asset_id.lower()) == market.quotes()[asset.asset_id]

    @pytest.mark.parametrize("asset_id", ["NOPE", "", "BTC#BUY"])
    @pytest.mark.parametrize("ask", ["quote", "stats", "history"])
    def test_an_unknown_asset_has_no_price(self, market, ask, asset_id):
        options = {"days": 1} if ask == "history" else {}
        with pytest.raises(PriceUnavailable):
            getattr(market, ask)(asset_id, **options)

    def test_the_default_clock_tells_the_present_in_utc(self):
        before = datetime.now(UTC)
        as_of = SimulatedMarket().quote("BTC").as_of
        assert before <= as_of <= datetime.now(UTC) and as_of.utcoffset() == timedelta(0)


class TestHistory:
    @pytest.mark.parametrize("speed", [1, Decimal("0.5"), 60])
    @pytest.mark.parametrize("days", [1, 7, 30, 365])
    def test_points_run_from_days_ago_to_now_evenly_between(self, clock, days, speed):
        market = SimulatedMarket(speed=speed, clock=clock)
        points = market.history("btc", days=days)
        times = [point.time for point in points]
        assert times[0] == NOW - days * DAY and times[-1] == NOW
        steps = [after - before for before, after in pairwise(times)]
        assert len(set(steps[1:-1])) == 1 and min(steps) > timedelta(0) and max(steps) == steps[1]
        assert 100 <= len(points) <= 200
        assert points[-1].price == market.quote("BTC").price

    def test_each_point_is_the_price_that_was_quoted_then(self, clock):
        market = SimulatedMarket(speed=Decimal("2.5"), clock=clock)
        for point in market.history("ADA", days=3)[::20]:
            clock.time = point.time
            assert market.quote("ADA").price == point.price

    @pytest.mark.parametrize("days", [-1, 0, 366])
    def test_other_spans_are_refused(self, market, days):
        with pytest.raises(ValueError, match="1 to 365"):
            market.history("BTC", days=days)


class TestStats:
    @pytest.mark.parametrize("asset", THREE_ASSETS)
    def test_stats_agree_with_quote_history_and_supply(self, market, asset):
        stats, quote = market.stats(asset.asset_id), market.quote(asset.asset_id)
        day_ago, week_ago, month_ago = (market.history(asset.asset_id, days=days)[0].price for days in (1, 7, 30))
        assert (stats.asset_id, stats.price, stats.last_updated) == (asset.asset_id, quote.price, NOW)
        assert stats.price_change_24h == quote.price - day_ago
        assert stats.price_change_percentage_24h == money.percentage(quote.price - day_ago, day_ago)
        assert stats.price_change_percentage_7d == money.percentage(quote.price - week_ago, week_ago)
        assert stats.price_change_percentage_30d == money.percentage(quote.price - month_ago, month_ago)
        assert stats.market_cap == money.value_of(asset.circulating_supply, quote.price)

    @settings(max_examples=12)
    @given(ASSETS, TIMES, st.sampled_from([1, 60]))
    def test_records_enclose_what_they_are_records_of(self, asset, time, speed):
        clock = Clock(time)
        market = SimulatedMarket(speed=speed, clock=clock)
        stats = market.stats(asset.asset_id)
        assert stats.atl <= stats.low_24h <= stats.price <= stats.high_24h <= stats.ath
        assert stats.ath_change_percentage <= 0 <= stats.atl_change_percentage
        for date, record in ((stats.ath_date, stats.ath), (stats.atl_date, stats.atl)):
            assert time - 365 * DAY <= date <= time
            clock.time = date
            assert market.quote(asset.asset_id).price == record

    @pytest.mark.parametrize("asset_id", ["BTC", "BNB", "SOL"])
    def test_high_and_low_are_those_of_each_quarter_hour(self, market, asset_id):
        stats = market.stats(asset_id)
        newest = NOW.replace(minute=0, second=0, microsecond=0)
        quarter_hours = [newest - index * timedelta(minutes=15) for index in range(96)]
        prices = [price_at(CATALOGUE[asset_id], instant) for instant in quarter_hours]
        assert stats.high_24h == max(*prices, stats.price)
        assert stats.low_24h == min(*prices, stats.price)

    @pytest.mark.parametrize(
        "asset_id, time",
        [
            pytest.param("BTC", NOW, id="both records at some midnight"),
            pytest.param("ETH", datetime(2025, 4, 6, 9, tzinfo=UTC), id="highest within the last day"),
            pytest.param("BTC", datetime(2025, 12, 14, 9, tzinfo=UTC), id="lowest within the last day"),
        ],
    )
    def test_records_are_those_of_each_midnight_and_the_last_day(self, asset_id, time):
        stats = SimulatedMarket(clock=Clock(time)).stats(asset_id)
        newest = time.replace(hour=0, minute=0, second=0, microsecond=0)
        prices = [price_at(CATALOGUE[asset_id], newest - index * DAY) for index in range(365)]
        assert stats.ath == max(*prices, stats.high_24h)
        assert stats.atl == min(*prices, stats.low_24h)

    def test_the_next_quarter_hour_and_day_are_noticed(self, market, clock):
        for step in (timedelta(minutes=15), DAY):
            clock.time += step
            market.stats("BTC")
        assert market.stats("BTC") == SimulatedMarket(clock=clock).stats("BTC")

    @pytest.mark.parametrize("asset", THREE_ASSETS)
    def test_a_day_trades_one_to_seven_percent_of_the_market(self, market, asset):
        stats = market.stats(asset.asset_id)
        assert Decimal("0.0099") < stats.total_volume_24h / stats.market_cap <= Decimal("0.07")

    @pytest.mark.parametrize("field", [field.name for field in fields(MarketSummary)])
    def test_summaries_hold_the_whole_catalogue_as_in_the_stats(self, market, field):
        summaries, stats = market.summaries(), market.stats("BTC")
        assert list(summaries) == list(CATALOGUE)
        assert getattr(summaries["BTC"], field) == getattr(stats, field)


class TestFactory:
    def test_simulated(self):
        assert isinstance(create_price_source("simulated", speed=Decimal(2)), SimulatedMarket)

    def test_the_speed_is_passed_on(self):
        with pytest.raises(ValueError, match="speed"):
            create_price_source("simulated", speed=Decimal(0))

    @pytest.mark.parametrize("name", ["", "Simulated", "oracle"])
    def test_another_name_is_refused_with_the_choices(self, name):
        with pytest.raises(ValueError, match="simulated"):
            create_price_source(name, speed=Decimal(1))
