"""What each request leaves for the operator: counters, which `/metrics` shows, and one line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import NotFound

from app import metrics as counters
from app.domain.errors import AccountSuspended, InvalidCode, InvalidCredentials, TooManyRequests
from app.models.database import meter
from app.models.meter import Meter
from app.views.context import this_g, this_request

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Probed every few seconds: their lines would bury the others.
PROBES = frozenset({"/health", "/ready", "/metrics"})
LOGIN_ENDPOINTS = frozenset(
    {
        *("Accounts.login", "Accounts.begin_passkey_login"),
        *("sign_in.send_log_in", "sign_in.send_code", "sign_in.passkey_challenge"),
    }
)
# What nginx logs where the client went away before it had the whole answer.
CLIENT_GONE = 499
# By the code of the refusal. One that asks for a code goes on: the password was right.
REFUSED_LOGINS = {
    InvalidCredentials.code: "credentials",
    InvalidCode.code: "code",
    AccountSuspended.code: "suspended",
    TooManyRequests.code: "too_many",
}

log = structlog.get_logger("app.requests")
blueprint = Blueprint("metrics", __name__)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A request that has been answered."""

    request_id: str
    user: str | None
    route: str
    method: str
    status: int
    started: float
    used: Meter


def init_app(app: Flask, *, enabled: bool, port: int | None) -> None:
    """Count requests and show the counters, if enabled; with a port, show them only there, and nothing else."""
    if enabled:
        app.register_blueprint(blueprint)
    app.extensions["metrics_port"] = port if enabled else None
    app.before_request(_only_on_metrics_port)


@blueprint.get("/metrics")
def metrics() -> Response:
    """The counters of all workers."""
    return Response(counters.write_counters(), content_type=counters.CONTENT_TYPE)


def _only_on_metrics_port() -> None:
    has_port = current_app.extensions["metrics_port"] is not None
    if has_port and (request.endpoint == "metrics.metrics") != is_for_metrics(current_app, request.environ):
        raise NotFound()


def is_for_metrics(app: Flask, environ: Mapping[str, Any]) -> bool:
    """Whether a request came to the port that shows the counters and nothing else."""
    # From the socket: behind a Unix socket gunicorn takes SERVER_PORT from the Host header.
    connection = environ.get("gunicorn.socket")
    address = connection.getsockname() if connection else None
    port = app.extensions["metrics_port"]
    return port is not None and isinstance(address, tuple) and int(address[1]) == port


def report(response: Response) -> None:
    """Count and log the request that this answers: now, or once a streamed answer is sent or has broken off."""
    asked, kept = this_request(), this_g()
    is_counted = blueprint.name in current_app.blueprints
    finished = Finished(
        request_id=kept.request_id,
        user=authenticated_username(),
        route=asked.url_rule.rule if asked.url_rule else "none",
        method=asked.method if asked.method in METHODS else "other",
        status=response.status_code,
        started=kept.started,
        used=meter(),
    )
    refused = kept.get("refused")
    if is_counted and asked.endpoint in LOGIN_ENDPOINTS and refused in REFUSED_LOGINS:
        counters.count_failed_login(REFUSED_LOGINS[refused])
    if response.is_streamed and asked.method != "HEAD":
        stream = _Stream(response.iter_encoded())
        response.response = stream
        response.call_on_close(lambda: _report(stream.outcome(finished), is_counted=is_counted))
    else:
        _report(finished, is_counted=is_counted)


class _Stream:
    """Passes on the parts of an answer, and knows what became of it."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._failed: int | None = CLIENT_GONE

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._parts
            self._failed = None
        except Exception:
            self._failed = 500
            raise

    def outcome(self, begun: Finished) -> Finished:
        """The request as it ended, if it began so."""
        return replace(begun, status=self._failed or begun.status)


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


def authenticated_username() -> str | None:
    """The user of this request, if it is already loaded; never loads it just for the log."""
    # flask-login keeps here the user that it has loaded; its current_user would load one.
    kept = this_g()
    authentication = kept.get("authentication") or kept.get("_login_user")
    user = getattr(authentication, "user", None)
    return user.username if user else None
