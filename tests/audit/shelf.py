"""The items of an account, of which a test damages one; afterwards all are as they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.audit.records import ItemKey
from tests.audit.damages import KEYS, LABELS, RawItem
from tests.support.applications import tables_named

TABLES = tables_named("audit")


@dataclass
class Shelf:
    """The two tables, damaged by hand with a bare client, and as they were before."""

    store: Any
    sound: dict[ItemKey, RawItem]
    touched: set[ItemKey] = field(default_factory=set)

    @staticmethod
    def read(store: Any) -> dict[ItemKey, RawItem]:
        return {
            ItemKey(table, item["PK"]["S"], item["SK"]["S"]): item
            for table, name in TABLES.items()
            for item in store.scan(TableName=name)["Items"]
        }

    def find(self, label: str) -> ItemKey:
        """The one item of ann that a label means."""
        if label in KEYS:
            return KEYS[label]
        [key] = [
            key
            for key, item in self.sound.items()
            if LABELS[label].items() <= _plain(item).items() and item.get("username", {}).get("S") == "ann"
        ]
        return key

    def trade_of(self, label: str) -> ItemKey:
        order_id = self.find(label).PK
        [key] = [
            key
            for key, item in self.sound.items()
            if _plain(item).get("order_id") == order_id and item["entity_type"]["S"] == "ASSET_TRANSACTION"
        ]
        return key

    def transaction_of(self, label: str, kind: str) -> ItemKey:
        order_id = self.find(label).PK
        [key] = [
            key
            for key, item in self.sound.items()
            if _plain(item).get("order_id") == order_id and _plain(item).get("transaction_type") == f"ORDER_{kind}"
        ]
        return key

    def at(self, label: str) -> ItemKey:
        """`market buy`, `trade of market buy`, `PAYMENT of market buy`, `change 1 of changed buy`."""
        what, _, order = label.partition(" of ")
        if not order:
            return self.find(label)
        if what.startswith("change"):
            return ItemKey("orders", self.find(order).PK, f"CHANGE#{int(what[6:]):06d}")
        return self.trade_of(order) if what == "trade" else self.transaction_of(order, what)

    def put(self, key: ItemKey, item: RawItem) -> None:
        self.touched.add(key)
        self.store.put_item(TableName=TABLES[key.table], Item={**item, "PK": {"S": key.PK}, "SK": {"S": key.SK}})

    def delete(self, key: ItemKey) -> None:
        self.touched.add(key)
        self.store.delete_item(TableName=TABLES[key.table], Key={"PK": {"S": key.PK}, "SK": {"S": key.SK}})

    def change(self, key: ItemKey, changes: Mapping[str, Any]) -> None:
        """Set attributes: text, None to remove, or a raw value."""
        item = dict(self.sound[key])
        for name, value in changes.items():
            item.pop(name, None)
            if value is not None:
                item[name] = {"S": value} if isinstance(value, str) else value
        self.put(key, item)

    def restore(self) -> None:
        for key in list(self.touched):
            self.put(key, self.sound[key]) if key in self.sound else self.delete(key)
        self.touched.clear()


def _plain(item: RawItem) -> dict[str, Any]:
    return {name: next(iter(value.values())) for name, value in item.items()}
