"""Reading several items in one call, of both tables if need be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.models.database import database
from app.models.item import Item, ItemT, Key

Place = tuple[type[Item], Key]
"""A kind of item, and the key of one."""


@dataclass(frozen=True)
class Needed:
    """Where the items are that a request needs, and whether it needs them as they are now."""

    places: Sequence[Place]
    consistent: bool


class Found:
    """Items that were read together."""

    def __init__(self, items: Mapping[Place, Item | None]) -> None:
        self._items = items

    def __bool__(self) -> bool:
        return bool(self._items)

    def has_read(self, kind: type[Item], key: Key) -> bool:
        """Whether this place was read, be there an item or not."""
        return (kind, key) in self._items

    def get(self, kind: type[ItemT], key: Key) -> ItemT | None:
        """The item at this place; None where there is none, or where nothing was read."""
        item = self._items.get((kind, key))
        assert item is None or isinstance(item, kind)
        return item

    def find(self, kind: type[ItemT], key: Key) -> ItemT | None:
        """The item at this place, or None. One consistent call, unless the place was read."""
        return self.get(kind, key) if self.has_read(kind, key) else kind.find(key)

    def take(self) -> Found:
        """What was found, once; nothing from the second time on."""
        taken, self._items = Found(self._items), {}
        return taken


NOTHING = Found({})


def nothing_else(_: str) -> Needed:
    """What a request needs that needs only its credentials."""
    return Needed([], consistent=False)


def read_together(places: Sequence[Place], *, consistent: Sequence[Place] | None = None) -> Found:
    """The items at these places. One call.

    The tables of the places in `consistent`, by default of all, are read consistently. Each of their places costs 1
    read unit, and any other one half a unit, where an item has up to 4 KB.
    """
    connection = places[0][0]._get_connection().connection
    names = database().table_names
    tables = {_table(kind) for kind, _ in (places if consistent is None else consistent)}
    unread: dict[str, dict[str, Any]] = {}
    for kind, (hash_key, range_key) in places:
        table = _table(kind)
        asked = unread.setdefault(names[table], {"Keys": [], "ConsistentRead": table in tables})
        asked["Keys"].append({"PK": {"S": hash_key}, "SK": {"S": range_key}})
    rows: dict[Key, dict[str, Any]] = {}
    while unread:
        answer = connection.dispatch("BatchGetItem", {"RequestItems": unread})
        for found in answer["Responses"].values():
            rows |= {(row["PK"]["S"], row["SK"]["S"]): row for row in found}
        unread = answer.get("UnprocessedKeys", {})
    return Found({(kind, key): kind.from_raw_data(rows[key]) if key in rows else None for kind, key in places})


def read_credentials(credentials: Sequence[Place], needed: Needed) -> Iterator[Found]:
    """The credentials of a request with what else it needs: cheaply first, and where that is not enough consistently.

    A cheap read may miss a new credential, so only a consistent one can refuse. One call for each.
    """
    places, consistent = [*credentials, *needed.places], needed.places if needed.consistent else []
    yield read_together(places, consistent=consistent)
    if _table(credentials[0][0]) not in {_table(kind) for kind, _ in consistent}:
        yield read_together(places, consistent=[*credentials, *consistent])


def _table(kind: type[Item]) -> str:
    return str(kind.Meta.table)  # type: ignore[attr-defined]
