"""The way to DynamoDB: one botocore client per process, its two tables, and the meter of what was used.

Models find their tables through the database that is in use in the current context (`Database.use`), so that two
applications in one process can have different tables. Failures of the store leave here as `Busy` (nothing was
written, try again) or `StoreUnavailable` (nobody knows), never as botocore's exceptions.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection

from app.domain.errors import Busy, StoreUnavailable
from app.models.meter import READS, Meter

# Nothing was written when DynamoDB answers with one of these (AWS: "Error handling with DynamoDB").
THROTTLED = frozenset(
    {
        "ThrottlingException",
        "ThrottlingError",
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "TransactionConflict",
        "TransactionConflictException",
    }
)


class Database:
    """Where the two tables are. Making one does nothing; the first call connects.

    `endpoint` is the address of any service that speaks DynamoDB's API, None for AWS in `region`.
    """

    def __init__(
        self, *, endpoint: str | None, region: str, table_names: Mapping[str, str], max_connections: int = 16
    ) -> None:
        self.table_names = table_names
        self._endpoint = endpoint
        self._region = region
        self._max_connections = max_connections
        self._lock = threading.Lock()
        self._process_id = 0
        self._tables: dict[str, TableConnection] = {}

    def use(self) -> Token[tuple[Database, Meter]]:
        """Make this the database of the current context, with a fresh meter; give the result to `leave`."""
        return _in_use.set((self, Meter()))

    def leave(self, before: Token[tuple[Database, Meter]]) -> None:
        """Go back to the database that was in use before."""
        _in_use.reset(before)

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
        """A connection with a client of its own, for a caller that registers hooks on it."""
        connection = _Connection(
            region=self._region,
            host=self._endpoint,
            connect_timeout_seconds=1,
            read_timeout_seconds=3,
            max_retry_attempts=2,
            max_pool_connections=self._max_connections,
        )
        # The client is built here, under the lock: botocore builds one per racing thread otherwise.
        events = connection.client.meta.events
        events.register("before-send.dynamodb", _note_sent)
        events.register("response-received.dynamodb", _note_answer)
        return connection


_in_use: ContextVar[tuple[Database, Meter]] = ContextVar("database")


def database() -> Database:
    """The database in use; raises LookupError when none is."""
    return _in_use.get()[0]


def meter() -> Meter:
    """What the current context has used so far."""
    return _in_use.get()[1]


def note_conflict(change: str) -> None:
    """Count that a change lost its race and is tried again; a no-op where no database is in use."""
    if in_use := _in_use.get(None):
        in_use[1].conflicts[change] += 1


def _note_sent(**_: object) -> None:
    # The only place that sees every resend: an answer that never came says nothing of how often it was asked for.
    meter().sent += 1


def _note_answer(parsed_response: Mapping[str, Any] | None, **_: object) -> None:
    # Only a refusal says that this send changed nothing: a success that is sent again was cut off on its way here,
    # and without any answer there is no status.
    status = (parsed_response or {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if not 400 <= status < 500:
        meter().may_have_applied = True


class _Connection(Connection):
    """PynamoDB's connection with the meter and the translation of failures in the one place that all calls pass."""

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        started = time.monotonic()
        response: Mapping[str, Any] = {}
        try:
            response = super()._make_api_call(operation_name, operation_kwargs)
        except ClientError as error:
            # PynamoDB's own error leaves out the metadata that botocore's has.
            cause = error.__cause__ if isinstance(error.__cause__, ClientError) else error
            response = cause.response
            # What a resend is answered says nothing of the request before it, which may yet have been applied.
            failure = StoreUnavailable() if meter().may_have_applied else _translated(cause)
            raise failure or error from cause
        except BotoCoreError as error:
            raise StoreUnavailable() from error
        finally:
            meter().record(operation_name, response, time.monotonic() - started)
        # Something else than DynamoDB may answer 200 too, and an answer may be cut off: botocore takes both for an
        # empty success. Every call asks for its units, so an answer without them is none where more of it is read.
        is_whole = operation_name not in {*READS, "UpdateItem"} or "ConsumedCapacity" in response
        if not is_whole or not response["ResponseMetadata"].get("RequestId"):
            raise StoreUnavailable()
        return dict(response)


def _translated(error: ClientError) -> Exception | None:
    code = error.response["Error"]["Code"]
    if code in THROTTLED:
        return Busy()
    # In progress: an earlier send of this very batch may yet be applied, so its fate is unknown, not refused.
    return StoreUnavailable() if code == "TransactionInProgressException" else None
