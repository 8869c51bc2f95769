"""Fields of amounts: money, prices and quantities, read and written exactly.

An amount is sent as text, such as "1000.00", and also read from a JSON number, with an exponent too. Money is USD with
exactly 2 decimals; prices (USD for one unit) and quantities have at most 8 and are written without trailing zeros. Only
an adjustment has a sign. No number type computes with an amount before `app.domain.money` has matched its digits.
Forms read a comma as the point first (`app/views/pages/forms.py`); JSON has no comma.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields

from app.domain import money
from app.schemas.fields import Output

# Numbers with an exponent beyond this are far from every bound, and would be as long when written without it.
_LARGEST_EXPONENT = 30


@dataclass(frozen=True)
class JsonNumber:
    """A number of a JSON text, as the digits that its sender wrote."""

    digits: str

    def plain(self) -> str:
        """The same number without an exponent, which most languages write in small ones: `1e-05` is 0.00001.

        A number with a huge exponent stays as it is, which no amount is.
        """
        if "e" not in self.digits.lower():
            return self.digits
        try:
            number = Decimal(self.digits)
        except ArithmeticError:
            return self.digits
        is_near = len(self.digits) <= 40 and abs(number.adjusted()) <= _LARGEST_EXPONENT
        return money.plain(number) if is_near else self.digits


class Amount(fields.Field[Decimal]):
    """An amount above zero: a JSON string, or a JSON number decoded from its own digits.

    `maximum` and `decimals` describe what `parse` takes. `write` leaves the decimals as they are, or drops zeros.
    """

    parse: Callable[[str], Decimal]
    write: Callable[[Decimal], str] = staticmethod(money.plain)
    maximum: Decimal
    decimals = 8
    example: str

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"metadata": {"example": self.example}, **kwargs})

    def json_schema(self) -> dict[str, Any]:
        if isinstance(self.parent, Output):
            fraction = rf"\.[0-9]{{{self.decimals}}}" if self.write is str else r"(\.[0-9]*[1-9])?"
            return {"type": "string", "pattern": rf"^-?(0|[1-9][0-9]*){fraction}$"}
        largest = f"{self.maximum:.0f}"
        digits = rf"({largest}(\.0{{1,{self.decimals}}})?|[0-9]{{1,{len(largest) - 1}}}(\.[0-9]{{1,{self.decimals}}})?)"
        smallest = Decimal(1).scaleb(-self.decimals)
        return {
            "type": ["string", "number"],
            "pattern": rf"^(?![0.]*$)0*{digits}$",
            "maxLength": 40,
            "minimum": smallest,
            "maximum": int(self.maximum),
            "multipleOf": smallest,
        }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Decimal:
        if isinstance(value, JsonNumber):
            value = value.plain()
        if not isinstance(value, str):
            raise ValidationError("Send a number, or a text of digits.")
        try:
            return self.parse(value)
        except money.InvalidAmount as error:
            raise ValidationError(str(error)) from error

    def _serialize(self, value: Decimal | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else self.write(value)


class Money(Amount):
    """`"1000.00"`: 0.01 to 1000000.00 when it is read, with any sign when it is written."""

    parse = staticmethod(money.parse_money)
    write = staticmethod(str)
    maximum = money.MAX_AMOUNT
    decimals = 2
    example = "1000.00"


class Adjustment(Money):
    """`"-12.50"`: money with a `-` in front of what is taken."""

    parse = staticmethod(money.parse_adjustment)

    def json_schema(self) -> dict[str, Any]:
        schema = super().json_schema()
        pattern = schema["pattern"].replace("^", "^-?", 1)
        return {**schema, "pattern": pattern, "minimum": -schema["maximum"], "not": {"const": 0}}


class Quantity(Amount):
    """`"0.25"`: 0.00000001 to 100000000000000."""

    parse = staticmethod(money.parse_quantity)
    maximum = money.MAX_QUANTITY
    example = "0.25"


class Price(Amount):
    """`"60000.12"`: above 0, at most 1000000000."""

    parse = staticmethod(money.parse_price)
    maximum = money.MAX_PRICE
    example = "60000.12"


class Number(fields.Field[Decimal]):
    """An exact JSON number, for the few fields that the JSON contract sends as one. Only written."""

    def json_schema(self) -> dict[str, Any]:
        return {"type": "number"}

    def _serialize(self, value: Decimal | None, attr: str | None, obj: Any, **kwargs: Any) -> Decimal | None:
        return value
