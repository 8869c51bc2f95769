"""Answers of CoinGecko, as it writes them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal

import responses

from app.prices.coingecko import CoinGecko
from tests.support.coingecko import NOW

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
