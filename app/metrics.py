"""Counters for operators, for Prometheus.

Every label has few values, all of them the application's own words. Nothing that a client sends, such as a path or a
username, becomes a label. `route` is the template of a route, or `orders run` for the worker.

Processes that share the directory PROMETHEUS_MULTIPROC_DIR are counted together; it must be set before this is
imported. docs/operations.md lists what is counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from app.models.meter import Meter

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
ROUND_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LAG_SECONDS = (1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 86400)

ORDER_CHANGES = ("placed", "triggered", "filled", "cancelled", "expired")

# Counters of several processes have no time of creation: leave it out everywhere.
disable_created_metrics()  # type: ignore[no-untyped-call]
_own = CollectorRegistry()

_requests = Counter("http_requests", "Requests answered.", ["route", "method", "status"], registry=_own)
_request_seconds = Histogram(
    "http_request_duration_seconds",
    "From reading a request to having its whole answer.",
    ["route"],
    buckets=REQUEST_SECONDS,
    registry=_own,
)
_calls = Counter(
    "dynamodb_calls", "Requests sent to DynamoDB, resends included.", ["operation", "route"], registry=_own
)
_seconds = Counter("dynamodb_seconds", "Time spent waiting for DynamoDB.", ["operation", "route"], registry=_own)
_read_units = Counter("dynamodb_read_units", "Read capacity units used.", ["operation", "route"], registry=_own)
_write_units = Counter("dynamodb_write_units", "Write capacity units used.", ["operation", "route"], registry=_own)
_resends = Counter("dynamodb_resends", "Requests that were sent again.", ["operation", "route"], registry=_own)
_conflicts = Counter(
    "change_conflicts",
    "Changes tried again because another one came first or DynamoDB was throttled.",
    ["change", "route"],
    registry=_own,
)
_failed_logins = Counter("logins_failed", "Attempts to log in that were refused.", ["reason"], registry=_own)
_orders = Counter("orders", "Orders by what happened to them.", ["change"], registry=_own)
for _change in ORDER_CHANGES:
    _orders.labels(_change)  # present from the start, so that a rate sees the first one


@cache
def _labelled(metric: Any, *labels: object) -> Any:
    """The one of a metric with these labels. To find it in the library takes a lock, and longer than to count."""
    return metric.labels(*labels)


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answered request, and its duration by route."""
    _labelled(_requests, route, method, status).inc()
    _labelled(_request_seconds, route).observe(seconds)


def count_usage(used: Meter, route: str) -> None:
    """Add the calls, seconds and capacity units that a request or a round of the worker used."""
    for operation, part in used.by_operation.items():
        _labelled(_calls, operation, route).inc(part.calls)
        _labelled(_seconds, operation, route).inc(part.seconds)
        for counter, number in (
            (_read_units, part.read_units),
            (_write_units, part.write_units),
            (_resends, part.resends),
        ):
            if number:
                _labelled(counter, operation, route).inc(float(number))
    for change, number in used.conflicts.items():
        _conflicts.labels(change, route).inc(number)


def count_failed_login(reason: str) -> None:
    """`reason` is `credentials`, `code`, `suspended` or `too_many`."""
    _failed_logins.labels(reason).inc()


def count_orders(change: str, number: int = 1) -> None:
    """`change` is one of ORDER_CHANGES."""
    _orders.labels(change).inc(number)


class WorkerCounters:
    """The counters that only the worker has."""

    def __init__(self) -> None:
        self._rounds = Counter("worker_rounds", "Rounds by outcome.", ["outcome"], registry=_own)
        for outcome in ("done", "given_up"):
            self._rounds.labels(outcome)
        self._duration = Histogram(
            "worker_round_duration_seconds", "Duration of a round.", buckets=ROUND_SECONDS, registry=_own
        )
        self._orders = Counter(
            "worker_orders", "Orders that a round tried to end or trigger.", ["outcome"], registry=_own
        )
        self._lag = Histogram(
            "worker_expiry_lag_seconds",
            "How long after its expiry an order was ended.",
            buckets=LAG_SECONDS,
            registry=_own,
        )
        self._mails = Counter("worker_mails", "Mails that were taken from the outbox.", ["outcome"], registry=_own)
        for outcome in ("sent", "refused", "dropped"):
            self._mails.labels(outcome)
        self._last_round = Gauge(
            "worker_last_round_timestamp_seconds",
            "When the last round ended (Unix time); 0 before the first.",
            registry=_own,
            multiprocess_mode="mostrecent",
        )

    def count_round(self, outcomes: Mapping[str, int], lags: Iterable[float], seconds: float) -> None:
        """Count a finished round: its orders by outcome, and the seconds by which each expiry came late."""
        self._rounds.labels("done").inc()
        self._duration.observe(seconds)
        self._last_round.set_to_current_time()
        for outcome, number in outcomes.items():
            self._orders.labels(outcome).inc(number)
            if outcome in ORDER_CHANGES:
                count_orders(outcome, number)
        for lag in lags:
            self._lag.observe(lag)

    def count_mails(self, outcomes: Mapping[str, int]) -> None:
        """Count mails by outcome: `sent`, `refused` (tried again later) or `dropped`."""
        for outcome, number in outcomes.items():
            self._mails.labels(outcome).inc(number)

    def count_round_given_up(self) -> None:
        """Count a round that stopped early, because the database or the prices did not answer."""
        self._rounds.labels("given_up").inc()


@cache
def worker_counters() -> WorkerCounters:
    """Made on first use: a web server must not report rounds that it does not run."""
    return WorkerCounters()


@cache
def _audit_gauges() -> tuple[Gauge, Gauge]:
    """Made on first use, as nothing is known before."""
    options: Any = {"registry": _own, "multiprocess_mode": "mostrecent"}
    taken_at = Gauge(
        "audit_last_timestamp_seconds", "When the last audit that was kept began (Unix time); 0 without one.", **options
    )
    return taken_at, Gauge("audit_last_violations", "What that audit found.", **options)


def show_audit(taken_at: float, violations: int) -> None:
    """Say when the last audit that was kept began, as Unix time or 0 for none, and how much it found."""
    for gauge, value in zip(_audit_gauges(), (taken_at, violations), strict=True):
        gauge.set(value)


def write_counters() -> bytes:
    """All counters in Prometheus's text format (CONTENT_TYPE)."""
    return generate_latest(_registry())


def serve_counters(host: str, port: int) -> None:
    """Answer every request at this address with the counters, from a thread that ends with the process.

    Raises OSError when the address cannot be used.
    """
    start_http_server(port, host, _registry())


def _registry() -> CollectorRegistry:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return _own
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared
