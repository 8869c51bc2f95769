"""A span of each request, where there is a tracer.

What a client sends decides nothing: each request begins a trace of its own, whatever its `traceparent` says.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, g, request, request_finished, request_started
from opentelemetry import context, trace

from app.views.request_log import METHODS


def init_app(app: Flask, tracer: trace.Tracer) -> None:
    def begin(_: Flask, **__: Any) -> None:
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in METHODS else "other"
        attributes = {"http.request.method": method, "http.route": route}
        # A context of its own, empty: whatever ran in this thread before is no parent.
        made = tracer.start_span(f"{method} {route}", context.Context(), trace.SpanKind.SERVER, attributes)
        g.span, g.span_token = made, context.attach(trace.set_span_in_context(made))

    request_started.connect(begin, app, weak=False)
    request_finished.connect(_finish, app, weak=False)
    app.teardown_request(_leave)


def _finish(_: Flask, response: Response, **__: Any) -> None:
    made: trace.Span = g.span
    made.set_attribute("http.response.status_code", response.status_code)
    if response.status_code >= 500:
        made.set_status(trace.StatusCode.ERROR)
    if response.is_streamed and request.method != "HEAD":
        response.call_on_close(made.end)
    else:
        made.end()


def _leave(_: BaseException | None) -> None:
    if token := g.pop("span_token", None):
        context.detach(token)
