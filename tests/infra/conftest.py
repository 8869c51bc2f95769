"""Both tables as the template makes them, on the engine, and a way to them on which calls are seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.templates import GIVEN, create_table_request, resources
from tests.support.faults import FaultyStore

TABLES = {"users": GIVEN["UsersTable"], "orders": GIVEN["OrdersTable"]}


@pytest.fixture
def watched(endpoint: str, store: Any) -> Iterator[FaultyStore]:
    """A store with the tables of the template, which are empty."""
    for properties in resources("tables", "DynamoDB::Table").values():
        store.create_table(**create_table_request(properties))
    with FaultyStore(endpoint) as between:
        yield between
    for name in TABLES.values():
        store.delete_table(TableName=name)
