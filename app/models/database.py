"""The connection to DynamoDB: one per process, and its two tables.

Models find their tables through the database that is active in the current context (`Database.active`). So two
applications in one process can have different tables. A failure leaves here as `Busy` (nothing was written, try again)
or `StoreUnavailable` (the outcome is unknown), not as botocore's exceptions.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection

from app import traces
from app.domain.errors import StoreUnavailable
from app.models import attempt
from app.models.attempt import Attempt
from app.models.meter import READS, Meter
from app.models.transport import OPERATIONS, TRANSPORT_ERRORS, Transport

SECONDS_BETWEEN_CAUSES = 1

log = logging.getLogger(__name__)
_cause_told_at = float("-inf")


class Database:
    """Where the two tables are. Making one does nothing; the first call connects.

    `endpoint` is the address of any service that speaks DynamoDB's API; None is AWS in `region`. `transport` is `curl`
    or `botocore`; see `app/models/transport.py`. `sends_mail` says whether somebody sends what is put in its outbox.
    `key_shards` is over how many keys the open orders of a book, and those that end on a day, are spread. A `tracer`
    makes a span of each operation.
    """

    def __init__(
        self,
        *,
        endpoint: str | None,
        region: str,
        table_names: Mapping[str, str],
        transport: str = "curl",
        max_connections: int = 16,
        sends_mail: bool = False,
        key_shards: int = 1,
        tracer: Any = None,
    ) -> None:
        self.table_names = table_names
        self.key_shards = key_shards
        self.sends_mail = sends_mail
        # Whether it is known that no copy of an older version writes to it: see `upgrade.require_alone`.
        self.is_alone = False
        self._endpoint = endpoint
        self._region = region
        self._transport = transport
        self._tracer = tracer
        self._max_connections = max_connections
        self._lock = threading.Lock()
        self._process_id = 0
        self._tables: dict[str, TableConnection] = {}

    @property
    def deletes_expired(self) -> bool:
        """Whether the database deletes items past their `ttl`: AWS does, at its own addresses too."""
        host = urlsplit(self._endpoint or "").hostname or "amazonaws.com"
        return f".{host}".endswith((".amazonaws.com", ".amazonaws.com.cn"))

    @contextmanager
    def active(self) -> Iterator[Meter]:
        """Make this the database of the current context, with a fresh meter, which is yielded."""
        meter = Meter()
        before = _active.set((self, meter))
        try:
            yield meter
        finally:
            _active.reset(before)

    def table(self, table: str, schema: Callable[[], Mapping[str, Any]]) -> TableConnection:
        """The connection of one table (`users`, `orders`), made once per process and table.

        `schema` gives its keys and indexes in the words of CreateTable.
        """
        # A forked child must not share its parent's sockets: it would read the answers of another process.
        if self._process_id != os.getpid() or table not in self._tables:
            with self._lock:
                self._connect(table, schema)
        return self._tables[table]

    def _connect(self, table: str, schema: Callable[[], Mapping[str, Any]]) -> None:
        if self._process_id != os.getpid():
            self._tables = {}
        if table in self._tables:
            return
        shared = next((each.connection for each in self._tables.values()), None) or self.open_connection()
        connection = TableConnection(self.table_names[table])
        connection.connection = shared
        shared.add_meta_table(MetaTable({"TableName": self.table_names[table], **schema()}))
        self._tables[table] = connection
        self._process_id = os.getpid()

    def open_connection(self) -> Connection:
        """A connection of its own, for a caller that registers hooks on its client. Raises StoreUnavailable."""
        connection = (_TracedConnection if self._tracer else _Connection)(
            region=self._region,
            host=self._endpoint,
            connect_timeout_seconds=1,
            read_timeout_seconds=3,
            max_retry_attempts=2,
            max_pool_connections=self._max_connections,
        )
        connection.transport = self._transport
        if isinstance(connection, _TracedConnection):
            connection.tracer = self._tracer
        try:
            connection.client  # noqa: B018  # made here, under the lock: otherwise each racing thread makes one
        except BotoCoreError as error:  # a profile that does not exist, half of a pair of keys
            raise unavailable("connect", attempt.cause_of(error)) from error
        return connection


_active: ContextVar[tuple[Database, Meter]] = ContextVar("database")


def database() -> Database:
    """The active database. Raises LookupError when there is none."""
    return _active.get()[0]


def meter() -> Meter:
    """What the current context has used so far."""
    return _active.get()[1]


def note_conflict(change: str) -> None:
    """Count that a change is tried again because it was busy; does nothing where no database is active."""
    if active := _active.get(None):
        active[1].conflicts[change] += 1


def unavailable(operation: str, cause: str) -> StoreUnavailable:
    """The error to raise. Its cause goes into the log, at most once a second, since an outage fails every request."""
    global _cause_told_at
    if (now := time.monotonic()) - _cause_told_at >= SECONDS_BETWEEN_CAUSES:
        _cause_told_at = now
        log.warning("store unavailable: %s: %s", operation, cause)
    return StoreUnavailable()


class _Connection(Connection):
    """PynamoDB's connection; every call passes here, is counted, and has its failure translated."""

    transport = "curl"
    _transport: Transport | None = None

    @property
    def client(self) -> Any:
        """botocore's client if `transport` is `botocore`, and otherwise what stands in for it."""
        if self.transport == "botocore":
            return self._botocores_client()
        if self._transport is None:
            self._transport = Transport(self._botocores_client, self.session, endpoint=self.host, region=self.region)
        return self._transport

    def _botocores_client(self) -> Any:
        client = super().client  # another one, as long as no credentials are found
        attempt.listen(client.meta.events)
        return client

    def dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """As PynamoDB's, which also makes an id for signals that nobody receives."""
        if operation_name in OPERATIONS:
            operation_kwargs.setdefault("ReturnConsumedCapacity", "TOTAL")
            return self._make_api_call(operation_name, operation_kwargs)
        answer: dict[str, Any] = super().dispatch(operation_name, operation_kwargs)
        return answer

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        this = Attempt()
        before = attempt.current.set(this)
        started = time.monotonic()
        response: Mapping[str, Any] = {}
        try:
            response = super()._make_api_call(operation_name, operation_kwargs)
        except ClientError as error:
            # PynamoDB's own error leaves out the metadata that botocore's has.
            cause = error.__cause__ if isinstance(error.__cause__, ClientError) else error
            response = cause.response
            failure = this.outcome(cause)
            if isinstance(failure, StoreUnavailable):
                failure = unavailable(operation_name, attempt.cause_of(cause))
            raise failure or error from cause
        except TRANSPORT_ERRORS as error:
            raise unavailable(operation_name, attempt.cause_of(error)) from error
        finally:
            attempt.current.reset(before)
            meter().record(operation_name, response, time.monotonic() - started, resends=this.resends)
        if not _is_whole(operation_name, response):
            raise unavailable(operation_name, "the answer was cut off, or is not DynamoDB's")
        return dict(response)


class _TracedConnection(_Connection):
    """The same, with a span of each call."""

    tracer: Any = None

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        used, before = meter(), replace(meter())
        with traces.operation_span(self.tracer, operation_name, operation_kwargs) as span:
            try:
                return super()._make_api_call(operation_name, operation_kwargs)
            finally:
                span.set_attribute("aws.dynamodb.attempts", used.calls - before.calls)
                span.set_attribute("aws.dynamodb.read_units", float(used.read_units - before.read_units))
                span.set_attribute("aws.dynamodb.write_units", float(used.write_units - before.write_units))


def _is_whole(operation: str, response: Mapping[str, Any]) -> bool:
    """Whether DynamoDB itself answered, and the answer was not cut off: botocore takes both for an empty success.

    Every call asks for its units. So an answer without them is not whole, where more of the answer is read.
    """
    has_units = operation not in {*READS, "UpdateItem"} or "ConsumedCapacity" in response
    return has_units and bool(response["ResponseMetadata"].get("RequestId"))
