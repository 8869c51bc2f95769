"""Many threads at one account: what gets done, what it costs, and how many are told to try again.

    python -m bench.contention [--threads 64] [--processes 2] [--seconds 10] [--latency 0.004]

Deposits of 1.00 from all threads at once, without a pause, on an engine of its own in memory. Each call to DynamoDB
takes `--latency` seconds longer, as over a network: that is what makes threads collide. Prints, for one
thread and for all of them, the successes per second (and all as a ratio to one), the calls and tries per success, the
share that was refused as busy, and how evenly the successes fell on the threads. `--first-wait`, `--longest-wait`,
`--attempts` and `--most-seconds` try another way of trying again than the product's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.domain.errors import Busy
from app.domain.ledger import TransactionType
from app.models import batch
from app.models.balance_changes import post_transaction
from app.models.ledger import Balance, get_balance
from tests.support.accounts import open_trader
from tests.support.applications import make_app
from tests.support.engine import engine
from tests.support.usage import metered

os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")


@dataclass
class Thread:
    """What one thread did: successes, refusals, tries and calls, and its longest wait for a success in seconds."""

    done: int = 0
    refused: int = 0
    tries: int = 0
    calls: int = 0
    longest: float = 0


def deposit_until(deadline: float, username: str, result: Thread) -> None:
    began = time.monotonic()
    while time.monotonic() < deadline:
        with metered() as meter:
            try:
                post_transaction(username, TransactionType.DEPOSIT, Decimal("1.00"))
            except Busy:
                result.refused += 1
            else:
                result.done += 1
                result.longest = max(result.longest, time.monotonic() - began)
                began = time.monotonic()
            result.tries += 1 + sum(meter.conflicts.values())
            result.calls += meter.calls
    result.longest = max(result.longest, time.monotonic() - began)


def run_process(options: argparse.Namespace, endpoint: str, username: str, threads: int) -> list[Thread]:
    for name, value in policy(options).items():
        setattr(batch, name, value)
    app = make_app(endpoint, dynamodb_transport="botocore")  # it has a hook for the latency
    results = [Thread() for _ in range(threads)]

    with app.app_context():
        get_balance(username)  # connects
        events = Balance._get_connection().connection.client.meta.events
        events.register("before-send.dynamodb", lambda **_: time.sleep(options.latency))
    deadline = time.monotonic() + options.seconds

    def run(result: Thread) -> None:
        with app.app_context():
            deposit_until(deadline, username, result)

    running = [threading.Thread(target=run, args=(result,)) for result in results]
    for each in running:
        each.start()
    for each in running:
        each.join()
    return results


def policy(options: argparse.Namespace) -> Mapping[str, Any]:
    given = {
        "FIRST_WAIT": options.first_wait,
        "LONGEST_WAIT": options.longest_wait,
        "MOST_ATTEMPTS": options.attempts,
        "MOST_SECONDS": options.most_seconds,
    }
    return {name: value for name, value in given.items() if value is not None}


def measure(options: argparse.Namespace, endpoint: str, *, processes: int, threads: int) -> float:
    """Successes per second, with everything else printed."""
    app = make_app(endpoint)
    with app.app_context():
        username = open_trader()
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(processes) as pool:
        given = [(options, endpoint, username, threads // processes)] * processes
        results = [each for part in pool.starmap(run_process, given) for each in part]
    done = sum(each.done for each in results)
    refused = sum(each.refused for each in results)
    with app.app_context():
        assert get_balance(username).version == done, "the ledger knows of every success and of nothing else"
    rate = done / options.seconds
    print(
        f"{threads:3} threads: {rate:6.1f} successes/s, {sum(each.tries for each in results) / done:5.2f} tries and "
        f"{sum(each.calls for each in results) / done:5.2f} calls a success, "
        f"{100 * refused / (done + refused):5.1f} % busy, successes of a thread {min(each.done for each in results)} "
        f"to {max(each.done for each in results)}, longest without one {max(each.longest for each in results):.1f} s"
    )
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--latency", type=float, default=0.004)
    parser.add_argument("--first-wait", type=float)
    parser.add_argument("--longest-wait", type=float)
    parser.add_argument("--attempts", type=int)
    parser.add_argument("--most-seconds", type=float)
    options = parser.parse_args()
    with engine() as endpoint:
        alone = measure(options, endpoint, processes=1, threads=1)
        together = measure(options, endpoint, processes=options.processes, threads=options.threads)
    print(f"all together do {together / alone:.2f} times what one does alone")


if __name__ == "__main__":
    main()
