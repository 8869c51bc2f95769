"""Fields of amounts: money, prices and quantities, read and written exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields

from app.domain import money
from app.schemas.fields import Output


@dataclass(frozen=True)
class JsonNumber:
    """A number of a JSON text as its digits: not yet a number of any kind."""

    digits: str


class Amount(fields.Field[Decimal]):
    """Money, a price or a quantity: a JSON string, or a JSON number decoded from its own digits.

    `most` and `decimals` only describe what `parse` takes.
    """

    def __init__(
        self,
        parse: Callable[[str], Decimal] = money.parse_money,
        write: Callable[[Decimal], str] = str,
        *,
        most: Decimal = money.MAX_AMOUNT,
        decimals: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.parse = parse
        self.write = write
        self.most = most
        self.decimals = decimals

    def json_schema(self) -> dict[str, Any]:
        if isinstance(self.parent, Output):
            fraction = rf"\.[0-9]{{{self.decimals}}}" if self.write is str else r"(\.[0-9]*[1-9])?"
            return {"type": "string", "pattern": rf"^-?(0|[1-9][0-9]*){fraction}$"}
        largest = f"{self.most:.0f}"
        digits = rf"({largest}(\.0{{1,{self.decimals}}})?|[0-9]{{1,{len(largest) - 1}}}(\.[0-9]{{1,{self.decimals}}})?)"
        return {
            "type": ["string", "number"],
            "pattern": rf"^(?![0.]*$)0*{digits}$",
            "maxLength": 40,
            # Smaller ones leave most languages with an exponent, as 1e-05, which is not read.
            "minimum": max(Decimal(1).scaleb(-self.decimals), Decimal("0.0001")),
            "maximum": int(self.most),
            "multipleOf": Decimal(1).scaleb(-self.decimals),
        }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Decimal:
        if isinstance(value, JsonNumber):
            value = value.digits
        if not isinstance(value, str):
            raise ValidationError("Send a number, or a text of digits.")
        try:
            return self.parse(value)
        except money.InvalidAmount as error:
            raise ValidationError(str(error)) from error

    def _serialize(self, value: Decimal | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else self.write(value)


class Adjustment(Amount):
    """Money with a `-` in front of what is taken."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(money.parse_adjustment, **kwargs)

    def json_schema(self) -> dict[str, Any]:
        schema = super().json_schema()
        pattern = schema["pattern"].replace("^", "^-?", 1)
        return {**schema, "pattern": pattern, "minimum": -schema["maximum"], "not": {"const": 0}}


def Money(**kwargs: Any) -> Amount:
    """`"1000.00"`: exactly 2 decimals, 0.01 to 1000000.00."""
    return Amount(money.parse_money, str, metadata={"example": "1000.00"}, **kwargs)


def Quantity(*, example: str = "0.25", **kwargs: Any) -> Amount:
    """`"0.25"`: plain, at most 8 decimals."""
    return Amount(
        money.parse_quantity, money.plain, most=money.MAX_QUANTITY, decimals=8, metadata={"example": example}, **kwargs
    )


def Price(*, example: str | None = "60000.12", **kwargs: Any) -> Amount:
    """`"60000.12"`: plain, at most 8 decimals."""
    return Amount(
        money.parse_price, money.plain, most=money.MAX_PRICE, decimals=8, metadata={"example": example}, **kwargs
    )


class Number(fields.Field[Decimal]):
    """An exact JSON number, for the few fields that the contract sends as one."""

    def json_schema(self) -> dict[str, Any]:
        return {"type": "number"}

    def _serialize(self, value: Decimal | None, attr: str | None, obj: Any, **kwargs: Any) -> Decimal | None:
        return value
