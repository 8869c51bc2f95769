"""Exact attributes: PynamoDB's number attribute goes through float, and its time attribute ends in `+0000`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pynamodb.attributes import Attribute
from pynamodb.constants import NUMBER, STRING

from app.domain import clock, money


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
