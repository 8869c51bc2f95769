"""The product against a bare client that sends the same calls to the same engine, in one run.

    python -m bench.performance > docs/performance.md

BENCH_SECONDS (2) is how long each measurement takes, BENCH_CLIENTS (1,8,64,256) how many clients there are at once,
and BENCH_ROWS (100000) how long the long history is. With these values it takes about ten minutes. Progress goes to
standard error. docs/performance.md says what is measured.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import botocore.session
import pycurl
import requests
from flask import Flask

from app.domain import clock
from app.domain.orders import Side
from app.models.balance_changes import open_account
from app.models.ledger import find_holding, get_balance
from app.models.users import get_user
from app.services import passwords
from app.services.tokens import issue_login_token
from bench.layers import LAYERS, OTHER, SERVER, in_process, processor_seconds
from bench.load import Account, Bare, Client, Connection, Load, Product, Recording, Request, drive, recorded
from dev.child import CHILD
from dev.launcher import LAUNCHER, free_port
from tests.support.accounts import deposit, place, user_item
from tests.support.applications import make_app
from tests.support.deposits import write_deposits
from tests.support.engine import engine
from tests.support.people import LONG_AGO, PASSWORD
from tests.support.server import WORKERS, Server, children_of, resident_megabytes, serve

os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")
os.environ["CONNECTIONS_PER_ADDRESS"] = "10000"  # all clients have one address

SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
CLIENTS = [int(number) for number in os.environ.get("BENCH_CLIENTS", "1,8,64,256").split(",")]
ROWS = int(os.environ.get("BENCH_ROWS", "100000"))
ROUNDS = 3
LATENCY = 0.030
QUANTITY = "5000.127"
ROWS_OF_AN_ACCOUNT = 30

REQUESTS = [
    Request("balance", "GET", "/balance"),
    Request("deposit", "POST", "/balance/deposit", {"amount": "10.00"}),
    Request("buy", "POST", "/orders", {"order_type": "market_buy", "asset_id": "BTC", "quantity": "0.0001"}),
    Request("sell", "POST", "/orders", {"order_type": "market_sell", "asset_id": "BTC", "quantity": "0.0001"}),
    Request("portfolio", "GET", "/portfolio"),
    Request("order", "GET", "/orders/{order_id}"),
    Request("20 transactions", "GET", "/balance/transactions?limit=20"),
]
BY_NAME = {request.name: request for request in REQUESTS}


def tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def open_trader(app: Flask, store: Any, username: str, rows: int = ROWS_OF_AN_ACCOUNT) -> Account:
    """An account with so many rows of history, and some more."""
    with app.app_context():
        with clock.at(LONG_AGO):
            user = open_account(user_item(username))
        times = [clock.to_text(LONG_AGO + timedelta(seconds=number + 1)) for number in range(rows)]
        write_deposits(store, username, times)
        deposit(username, "1000000")
        order = place(username, Side.BUY, QUANTITY, price="1")
        # So that what the holding cost and gained are figures that nothing else has.
        place(username, Side.SELL, "7.77", price="2")
        return Account(username, issue_login_token(user).bearer, order.order_id)


def record(app: Flask, account: Account, request: Request) -> Recording:
    """The calls of a request, with a name in place of each value that a repetition reads or makes."""
    with app.app_context():
        balance, holding = get_balance(account.username), find_holding(account.username, "BTC")
    number, quantity = int(balance.version), holding and format(holding.quantity, "f")
    with recorded() as calls:
        answer = app.test_client().open(
            "/api/v1" + request.path.format(order_id=account.order_id),
            method=request.method,
            headers={"Authorization": f"Bearer {account.bearer}"},
            json=request.body,
        )
    assert answer.status_code < 300, answer.text
    replaced = {
        f'{{"N": "{number}"}}': '{"N": "@version"}',
        f'{{"N": "{number + 1}"}}': '{"N": "@next"}',
        f"{number + 1:012d}": "@number",
        f'{{"S": "{quantity}"}}': '{"S": "@quantity"}',
    }
    if holding:
        replaced |= {
            f'{{"S": "{holding.cost_total}"}}': '{"S": "@cost"}',
            f'{{"S": "{holding.realised_gain}"}}': '{"S": "@gain"}',
        }
    for operation, arguments in calls:
        if operation == "TransactWriteItems":
            replaced[arguments["ClientRequestToken"]] = "@token"
            made = answer.json.get("data") or answer.json["transaction"]
            replaced[made["created_at"]] = "@time"
            if "data" in answer.json:
                replaced[made["order_id"]] = "@order"
    return Recording(account, [(operation, json.dumps(arguments)) for operation, arguments in calls], replaced)


def reads_apart(recording: Recording) -> Recording:
    """The calls that a request took before its credentials were read together with what else it needs."""
    calls: list[tuple[str, str]] = []
    for operation, text in recording.calls:
        asked = json.loads(text)
        parts: list[dict[str, Any]] = [{}, {}]
        for table, part in asked.get("RequestItems", {}).items():
            for key in part["Keys"]:
                is_credential = key["SK"]["S"] == "USER" or key["SK"]["S"].startswith("TOKEN#")
                read = {"Keys": [], "ConsistentRead": not is_credential}
                parts[not is_credential].setdefault(table, read)["Keys"].append(key)
        split = [(operation, json.dumps({**asked, "RequestItems": part})) for part in parts if part]
        calls += split or [(operation, text)]
    return replace(recording, calls=calls)


def spread(values: Sequence[float], form: str = ".2f") -> str:
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


class Bench:
    """Two gunicorn workers on an engine with a file, and accounts for as many clients as there are at once."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.endpoint = stack.enter_context(engine(self.folder / "orders.db"))
        self.engine = children_of(os.getpid())
        # As `make run` sets it.
        self.server = stack.enter_context(serve(self.endpoint, self.folder / "log", MALLOC_ARENA_MAX="2"))
        self.app = make_app(self.endpoint, log_level="ERROR")
        self.store = botocore.session.get_session().create_client(
            "dynamodb", endpoint_url=self.endpoint, region_name="us-east-1"
        )
        tell(f"opening {max(CLIENTS)} accounts")
        self.accounts = [open_trader(self.app, self.store, f"bench_{number:05d}") for number in range(max(CLIENTS))]
        model = open_trader(self.app, self.store, "bench_model")
        self.recordings = {request.name: record(self.app, model, request) for request in REQUESTS}

    def product(self, request: Request, clients: int, address: str = "") -> list[Callable[[], Client]]:
        address = address or self.server.address
        return [partial(Product, address, account, request) for account in self.accounts[:clients]]

    def bare(self, recording: Recording, clients: int) -> list[Callable[[], Client]]:
        return [partial(Bare, self.endpoint, account, recording) for account in self.accounts[:clients]]


@contextmanager
def health_times(server: Server) -> Iterator[list[float]]:
    """How long `/health` takes meanwhile, in milliseconds, asked 20 times a second."""
    times: list[float] = []
    is_over = threading.Event()
    connection = Connection(server.address)

    def ask() -> None:
        while not is_over.wait(0.05):
            began = time.monotonic()
            connection.exchange("GET", "/health", "")
            times.append(1000 * (time.monotonic() - began))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield times
    finally:
        is_over.set()
        thread.join()


def against_bare(bench: Bench) -> Iterator[str]:
    yield "| request | calls | clients | product/s | bare/s | ratio | to reads apart | p50, ms | p99, ms | refused |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for request in REQUESTS:
        recording = bench.recordings[request.name]
        for clients in CLIENTS:
            tell(f"{request.name}, {clients} clients")
            products, bares, before = [], [], []
            for _ in range(ROUNDS):
                products.append(drive(bench.product(request, clients), SECONDS))
                for loads, calls in ((bares, recording), (before, reads_apart(recording))):
                    loads.append(drive(bench.bare(calls, clients), SECONDS))
                    assert not loads[-1].refused, "the engine refused a call of the bare client"
            ratios, earlier = (
                [mine.per_second / its.per_second for mine, its in zip(products, loads, strict=True)]
                for loads in (bares, before)
            )
            yield (
                f"| {request.name} | {len(recording.calls)} | {clients} "
                f"| {spread([each.per_second for each in products], '.0f')} "
                f"| {spread([each.per_second for each in bares], '.0f')} | {spread(ratios)} | {spread(earlier)} "
                f"| {median(each.p50 for each in products):.1f} | {median(each.p99 for each in products):.1f} "
                f"| {sum(each.refused for each in products)} |"
            )


def health(bench: Bench) -> Iterator[str]:
    yield "| load | clients | `/health` p50, ms | worst, ms |"
    yield "|---|---|---|---|"
    for name in ("balance", "deposit"):
        for clients in CLIENTS:
            tell(f"/health beside {name}, {clients} clients")
            rounds = []
            for _ in range(ROUNDS):
                # The clients' processes are forked before the thread that asks exists.
                load = threading.Thread(target=drive, args=(bench.product(BY_NAME[name], clients), SECONDS))
                load.start()
                time.sleep(SECONDS / 4)
                with health_times(bench.server) as times:
                    load.join()
                rounds.append(times or [float("nan")])
            yield (
                f"| {name} | {clients} | {spread([median(times) for times in rounds], '.1f')} "
                f"| {spread([max(times) for times in rounds], '.1f')} |"
            )


def growth(bench: Bench) -> Iterator[str]:
    tell(f"writing {ROWS} rows")
    short = open_trader(bench.app, bench.store, "bench_short", 10)
    long = open_trader(bench.app, bench.store, "bench_long", ROWS)
    yield f"| request | p50 with 10 rows, ms | with {ROWS:,}, ms | ratio |"
    yield "|---|---|---|---|"
    for request in REQUESTS:
        pairs = [
            [
                drive([partial(Product, bench.server.address, account, request)], SECONDS).p50
                for account in (short, long)
            ]
            for _ in range(ROUNDS)
        ]
        few, many = zip(*pairs, strict=True)
        ratios = [its / mine for mine, its in pairs]
        yield f"| {request.name} | {spread(few, '.1f')} | {spread(many, '.1f')} | {spread(ratios)} |"


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    while part := await reader.read(64 * 1024):
        asyncio.get_running_loop().call_later(seconds, writer.write, part)
    writer.close()


def _delay(port: int, engine_port: int) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_connection("127.0.0.1", engine_port)
        await asyncio.gather(_forward(reader, engine_writer, LATENCY), _forward(engine_reader, writer, 0))

    async def forward() -> None:
        async with await asyncio.start_server(accept, "127.0.0.1", port) as server:
            await server.serve_forever()

    asyncio.run(forward())


@contextmanager
def delayed(endpoint: str) -> Iterator[str]:
    """Another address of the engine, at which each call takes LATENCY longer."""
    port = free_port()
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_delay, args=(port, int(endpoint.rpartition(":")[2])), daemon=True)
    process.start()
    time.sleep(0.5)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def over_a_network(bench: Bench) -> Iterator[str]:
    yield "| request | calls | p50 of one client, ms | per second, 8 clients | 64 clients |"
    yield "|---|---|---|---|---|"
    with delayed(bench.endpoint) as endpoint, serve(endpoint, bench.folder / "far log") as server:
        for request in REQUESTS:
            tell(f"{request.name}, {1000 * LATENCY:.0f} ms a call")
            rounds = [
                [
                    drive(bench.product(request, min(clients, max(CLIENTS)), server.address), SECONDS)
                    for clients in (1, 8, 64)
                ]
                for _ in range(ROUNDS)
            ]
            one, *more = zip(*rounds, strict=True)
            rates = " | ".join(spread([each.per_second for each in loads], ".0f") for loads in more)
            calls = len(bench.recordings[request.name].calls)
            yield f"| {request.name} | {calls} | {spread([each.p50 for each in one], '.1f')} | {rates} |"


def beside_logins(bench: Bench) -> Iterator[str]:
    """Balance reads of 8 clients, while two others log in with passwords of cost 12."""
    bench.app.extensions["services"] = replace(bench.app.extensions["services"], bcrypt_rounds=12)
    logins = []
    for name in ("bench_login_1", "bench_login_2"):
        with bench.app.app_context(), clock.at(LONG_AGO):
            open_account(user_item(name, password_hash=passwords.hash_password(PASSWORD)))
            assert get_user(name)
        log_in = Request("log in", "POST", "/auth/login", {"username": name, "password": PASSWORD})
        logins.append(partial(Product, bench.server.address, bench.accounts[0], log_in))
    yield "| balance reads of 8 clients | per second | p50, ms | p99, ms | log-ins per second |"
    yield "|---|---|---|---|---|"
    for what, others in (("alone", []), ("beside 2 clients that log in", logins)):
        tell(f"reads {what}")
        rounds: list[tuple[Load, Load | None]] = []
        for _ in range(ROUNDS):
            found: list[Load] = []
            reading = threading.Thread(
                target=lambda found=found: found.append(drive(bench.product(BY_NAME["balance"], 8), SECONDS))
            )
            reading.start()
            beside = drive(others, SECONDS) if others else None
            reading.join()
            rounds.append((found[0], beside))
        reads = [read for read, _ in rounds]
        p50, p99 = (spread([getattr(each, name) for each in reads], ".1f") for name in ("p50", "p99"))
        logged_in = spread([beside.per_second for _, beside in rounds if beside], ".1f") if others else "0"
        yield f"| {what} | {spread([each.per_second for each in reads], '.0f')} | {p50} | {p99} | {logged_in} |"


def layers(bench: Bench) -> Iterator[str]:
    names = ("balance", "deposit", "buy")
    app = make_app(bench.endpoint)  # whose log has a line for each request, as in service
    columns = []
    for name in names:
        tell(f"layers of {name}")
        rounds = []
        for _ in range(ROUNDS):
            inside, parts = in_process(app, bench.accounts[0], BY_NAME[name], SECONDS)
            began = processor_seconds(bench.server.workers)
            load = drive(bench.product(BY_NAME[name], 8), SECONDS)
            served = 1e6 * (processor_seconds(bench.server.workers) - began) / load.answered
            rounds.append({**parts, SERVER: served - inside, "in all": served})
        columns.append({layer: median(each.get(layer, 0) for each in rounds) for layer in rounds[0]})
    yield "| layer | " + " | ".join(f"{name}, \u00b5s | % " for name in names) + "|"
    yield "|---|" + "---|---|" * len(names)
    for layer in (*(layer for layer, _ in LAYERS), OTHER, SERVER, "in all"):
        cells = [(column.get(layer, 0), 100 * column.get(layer, 0) / column["in all"]) for column in columns]
        yield f"| {layer} | " + " | ".join(f"{taken:.0f} | {share:.0f}" for taken, share in cells) + " |"


def shares(bench: Bench) -> Iterator[str]:
    yield "| request | clients | per second | workers, \u00b5s | engine, \u00b5s | clients, \u00b5s | cores in use |"
    yield "|---|---|---|---|---|---|---|"
    numbers = sorted({min(clients, max(CLIENTS)) for clients in (8, 256)})
    for name in ("balance", "deposit", "buy", "sell"):
        rounds: dict[int, list[Sequence[float]]] = {clients: [] for clients in numbers}
        # In turn, so that a database that grows and a machine that slows down count for both.
        for clients in numbers * ROUNDS:
            tell(f"shares of {name}, {clients} clients")
            began, before = time.monotonic(), _used(bench)
            load = drive(bench.product(BY_NAME[name], clients), SECONDS)
            used = [now - then for now, then in zip(_used(bench), before, strict=True)]
            # Each client did it once more, before the time was taken.
            each = [1e6 * seconds / (load.answered + clients) for seconds in used]
            rounds[clients].append((load.per_second, *each, sum(used) / (time.monotonic() - began)))
        for clients, measured in rounds.items():
            rates, *each, cores = zip(*measured, strict=True)
            cells = " | ".join(f"{median(taken):.0f}" for taken in each)
            yield f"| {name} | {clients} | {spread(rates, '.0f')} | {cells} | {median(cores):.2f} |"


def _used(bench: Bench) -> tuple[float, float, float]:
    """Seconds of processor time so far: of the workers, of the engine, and of clients that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return processor_seconds(bench.server.workers), processor_seconds(bench.engine), ended.ru_utime + ended.ru_stime


def seconds_to_start(folder: Path) -> float:
    """From the launcher's start, which `make run` makes, to the first answer that `/ready` gives 200."""
    port = free_port()
    settings = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    began = time.monotonic()
    process = subprocess.Popen(
        [*CHILD, *LAUNCHER],
        env={**settings, "PORT": str(port), "DATA_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while time.monotonic() < began + 60:
            try:
                if requests.get(f"http://127.0.0.1:{port}/ready", timeout=5).ok:
                    return time.monotonic() - began
            except requests.RequestException:
                time.sleep(0.01)
        raise AssertionError("the product did not start")
    finally:
        process.terminate()
        process.wait(timeout=30)


def memory_and_start(bench: Bench) -> Iterator[str]:
    tell("start")
    folder = bench.folder / "data"
    starts = [seconds_to_start(folder) for _ in range(ROUNDS + 1)]
    sizes = [resident_megabytes(pid) for pid in bench.server.workers]
    yield "| | |"
    yield "|---|---|"
    yield f"| memory of a worker after all this, MB, shared parts included | {spread(sizes, '.0f')} |"
    yield f"| first start until `/ready` answers, s | {starts[0]:.2f} |"
    yield f"| later start, s | {spread(starts[1:])} |"


def machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("gunicorn", "Flask", "pynamodb", "botocore", "pycurl"))
    package = json.loads(Path("package.json").read_text())
    engines = ", ".join(f"{name} {number}" for name, number in package["optionalDependencies"].items())
    return (
        f"{os.cpu_count()} cores ({platform.system()}, {platform.machine()}), Python {platform.python_version()}, "
        f"{packages}, libcurl {pycurl.version_info()[1]}, {engines}; {SECONDS:g} seconds for each measurement."
    )


INTRODUCTION = f"""# Performance

Written by `make bench`, which measures again. Figures are medians of {ROUNDS} rounds, with the lowest and the highest.
They are ratios of one run on two shared cores: compare figures of one table, and no others. Clients, product
and engine share the cores.

The product is gunicorn with {WORKERS} workers, on the embedded engine with a file, as `make run` starts it. The bare
client sends the engine the calls that the product made for the same request, with the same keys and conditions, over
raw sockets that stay open. It parses the answers, and does nothing else. So the ratio says how near the product comes
to what the engine can do, although it also authenticates, checks, decides, counts, logs, and writes JSON. *Reads apart*
are the calls that the request took before its credentials were read together with what else it needs.
"""
SECTIONS: Sequence[tuple[str, str, Callable[[Bench], Iterator[str]]]] = (
    ("Against the bare client", "Refused are answers such as `busy` and `overloaded`.", against_bare),
    ("`/health` under load", "Asked 20 times a second.", health),
    ("Growth", "One client of an account with a short history, and of one with a long history.", growth),
    ("Over a network", f"Each call takes {1000 * LATENCY:.0f} ms longer.", over_a_network),
    ("Log-ins beside reads", "The passwords are hashed at cost 12.", beside_logins),
    (
        "Where the processor time goes",
        "Of the worker processes for one request, at 8 clients. bench/layers.py says how the layers are told apart.",
        layers,
    ),
    (
        "Who uses the processors",
        "Processor time for one request. What the cores do not use waits for the disk, or for another thread. The file "
        "of the engine has grown by now, so that a write takes it longer than in the first table.",
        shares,
    ),
    ("Memory and start", "A start is that of everything that `make run` starts.", memory_and_start),
)


def main() -> None:
    with ExitStack() as stack:
        bench = Bench(stack)
        print(f"{INTRODUCTION}\n{machine()}")
        for title, about, measure in SECTIONS:
            print(f"\n## {title}\n\n{about}\n", flush=True)
            for line in measure(bench):
                print(line, flush=True)


if __name__ == "__main__":
    main()
