"""What a program asks of DynamoDB, as IAM names it: the action, and the table or index that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from flask import Flask

from tests.support.faults import FaultyStore

# Of a transaction IAM asks for the rights of its steps.
STEPS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


class Right(NamedTuple):
    """An action, and `users` or `orders/index/OpenOrdersIndex`."""

    action: str
    resource: str


def rights_for(operation: str, body: dict[str, Any], tables: dict[str, str]) -> Iterator[Right]:
    """What IAM asks for when this request is made. `tables` has the word of each table by its name."""
    if operation == "TransactWriteItems":
        for step in body["TransactItems"]:
            [(kind, write)] = step.items()
            yield Right(STEPS[kind], tables[write["TableName"]])
    elif operation == "BatchGetItem":
        yield from (Right(operation, tables[name]) for name in body["RequestItems"])
    else:
        index = f"/index/{body['IndexName']}" if "IndexName" in body else ""
        yield Right(operation, tables[body["TableName"]] + index)


class Watch:
    """Collects what is asked through a store while `watching`: what a test itself asks in between does not count."""

    def __init__(self, store: FaultyStore, tables: dict[str, str]) -> None:
        self._store = store
        self._tables = tables
        self.rights: set[Right] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = len(self._store.bodies)
        try:
            yield
        finally:
            for operation, body in zip(self._store.operations[before:], self._store.bodies[before:], strict=True):
                self.rights.update(rights_for(operation, body, self._tables))

    def watch_requests(self, app: Flask) -> None:
        """Let each request of this application count, up to the last byte of its answer."""
        serve = app.wsgi_app

        def watched(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            with self.watching():
                answer = serve(environ, start_response)
                yield from answer
                answer.close()  # type: ignore[attr-defined]

        app.wsgi_app = watched  # type: ignore[method-assign, assignment]
