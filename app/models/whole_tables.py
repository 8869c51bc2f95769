"""Whole tables: every item as DynamoDB writes it, for `flask export` and `flask import`.

StoreFormat is not among the items: each store has its own. While an import is under way it says of which file, by the
SHA-256, and how much of it was written. So only the same file can be gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from pynamodb.exceptions import VerboseClientError

from app.domain import clock
from app.models.batch import retry_while_busy, write_if
from app.models.create_tables import ROOTS
from app.models.database import database
from app.models.item import Item, Key
from app.models.upgrade import FORMAT, StoreFormat

RawItem = Mapping[str, Mapping[str, Any]]
TABLES: Mapping[str, type[Item]] = {str(root.Meta.table): root for root in ROOTS}  # type: ignore[attr-defined]
# Small pages keep memory small.
PAGE_ITEMS = 500


class NotImportable(Exception):
    """Says to an operator why these tables do not take the import."""


def read_items(table: str, after: Key | None = None) -> Iterator[list[RawItem]]:
    """Every item of `users` or `orders`, in pages, in the order of a scan; with `after`, those behind this key.

    One call and its units for each page. Consistent: each item is as at one moment between call and answer.
    """
    start = _key_of(after) if after else None
    while True:
        arguments = {"ConsistentRead": True, "Limit": PAGE_ITEMS, **({"ExclusiveStartKey": start} if start else {})}
        # A fresh meter, because it remembers each call.
        with database().active():
            answer = _dispatch(table, "Scan", arguments)
        yield [item for item in answer["Items"] if key_of(item) != StoreFormat.key()]
        start = answer.get("LastEvaluatedKey")
        if not start:
            return


def key_of(item: RawItem) -> Key:
    return item["PK"]["S"], item["SK"]["S"]


def begin_import(file_id: str) -> int:
    """How many items of this file an earlier run has written for sure; 0 at the first run.

    At most four calls. Raises NotImportable, with nothing written, unless the tables are empty or it is the same file.
    """
    found = StoreFormat.find(StoreFormat.key())
    if found and found.importing == file_id:
        return int(found.imported)
    if found and found.importing:
        raise NotImportable("Another import into these tables was cut off. Finish it, or take new tables.")
    if any(page for table in TABLES for page in [next(read_items(table))]):
        raise NotImportable("The tables are not empty. Import into new ones: see `flask tables create`.")
    mark = StoreFormat(
        *StoreFormat.key(),
        number=FORMAT,
        # The tables are new: nothing runs on them.
        oldest_running=FORMAT,
        updated_at=clock.now(),
        importing=file_id,
        imported=0,
    )
    unmarked = StoreFormat.absent() | StoreFormat.importing.does_not_exist()
    if not write_if(lambda: mark.save(condition=unmarked)):
        raise NotImportable("Another import into these tables has just begun.")
    return 0


def note_imported(file_id: str, items: int) -> None:
    """Remember that so many items of the file are written. One call. Raises NotImportable where all are."""
    _mark(file_id, [StoreFormat.imported.set(items)])


def finish_import(file_id: str) -> None:
    """Say that all is written. One call. Raises NotImportable where another run has said so."""
    _mark(file_id, [StoreFormat.importing.remove(), StoreFormat.imported.remove()])


def _mark(file_id: str, actions: list[Any]) -> None:
    mark = StoreFormat(*StoreFormat.key())
    if not write_if(lambda: mark.update(actions, condition=StoreFormat.importing == file_id)):
        raise NotImportable("Another run of this import has finished it. Check it with `flask audit`.")


def put_new(table: str, item: RawItem) -> bool:
    """Write an item where there is none; False where the same one is there. One call, or two.

    Raises NotImportable where another one is there.
    """
    arguments = {"Item": item, "ConditionExpression": "attribute_not_exists(PK)"}
    try:
        _dispatch(table, "PutItem", arguments)
    except VerboseClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
    else:
        return True
    key = key_of(item)
    found = _dispatch(table, "GetItem", {"Key": _key_of(key), "ConsistentRead": True}).get("Item", {})
    if _comparable(found) != _comparable(item):
        raise NotImportable(
            f"Somebody else writes to these tables: {table} {' '.join(key)}. Stop that, and take new ones."
        )
    return False


def _comparable(item: RawItem) -> Any:
    """DynamoDB may write a number in another way than it was given."""
    return {name: {"N": Decimal(value["N"])} if "N" in value else value for name, value in item.items()}


def _key_of(key: Key) -> dict[str, dict[str, str]]:
    return {"PK": {"S": key[0]}, "SK": {"S": key[1]}}


@retry_while_busy
def _dispatch(table: str, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    connection = TABLES[table]._get_connection()
    return connection.connection.dispatch(operation, {"TableName": connection.table_name, **arguments})
