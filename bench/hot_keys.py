"""Which keys each operation reads and writes, and how many orders a second they carry.

    python -m bench.hot_keys [--quick]

Runs every operation on an engine in memory and records its calls. What each call writes is the difference between the
items before and after it, also in each index. The sum of it is compared with the units that the engine reports, so
that nothing is left out. Then it simulates partitions, throttles and attempts for 10,000,000 accounts. It prints the
tables of docs/scale.md, as Markdown, within some minutes; progress goes to standard error. With `--quick` there is
less to simulate.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any
from unittest.mock import patch

from flask import Flask
from pynamodb.connection.base import Connection as PynamoConnection

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.orders import Side
from app.domain.users import Role
from app.mail import MailSettings
from app.models.batch import FIRST_WAIT, LONGEST_WAIT, MOST_ATTEMPTS, MOST_SECONDS
from app.models.item import table_schema
from app.models.orders import Order, OrdersItem
from app.models.shared_text import StoredText
from app.models.system import Pulse
from app.models.users import UsersItem, set_role
from app.services.postman import Postman
from app.services.worker import Worker
from tests.support.accounts import open_trader, place_limit, unplaced_order
from tests.support.applications import make_app
from tests.support.engine import engine
from tests.support.people import Person, register, registration
from tests.support.prices import FixedPrices, SetPrices
from tests.support.usage import metered
from tests.support.wire import BareStore

os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")

Item = Mapping[str, Mapping[str, Any]]
Place = tuple[str, str]
"""A table or an index, and the pattern of a key of its partitions."""

# What AWS promises of one partition, in a second.
WRITE_UNITS, READ_UNITS = 1000, 3000
HOUR = timedelta(hours=1)
WRONG_PASSWORD = "a wrong password"
TABLES = {"users": UsersItem, "orders": OrdersItem}
SCHEMAS = {table: table_schema(item) for table, item in TABLES.items()}


@dataclass
class Profile:
    """What one run of an operation reads and writes, in units by place; and what of it the engine did not report."""

    reads: Counter[Place] = field(default_factory=Counter)
    writes: Counter[Place] = field(default_factory=Counter)
    unexplained: float = 0


def pattern_of(text: str) -> str:
    """A key with words in place of what differs from one account, moment or order to another."""
    for what, word in (
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "{time}"),
        (r"\d{4}-\d\d-\d\d", "{day}"),
        (r"\d{4}-\d\d\b", "{month}"),
        (r"(person|admin)_\d+@example\.com", "{email}"),
        (r"person_\d+", "{username}"),
        (r"order_[0-9A-Z]{26}", "{order_id}"),
        (r"^(RATE#[a-z-]+)#[0-9a-f]+", r"\1#{digest}"),
        (r"^OUTBOX#\d", "OUTBOX#{shard}"),
        (r"\bBTC\b", "{asset_id}"),
        (r"#(BUY|SELL)$", "#{side}"),
    ):
        text = re.sub(what, word, text)
    return text


def size_of(item: Item) -> int:
    """About as DynamoDB counts bytes."""
    return sum(len(name) + len(str(next(iter(value.values())))) for name, value in item.items())


def units_of(*items: Item | None) -> int:
    return max(math.ceil(size_of(item) / 1024) for item in items if item)


def index_entry(index: Mapping[str, Any], item: Item | None, base: tuple[str, str]) -> Item | None:
    """What an index holds of an item; None where the item lacks one of its keys."""
    keys = [each["AttributeName"] for each in index["KeySchema"]]
    if item is None or any(key not in item for key in keys):
        return None
    projection = index["Projection"]
    if projection["ProjectionType"] == "ALL":
        return item
    names = {*keys, *base, *projection.get("NonKeyAttributes", ())}
    return {name: value for name, value in item.items() if name in names}


def written(table: str, before: Item | None, after: Item | None, *, twice: bool) -> Iterator[tuple[Place, int]]:
    """Each place that the write of one item touches, with its units; a transaction pays the base table `twice`."""
    present = after or before
    yield (table, present["PK"]["S"] if present else ""), units_of(before, after) * (2 if twice else 1)
    for index in SCHEMAS[table]["GlobalSecondaryIndexes"]:
        was, now = (index_entry(index, item, ("PK", "SK")) for item in (before, after))
        if was == now:
            continue
        keys = [each["AttributeName"] for each in index["KeySchema"]]
        moves = was and now and any(was[key] != now[key] for key in keys)
        for entry in (was, now) if moves else (now or was,):
            yield (index["IndexName"], entry[keys[0]]["S"]), units_of(entry)


@contextmanager
def profiled(endpoint: str) -> Iterator[Profile]:
    """What the application of this process reads and writes meanwhile."""
    profile, store, send = Profile(), BareStore(endpoint), PynamoConnection._make_api_call

    def find(table: str, key: Item) -> Item | None:
        return store.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")

    def note(self: PynamoConnection, operation: str, asked: dict[str, Any]) -> Any:
        targets = list(_targets(operation, asked))
        before = [find(table, key) for table, key in targets]
        answer = send(self, operation, asked)
        if targets:
            total = 0
            for (table, key), old in zip(targets, before, strict=True):
                new = find(table, key)
                if old is None and new is None:  # a condition that nothing is there
                    continue
                for (where, at), units in written(table, old, new, twice=operation == "TransactWriteItems"):
                    profile.writes[where, pattern_of(at)] += units
                    total += units
            profile.unexplained += abs(_units(answer) - total)
        else:
            for place in (places := list(_read_places(operation, asked))):
                profile.reads[place] += _units(answer) / len(places)  # type: ignore[assignment]
        return answer

    with patch.object(PynamoConnection, "_make_api_call", note):
        yield profile
    store.close()


def _units(answer: Mapping[str, Any]) -> float:
    told = answer.get("ConsumedCapacity", [])
    return sum(each["CapacityUnits"] for each in ([told] if isinstance(told, dict) else told))


def _targets(operation: str, asked: Mapping[str, Any]) -> Iterator[tuple[str, Item]]:
    """The items that a call may write."""
    steps = [step for each in asked.get("TransactItems", ()) for step in each.values()]
    if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
        steps = [asked]
    for step in steps:
        key = step.get("Key") or {name: step["Item"][name] for name in ("PK", "SK")}
        yield step["TableName"], key


def _read_places(operation: str, asked: Mapping[str, Any]) -> Iterator[Place]:
    if operation == "GetItem":
        yield asked["TableName"], pattern_of(asked["Key"]["PK"]["S"])
    elif operation == "BatchGetItem":
        for table, part in asked["RequestItems"].items():
            for key in part["Keys"]:
                yield table, pattern_of(key["PK"]["S"])
    elif operation == "Query":
        name, value = re.findall(r"(#\w+) = (:\w+)", asked["KeyConditionExpression"])[0]
        assert asked["ExpressionAttributeNames"][name] in {"PK", *_HASH_KEYS}
        at = asked["ExpressionAttributeValues"][value]["S"]
        yield asked.get("IndexName", asked["TableName"]), pattern_of(at)
    elif operation == "Scan":
        yield asked.get("IndexName", asked["TableName"]), "the first partition"


_HASH_KEYS = {
    index["KeySchema"][0]["AttributeName"] for each in SCHEMAS.values() for index in each["GlobalSecondaryIndexes"]
}


def operations(app: Flask, prices: SetPrices) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each operation, by name, in an order in which each finds what it needs. Most come after some that prepare it."""
    client = app.test_client()
    person, admin, other = (register(app) for _ in range(3))
    with app.app_context():
        for each in (admin, other):
            set_role(each.username, Role.ADMIN, now=clock.now())
    for each in (person, admin, other):
        each.log_in()
    person.deposit("100000")
    person.buy("BTC", "10")
    worker = Worker(prices)
    worker.run_round()

    def limit(side: str, price: str) -> str:
        return str(person.place(f"limit_{side}", "BTC", "1", price=price)["order_id"])

    def fill_at(price: str) -> None:
        prices.set("BTC", price)
        done = worker.run_round()
        assert done.filled == 1, done
        prices.set("BTC", "100")

    def expire_at(end: datetime, late_worker: Worker) -> None:
        with clock.at(end):
            done = late_worker.run_round()
        assert done.expired == 1, done

    yield "register", lambda: client.post("/api/v1/auth/register", json=registration())
    yield "log in", person.log_in
    wrong = {"username": person.username, "password": "not the password"}
    yield WRONG_PASSWORD, lambda: client.post("/api/v1/auth/login", json=wrong)
    yield "log out", lambda: other.post("/auth/logout")
    other.log_in()
    yield "deposit", lambda: person.deposit("10")
    yield "withdraw", lambda: person.withdraw("10")
    yield "market buy", lambda: person.buy("BTC", "0.1")
    yield "market sell", lambda: person.sell("BTC", "0.1")
    yield "the same with an idempotency key", lambda: person.sell("BTC", "0.1", key="key")
    # The account's time goes on from the first end.
    for side, far, end in (("buy", "50", clock.now() + HOUR), ("sell", "200", clock.now() + 2 * HOUR)):
        ids: list[str] = []
        yield f"limit {side} that waits", lambda side=side, far=far, ids=ids: ids.append(limit(side, far))
        yield f"cancel of a waiting {side}", lambda ids=ids: person.post(f"/orders/{ids[-1]}/cancel")
        limit(side, far)
        yield f"fill of a waiting {side}", lambda far=far: fill_at(far)
        place_limit(person.username, Side(side.upper()), "1", far, expires_at=end)
        late_worker = Worker(prices)
        with clock.at(end - timedelta(microseconds=1)):
            late_worker.run_round()
        yield f"end of a waiting {side}", lambda end=end, late_worker=late_worker: expire_at(end, late_worker)
    yield "balance", lambda: person.get("/balance")
    yield "portfolio", lambda: person.get("/portfolio")
    yield "a page of transactions", lambda: person.get("/balance/transactions")
    yield "a page of orders", lambda: person.get("/orders")
    yield "a page of trades", lambda: person.get("/assets/transactions")
    yield "account events, of which there are some", lambda: person.get("/events")
    last = person.get("/events").json["next_after"]
    yield "account events, with nothing new", lambda: person.get(f"/events?after={last}")
    yield "a round of the worker in which nothing is due", worker.run_round
    yield "a heartbeat of the worker", Pulse("1" * 16).beat
    postman = Postman(app.extensions["mail"], is_stopping=lambda: False)
    yield "4 looks of the worker into the outbox, with one mail", lambda: [postman.deliver() for _ in range(4)]
    quotes = StoredText("coingecko")
    yield "quotes that a process writes", lambda: quotes.replace("x" * 6500, version=quotes.read()[1])
    yield "quotes that a process reads", quotes.read
    yield "adjust a balance, as an administrator", lambda: adjust(admin, person, "10.00")
    asked: list[Any] = []
    yield "ask for a large adjustment", lambda: asked.append(adjust(admin, person, "20000.00").json["data"])
    yield "approve it", lambda: other.post(f"/admin/approvals/{asked[0]['approval_id']}/approve")
    yield "holders of an asset", lambda: admin.get("/admin/assets/BTC/balances")
    yield "trades of an asset", lambda: admin.get("/admin/assets/BTC/transactions")
    yield "large adjustments", lambda: admin.get("/admin/approvals")
    yield "users who joined", lambda: admin.get(f"/admin/users?month={clock.now():%Y-%m}")
    yield "acts of a month", lambda: admin.get("/admin/acts")
    yield "totals of the audit", lambda: admin.get("/admin/totals")
    yield "/ready, once a minute", lambda: client.get("/ready")


def adjust(admin: Person, person: Person, amount: str) -> Any:
    path = f"/admin/users/{person.username}/adjustments"
    return admin.post(path, {"amount": amount, "reason": "A prize"})


# ---- The simulation

ACCOUNTS = 10_000_000
# One in a hundred accounts places half of the orders.
BUSY_ACCOUNTS, BUSY_SHARE = ACCOUNTS // 100, 0.5
GOAL = 100_000
# Of 100 orders so many; and for each that waits one end, at the same rate.
PLACED = {"market buy": 40, "market sell": 30, "limit buy that waits": 18, "limit sell that waits": 12}
ENDS = {"fill": 0.6, "cancel": 0.3, "end": 0.1}
WAITS = sum(count for name, count in PLACED.items() if "waits" in name) / 100
# Each kind of change as a share of the orders that are placed.
SHARES = {name: count / 100 for name, count in PLACED.items()} | {
    f"{end} of a waiting {side}": share * PLACED[f"limit {side} that waits"] / 100
    for end, share in ENDS.items()
    for side in ("buy", "sell")
}
# The first assets of the catalogue have these shares of the orders; the others share the rest, as 1, 1/2, 1/3, ...
FIRST_SHARES = (0.35, 0.20, 0.10)
# On which day waiting orders end: in 30 days, which is the default, today, or on any of 90.
DEFAULT_END, TODAY = 0.7, 0.2
ATTEMPT_SECONDS = 0.01
WARM_UP = 2
MOST_REFUSED = 0.001
# How busy a process may be on average.
BUSY = 0.6
ROUND_SECONDS = 10


@dataclass(frozen=True)
class Design:
    """How keys lie in partitions. `splits` is into how many DynamoDB has split the key of an asset in AssetIndex.

    It has `whole_rows` in tables that an earlier version made.
    """

    name: str
    key_shards: int = 1
    splits: int = 1
    whole_rows: bool = False


DESIGNS = (
    Design("one shard; an asset is one partition of AssetIndex"),
    Design("one shard; AssetIndex split by 64", splits=64),
    Design("128 shards; an asset is one partition of AssetIndex", key_shards=128),
    Design("128 shards; AssetIndex split by 64", key_shards=128, splits=64),
    Design("128 shards; AssetIndex with whole rows, one partition", key_shards=128, whole_rows=True),
    Design("128 shards; AssetIndex with whole rows, split by 128", key_shards=128, splits=128, whole_rows=True),
)


@dataclass
class Outcome:
    """What became of the changes of a simulation: the share that was refused, attempts, and the delay of the others."""

    refused: float
    attempts: float
    p99: float
    busiest: str


class Partitions:
    """A bucket of write units for each partition, which fills at WRITE_UNITS a second, up to those of one second."""

    def __init__(self) -> None:
        self._left: defaultdict[tuple[Any, ...], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        self.used: Counter[tuple[Any, ...]] = Counter()

    def take(self, touched: list[tuple[tuple[Any, ...], int]], now: float) -> bool:
        """Take the units of all, or of none where one lacks them: an index that is full throttles the whole batch."""
        levels = []
        for partition, units in touched:
            left, at = self._left[partition]
            left = min(WRITE_UNITS, left + (now - at) * WRITE_UNITS)
            if left < units:
                return False
            levels.append((partition, left - units))
        for (partition, left), (_, units) in zip(levels, touched, strict=True):
            self._left[partition] = left, now
            self.used[partition] += units
        return True


Touched = list[tuple[tuple[Any, ...], int]]
"""The partitions that a change writes to besides those of its account, with the units."""


class Crowd:
    """Who does what next: the kinds of changes, the assets and the accounts with their shares."""

    def __init__(self, design: Design, profiles: Mapping[str, Profile]) -> None:
        self._design, self._random = design, random.Random(1)
        self._assets = [asset.asset_id for asset in CATALOGUE.values() if asset.is_active]
        rest = [1 / (number + 1) for number in range(len(self._assets) - len(FIRST_SHARES))]
        others = [(1 - sum(FIRST_SHARES)) * each / sum(rest) for each in rest]
        self._shares = list(accumulate([*FIRST_SHARES, *others]))
        self._kinds = list(SHARES)
        self._weights = list(accumulate(SHARES.values()))
        self._hot = {kind: _hot_units(kind, profiles[kind], design) for kind in SHARES}

    def wait(self, rate: float) -> float:
        """Seconds until the next change."""
        return self._random.expovariate(rate)

    def pause(self, tries: int) -> float:
        """Seconds that a change waits after so many attempts."""
        return self._random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2 ** (tries - 1)))

    def draw(self) -> tuple[int, Touched]:
        """An account, and what its change touches."""
        account = self._random.randrange(BUSY_ACCOUNTS if self._random.random() < BUSY_SHARE else ACCOUNTS)
        [kind] = self._random.choices(self._kinds, cum_weights=self._weights)
        [asset] = self._random.choices(self._assets, cum_weights=self._shares)
        hot = self._hot[kind].items()
        return account, [(self._partition(index, asset, kind, account), units) for index, units in hot]

    def _partition(self, index: str, asset: str, kind: str, account: int) -> tuple[Any, ...]:
        if index == "AssetIndex":
            return index, asset, account % self._design.splits
        shard = self._random.randrange(self._design.key_shards)
        if index == "OpenOrdersIndex":
            return index, asset, "buy" if "buy" in kind else "sell", shard
        chance = self._random.random()
        if chance < DEFAULT_END:
            return index, "in 30 days", shard
        return index, "today" if chance < DEFAULT_END + TODAY else f"in {self._random.randrange(90)} days", shard


def simulate(design: Design, rate: float, seconds: float, profiles: Mapping[str, Profile]) -> Outcome:
    """Orders come at random at this rate, and waiting ones end; each is tried as `retry_while_busy` does.

    Those count that come after WARM_UP and MOST_SECONDS before the end, so that the fate of each is known. It ends
    early where far too many are refused.
    """
    crowd, partitions = Crowd(design, profiles), Partitions()
    arrivals = rate * sum(SHARES.values())
    too_many = MOST_REFUSED * arrivals * seconds
    busy_until: dict[int, float] = {}
    queue: list[tuple[float, int, int, float, int, Touched]] = []
    delays: list[float] = []
    now = arrives = 0.0
    refused = attempts = serial = 0
    while now < seconds and refused <= too_many:
        if not queue or arrives <= queue[0][0]:
            now = came = arrives
            tries, (account, touched) = 0, crowd.draw()
            arrives += crowd.wait(arrivals)
        else:
            now, _, tries, came, account, touched = heapq.heappop(queue)
        tries, serial, counts = tries + 1, serial + 1, WARM_UP <= came < seconds - MOST_SECONDS
        attempts += counts
        again = now + ATTEMPT_SECONDS + crowd.pause(tries)
        if busy_until.get(account, 0) <= now and partitions.take(touched, now):
            busy_until[account] = now + ATTEMPT_SECONDS
            delays += [now - came] * counts
        elif tries < MOST_ATTEMPTS and again - came <= MOST_SECONDS:
            heapq.heappush(queue, (again, serial, tries, came, account, touched))
        else:
            refused += counts
    return _outcome(delays, refused, attempts, partitions.used, now)


def _outcome(
    delays: list[float], refused: int, attempts: int, used: Counter[tuple[Any, ...]], seconds: float
) -> Outcome:
    delays.sort()
    number = max(len(delays) + refused, 1)
    [(busiest, units)] = used.most_common(1)
    where = f"{' '.join(str(part) for part in busiest)}: {units / seconds:.0f}"
    return Outcome(refused / number, attempts / number, delays[int(len(delays) * 0.99)] if delays else math.nan, where)


def _hot_units(kind: str, profile: Profile, design: Design) -> dict[str, int]:
    """The write units of the keys that accounts share."""
    found: Counter[str] = Counter()
    for (index, _), units in profile.writes.items():
        if index in {"AssetIndex", "OpenOrdersIndex", "ExpiringOrdersIndex"}:
            found[index] += int(units)
    if design.whole_rows and (found["AssetIndex"] or "sell" in kind):
        # Beside the trade the holding: of a sale that waits, and of its end, that alone.
        found["AssetIndex"] += 1
    return {index: units for index, units in found.items() if units}


def find_most(design: Design, seconds: float, profiles: Mapping[str, Profile]) -> tuple[int, Outcome]:
    """About the most orders a second, up to GOAL, of which nearly none are refused, and what became of them."""
    outcome = simulate(design, GOAL, seconds, profiles)
    if outcome.refused <= MOST_REFUSED:
        return GOAL, outcome
    low, high, found = 0, GOAL, outcome
    while high - low > max(low, 100) * 0.05:
        middle = (low * high) ** 0.5 if low else high / 4
        outcome = simulate(design, middle, seconds, profiles)
        if outcome.refused <= MOST_REFUSED:
            low, found = int(middle), outcome
        else:
            high = int(middle)
    return low, found


# ---- What a process does in a second

# Seconds of processor time that the worker processes take for a purchase and a balance, with gunicorn and its log. From
# docs/performance.md, "Where the processor time goes".
MEASURED = {"order": 0.00266, "balance": 0.00070}


def measure_worker(number: int) -> dict[str, float]:
    """Seconds of this process's processor, without the engine's, for each fill and each book that is asked in vain."""
    prices = FixedPrices()
    worker = Worker(prices)
    worker.run_round()
    traders = [open_trader("1000000") for _ in range(10)]
    for _ in range(number // len(traders)):
        for trader in traders:
            place_limit(trader, Side.BUY, "0.01", "100")
    prices.set("BTC", "100")
    done = []
    fills = _seconds_of(lambda: done.append(worker.run_round())) / number
    assert done[0].filled == number, done
    # More than a round reads at once, so it asks each book whose price has moved.
    with Order.batch_write() as batch:
        for _ in range(60):
            batch.save(unplaced_order(Side.BUY, Decimal(50), clock.now() + HOUR))
    took, questions = 0.0, 0
    for price in range(110, 130):
        for asset_id in CATALOGUE:
            prices.set(asset_id, str(price))
        with metered() as meter:
            took += _seconds_of(worker.run_round)
        questions += meter.calls
    return {"fill": fills, "book that is asked in vain": took / questions}


def _seconds_of(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


# ---- Tables


def table(head: list[str], rows: list[list[str]]) -> None:
    print(f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", sep="\n")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


def places_as_text(places: Counter[Place]) -> str:
    return ", ".join(f"{where} `{key}` {units:g}" for (where, key), units in places.items()) or "-"


def show_profiles(profiles: Mapping[str, Profile]) -> None:
    table(
        ["operation", "reads, units", "writes, units"],
        [[name, places_as_text(each.reads), places_as_text(each.writes)] for name, each in profiles.items()],
    )


# What meets in one key, and an operation that shows how much.
MEETS = (
    ("one account: market orders", "market buy", ("users", "{username}")),
    ("one asset: market orders", "market buy", ("AssetIndex", "{asset_id}")),
    (
        "one asset and side: orders placed, filled, cancelled",
        "limit buy that waits",
        ("OpenOrdersIndex", "{asset_id}#{side}"),
    ),
    (
        "all orders that end on one day: placed, filled, cancelled",
        "limit buy that waits",
        ("ExpiringOrdersIndex", "{day}"),
    ),
    ("registrations in a month", "register", ("UsersByJoinIndex", "{month}")),
    ("wrong passwords from one address", WRONG_PASSWORD, ("users", "RATE#guess-address#{digest}")),
    ("mails of one of 4 shards, queued", "register", ("users", "OUTBOX#{shard}")),
    ("large adjustments, asked for", "ask for a large adjustment", ("users", "APPROVALS#ADJUSTMENT")),
    ("acts in a month", "adjust a balance, as an administrator", ("OperatorActsIndex", "{month}")),
    ("heartbeats of workers", "a heartbeat of the worker", ("users", "SYSTEM")),
    ("quotes, written", "quotes that a process writes", ("users", "SHARED#coingecko")),
    ("quotes, read by the processes", "quotes that a process reads", ("users", "SHARED#coingecko")),
    ("probes of /ready", "/ready, once a minute", ("users", "RATE#ready#{digest}")),
    ("rounds of workers", "a round of the worker in which nothing is due", ("OpenOrdersIndex", "the first partition")),
)


def show_limits(profiles: Mapping[str, Profile]) -> None:
    rows = []
    for what, name, place in MEETS:
        profile = profiles[name]
        units, most = (profile.writes, WRITE_UNITS) if place in profile.writes else (profile.reads, READ_UNITS)
        kind = "write" if units is profile.writes else "read"
        rows.append([what, f"{place[0]} `{place[1]}`", f"{units[place]:g} {kind}", f"{most / units[place]:,.0f}"])
    table(["what meets", "in the key", "units", "most a second"], rows)


def show_simulation(profiles: Mapping[str, Profile], seconds: float) -> None:
    rows = []
    for design in DESIGNS:
        most, outcome = find_most(design, seconds, profiles)
        print(f"{design.name}: {most}", file=sys.stderr)
        rows.append(
            [
                design.name,
                f"{most:,}" + (" or more" if most == GOAL else ""),
                f"{outcome.refused:.2%}",
                f"{outcome.attempts:.2f}",
                f"{1000 * outcome.p99:.0f}",
                outcome.busiest,
            ]
        )
    head = ["design", "orders/s", "refused", "attempts", "p99 of the wait, ms", "busiest partition: write units/s"]
    table(head, rows)
    units = sum(share * sum(profiles[kind].writes.values()) for kind, share in SHARES.items())
    print(f"An order and its end write {units:.1f} units on average.\n")


def show_processes(cost: Mapping[str, float]) -> None:
    table(["", "processor, ms"], [[name, f"{1000 * seconds:.2f}"] for name, seconds in cost.items()])
    assets = sum(asset.is_active for asset in CATALOGUE.values())
    rows = []
    for rate, shards in ((1_000, 1), (10_000, 16), (100_000, 128)):
        placing = rate * cost["order"]
        reading = 4 * rate * cost["balance"]
        asking = shards * (2 * assets + 1) * cost["book that is asked in vain"]
        ending = rate * WAITS * (ENDS["fill"] + ENDS["end"]) * cost["fill"]
        workers = math.ceil(ending / (BUSY - asking / ROUND_SECONDS))
        rows.append(
            [
                f"{rate:,}",
                str(shards),
                f"{math.ceil(placing / BUSY):,}",
                f"{math.ceil((placing + reading) / BUSY):,}",
                f"{workers:,}",
                f"{asking:.1f}",
            ]
        )
    head = ["orders/s", "KEY_SHARDS", "web processes", "with 4 reads for each order", "workers"]
    table([*head, "asking all books once, s"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="simulate and measure less")
    arguments = parser.parse_args()
    prices, profiles = SetPrices(BTC="100"), {}
    with engine() as endpoint, tempfile.TemporaryDirectory() as folder:
        app = make_app(
            endpoint, prices=prices, mail=MailSettings(folder=folder, site="http://127.0.0.1"), log_level="ERROR"
        )
        with app.app_context():
            for name, run in operations(app, prices):
                with profiled(endpoint) as profile:
                    answer = run()
                assert getattr(answer, "status_code", 200) < 400 or name == WRONG_PASSWORD, (name, answer.text)
                assert not profile.unexplained, (name, profile)
                profiles[name] = profile
    with engine() as endpoint:
        app = make_app(endpoint, prices=prices, log_level="ERROR")
        with app.app_context():
            cost = measure_worker(50 if arguments.quick else 300)
    cost |= MEASURED
    show_profiles(profiles)
    show_limits(profiles)
    show_simulation(profiles, 5.5 if arguments.quick else 8)
    show_processes(cost)


if __name__ == "__main__":
    main()
