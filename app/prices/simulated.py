"""The simulated market, a price source that needs no network and no state.

A price is a pure function of the asset and the time, made of value noise. That is pseudo-random values at regular
instants, joined by smooth curves, at ten time scales from a minute to half a year. The arithmetic uses only integers,
because floats and libm differ between platforms. So every process and machine sees the same market. Every price has
exactly the asset's `price_decimals`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from app.domain import money
from app.domain.assets import CATALOGUE, Asset
from app.prices import MarketStats, MarketSummary, PricePoint, PriceSource, Quote, check_history_days, get_priced_asset

HISTORY_STEPS = 192

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_QUARTER_HOUR = timedelta(minutes=15)
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)


class _Octave(NamedTuple):
    period_seconds: int
    amplitude_ppm: int


# Amplitudes grow about as the square root of the period, like the moves of real markets. The periods have no
# common factor, so that the turning points of two octaves rarely coincide. The amplitudes add up to 60.65 %,
# the largest distance of a price from its base: BTC stays between 23,610 and 96,390.
_OCTAVES = (
    _Octave(61, 1_500),
    _Octave(251, 4_000),
    _Octave(1_021, 9_000),
    _Octave(4_099, 15_000),
    _Octave(17_489, 22_000),
    _Octave(70_001, 35_000),
    _Octave(290_011, 50_000),
    _Octave(1_200_007, 80_000),
    _Octave(4_500_007, 140_000),
    _Octave(16_400_017, 250_000),
)
_MAX_SWING_PPM = sum(octave.amplitude_ppm for octave in _OCTAVES)
_PPM = 1_000_000

# The volume of a day as a share of the market capitalisation: 1 to 7 percent.
_TURNOVER_PPM = 40_000
_TURNOVER_OCTAVE = _Octave(21_601, 30_000)

_ONE_BITS = 30
_ONE = 1 << _ONE_BITS
"""1 in the fixed-point arithmetic below."""


@lru_cache(maxsize=1 << 14)
def _lattice_value(seed: str, period_seconds: int, index: int) -> int:
    """A pseudo-random fixed-point number from -1 up to 1, the same in every process, unlike `hash`."""
    digest = hashlib.sha256(f"{seed}/{period_seconds}/{index}".encode()).digest()
    return (int.from_bytes(digest[:4], "big") >> (31 - _ONE_BITS)) - _ONE


@lru_cache(maxsize=2 * len(CATALOGUE))
def _phase_seconds(seed: str) -> int:
    """Shifts one asset's lattice in time, so that assets do not all turn at the same moment."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")


def _noise(seed: str, period_seconds: int, second: int) -> int:
    """Smooth fixed-point noise from -1 to 1: lattice values one period apart, joined by 3x^2 - 2x^3."""
    index, offset = divmod(second, period_seconds)
    start = _lattice_value(seed, period_seconds, index)
    end = _lattice_value(seed, period_seconds, index + 1)
    x = (offset << _ONE_BITS) // period_seconds
    weight = x * x * (3 * _ONE - 2 * x) >> 2 * _ONE_BITS
    return start + ((end - start) * weight >> _ONE_BITS)


def _price_from_swing(asset: Asset, swing: int) -> Decimal:
    """The base price moved by `swing`, in fixed-point parts per million, at the asset's decimals."""
    base_units = int(asset.base_price.scaleb(asset.price_decimals, money.EXACT))
    units = base_units * (_PPM * _ONE + swing) // (_PPM * _ONE)
    return Decimal(max(units, 1)).scaleb(-asset.price_decimals, money.EXACT)


# Every request that values a portfolio asks for the prices of all assets, many in the same second.
@lru_cache(maxsize=4 * len(CATALOGUE))
def _price_at_second(asset: Asset, second: int) -> Decimal:
    shifted = second + _phase_seconds(asset.asset_id)
    swing = sum(amplitude * _noise(asset.asset_id, period, shifted) for period, amplitude in _OCTAVES)
    return _price_from_swing(asset, swing)


def price_at(asset: Asset, time: datetime) -> Decimal:
    """The simulated price at this time of the market. It changes once a second; every time has a price."""
    return _price_at_second(asset, (time - EPOCH) // _SECOND)


def price_bounds(asset: Asset) -> tuple[Decimal, Decimal]:
    """The lowest and the highest price that the simulated market can reach."""
    swing = _MAX_SWING_PPM * _ONE
    return _price_from_swing(asset, -swing), _price_from_swing(asset, swing)


def _volume_24h(asset: Asset, market_cap: Decimal, second: int) -> Decimal:
    seed = f"{asset.asset_id}/volume"
    period, amplitude = _TURNOVER_OCTAVE
    ppm = _TURNOVER_PPM + (amplitude * _noise(seed, period, second + _phase_seconds(seed)) >> _ONE_BITS)
    return money.value_of(market_cap, Decimal(ppm).scaleb(-6, money.EXACT))


def _change_percentage(price: Decimal, before: Decimal) -> Decimal:
    return money.percentage(money.subtract(price, before), before)


def _price_of(point: PricePoint) -> Decimal:
    return point.price


def _now() -> datetime:
    return datetime.now(UTC)


class SimulatedMarket(PriceSource):
    """The market that works offline. It has a price for every asset of the catalogue at any time.

    `speed` is the number of the market's seconds in one real second, counted from EPOCH. All times in arguments
    and results are real: a point of the history has the price that was quoted then.
    """

    def __init__(self, *, speed: Decimal | int = 1, clock: Callable[[], datetime] = _now) -> None:
        """`clock` tells the real time, aware UTC. Raises ValueError unless `speed` is finite and above 0."""
        exact_speed = Decimal(speed)
        if not exact_speed.is_finite() or exact_speed <= 0:
            raise ValueError(f"The speed of the market must be a number above 0, not {speed}.")
        self._speed_numerator, self._speed_denominator = exact_speed.as_integer_ratio()
        self._clock = clock
        # Stats use 461 fixed instants per asset. Few of them change as time goes on, and the extremes of a grid
        # last until its next instant. Without the two caches every call would take about 25 ms.
        self._grid_point = lru_cache(maxsize=1 << 14)(self._point)
        self._grid_extremes = lru_cache(maxsize=4 * len(CATALOGUE))(self._find_grid_extremes)

    def quote(self, asset_id: str) -> Quote:
        return self._quote(get_priced_asset(asset_id), self._clock())

    def quotes(self) -> dict[str, Quote]:
        now = self._clock()
        return {asset.asset_id: self._quote(asset, now) for asset in CATALOGUE.values()}

    def history(self, asset_id: str, *, days: int) -> list[PricePoint]:
        check_history_days(days)
        asset, now = get_priced_asset(asset_id), self._clock()
        start, step = now - days * _DAY, days * _DAY / HISTORY_STEPS
        newest = now - (now - EPOCH) % step
        # Between the two ends lie fixed instants, not ones counted back from now: the next call finds them cached.
        grid = (newest - steps_ago * step for steps_ago in range(HISTORY_STEPS - 1, -1, -1))
        between = [self._grid_point(asset, time) for time in grid if start < time < now]
        return [self._point(asset, start), *between, self._point(asset, now)]

    def stats(self, asset_id: str) -> MarketStats:
        asset, now = get_priced_asset(asset_id), self._clock()
        current = self._point(asset, now)
        price, day_ago = current.price, self._price(asset, now - _DAY)
        high, low = self._extremes(asset, current, step=_QUARTER_HOUR, within=_DAY)
        highest, lowest = self._extremes(asset, current, step=_DAY, within=365 * _DAY)
        # The year is sampled once a day and would miss the peaks that the last 24 hours show.
        ath, atl = max(highest, high, key=_price_of), min(lowest, low, key=_price_of)
        summary = self._summary(asset, now)
        return MarketStats(
            asset_id=asset.asset_id,
            price=price,
            last_updated=now,
            price_change_24h=money.subtract(price, day_ago),
            price_change_percentage_24h=summary.price_change_percentage_24h,
            price_change_percentage_7d=_change_percentage(price, self._price(asset, now - 7 * _DAY)),
            price_change_percentage_30d=_change_percentage(price, self._price(asset, now - 30 * _DAY)),
            high_24h=high.price,
            low_24h=low.price,
            market_cap=summary.market_cap,
            total_volume_24h=summary.total_volume_24h,
            ath=ath.price,
            ath_change_percentage=_change_percentage(price, ath.price),
            ath_date=ath.time,
            atl=atl.price,
            atl_change_percentage=_change_percentage(price, atl.price),
            atl_date=atl.time,
        )

    def summaries(self) -> dict[str, MarketSummary]:
        now = self._clock()
        return {asset.asset_id: self._summary(asset, now) for asset in CATALOGUE.values()}

    def _summary(self, asset: Asset, now: datetime) -> MarketSummary:
        price = self._price(asset, now)
        market_cap = money.value_of(asset.circulating_supply, price)
        return MarketSummary(
            price=price,
            price_change_percentage_24h=_change_percentage(price, self._price(asset, now - _DAY)),
            market_cap=market_cap,
            total_volume_24h=_volume_24h(asset, market_cap, self._market_second(now)),
        )

    def _market_second(self, time: datetime) -> int:
        """The market's time in whole seconds since EPOCH, at this real time."""
        microseconds = (time - EPOCH) // _MICROSECOND
        return microseconds * self._speed_numerator // (self._speed_denominator * 1_000_000)

    def _price(self, asset: Asset, time: datetime) -> Decimal:
        return _price_at_second(asset, self._market_second(time))

    def _point(self, asset: Asset, time: datetime) -> PricePoint:
        return PricePoint(time, self._price(asset, time))

    def _quote(self, asset: Asset, now: datetime) -> Quote:
        return Quote(asset.asset_id, self._price(asset, now), now)

    def _extremes(
        self, asset: Asset, current: PricePoint, *, step: timedelta, within: timedelta
    ) -> tuple[PricePoint, PricePoint]:
        """The highest and the lowest of the current price and of the prices at multiples of `step` before it.

        These instants are fixed, not counted back from now: otherwise a record would change with each call.
        """
        newest = current.time - (current.time - EPOCH) % step
        high, low = self._grid_extremes(asset.asset_id, newest, step, within // step)
        return max(current, high, key=_price_of), min(current, low, key=_price_of)

    def _find_grid_extremes(
        self, asset_id: str, newest: datetime, step: timedelta, count: int
    ) -> tuple[PricePoint, PricePoint]:
        asset = CATALOGUE[asset_id]
        points = [self._grid_point(asset, newest - steps_ago * step) for steps_ago in range(count)]
        return max(points, key=_price_of), min(points, key=_price_of)
