"""`flask --app wsgi orders`"""

from __future__ import annotations

import logging
import random
import signal
import threading
import time

import click
from flask import current_app
from flask.cli import AppGroup

from app import metrics
from app.domain.errors import ProductError
from app.models.create_tables import tables_answer
from app.models.expired import Sweeper
from app.services.worker import Round, Worker

SECONDS_BETWEEN_ROUNDS = 2.0

log = logging.getLogger(__name__)
orders = AppGroup("orders", help="Limit orders that wait for their price.")


@orders.command("run")
@click.option("--once", is_flag=True, help="Run one round and stop, for schedulers.")
def run(once: bool) -> None:
    """Fill and expire open orders, until SIGTERM or Ctrl-C."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _serve_counters()
    worker = Worker(current_app.extensions["prices"], is_stopping=stopping.is_set)
    sweeper = Sweeper()
    # It may start together with the database, before the tables exist.
    while not tables_answer():
        if once:
            raise click.ClickException(
                "The tables do not answer. Check that DynamoDB can be reached and that the tables exist."
            )
        if stopping.wait(SECONDS_BETWEEN_ROUNDS / 4):
            return
    while True:
        if _run_round(worker) and not (once or stopping.is_set()):
            _sweep(sweeper)
        # Jitter, so that workers that started together do not keep working in step.
        if once or stopping.wait(SECONDS_BETWEEN_ROUNDS * random.uniform(0.5, 1.5)):
            return


def _serve_counters() -> None:
    if address := current_app.config["WORKER_METRICS"]:
        try:
            metrics.serve_counters(*address)
        except OSError as error:
            raise click.ClickException(
                f"WORKER_METRICS_PORT is {address[1]}, which cannot be used ({error.strerror}): set it to another port."
            ) from error


def _run_round(worker: Worker) -> bool:
    """Whether the round was done, and not given up."""
    counters = metrics.worker_counters()
    started = time.monotonic()
    try:
        with current_app.extensions["database"].active() as used:
            done = worker.run_round()
    except ProductError as error:
        counters.count_round_given_up()
        log.warning("round given up: %s", error)
        return False
    except Exception:
        # The next round may succeed, and other orders wait.
        counters.count_round_given_up()
        log.exception("round given up")
        return False
    finally:
        metrics.count_usage(used, "orders run")
    counters.count_round(
        {"filled": done.filled, "expired": done.expired, "lost": done.lost, "failed": done.failed},
        [lag.total_seconds() for lag in done.lags],
        time.monotonic() - started,
    )
    if done != Round():
        click.echo(
            f"filled {done.filled}, expired {done.expired}, lost to another worker {done.lost}, failed {done.failed}"
        )
    return True


def _sweep(sweeper: Sweeper) -> None:
    try:
        with current_app.extensions["database"].active() as used:
            sweeper.sweep()
    except ProductError as error:
        log.warning("items past their time were not deleted: %s", error)
    except Exception:
        # Nothing depends on it, and orders wait.
        log.exception("items past their time were not deleted")
    finally:
        metrics.count_usage(used, "orders run")
