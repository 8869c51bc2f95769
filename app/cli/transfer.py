"""`flask --app wsgi export` and `import`: whole tables as JSON lines, from one store to another.

The first line says what the file is. Each other line is one item, as DynamoDB writes it. The last line has the number
of items and the SHA-256 of all lines before it. A file without it is not whole, and is not imported.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click
from flask.cli import with_appcontext

from app.cli.failures import Failed
from app.models.database import database
from app.models.upgrade import FORMAT, is_current

# What reads and writes tables is imported where it is used: a web server has these commands, and never runs them.
if TYPE_CHECKING:
    from app.models.item import Key
    from app.models.whole_tables import RawItem

HEADER = {"order_processor_export": 1, "store_format": FORMAT}
# How many items are written before it is remembered, and by how many threads.
CHUNK_ITEMS, WRITERS = 500, 8


@click.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_appcontext
def export(file: Path) -> None:
    """Write both tables to a new FILE. Stop all writers first; interrupted, it can be run again.

    It reads the tables twice. Where they differ, something was written meanwhile, and it ends with 1.
    """
    if file.exists():
        raise click.BadParameter(f"{file} exists: name a new file.", param_hint="FILE")
    if not is_current():
        raise Failed("An older version wrote this store. Run `flask upgrade`, then export again.")
    unfinished = file.with_name(f"{file.name}.part")
    with _locked(unfinished) as stream:
        seen = _take_up(stream, unfinished)
        for table, item in _read_tables(seen.last):
            seen.write(stream, table, item)
        if not _still_stand(seen):
            unfinished.unlink()
            raise click.ClickException(
                "Something was written meanwhile, so the file would mix two states. It was removed. "
                "Stop the web servers and the workers, and export again."
            )
        stream.write(_line({"items": seen.items, "sha256": seen.bytes.hexdigest()}))
        stream.flush()
        os.fsync(stream.fileno())
        unfinished.rename(file)
    click.echo(f"Exported {_counted(seen.items)} to {file}. It has hashes of passwords: keep it to yourself.")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_appcontext
def import_(file: Path) -> None:
    """Write an exported FILE into empty tables. Start nothing on them until it is done.

    Interrupted, it can be run again with the same file: then it goes on.
    """
    from app.models.whole_tables import NotImportable, begin_import, finish_import, note_imported

    with file.open("rb") as stream:
        whole = _check_file(stream, file)
        total = sum(whole.items.values())
        try:
            done = begin_import(whole.file_id)
            if done:
                click.echo(f"Going on after {done} of {total} items.")
            stream.seek(0)
            items = islice(stream, 1 + done, 1 + total)
            written = 0
            with ThreadPoolExecutor(WRITERS) as pool:
                while chunk := list(islice(items, CHUNK_ITEMS)):
                    # A fresh meter, because it remembers each call.
                    with database().active():
                        futures = [pool.submit(copy_context().run, _put, line) for line in chunk]
                        written += sum([future.result() for future in futures])
                        note_imported(whole.file_id, done := done + len(chunk))
            finish_import(whole.file_id)
        except NotImportable as refusal:
            raise click.ClickException(str(refusal)) from refusal
    click.echo(f"Imported {_counted(whole.items)}; this run wrote {written} of them. Check them with `flask audit`.")


@contextmanager
def _locked(file: Path) -> Iterator[IO[bytes]]:
    """A file for its owner alone, which one process at a time may write."""
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise click.BadParameter(f"Another export writes {file}.", param_hint="FILE") from error
        yield stream


class _Seen:
    """What an export has read so far, and where it stands."""

    def __init__(self) -> None:
        self.items: Counter[str] = Counter()
        self.bytes = hashlib.sha256()
        self.last: tuple[str, Key] | None = None
        # Of all items in any order: a scan promises none.
        self.sum = 0

    def add(self, table: str, item: RawItem, line: bytes) -> None:
        from app.models.whole_tables import key_of

        self.items[table] += 1
        self.last = table, key_of(item)
        self.bytes.update(line)
        self.sum += int.from_bytes(hashlib.sha256(line).digest())

    def write(self, stream: IO[bytes], table: str, item: RawItem) -> None:
        line = _line({"table": table, "item": item})
        stream.write(line)
        self.add(table, item, line)


def _read_tables(after: tuple[str, Key] | None = None) -> Iterator[tuple[str, RawItem]]:
    from app.models.whole_tables import TABLES, read_items

    names = list(TABLES)
    for table in names[names.index(after[0]) :] if after else names:
        for page in read_items(table, after[1] if after and table == after[0] else None):
            yield from ((table, item) for item in page)


def _still_stand(seen: _Seen) -> bool:
    """Whether the tables, read again, have the same items.

    Each item then was the same at both times that it was read, so also at the moment between the two readings.
    """
    again = _Seen()
    for table, item in _read_tables():
        again.add(table, item, _line({"table": table, "item": item}))
    return (again.items, again.sum) == (seen.items, seen.sum)


def _take_up(stream: IO[bytes], file: Path) -> _Seen:
    """What an export that was cut off has written; what follows its last whole item is removed."""
    seen, header = _Seen(), _line(HEADER)
    first = stream.readline()
    if first and first != header:
        raise click.BadParameter(f"{file} is not an export of this version: remove it.", param_hint="FILE")
    seen.bytes.update(header)
    end = len(header)
    for line in stream:
        try:
            table, item = _read_line(line)
        except ValueError:
            break
        seen.add(table, item, line)
        end += len(line)
    stream.seek(0)
    stream.write(header)
    stream.truncate(end)
    stream.seek(end)
    if seen.items:
        click.echo(f"Going on after {_counted(seen.items)}.")
    return seen


class _Whole(NamedTuple):
    """An export that was checked: its items by table, and the SHA-256 by which it is known."""

    items: dict[str, int]
    file_id: str


def _check_file(stream: IO[bytes], file: Path) -> _Whole:
    """Read a whole export before any of it is written. Raises BadParameter."""
    seen = _Seen()
    header = stream.readline()
    seen.bytes.update(header)
    end: Any = None
    for line in stream:
        if end is not None:
            raise _not_whole(file)
        try:
            seen.add(*_read_line(line), line)
        except ValueError:
            end = line
    try:
        says, ends = json.loads(header), json.loads(end or "")
    except ValueError as error:
        raise _not_whole(file) from error
    if says != HEADER:
        raise click.BadParameter(
            f"{file} was not exported by this version. Upgrade that store first, and export it again.",
            param_hint="FILE",
        )
    if ends != {"items": seen.items, "sha256": seen.bytes.hexdigest()}:
        raise _not_whole(file)
    return _Whole(dict(seen.items), seen.bytes.hexdigest())


def _not_whole(file: Path) -> click.BadParameter:
    return click.BadParameter(f"{file} is damaged, or its export was not finished.", param_hint="FILE")


def _line(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _read_line(line: bytes) -> tuple[str, RawItem]:
    """The table and the item of a line. Raises ValueError where it has none, or is cut off."""
    from app.models.whole_tables import TABLES, key_of

    try:
        values = json.loads(line)
        table, item = values["table"], values["item"]
        key_of(item)
    except (TypeError, KeyError) as error:
        raise ValueError("not an item") from error
    if table not in TABLES or not line.endswith(b"\n"):
        raise ValueError("not an item")
    return table, item


def _put(line: bytes) -> bool:
    from app.models.whole_tables import put_new

    return put_new(*_read_line(line))


def _counted(items: dict[str, int]) -> str:
    return f"{items.get('users', 0)} items of table users and {items.get('orders', 0)} of table orders"
