"""The attributes of items. PynamoDB's number attribute goes through float, and its time attribute ends in `+0000`.

Each request reads hundreds of them, so they look up their values without the way round that PynamoDB's take for maps.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Self, TypeVar, overload

from pynamodb import attributes
from pynamodb.constants import NUMBER, STRING

from app.domain import clock, money
from app.domain.passkeys import Passkey, passkeys_from_text, passkeys_to_text
from app.domain.totals import AssetTotal, asset_totals_from_text, asset_totals_to_text

T = TypeVar("T")


class Attribute(attributes.Attribute[T]):
    """An attribute of an item, and of nothing else: there are no maps."""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        super().__set_name__(owner, name)
        self._name = name

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Any, owner: Any) -> T: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else instance.attribute_values.get(self._name)

    def __set__(self, instance: Any, value: T | None) -> None:
        instance.attribute_values[self._name] = value


class UnicodeAttribute(attributes.UnicodeAttribute, Attribute[str]):
    """Text."""


class NumberAttribute(attributes.NumberAttribute, Attribute[float]):
    """A whole number."""

    def deserialize(self, value: str) -> int:
        return int(value)


class TTLAttribute(attributes.TTLAttribute, Attribute[datetime]):
    """When DynamoDB may delete the item: a whole number of seconds."""

    def deserialize(self, value: str) -> datetime:
        return datetime.fromtimestamp(int(value), UTC)


class MoneyAttribute(Attribute[Decimal]):
    """Money as text with exactly 2 decimals. DynamoDB must not compare or add it."""

    attr_type = STRING

    def serialize(self, value: Decimal) -> str:
        return str(value.quantize(money.CENT, context=money.EXACT))

    def deserialize(self, value: str) -> Decimal:
        return Decimal(value)


class QuantityAttribute(Attribute[Decimal]):
    """A quantity or price as plain text, without exponent or trailing zeros, so that equal numbers are equal text."""

    attr_type = STRING

    def serialize(self, value: Decimal) -> str:
        return money.plain(value)

    def deserialize(self, value: str) -> Decimal:
        return Decimal(value)


class DecimalAttribute(Attribute[Decimal]):
    """An exact DynamoDB number, for the price that DynamoDB must sort."""

    attr_type = NUMBER

    def serialize(self, value: Decimal) -> str:
        return money.plain(value)

    def deserialize(self, value: str) -> Decimal:
        return Decimal(value)


class TimeAttribute(Attribute[datetime]):
    """A moment as sortable text; see `app.domain.clock`."""

    attr_type = STRING

    def serialize(self, value: datetime) -> str:
        return clock.to_text(value)

    def deserialize(self, value: str) -> datetime:
        return clock.from_text(value)


class AssetTotalsAttribute(Attribute[tuple[AssetTotal, ...]]):
    """The total of each asset, as JSON."""

    attr_type = STRING

    def serialize(self, value: Iterable[AssetTotal]) -> str:
        return asset_totals_to_text(value)

    def deserialize(self, value: str) -> tuple[AssetTotal, ...]:
        return asset_totals_from_text(value)


class PasskeysAttribute(Attribute[tuple[Passkey, ...]]):
    """Passkeys, in the order in which they were added, as JSON."""

    attr_type = STRING

    def serialize(self, value: Iterable[Passkey]) -> str:
        return passkeys_to_text(value)

    def deserialize(self, value: str) -> tuple[Passkey, ...]:
        return passkeys_from_text(value)
