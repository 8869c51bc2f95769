"""Traces: which spans a request leaves, and what they never have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app.factory import create_app
from tests.conftest import NewUser
from tests.support.applications import config
from tests.support.faults import FaultyStore, drop, refuse
from tests.support.people import problem, register
from tests.support.usage import usage, usage_of

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def traced_app(_faulty_store: FaultyStore, exporter: InMemorySpanExporter) -> Flask:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return create_app(config(_faulty_store.endpoint), tracer=provider.get_tracer("tests"))


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    exporter.clear()
    yield exporter


def shown(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def used_by(operations: list[ReadableSpan]) -> Any:
    names = ("attempts", "read_units", "write_units")
    return usage(*(sum(shown(each)[f"aws.dynamodb.{name}"] for each in operations) for name in names))


def test_a_request_is_a_span_with_one_for_each_operation(traced_app: Flask, faults: FaultyStore, spans) -> None:
    person = register(traced_app)
    spans.clear()
    person.headers["Traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = person.deposit("10.00")
    *operations, request = spans.get_finished_spans()
    assert (request.name, request.kind, request.parent) == ("POST /api/v1/balance/deposit", SpanKind.SERVER, None)
    assert shown(request) == {
        "http.request.method": "POST",
        "http.route": "/api/v1/balance/deposit",
        "http.response.status_code": 201,
    }
    assert [(each.name, each.kind) for each in operations] == [
        ("BatchGetItem users", SpanKind.CLIENT),
        ("TransactWriteItems users", SpanKind.CLIENT),
    ]
    assert {each.parent.span_id for each in operations if each.parent} == {request.context.span_id}
    assert shown(operations[1])["aws.dynamodb.table_names"] == ("users",)
    assert used_by(operations) == usage_of(answer)
    assert {each.context.trace_id for each in operations} == {request.context.trace_id}
    assert f"{request.context.trace_id:032x}" != "0af7651916cd43dd8448eb211c80319c", "a client chooses no trace"


def test_no_span_says_whom_or_what_it_is_about(traced_app: Flask, faults: FaultyStore, spans) -> None:
    person = register(traced_app)
    person.deposit("7654.32")
    order = person.order("limit_buy", "BTC", "0.123", price="1234.5").json["data"]["order_id"]
    assert person.get(f"/orders/{order}").status_code == person.get("/orders?asset_id=BTC").status_code == 200
    problem(person.get("/orders/order_0000000000"), 404, "order_not_found")
    with person.get("/balance/transactions.csv") as streamed:
        assert "7654.32" in streamed.text
    # All but times and the numbers of spans, which have any digits.
    told = [
        (each.name, *each.attributes.items(), *each.resource.attributes.items(), each.status.description)
        for each in spans.get_finished_spans()
    ]
    told += [(event.name, *event.attributes.items()) for each in spans.get_finished_spans() for event in each.events]
    assert "/api/v1/balance/deposit" in str(told)
    for secret in (
        person.username,
        person.email,
        person.token,
        order,
        "order_0000000000",
        "7654",
        "1234.5",
        "BTC",
        "127.0.0.1",
    ):
        assert secret not in str(told)
    routes = {shown(each).get("http.route") for each in spans.get_finished_spans()} - {None}
    assert {"/api/v1/orders/<order_id>", "/api/v1/balance/transactions.csv"} <= routes


def test_sends_and_failures_are_told(traced_app: Flask, faults: FaultyStore, spans) -> None:
    person = register(traced_app)
    spans.clear()
    faults.inject("BatchGetItem", refuse("InternalServerError", status=500))
    assert person.get("/balance").status_code == 200
    assert shown(spans.get_finished_spans()[0])["aws.dynamodb.attempts"] == 2
    spans.clear()
    for _ in range(3):
        faults.inject("BatchGetItem", drop)
    problem(person.get("/balance"), 503, "store_unavailable")
    operation, request = spans.get_finished_spans()
    assert shown(operation)["error.type"] == "StoreUnavailable"
    assert operation.status.status_code is request.status.status_code is StatusCode.ERROR
    assert not operation.events and not operation.status.description, "an exception may quote the request"


def test_a_round_of_the_worker_is_a_span(traced_app: Flask, faults: FaultyStore, spans) -> None:
    ran = traced_app.test_cli_runner().invoke(args=["orders", "run", "--once"])
    assert ran.exit_code == 0, ran.output
    [round_] = [each for each in spans.get_finished_spans() if each.name == "orders run"]
    inside = [
        each for each in spans.get_finished_spans() if each.parent and each.parent.span_id == round_.context.span_id
    ]
    assert {"Query orders", "Scan orders"} <= {each.name for each in inside}


def test_without_it_there_is_no_tracer(app: Flask, new_user: NewUser, spans) -> None:
    assert app.extensions["tracer"] is None
    new_user().deposit("1.00")
    assert not spans.get_finished_spans()
