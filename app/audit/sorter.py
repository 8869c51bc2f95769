"""Sorts rows on disk: they go in as they are read, and come out user by user, in the order of the checks."""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from typing import NamedTuple, Self

from app.audit.rows import Row


class SortedRow(NamedTuple):
    """A row at one of its places. A row is checked at every place, but counted only at its main one."""

    section: int
    group: str
    is_main: bool
    row: Row


HEAD, TRANSACTIONS, ORDERS = range(3)


def _places(row: Row) -> Iterator[tuple[int, str, bool]]:
    """The places of a row among those of its user: section, group in it, and whether it is the main place."""
    kind, order_id = row.kind, row.text("order_id")
    if kind == "TRANSACTION":
        yield TRANSACTIONS, row.item.SK.removeprefix("TRANS#"), True
        if order_id is not None:
            yield ORDERS, order_id, False
    elif kind == "REQUEST":
        # That of another user's transaction does not meet the user's own of the same number.
        reference = " ".join(filter(None, (row.text("username"), row.text("reference"))))
        yield (ORDERS if reference.startswith("order_") else TRANSACTIONS), reference, True
    elif kind == "ORDER":
        yield ORDERS, row.item.PK, True
    elif kind == "ASSET_TRANSACTION":
        yield ORDERS, order_id or "", True
    else:
        yield HEAD, "", True


class RowSorter:
    """Sorts rows by user, and within a user by place, in a temporary SQLite file of its own."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)  # unnamed: goes to disk once it outgrows its cache
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-8192", "temp_store=FILE"):
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute("CREATE TABLE places (owner, section, grouped, item, main, row)")
        self._file.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: Iterable[Row], *, owner: str | None = None) -> None:
        """Put rows in, each under its own owner, or all under this one."""
        self._file.executemany(
            "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    _stored(row.owner if owner is None else owner),
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
        with closing(self._file.cursor()) as cursor:
            cursor.execute("SELECT * FROM places ORDER BY owner, section, grouped, item")
            for owner, rows in groupby(cursor, key=lambda row: row[0]):
                yield _loaded(owner), _once(rows)


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
