"""`flask --app wsgi orders`"""

from __future__ import annotations

import logging
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from app import metrics, traces
from app.cli.failures import DATABASE_ERRORS, Failed, sentence_of
from app.domain.errors import ProductError
from app.models.create_tables import check_tables, tables_answer
from app.models.expired import Sweeper
from app.models.outbox import SHARDS
from app.models.system import Pulse, find_totals
from app.services.worker import Round, Worker

# The postman is imported where it is used: a web server has this command, and sends no mail.
if TYPE_CHECKING:
    from app.services.postman import Postman

SECONDS_BETWEEN_ROUNDS = 2.0
PATIENCE_SECONDS = 10
# Between looks at the last audit.
SECONDS_BETWEEN_LOOKS = 300
SCHEDULED = "scheduled"

log = logging.getLogger(__name__)
orders = AppGroup("orders", help="Limit orders that wait for their price.")


@orders.command("run")
@click.option("--once", is_flag=True, help="Run one round and stop, for schedulers.")
def run(once: bool) -> None:
    """Fill and expire open orders and send mail, until SIGTERM or Ctrl-C. One round that is given up ends with 3."""
    from app.services.postman import Postman

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _serve_counters()
    worker = Worker(current_app.extensions["prices"], is_stopping=stopping.is_set)
    postman = Postman(current_app.extensions["mail"], is_stopping=stopping.is_set)
    if once:
        check_tables()
        if not _run_round(worker):
            raise Failed("The round was given up; the log names the cause.")
        # One name for all runs of a scheduler, of which each is a new process.
        _do_beside(Pulse(SCHEDULED).beat, "nobody was told that this worker runs")
        for _ in range(SHARDS):
            _deliver(postman)
        return
    _wait_for_tables(stopping)
    if current_app.extensions["mail"].is_on:
        # A thread of its own: orders do not wait for a mail server.
        delivering = partial(copy_context().run, _deliver_until, stopping, postman)
        threading.Thread(target=delivering, name="mail", daemon=True).start()
    _work_until(stopping, worker)


def _work_until(stopping: threading.Event, worker: Worker) -> None:
    sweeper, pulse, audits = Sweeper(), Pulse(secrets.token_hex(8)), _AuditWatch()
    while not stopping.is_set():
        if _run_round(worker):
            _do_beside(pulse.beat, "nobody was told that this worker runs")
            _do_beside(audits.look, "when the books were last audited is not known")
            if not stopping.is_set():
                _do_beside(sweeper.sweep, "items past their time were not deleted")
        # Jitter, so that workers that started together do not keep working in step.
        stopping.wait(SECONDS_BETWEEN_ROUNDS * random.uniform(0.5, 1.5))


class _AuditWatch:
    """Shows when the books were last audited, where the worker's counters are shown: the audit itself has none."""

    def __init__(self) -> None:
        self._next = 0.0

    def look(self) -> None:
        """One call and half a read unit at times, else none."""
        if not current_app.config["WORKER_METRICS"] or time.monotonic() < self._next:
            return
        found = find_totals()
        metrics.show_audit(found.taken_at.timestamp() if found else 0, int(found.violations) if found else 0)
        self._next = time.monotonic() + SECONDS_BETWEEN_LOOKS


def _wait_for_tables(stopping: threading.Event) -> None:
    """It may start together with the database, before the tables exist."""
    tell_at = time.monotonic() + PATIENCE_SECONDS
    while not tables_answer() and not stopping.wait(SECONDS_BETWEEN_ROUNDS / 4):
        if time.monotonic() > tell_at:
            tell_at = float("inf")
            log.warning("still waiting for the tables: check that the database answers and that they exist")


def _serve_counters() -> None:
    if address := current_app.config["WORKER_METRICS"]:
        try:
            metrics.serve_counters(*address)
        except OSError as error:
            host, port = address
            raise click.UsageError(f"WORKER_METRICS_PORT {port} of {host} cannot be used: {error.strerror}.") from error


def _run_round(worker: Worker) -> bool:
    """Whether the round was done."""
    counters, tracer = metrics.worker_counters(), current_app.extensions["tracer"]
    started = time.monotonic()
    try:
        with current_app.extensions["database"].active() as used, traces.span(tracer, "orders run"):
            done = worker.run_round()
    except (ProductError, *DATABASE_ERRORS) as error:
        counters.count_round_given_up()
        log.warning("round given up: %s", sentence_of(error))
        return False
    except Exception:
        # The next round may succeed, and other orders wait.
        counters.count_round_given_up()
        log.exception("round given up")
        return False
    finally:
        metrics.count_usage(used, "orders run")
    counters.count_round(
        {each: getattr(done, each) for each in ("filled", "triggered", "expired", "lost", "failed")},
        [lag.total_seconds() for lag in done.lags],
        time.monotonic() - started,
    )
    if done != Round():
        click.echo(
            f"filled {done.filled}, triggered {done.triggered}, expired {done.expired}, "
            f"lost to another worker {done.lost}, failed {done.failed}"
        )
    return True


def _deliver_until(stopping: threading.Event, postman: Postman) -> None:
    while not stopping.is_set():
        # Where there was something to send there may be more.
        if not _deliver(postman):
            stopping.wait(SECONDS_BETWEEN_ROUNDS * random.uniform(0.5, 1.5))


def _deliver(postman: Postman) -> bool:
    """One step of the postman; whether it did something."""
    from app.services.postman import Delivery

    done = Delivery()
    try:
        with current_app.extensions["database"].active() as used:
            done = postman.deliver()
    except (ProductError, *DATABASE_ERRORS) as error:
        log.warning("no mail was sent: %s", sentence_of(error))
    except Exception:
        log.exception("no mail was sent")
    finally:
        metrics.count_usage(used, "orders run")
    metrics.worker_counters().count_mails({"sent": done.sent, "refused": done.refused, "dropped": done.dropped})
    return done != Delivery()


def _do_beside(do: Callable[[], object], failed: str) -> None:
    try:
        with current_app.extensions["database"].active() as used:
            do()
    except (ProductError, *DATABASE_ERRORS) as error:
        log.warning("%s: %s", failed, sentence_of(error))
    except Exception:
        # Nothing depends on it, and orders wait.
        log.exception(failed)
    finally:
        metrics.count_usage(used, "orders run")
