"""`Item`: one row of a table, its key, and how PynamoDB reaches its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Self, TypeVar

from pynamodb.attributes import Attribute, DiscriminatorAttribute
from pynamodb.connection.table import TableConnection
from pynamodb.constants import NULL
from pynamodb.exceptions import AttributeNullError
from pynamodb.expressions.condition import Condition
from pynamodb.models import Model

from app.models.attributes import UnicodeAttribute
from app.models.database import database

Key = tuple[str, str]
ItemT = TypeVar("ItemT", bound="Item")


class TableMeta:
    """What PynamoDB must know about a table; an instance, so that the name follows the active database."""

    region = None
    host = None

    def __init__(self, table: str) -> None:
        self.table = table

    @property
    def table_name(self) -> str:
        return database().table_names[self.table]


class Item(Model):
    """One row of either table.

    The root class of each table declares its `Meta`, its indexes and its own `entity_type`, which tells the kinds of
    items apart. Each kind declares how its key is made.
    """

    PK = UnicodeAttribute(hash_key=True)
    SK = UnicodeAttribute(range_key=True)
    entity_type: DiscriminatorAttribute

    @classmethod
    def find(cls, key: Key, *, consistent: bool = True) -> Self | None:
        """The item at this key, or None. One call; a read that is not consistent costs half the units."""
        try:
            return cls.get(*key, consistent_read=consistent)
        except cls.DoesNotExist:
            return None

    @classmethod
    def from_raw_data(cls, data: dict[str, Any]) -> Self:
        """The item of a row as DynamoDB writes it, an instance of its kind. Raises ValueError, TypeError.

        PynamoDB would set each default twice and look up each attribute several times, for every row.
        """
        discriminator = cls.entity_type
        stored = data.get(discriminator.attr_name)
        kind = discriminator.deserialize(discriminator.get_value(stored)) if stored else cls
        if not issubclass(kind, cls):
            raise ValueError(f"expected a {cls.__name__}, and found a {kind.__name__}")
        item: Self = kind.__new__(kind)
        defaults, attributes = _attributes_of(kind)
        item.attribute_values = values = defaults.copy()
        for name, stored_name, attribute, kind_of_value, is_text in attributes:
            value = data.get(stored_name)
            if value and NULL not in value:
                read = value[kind_of_value] if kind_of_value in value else attribute.get_value(value)
                values[name] = read if is_text else attribute.deserialize(read)
        return item

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        """The row of this item as DynamoDB writes it, as PynamoDB's, which looks up each attribute several times.

        Raises AttributeNullError where an attribute that must have a value has none, unless told not to.
        """
        row: dict[str, dict[str, Any]] = {}
        for name, stored_name, attribute, kind_of_value, is_text in _attributes_of(type(self))[1]:
            value = self.attribute_values.get(name)
            if value is not None:
                row[stored_name] = {kind_of_value: value if is_text else attribute.serialize(value)}
            elif null_check and not attribute.null:
                raise AttributeNullError(name)
        return row

    @classmethod
    def absent(cls) -> Condition:
        """The condition that there is no item at the key."""
        return cls.PK.does_not_exist()

    @classmethod
    def _get_connection(cls) -> TableConnection:
        # Overrides PynamoDB, which builds a client for every class. Pinned; tests/models/test_database.py tests it.
        return database().table(cls.Meta.table, lambda: table_schema(cls))  # type: ignore[attr-defined]


@cache
def _attributes_of(kind: type[Item]) -> tuple[dict[str, Any], list[tuple[str, str, Attribute[Any], str, bool]]]:
    """What an item of this kind has where its row says nothing; and of each attribute what reading a row needs.

    That is its name here, the stored name, itself, DynamoDB's letter for its type, and whether it is text as it stands.
    """
    attributes = [
        (name, each.attr_name, each, each.attr_type, type(each) is UnicodeAttribute)
        for name, each in kind.get_attributes().items()
    ]
    return kind(_user_instantiated=False).attribute_values, attributes


def table_schema(item: type[Item]) -> dict[str, Any]:
    """Keys and indexes of an item's table in the words of DynamoDB's CreateTable."""
    schema = item._get_schema()

    def hash_first(keys: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return sorted(keys, key=lambda key: str(key["KeyType"]))

    return {
        "KeySchema": hash_first(schema["key_schema"]),
        "AttributeDefinitions": schema["attribute_definitions"],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index["index_name"],
                "KeySchema": hash_first(index["key_schema"]),
                "Projection": index["projection"],
            }
            for index in schema["global_secondary_indexes"]
        ],
    }
