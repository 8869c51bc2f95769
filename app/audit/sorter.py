"""Sorts rows on disk: they go in as they are read, and come out user by user, in the order of the checks."""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from typing import NamedTuple, Self

from app.audit.rows import NOBODY, Row


class SortedRow(NamedTuple):
    """A row at one of its places. A row is checked at every place, but counted only at its main one."""

    section: int
    group: str
    is_main: bool
    row: Row


HEAD, EVENTS, TRANSACTIONS, ORDERS = range(4)
# No text is stored as this.
OWNER_OF_ITS_ORDER = b"\xff"


def _places(row: Row) -> Iterator[tuple[int, str, bool]]:
    """The places of a row among those of its user: section, group in it, and whether it is the main place."""
    yield *_main_place(row), True
    if row.kind in {"TRANSACTION", "ACCOUNT_EVENT"} and (order_id := row.text("order_id")) is not None:
        yield ORDERS, order_id, False
    if row.kind == "ACCOUNT_EVENT" and (transaction_id := row.text("transaction_id")) is not None:
        yield TRANSACTIONS, transaction_id, False


def _main_place(row: Row) -> tuple[int, str]:
    match row.kind:
        case "TRANSACTION":
            return TRANSACTIONS, row.item.SK.removeprefix("TRANS#")
        case "REQUEST":
            # That of another user's transaction does not meet the user's own of the same number.
            reference = " ".join(filter(None, (row.text("username"), row.text("reference"))))
            # After the id of an order may stand its revision.
            is_of_order = reference.startswith("order_")
            return (ORDERS, reference.partition(" ")[0]) if is_of_order else (TRANSACTIONS, reference)
        case "APPROVAL" if transaction_id := row.text("transaction_id"):
            return TRANSACTIONS, transaction_id
        case "ORDER" | "CHANGE":
            return ORDERS, row.item.PK
        case "ASSET_TRANSACTION" | "CLIENT":
            return ORDERS, row.text("order_id") or ""
        case "ACCOUNT_EVENT":
            return EVENTS, ""
    return HEAD, ""


class RowSorter:
    """Sorts rows by user, and within a user by place, in a temporary SQLite file of its own."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)  # unnamed: goes to disk once it outgrows its cache
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-8192", "temp_store=FILE"):
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute("CREATE TABLE places (owner, section, grouped, item, main, row)")
        self._file.execute("CREATE TABLE owners (order_id PRIMARY KEY, owner)")
        self._file.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: Iterable[Row], *, owner: str | None = None) -> None:
        """Put rows in, each under its own owner, or all under this one."""
        rows = list(rows)
        self._file.executemany(
            "INSERT OR REPLACE INTO owners VALUES (?, ?)",
            [(_stored(row.item.PK), _stored(row.owner)) for row in rows if row.was_changed],
        )
        self._file.executemany(
            "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    _owner(row) if owner is None else _stored(owner),
                    section,
                    _stored(group),
                    _stored("\0".join(row.item)),
                    is_main,
                    marshal.dumps(list(row)),
                )
                for row in rows
                for section, group, is_main in _places(row)
            ),
        )

    def accounts(self) -> Iterator[tuple[str, Iterator[SortedRow]]]:
        """Each owner with its rows in order; a row that was put in twice comes once."""
        of_its_order = "coalesce((SELECT owner FROM owners WHERE order_id = grouped), ?)"
        places = (_stored(NOBODY), OWNER_OF_ITS_ORDER)
        self._file.execute(f"UPDATE places SET owner = {of_its_order} WHERE owner = ?", places)
        with closing(self._file.cursor()) as cursor:
            cursor.execute("SELECT * FROM places ORDER BY owner, section, grouped, item")
            for owner, rows in groupby(cursor, key=lambda row: row[0]):
                yield _loaded(owner), _once(rows)


def _owner(row: Row) -> bytes:
    return OWNER_OF_ITS_ORDER if row.kind == "CHANGE" else _stored(row.owner)


def _once(rows: Iterable[tuple[bytes, int, bytes, bytes, int, bytes]]) -> Iterator[SortedRow]:
    before: tuple[object, ...] = ()
    for row in rows:
        if row[:4] != before:
            yield SortedRow(row[1], _loaded(row[2]), bool(row[4]), Row(*marshal.loads(row[5])))
        before = row[:4]


def _stored(text: str) -> bytes:
    # Bytes sort as in DynamoDB, and damaged text may contain a lone surrogate.
    return text.encode("utf-8", "surrogatepass")


def _loaded(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")
