"""Where the processor time of a request goes, by layer, for `bench.performance`.

An application of this process answers without a server. A timer of processor time interrupts it, and each sample
counts for the innermost layer on the stack: what a layer calls outside of all layers, in C or in the standard library,
is its own. What the worker processes took more than that for the same request is the server's.
"""

from __future__ import annotations

import io
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from types import FrameType
from typing import Any

from flask import Flask

from bench.load import Account, Request

TICK_SECONDS = 0.0005
SERVER = "gunicorn, sockets and waking threads"
# By the beginning of a module's name; the first that fits.
LAYERS: Sequence[tuple[str, Sequence[str]]] = (
    ("transport: libcurl, signature, checks of answers", ("app.models.transport", "pycurl", "botocore")),
    ("items and batches", ("app.models", "pynamodb")),
    ("rules and use cases", ("app.domain", "app.services", "app.prices")),
    ("log line and counters", ("app.views.request_log", "app.logs", "app.metrics", "structlog", "prometheus_client")),
    ("views, schemas and JSON", ("app.views", "app.schemas", "marshmallow", "flask_smorest", "webargs")),
    ("Flask and Werkzeug", ("flask", "werkzeug", "app.factory", "flask_login", "flask_wtf", "flask_cors", "jinja2")),
)
OTHER = "everything else"


def layer_of(frame: FrameType | None) -> str:
    """The innermost layer of a stack."""
    while frame is not None:
        name = f"{frame.f_globals.get('__name__', '')}."
        for layer, modules in LAYERS:
            if name.startswith(tuple(f"{module}." for module in modules)):
                return layer
        frame = frame.f_back
    return OTHER


@contextmanager
def sampled() -> Iterator[Counter[str]]:
    """How many samples fell to each layer meanwhile."""
    found: Counter[str] = Counter()

    def note(_: int, frame: FrameType | None) -> None:
        found[layer_of(frame)] += 1

    before = signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, TICK_SECONDS, TICK_SECONDS)
    try:
        yield found
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _environ(account: Account, request: Request) -> dict[str, Any]:
    body = json.dumps(request.body).encode() if request.body else b""
    return {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/api/v1" + request.path.format(order_id=account.order_id).partition("?")[0],
        "QUERY_STRING": request.path.partition("?")[2],
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": f"Bearer {account.bearer}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _answer(app: Flask, account: Account, request: Request) -> None:
    statuses: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        statuses.append(status)

    answer = app.wsgi_app(_environ(account, request), start_response)
    b"".join(answer)
    if close := getattr(answer, "close", None):
        close()
    assert statuses[0].startswith("2"), statuses


def in_process(app: Flask, account: Account, request: Request, seconds: float) -> tuple[float, Mapping[str, float]]:
    """Microseconds of processor time that a request takes, in all and in each layer."""
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        for _ in range(50):
            _answer(app, account, request)
        number, deadline = 0, time.monotonic() + seconds
        began = time.process_time()
        with sampled() as samples:
            while time.monotonic() < deadline:
                _answer(app, account, request)
                number += 1
        taken = 1e6 * (time.process_time() - began) / number
    all_samples = samples.total() or 1
    return taken, {layer: taken * count / all_samples for layer, count in samples.items()}


def processor_seconds(pids: Sequence[int]) -> float:
    """What these processes have used so far."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")
