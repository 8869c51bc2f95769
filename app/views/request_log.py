"""What each request leaves for the operator: its counters, one line in the log; and `/metrics`, where they are read."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.exceptions import NotFound

from app import metrics as counters
from app.models.database import meter
from app.models.meter import Meter

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# They are asked every few seconds and would bury the other lines.
PROBES = frozenset({"/health", "/ready", "/metrics"})
LOGIN_ENDPOINTS = frozenset({"Accounts.login", "sign_in.send_log_in"})
REFUSED_LOGINS = {401: "credentials", 403: "suspended", 429: "too_many"}

log = structlog.get_logger("app.requests")
blueprint = Blueprint("metrics", __name__)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A request that has its answer."""

    request_id: str
    user: str | None
    route: str
    method: str
    status: int
    started: float
    used: Meter


def init_app(app: Flask, *, enabled: bool, port: int | None) -> None:
    """Count requests where that is enabled, and show the counters: with a port, there and nowhere else."""
    app.config["METRICS"] = enabled
    if enabled:
        app.register_blueprint(blueprint)
    if enabled and port:
        app.before_request(partial(_only_on_metrics_port, port))


@blueprint.get("/metrics")
def metrics() -> Response:
    """The counters of all workers."""
    return Response(counters.write_counters(), content_type=counters.CONTENT_TYPE)


def _only_on_metrics_port(port: int) -> None:
    if (request.endpoint == "metrics.metrics") != (_listening_port() == port):
        raise NotFound()


def _listening_port() -> int | None:
    # From the socket itself: behind a Unix socket gunicorn takes SERVER_PORT from the Host header.
    connection = request.environ.get("gunicorn.socket")
    address = connection.getsockname() if connection else None
    return int(address[1]) if isinstance(address, tuple) else None


def report(response: Response) -> None:
    """Count and log the request that this answers: now, or when all of an answer is sent that is made meanwhile."""
    finished = Finished(
        request_id=g.request_id,
        user=_username(),
        route=request.url_rule.rule if request.url_rule else "none",
        method=request.method if request.method in METHODS else "other",
        status=response.status_code,
        started=g.started,
        used=meter(),
    )
    if current_app.config["METRICS"] and request.endpoint in LOGIN_ENDPOINTS and finished.status in REFUSED_LOGINS:
        counters.count_failed_login(REFUSED_LOGINS[finished.status])
    finish = partial(_report, finished, is_counted=current_app.config["METRICS"])
    if response.is_streamed:
        response.call_on_close(finish)
    else:
        finish()


def _report(finished: Finished, *, is_counted: bool) -> None:
    seconds = time.monotonic() - finished.started
    if is_counted:
        counters.count_request(finished.route, finished.method, finished.status, seconds)
        counters.count_usage(finished.used, finished.route)
    log.log(
        _level(finished),
        "request",
        request_id=finished.request_id,
        user=finished.user,
        route=finished.route,
        method=finished.method,
        status=finished.status,
        duration_ms=round(seconds * 1000, 1),
        db_calls=finished.used.calls,
        read_units=float(finished.used.read_units),
        write_units=float(finished.used.write_units),
    )


def _level(finished: Finished) -> int:
    if finished.status >= 500:
        return logging.ERROR
    return logging.DEBUG if finished.route in PROBES else logging.INFO


def _username() -> str | None:
    """Who asks, if this request had to know; the store is not asked for the log's sake."""
    # flask-login keeps here whom it has loaded; asking for its current_user would load.
    authenticated = g.get("authentication") or g.get("_login_user")
    user = getattr(authenticated, "user", None)
    return user.username if user else None
