"""CoinGecko, a price source on the public API v3 (https://docs.coingecko.com): quotes, stats and charts.

One call fetches the markets of the whole catalogue, for all processes; one call per asset and span fetches a chart,
for the threads of a process. If the next call fails, the old answer stays. CoinGecko says how old a price is; it is
stale when it is older than `max_age_seconds`. A failing chart pauses the charts alone; failing markets pause both.

Whatever the API answers, only PriceUnavailable is raised. A coin without a usable price is left out; any other
unusable field is None. Prices round to 8 decimals; one that is then zero or less, or above `money.MAX_PRICE`, is
unusable. So an all-time low below 0.000000005 is None too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from functools import partial
from typing import Any

from app.domain import clock as wall_clock
from app.domain import money
from app.domain.assets import CATALOGUE, Asset
from app.domain.errors import PriceUnavailable
from app.prices import (
    CoinGeckoSettings,
    MarketStats,
    MarketSummary,
    PricePoint,
    PriceSource,
    Quote,
    check_history_days,
    get_priced_asset,
)
from app.prices.fetching import ApiDown, Cached, Clock, Fetched, FetchFailed, JsonApi, Pause
from app.prices.sharing import OwnText, SharedFetch, SharedText

CHARTS_FRESH_FOR = timedelta(minutes=5)
# A history is cut from the next longer chart, so that the choice of days adds no calls. CoinGecko has a point for
# every 5 minutes of 1 day, for every hour up to 90 days, and for every day beyond.
CHART_DAYS = (1, 7, 30, 365)
MAX_POINTS = 200

_PRICE_DECIMALS = 8
_LIMIT = Decimal(10) ** 18
_ROUNDING = Context(prec=60)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CoinGecko(PriceSource):
    """Prices of the real markets, shared by the threads of a process, and quotes by all processes of `shared`."""

    def __init__(
        self,
        settings: CoinGeckoSettings,
        shared: SharedText | None = None,
        *,
        clock: Clock = wall_clock.now,
        max_wait_seconds: float = 10,
    ) -> None:
        """Makes no call. `max_wait_seconds` bounds the wait for another thread's first answer."""
        self._clock = clock
        self._max_age = timedelta(seconds=settings.max_age_seconds)
        headers = {settings.plan.key_header: settings.api_key} if settings.api_key else {}
        self._api = JsonApi(settings.root, headers)
        self._charts_pause = Pause(clock)
        cached = partial(Cached, clock=clock, max_wait_seconds=max_wait_seconds)
        markets = SharedFetch(
            shared or OwnText(),
            self._fetch_markets,
            encode=_encode_markets,
            decode=_decode_markets,
            fresh_for=timedelta(seconds=settings.cache_seconds),
            clock=clock,
        )
        self._markets: Cached[dict[str, MarketStats]] = cached(markets.get)
        self._charts: dict[tuple[str, int], Cached[list[PricePoint]]] = {
            (asset.asset_id, days): cached(partial(self._fetch_chart, asset, days))
            for asset in CATALOGUE.values()
            for days in CHART_DAYS
        }

    def quote(self, asset_id: str) -> Quote:
        return _quote(self.stats(asset_id))

    def quotes(self) -> dict[str, Quote]:
        return {asset_id: _quote(stats) for asset_id, stats in self._all_stats().items()}

    def stats(self, asset_id: str) -> MarketStats:
        asset_id = get_priced_asset(asset_id).asset_id
        stats = (self._markets.get() or {}).get(asset_id)
        if stats is None:
            raise PriceUnavailable(asset_id=asset_id)
        return self._with_staleness(stats)

    def summaries(self) -> dict[str, MarketSummary]:
        return {asset_id: _summary(stats) for asset_id, stats in self._all_stats().items()}

    def history(self, asset_id: str, *, days: int) -> list[PricePoint]:
        check_history_days(days)
        asset_id = get_priced_asset(asset_id).asset_id
        chart_days = next(each for each in CHART_DAYS if each >= days)
        chart = self._charts[asset_id, chart_days].get() or []
        start = self._clock() - timedelta(days=days)
        points = [point for point in chart if point.time >= start]
        if not points:
            raise PriceUnavailable(asset_id=asset_id)
        # Keep every `step`-th point, counted from the end, so that the newest one stays.
        step = -(-len(points) // MAX_POINTS)
        return points[::-step][::-1]

    def _all_stats(self) -> dict[str, MarketStats]:
        markets = self._markets.get() or {}
        return {asset_id: self._with_staleness(stats) for asset_id, stats in markets.items()}

    def _with_staleness(self, stats: MarketStats) -> MarketStats:
        return replace(stats, is_stale=self._clock() - stats.last_updated > self._max_age)

    def _fetch_markets(self) -> dict[str, MarketStats]:
        asked_at = self._clock()
        try:
            answer = self._api.get(
                "/coins/markets",
                vs_currency="usd",
                ids=",".join(asset.coingecko_id for asset in CATALOGUE.values()),
                price_change_percentage="24h,7d,30d",
                per_page="250",
            )
        except ApiDown as failure:
            # Charts can wait: what the API still answers is for quotes, on which people trade.
            self._charts_pause.begin(failure)
            raise
        return _read_markets(answer, asked_at)

    def _fetch_chart(self, asset: Asset, days: int) -> Fetched[list[PricePoint]]:
        with self._charts_pause.guard():
            answer = self._api.get(f"/coins/{asset.coingecko_id}/market_chart", vs_currency="usd", days=str(days))
        return Fetched(_read_chart(answer, asset), CHARTS_FRESH_FOR)


def _quote(stats: MarketStats) -> Quote:
    return Quote(stats.asset_id, stats.price, stats.last_updated, stats.is_stale)


def _summary(stats: MarketStats) -> MarketSummary:
    return MarketSummary(
        price=stats.price,
        price_change_percentage_24h=stats.price_change_percentage_24h,
        market_cap=stats.market_cap,
        total_volume_24h=stats.total_volume_24h,
        is_stale=stats.is_stale,
    )


_TIMES = frozenset({"ath_date", "atl_date", "last_updated"})
_FIGURES = [field.name for field in fields(MarketStats) if field.name not in {"asset_id", "is_stale"}]


def _encode_markets(markets: Mapping[str, MarketStats]) -> dict[str, list[Any]]:
    """Rows of text by asset id, below their heading: so another version of this program can read them too."""
    return {
        "": _FIGURES,
        **{asset_id: [_encode(getattr(stats, name)) for name in _FIGURES] for asset_id, stats in markets.items()},
    }


def _encode(value: Decimal | datetime | None) -> str | None:
    if value is None:
        return None
    return wall_clock.to_text(value) if isinstance(value, datetime) else str(value)


def _decode_markets(rows: Mapping[str, Any]) -> dict[str, MarketStats]:
    """The reverse of `_encode_markets`. Raises FetchFailed for anything else."""
    try:
        names = rows[""]
        return {
            asset_id: MarketStats(
                asset_id=asset_id,
                **{name: _decode(name, text) for name, text in zip(names, row, strict=True) if name in _FIGURES},
            )
            for asset_id, row in rows.items()
            if asset_id in CATALOGUE
        }
    except (KeyError, ValueError, TypeError, AttributeError, InvalidOperation) as error:
        raise FetchFailed(f"the shared markets are not usable: {type(error).__name__}") from error


def _decode(name: str, text: str | None) -> Any:
    if text is None:
        return None
    return wall_clock.from_text(text) if name in _TIMES else Decimal(text)


def _read_markets(answer: object, asked_at: datetime) -> dict[str, MarketStats]:
    """The usable coins by asset id, in the order of the catalogue. Raises FetchFailed if there are none."""
    items = [item for item in answer if isinstance(item, dict)] if isinstance(answer, list) else []
    coins = {item["id"]: item for item in items if isinstance(item.get("id"), str)}
    markets = (_read_coin(coins.get(asset.coingecko_id, {}), asset, asked_at) for asset in CATALOGUE.values())
    usable = {stats.asset_id: stats for stats in markets if stats}
    if not usable:
        raise FetchFailed("the markets hold no usable price")
    return usable


def _read_coin(coin: Mapping[str, object], asset: Asset, asked_at: datetime) -> MarketStats | None:
    price = _read_price(coin.get("current_price"), asset)
    if price is None:
        return None
    return MarketStats(
        asset_id=asset.asset_id,
        price=price,
        price_change_24h=_read_number(coin.get("price_change_24h"), _PRICE_DECIMALS),
        price_change_percentage_24h=_read_number(coin.get("price_change_percentage_24h")),
        price_change_percentage_7d=_read_number(coin.get("price_change_percentage_7d_in_currency")),
        price_change_percentage_30d=_read_number(coin.get("price_change_percentage_30d_in_currency")),
        high_24h=_read_price(coin.get("high_24h"), asset),
        low_24h=_read_price(coin.get("low_24h"), asset),
        market_cap=_read_size(coin.get("market_cap")),
        total_volume_24h=_read_size(coin.get("total_volume")),
        ath=_read_price(coin.get("ath"), asset),
        atl=_read_price(coin.get("atl"), asset),
        ath_change_percentage=_read_number(coin.get("ath_change_percentage")),
        atl_change_percentage=_read_number(coin.get("atl_change_percentage")),
        ath_date=_read_time(coin.get("ath_date")),
        atl_date=_read_time(coin.get("atl_date")),
        # A time in the future, from a wrong clock, would never become stale.
        last_updated=min(_read_time(coin.get("last_updated")) or asked_at, asked_at),
    )


def _read_chart(answer: object, asset: Asset) -> list[PricePoint]:
    """The usable points, oldest first. Raises FetchFailed if there are none."""
    rows = answer.get("prices") if isinstance(answer, dict) else None
    points = [_read_point(row, asset) for row in rows] if isinstance(rows, list) else []
    usable = [point for point in points if point]
    if not usable:
        raise FetchFailed(f"the chart of {asset.asset_id} holds no usable price")
    return sorted(usable, key=lambda point: point.time)


def _read_point(row: object, asset: Asset) -> PricePoint | None:
    """A row is `[milliseconds since 1970, price]`."""
    if not isinstance(row, list) or len(row) != 2:
        return None
    milliseconds, price = _read_number(row[0], 0), _read_price(row[1], asset)
    if milliseconds is None or price is None:
        return None
    try:
        return PricePoint(_EPOCH + timedelta(milliseconds=int(milliseconds)), price)
    except OverflowError:
        return None


def _read_number(value: object, decimals: int = 2) -> Decimal | None:
    """A JSON number rounded to `decimals`; None for any other value, or an absurdly large number."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    number = Decimal(value)
    if not -_LIMIT < number < _LIMIT:
        return None
    # `plus` turns -0.00 into 0.00.
    return _ROUNDING.plus(number.quantize(Decimal(1).scaleb(-decimals), context=_ROUNDING))


def _read_price(value: object, asset: Asset) -> Decimal | None:
    price = _read_number(value, _PRICE_DECIMALS)
    if price is None or not 0 < price <= money.MAX_PRICE:
        return None
    # As many decimals as it needs, and no fewer than other prices of the asset have.
    needed = len(money.plain(price).partition(".")[2])
    return price.quantize(Decimal(1).scaleb(-max(needed, asset.price_decimals)), context=_ROUNDING)


def _read_size(value: object) -> Decimal | None:
    """Market capitalisation or volume; CoinGecko writes 0 for an unknown one."""
    size = _read_number(value)
    return size if size and size > 0 else None


def _read_time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None
