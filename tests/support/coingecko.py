"""A stand-in for CoinGecko that counts its requests, and processes that ask it.

`python -m tests.support.coingecko URL ENDPOINT SECONDS` is such a process: it asks for quotes all the time, as busy
web workers do, and prints every price that it saw.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.errors import PriceUnavailable
from app.prices import CoinGeckoSettings
from tests.support.applications import config

CACHE_SECONDS = 1
NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


class Clock:
    """A clock of all processes that stands still at `NOW` until it is moved."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class FakeCoinGecko:
    """Answers with a price that is the number of the request, or with a failure."""

    def __init__(self) -> None:
        self.requests = 0
        self.status = 200
        self._lock = Lock()
        self.url = ""

    def answer(self) -> tuple[int, bytes]:
        with self._lock:
            self.requests += 1
            number = self.requests
        coins = [
            {"id": asset.coingecko_id, "current_price": number, "last_updated": clock.to_text(clock.now())}
            for asset in CATALOGUE.values()
        ]
        return self.status, json.dumps(coins).encode()


@contextmanager
def fake_coingecko() -> Iterator[FakeCoinGecko]:
    """A server on a loopback port."""
    fake = FakeCoinGecko()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = fake.answer()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url: str, endpoint: str, seconds: float) -> set[int]:
    """Ask for the price of BTC for so long; the prices that were good to trade on."""
    from app.factory import create_app

    settings = CoinGeckoSettings(url=url, cache_seconds=CACHE_SECONDS)
    app = create_app(
        config(
            endpoint,
            users_table="shared_users",
            orders_table="shared_orders",
            price_source="coingecko",
            coingecko=settings,
        )
    )
    prices, seen = app.extensions["prices"], set()
    end = time.monotonic() + seconds
    with app.app_context():
        while time.monotonic() < end:
            try:
                quote = prices.quote("BTC")
            except PriceUnavailable:
                seen.add(0)
            else:
                assert not quote.is_stale
                seen.add(int(quote.price))
            time.sleep(0.01)
    return seen


if __name__ == "__main__":
    print(json.dumps(sorted(ask(sys.argv[1], sys.argv[2], float(sys.argv[3])))))
