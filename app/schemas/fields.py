"""Fields: each reads one kind of value from text, refuses it with a sentence for people, and writes it again.

A field states its rules once, as attributes. `_deserialize` applies them, and `json_schema` gives what JSON Schema can
express of them to the OpenAPI file. Spaces around a text are dropped, except in amounts and passwords; no schema
mentions that. Times are UTC. Amounts are in `app.schemas.amounts`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from email_validator import validate_email
from marshmallow import Schema, ValidationError, fields

from app.domain import clock, identifiers, users
from app.domain.orders import PriceType, Side

_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
NO_CONTROLS = f"[^{_CONTROLS}]*"
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME_WITH_OFFSET = rf"{DAY}[T ][0-9:.]{{5,15}}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})"


class Output(Schema):
    """An answer: every key is always present, and there are no others."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        # Nothing is ever read with these: it only says that the key is always written.
        field_obj.required = True


class Text(fields.String):
    """Text without control characters and lone surrogates, of 1 to `max_length` characters.

    A subclass states its length, the `pattern` of the whole text, and the `advice` that answers text of another form.
    `read` turns text that matches into a value; the advice answers its ValueErrors too.
    """

    min_length = 1
    max_length: int
    # With a character that is not a space.
    pattern = rf"{NO_CONTROLS}[^{_CONTROLS}\s]{NO_CONTROLS}"
    advice = ""

    def __init__(self, *, max_length: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if max_length is not None:
            self.max_length = max_length

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "minLength": self.min_length,
            "maxLength": self.max_length,
            "pattern": f"^{self.pattern}$",
        }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if re.search(rf"[{_CONTROLS}\ud800-\udfff]", text):
            raise ValidationError("Leave out control characters.")
        try:
            return self.read(self.clean(text))
        except users.InvalidDetail as error:
            raise ValidationError(str(error)) from error
        except (ValueError, OverflowError) as error:
            raise ValidationError(self.advice) from error

    def clean(self, text: str) -> str:
        """The text without spaces around it, checked. Raises ValidationError."""
        text = text.strip()
        if not self.min_length <= len(text) <= self.max_length:
            raise ValidationError(f"Write {self.min_length} to {self.max_length} characters.")
        if not identifiers.matches(self.pattern, text):
            raise ValidationError(self.advice)
        return text

    def read(self, text: str) -> Any:
        """The value of a checked text. Raises ValueError, ValidationError."""
        return text


class Identifier(Text):
    """Text of a grammar that also bounds its length."""

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}


class Username(Identifier):
    """A username in any case, lower-cased."""

    min_length, max_length = 3, 30
    pattern = identifiers.TYPED_USERNAME
    advice = "Use letters a to z, digits and _ only."

    def read(self, text: str) -> str:
        return text.lower()


class AssetId(Identifier):
    """An asset id in any case, upper-cased; the asset need not exist."""

    max_length = 10
    pattern = identifiers.ASSET_ID
    advice = "Write an asset id, such as BTC."

    def read(self, text: str) -> str:
        return text.upper()


class EmailAddress(Text):
    """A well-formed e-mail address, lower-cased. Whether it exists is not checked."""

    max_length = 254
    advice = "Write an e-mail address, such as name@example.com."

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "email", "maxLength": self.max_length}

    def read(self, text: str) -> str:
        address = validate_email(text, check_deliverability=False).normalized.lower()
        if "#" in address or len(address) > self.max_length:
            raise ValidationError("This e-mail address cannot be used here. Choose another one.")
        return address


class PersonName(Text):
    """Letters of any script, spaces, and ' - . between them."""

    max_length = 50
    # Not all dialects of regular expressions know "any letter": this only excludes the ASCII characters of other kinds.
    pattern = r"[^\u0000-\u001f!-&(-,/-@\[-`{-\u009f]+"
    advice = "Use letters, spaces, ' - and . only."

    def json_schema(self) -> dict[str, Any]:
        return {**super().json_schema(), "description": "Letters of any script, spaces, ' - and ."}

    def read(self, text: str) -> str:
        # Phones type the curly apostrophe.
        name = unicodedata.normalize("NFC", text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        kinds = [unicodedata.category(char)[0] for char in name]
        if "L" not in kinds or not all(kind in "LM" or char in " '-." for kind, char in zip(kinds, name, strict=True)):
            raise ValueError(text)
        return name


class Phone(Text):
    """10 to 15 digits; punctuation is dropped, and a leading + is kept."""

    max_length = 40
    pattern = r"[ ().\-/]*\+?([ ().\-/]*[0-9]){10,15}[ ().\-/]*"
    advice = "Write 10 to 15 digits, such as +44 20 7946 0000."

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.max_length, "pattern": f"^{self.pattern}$"}

    def read(self, text: str) -> str:
        return re.sub("[^+0-9]", "", text)


class NewPassword(Text):
    """A password as `app.domain.users` accepts it: as typed, with its spaces, in NFKC."""

    min_length, max_length = users.MIN_PASSWORD_LENGTH, users.MAX_PASSWORD_LENGTH
    pattern = NO_CONTROLS

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "format": "password",
            **super().json_schema(),
            "description": "Not one of the most common ones, and without the username and the e-mail address",
        }

    def clean(self, text: str) -> str:
        return users.read_new_password(text)


class Day(Text):
    """`YYYY-MM-DD`."""

    max_length = 10
    # fromisoformat alone would take 20300131 and 2030-W05-4 too.
    pattern = DAY
    advice = "Write a date as YYYY-MM-DD, such as 2030-12-31."

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date"}

    def read(self, text: str) -> date:
        return date.fromisoformat(text)


class DateOfBirth(Day):
    """`YYYY-MM-DD` of a person whose age `app.domain.users` accepts."""

    def read(self, text: str) -> date:
        birth = super().read(text)
        users.check_age(birth, today=clock.now().date())
        return birth


class EndTime(Text):
    """A moment in the future, at most `max_ahead` from now.

    It is ISO 8601 with an offset, or a date, which means the end of that day in UTC. Without its offset, a time is
    ambiguous and refused.

    With `past_allowed` a moment may be over: a repeated request names one that was in the future at first.
    """

    max_length = 40
    advice = "Write a date, or a time with its offset, such as 2030-12-31 or 2030-12-31T12:00:00Z."

    def __init__(self, *, max_ahead: timedelta, past_allowed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_ahead = max_ahead
        self.past_allowed = past_allowed

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "maxLength": self.max_length,
            "anyOf": [{"format": "date-time"}, {"format": "date"}],
            "description": f"At most {self.max_ahead.days} days ahead; a date means the end of that day (UTC)",
        }

    def read(self, text: str) -> datetime:
        moment = self._parse(text)
        ahead = moment - clock.now()
        if ahead > self.max_ahead or ahead <= timedelta() and not self.past_allowed:
            raise ValidationError(f"Choose a time in the future, at most {self.max_ahead.days} days ahead.")
        return moment

    @staticmethod
    def _parse(text: str) -> datetime:
        if identifiers.matches(DAY, text):
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        if not identifiers.matches(TIME_WITH_OFFSET, text):
            raise ValueError(text)
        return datetime.fromisoformat(text).astimezone(UTC)


class WholeNumber(Text):
    """A whole number from `minimum` to `maximum` in a query."""

    max_length = 10
    pattern = "[0-9]+"

    def __init__(self, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.minimum, self.maximum = minimum, maximum
        self.advice = f"Write a whole number from {minimum} to {maximum}."

    def json_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}

    def read(self, text: str) -> int:
        if not self.minimum <= int(text) <= self.maximum:
            raise ValueError(text)
        return int(text)


class Choice(Text):
    """One value of an enumeration, in any case."""

    max_length = 40

    def __init__(self, choices: type[StrEnum], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choices = choices
        self.advice = f"Choose one of: {', '.join(choice.lower() for choice in choices)}."

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": [choice.lower() for choice in self.choices]}

    def read(self, text: str) -> StrEnum:
        return self.choices(text.upper())


class Switch(Text):
    """`true` or `false` in a query."""

    max_length = 5
    advice = "Write true or false."

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def read(self, text: str) -> bool:
        if text.lower() not in {"true", "false", "1", "0"}:
            raise ValueError(text)
        return text.lower() in {"true", "1"}


class StrictBoolean(fields.Boolean):
    """A JSON `true` or `false`: no text, no number."""

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Send true or false.")
        return value


class Timestamp(fields.Field[datetime]):
    """A time as ISO 8601 in UTC, with `Z`. Only written."""

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time", "pattern": "Z$"}

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else clock.to_text(value)


ORDER_TYPES = {
    "market_buy": (Side.BUY, PriceType.MARKET),
    "market_sell": (Side.SELL, PriceType.MARKET),
    "limit_buy": (Side.BUY, PriceType.LIMIT),
    "limit_sell": (Side.SELL, PriceType.LIMIT),
}
"""Side and price type of an order by the one word that the JSON contract has for both."""

ORDER_TYPE_NAMES = {kind: name for name, kind in ORDER_TYPES.items()}


class OrderTypeName(fields.String):
    """Side and price type of an order in one word, such as `market_buy`. Only written."""

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(ORDER_TYPES)}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return ORDER_TYPE_NAMES[obj.order_type, obj.price_type]


class LowerCase(fields.String):
    """A value that is stored in upper case, sent in lower case. Only written."""

    def __init__(self, choices: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choices = choices

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": [choice.lower() for choice in self.choices]}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return str(value).lower()
