"""Random orders, cancellations and payments, each tried and then made on a still market: they are what was shown.

`DRY_RUNS` says how many, and lets the moves be new ones each time.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from app.domain import clock
from tests.support.applications import make_app, tables_named
from tests.support.books import check_books, scan
from tests.support.people import NOON, Person, register
from tests.support.prices import SetPrices

MOVES = int(os.environ.get("DRY_RUNS", "150"))
SEED = random.randrange(10**6) if "DRY_RUNS" in os.environ else 5
TABLES = tables_named("dry_runs")
PRICES = {"BTC": "58950.08", "ETH": "1999.9", "SHIB": "0.00000842"}
# Moves that are tried together, between two dumps of both tables; and how many groups are dumped.
GROUP, DUMPED = 15, 10
# What an order has only when it is placed, and what is known of one before.
ONLY_PLACED = {"order_id", "executed_at", "created_at", "updated_at"}
ONLY_LATER = ONLY_PLACED - {"order_id"}
# What must have come up for the run to show anything.
SEEN = {
    *("executes buy", "executes sell", "waits buy", "waits sell", "cancel", "deposit", "withdraw"),
    *("price_moved", "order_too_small", "insufficient_funds", "insufficient_holding"),
}


def text(number: float, decimals: int) -> str:
    return format(Decimal(number).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN), "f")


@dataclass
class Move:
    """A change to ask for: its address and its body."""

    path: str
    body: dict[str, Any]
    asset_id: str | None = None


@dataclass
class Trader:
    """A user who tries each move before it is made, and what was seen so far."""

    person: Person
    draw: random.Random
    open_orders: list[tuple[str, str]] = field(default_factory=list)
    last_number: int = 0
    realised: dict[str, Decimal] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    def drawn(self) -> Move:
        kind = self.draw.choices(["order", "cancel", "deposit", "withdraw"], [12, 3, 2, 1])[0]
        if kind == "cancel" and self.open_orders:
            order_id, asset_id = self.draw.choice(self.open_orders)
            return Move(f"/orders/{order_id}/cancel", {}, asset_id)
        if kind in {"deposit", "withdraw"}:
            return Move(f"/balance/{kind}", {"amount": text(self.draw.uniform(0.01, 900), 2)})
        return self._drawn_order()

    def _drawn_order(self) -> Move:
        asset_id, price = self.draw.choice(list(PRICES.items()))
        side, is_limit = self.draw.choice(["buy", "sell"]), self.draw.random() < 0.5
        body: dict[str, Any] = {"order_type": f"{'limit' if is_limit else 'market'}_{side}", "asset_id": asset_id}
        dollars = 10 ** self.draw.uniform(-2.2, 3.5)
        if side == "buy" and self.draw.random() < 0.4:
            body["spend"] = text(max(dollars, 0.01), 2)
        else:
            body["quantity"] = text(max(dollars / float(price), 1e-8), 8)
        if is_limit or self.draw.random() < 0.4:
            body["price"] = text(float(price) * self.draw.uniform(0.98, 1.02), 8)
        stands = self.draw.choice([None, None, "gtc", "day", "ioc"])
        body["time_in_force"] = stands if is_limit or stands == "ioc" else None
        return Move("/orders", body, asset_id)

    def tried(self, move: Move, key: str) -> Any:
        """What a move would do; of an order, by either address."""
        if move.path == "/orders" and self.draw.random() < 0.5:
            return self.person.post("/orders/preview", move.body)
        return self.person.post(move.path, {**move.body, "dry_run": True}, key=key)

    def check(self, move: Move, key: str) -> None:
        """A move does what its dry run says, and refuses alike."""
        shown = self.tried(move, key)
        done = self.person.post(move.path, move.body, key=key)
        if done.status_code >= 400:
            told = [(each.status_code, {**each.json, "request_id": ""}) for each in (shown, done)]
            assert told[0] == told[1], move
            self.seen[done.json["code"]] += 1
            return
        assert shown.status_code == 200, (move, shown.text)
        data = shown.json["data"]
        self._check_cash(data, move)
        if move.asset_id:
            self._check_order(data, done.json["data"], move)
        self.seen[self._name_of(move, data)] += 1

    def _check_cash(self, data: Any, move: Move) -> None:
        rows = self.person.get("/balance/transactions?limit=2").json["transactions"]
        made = [row for row in rows if int(row["transaction_id"]) > self.last_number]
        assert data["entries"] == [{name: row[name] for name in data["entries"][0]} for row in made], move
        assert data["cash_after"] == rows[0]["new_balance"], move
        self.last_number = int(rows[0]["transaction_id"])

    def _check_order(self, data: Any, order: Any, move: Move) -> None:
        if spend := move.body.get("spend"):
            quantity, worst = Decimal(order["quantity"]), Decimal(data["worst_price"])
            assert quantity * worst <= Decimal(spend) < (quantity + Decimal("1e-8")) * worst, move
            assert Decimal(order["total_amount"]) <= Decimal(spend), move
        left_out = ONLY_LATER if move.path.endswith("/cancel") else ONLY_PLACED
        shown = {name: value for name, value in data["order"].items() if name not in left_out}
        assert shown == {name: value for name, value in order.items() if name not in left_out}, move
        held = self.person.get(f"/balance/asset/{move.asset_id}")
        found = held.json if held.status_code == 200 else {"quantity": "0", "realised_gain": "0.00"}
        assert data["holding_after"] == found["quantity"], move
        before = self.realised.get(order["asset_id"], Decimal(0))
        self.realised[order["asset_id"]] = Decimal(found["realised_gain"])
        is_sale = order["order_type"].endswith("_sell") and order["status"] == "completed"
        assert Decimal(data["gain"] or 0) * is_sale == self.realised[order["asset_id"]] - before, move
        place = (order["order_id"], order["asset_id"])
        if order["status"] == "pending":
            self.open_orders.append(place)
        elif place in self.open_orders:
            self.open_orders.remove(place)

    def _name_of(self, move: Move, data: Any) -> str:
        if move.path != "/orders":
            return move.path.rpartition("/")[2]
        return f"{data['outcome']} {move.body['order_type'].partition('_')[2]}"


def test_a_dry_run_shows_what_is_then_done_and_writes_nothing(endpoint: str, store: Any) -> None:
    app = make_app(endpoint, **TABLES, prices=SetPrices(**PRICES))
    trader = Trader(register(app), random.Random(SEED))
    with clock.at(NOON - timedelta(days=1)):
        trader.person.deposit("1500")
    trader.last_number = 1
    for number in range(0, MOVES, GROUP):
        moves = [trader.drawn() for _ in range(min(GROUP, MOVES - number))]
        if number < GROUP * DUMPED:
            before = [scan(store, table) for table in TABLES.values()]
            for place, move in enumerate(moves):
                trader.tried(move, f"key-{number + place}")
            assert [scan(store, table) for table in TABLES.values()] == before
        for place, move in enumerate(moves):
            with clock.at(NOON + timedelta(seconds=number + place)):
                trader.check(move, f"key-{number + place}")
    print(f"seed {SEED}: {MOVES} moves, {dict(trader.seen)}")
    assert trader.seen.keys() >= SEEN
    check_books(store, trader.person.username, **TABLES)
