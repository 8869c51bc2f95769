"""A script that trades through the client until it is ended, and can be killed at any moment: `soak.py` does.

    python -m clients.python.tests.trader ADDRESS USERNAME JOURNAL TALLY SEED      (the token is in ORDERS_TOKEN)

It writes a letter into the tally for each thing that happened, so that they can be counted after a kill.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from order_processor_client import Client, OrdersError, OutcomeUnknown, Patience

# About what one costs.
ASSETS = {"BTC": 60_000, "ETH": 2_600}
DONE, REFUSED, UNKNOWN, READ, RESUMED, UNANSWERED = "drulsn"
PATIENCE = Patience(attempts=4, seconds=20, first_wait=0.05, longest_wait=1)


class Trader:
    def __init__(self, client: Client, seed: str, tally: Path) -> None:
        self.client = client
        self.random = random.Random(seed)
        self.tally = os.open(tally, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        # The open orders that it knows, and their limits.
        self.orders: dict[str, Decimal] = {}
        self.acts: dict[Callable[[], Any], int] = {
            self.deposit: 6,
            self.withdraw: 5,
            self.market: 6,
            self.limit: 6,
            self.change: 3,
            self.cancel: 4,
            self.read: 3,
        }

    def run(self) -> None:
        self.resume()
        while True:
            [act] = self.random.choices(list(self.acts), weights=list(self.acts.values()))
            self.note(self.attempt(act))
            if self.random.random() < 0.02:
                self.resume()

    def attempt(self, act: Callable[[], Any]) -> str:
        try:
            return str(act() or DONE)
        except OutcomeUnknown:
            return UNKNOWN
        except OrdersError as error:
            if not 400 <= error.status < 500:
                time.sleep(0.2)
                return UNANSWERED
            return REFUSED

    def note(self, letter: str) -> None:
        os.write(self.tally, letter.encode())

    def resume(self) -> None:
        try:
            for found in self.client.resume():
                if not found.entry.is_open:
                    self.note(RESUMED)
        except OrdersError:
            self.note(UNANSWERED)

    def amount(self, most: int) -> Decimal:
        return Decimal(self.random.randint(1, most * 100)) / 100

    def deposit(self) -> None:
        self.client.deposit(self.amount(150), description=f"{self.random.getrandbits(64):x}")

    def withdraw(self) -> None:
        self.client.withdraw(self.amount(120), description=f"{self.random.getrandbits(64):x}")

    def market(self) -> None:
        asset_id, quantity, side = self._order()
        if side == "sell":
            self.client.place_order("market_sell", asset_id, quantity)
        elif self.random.random() < 0.5:
            self.client.place_order("market_buy", asset_id, quantity)
        else:
            self.client.place_order("market_buy", asset_id, spend=self.amount(90) + 10)

    def limit(self) -> None:
        """Near the price, so that it is reached soon, late or never."""
        asset_id, quantity, side = self._order()
        price = self.client.asset(asset_id).price_usd
        if price is None:
            return
        better = Decimal(self.random.randint(-20, 60)) / 10_000
        limit = (price * (1 - better if side == "buy" else 1 + better)).quantize(Decimal("0.01"))
        placed = self.client.place_order(
            "limit_buy" if side == "buy" else "limit_sell", asset_id, quantity, price=limit
        )
        self.orders[placed.order_id] = limit

    def change(self) -> str | None:
        """Another limit near the one before."""
        if not self.orders:
            return self.read()
        order_id = self.random.choice(list(self.orders))
        limit = self.orders[order_id] * Decimal(self.random.randint(990, 1010)) / 1000
        self.client.change_order(order_id, price=limit.quantize(Decimal("0.01")))
        return None

    def _order(self) -> tuple[str, Decimal, str]:
        asset_id = self.random.choice(list(ASSETS))
        # About 10 to 100 dollars, and hardly ever the same quantity twice.
        quantity = Decimal(self.random.randint(10_000_000, 100_000_000)) / ASSETS[asset_id] / 1_000_000
        return asset_id, quantity.quantize(Decimal("0.00000001")), self.random.choice(["buy", "buy", "sell"])

    def cancel(self) -> str | None:
        if not self.orders:
            return self.read()
        order_id = self.random.choice(list(self.orders))
        del self.orders[order_id]
        self.client.cancel(order_id)
        return None

    def read(self) -> str:
        _ = self.client.balance(), [each.status for each in self.client.orders(status="pending")]
        return READ


if __name__ == "__main__":
    address, username, journal, tally, seed = sys.argv[1:]
    with Client(address, os.environ["ORDERS_TOKEN"], username=username, journal=journal, patience=PATIENCE) as client:
        Trader(client, seed, Path(tally)).run()
