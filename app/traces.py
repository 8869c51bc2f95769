"""Traces: a span of each request, of each round of the worker, and of each operation of DynamoDB.

OpenTelemetry is an extra, and nothing of it is imported unless TRACES is on. A span has routes, operations, tables and
figures. It has no address, no key, no value and nobody's name, so it can go to where others read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


def open_tracer() -> Tracer:
    """What makes spans and sends them as the SDK's own settings say, OTEL_... Sends from a thread of its own."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("order-processor")


@contextmanager
def span(tracer: Tracer | None, name: str) -> Iterator[None]:
    """A span around what is done; nothing without a tracer."""
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(name, record_exception=False):
        yield


@contextmanager
def operation_span(tracer: Tracer, operation: str, arguments: Mapping[str, Any]) -> Iterator[Span]:
    """A span around one operation of DynamoDB with these arguments, of which the names of the tables are told alone."""
    from botocore.exceptions import ClientError
    from opentelemetry.trace import SpanKind, StatusCode

    tables = sorted(_tables(arguments))
    with tracer.start_as_current_span(
        f"{operation} {' '.join(tables)}".strip(),
        kind=SpanKind.CLIENT,
        attributes={
            "db.system.name": "aws.dynamodb",
            "db.operation.name": operation,
            "aws.dynamodb.table_names": tables,
        },
        # Their messages may quote the request.
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except ClientError as refusal:  # such as a condition that was not met: its caller decides what that means
            made.set_attribute("error.type", refusal.response["Error"]["Code"])
            raise
        except Exception as failure:
            made.set_attribute("error.type", type(failure).__name__)
            made.set_status(StatusCode.ERROR)
            raise


def _tables(arguments: Mapping[str, Any]) -> set[str]:
    if "TableName" in arguments:
        return {arguments["TableName"]}
    steps = (step for each in arguments.get("TransactItems", ()) for step in each.values())
    return {step["TableName"] for step in steps} or set(arguments.get("RequestItems", ()))
