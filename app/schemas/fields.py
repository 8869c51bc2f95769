"""Fields: each reads one kind of value from text, refuses it with a sentence for people, and writes it again.

A field states its rules once, as attributes. `_deserialize` applies them, and `json_schema` gives what JSON Schema can
express of them to the OpenAPI file. Spaces around a text are dropped, except in amounts and passwords; no schema
mentions that. Times are UTC. Amounts are in `app.schemas.amounts`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cached_property, partial
from itertools import permutations
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing

from app.domain import clock, identifiers, ledger, texts, users
from app.domain.orders import PriceType, Side

# What breaks a line, turns the order of text round, or does something to a terminal.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
# What shows nothing by itself. Fillers count as letters and the empty Braille pattern as a symbol, but none is seen.
_FILLERS = r"\u115f\u1160\u2800\u3164\uffa0"
_INVISIBLE = (
    rf"\s{_FILLERS}\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff"
)
NO_CONTROLS = f"[^{_CONTROLS}]*"
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
# RFC 3339, and also a time without seconds or an offset without a colon.
TIME_WITH_OFFSET = (
    rf"(?P<minute>{DAY}[Tt ][0-9]{{2}}:[0-9]{{2}})(:(?P<second>[0-9]{{2}}(\.[0-9]+)?))?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:?[0-9]{2})"
)


class Output(Schema):
    """An answer: every key is always present, and there are no others."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        # Nothing is ever read with these: it only says that the key is always written.
        field_obj.required = True

    def _serialize(self, obj: Any, *, many: bool = False) -> Any:
        """As the library's, which goes through five functions to each value of each row. Pinned."""
        if many:
            return super()._serialize(obj, many=True)
        read = obj.get if isinstance(obj, dict) else partial(getattr, obj)
        written = {}
        for name, source, field in self._sources:
            value = read(source, missing)
            is_plain = value is not missing
            value = field._serialize(value, name, obj) if is_plain else field.serialize(name, obj, self.get_attribute)
            if value is not missing:
                written[name] = value
        return written

    @cached_property
    def _sources(self) -> list[tuple[str, str, fields.Field[Any]]]:
        """Of each field its name, that of the attribute that it writes, and itself."""
        return [(name, field.attribute or name, field) for name, field in self.dump_fields.items()]


class Text(fields.String):
    """Text of 1 to `max_length` characters in NFC, without control characters and lone surrogates.

    What looks alike is read alike: two keyboards may send the same letter differently. A subclass states its length,
    the `pattern` of the whole text, and the `advice` that answers text of another form. `read` turns text that matches
    into a value; the advice answers its ValueErrors too.
    """

    min_length = 1
    max_length: int
    # With a character that can be seen.
    pattern = rf"{NO_CONTROLS}[^{_CONTROLS}{_INVISIBLE}]{NO_CONTROLS}"
    advice = "Write something that can be seen."
    # Whether a wrong length is answered by the right one; of text of one form, the advice says more.
    tells_length = True

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
            raise ValidationError("Leave out line breaks and control characters.")
        try:
            return self.read(self.clean(text))
        except users.InvalidDetail as error:
            raise ValidationError(str(error)) from error
        except (ValueError, OverflowError) as error:
            raise ValidationError(self.advice) from error

    def clean(self, text: str) -> str:
        """The text without spaces around it, checked. Raises ValidationError."""
        text = text.strip()
        is_short = texts.is_short(text, self.max_length)
        if not is_short or not self.min_length <= len(texts.normalize("NFC", text)) <= self.max_length:
            length = f"Write {self.min_length} to {self.max_length} characters."
            raise ValidationError(length if self.tells_length else self.advice)
        if not identifiers.matches(self.pattern, text):
            raise ValidationError(self.advice)
        return text

    def read(self, text: str) -> Any:
        """The value of a checked text. Raises ValueError, ValidationError."""
        # Not before the check: NFC turns some other letters into ASCII ones.
        return texts.normalize("NFC", text)


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
        try:
            address = canonical_address(text)
        except ValueError:
            # Would it do under a public domain? The advice answers what is not even that.
            canonical_address(f"{text}.example")
            raise ValidationError(
                "This domain is not on the internet. Use an address that gets mail there, such as name@example.com."
            ) from None
        if "#" in address or len(address) > self.max_length:
            raise ValidationError("This e-mail address cannot be used here. Choose another one.")
        return address


def canonical_address(text: str) -> str:
    """The one form of an e-mail address in which it is stored and looked for. Raises ValueError."""
    # Imported here: making its patterns takes a twentieth of a start, and most workers check no address for a while.
    from email_validator import validate_email

    return validate_email(text, check_deliverability=False).normalized.lower()


class LoginName(Text):
    """A username or an e-mail address, in the form in which it is stored. What is neither is left, and names nobody."""

    max_length = 254

    def read(self, text: str) -> str:
        if identifiers.matches(identifiers.TYPED_USERNAME, text):
            return text.lower()
        try:
            return canonical_address(text)
        except ValueError:
            return text


_APOSTROPHES = {ord(mark): "'" for mark in "\N{RIGHT SINGLE QUOTATION MARK}\N{ARMENIAN APOSTROPHE}"}
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_NAME_MARKS = (
    "'-."
    "\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{ARMENIAN HYPHEN}\N{HEBREW PUNCTUATION MAQAF}"
    "\N{KATAKANA-HIRAGANA DOUBLE HYPHEN}\N{MIDDLE DOT}\N{KATAKANA MIDDLE DOT}\N{HALFWIDTH KATAKANA MIDDLE DOT}"
    "\N{HEBREW PUNCTUATION GERESH}\N{HEBREW PUNCTUATION GERSHAYIM}\N{TIBETAN MARK INTERSYLLABIC TSHEG}"
)
"""What scripts put between the letters of a name."""


class PersonName(Text):
    """Letters of any script, with the spaces, hyphens, apostrophes, points and joiners that names have.

    A joiner shows only in its effect on letters: it follows one, or a mark on one.
    """

    max_length = 50
    # Not all dialects of regular expressions know "any letter": this only excludes the ASCII characters of other kinds.
    pattern = r"[^\u0000-\u001f!-&(-,/-@\[-`{-\u009f]+"
    advice = "Use letters, spaces, ' - and . only."

    def json_schema(self) -> dict[str, Any]:
        return {**super().json_schema(), "description": "Letters of any script, and what scripts put between letters"}

    def read(self, text: str) -> str:
        # Phones type the curly apostrophe.
        name = re.sub(r"\s", " ", super().read(text).translate(_APOSTROPHES))
        kinds = "".join(map(self._kind, name))
        # One letter or more, and no joiner but after a letter or mark.
        if "L" not in kinds or "?" in kinds or re.search("(^|[^LM])J", kinds):
            raise ValueError(text)
        return name

    @staticmethod
    def _kind(char: str) -> str:
        """Letter, Mark, Joiner, a separator, or what a name does not have."""
        if char in _JOINERS:
            return "J"
        if char == " " or char in _NAME_MARKS:
            return " "
        kind = unicodedata.category(char)[0]
        return kind if kind in "LM" and not re.match(f"[{_FILLERS}]", char) else "?"


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
            "description": "Not an easy one to guess, and without the name, the username and the e-mail address",
        }

    def clean(self, text: str) -> str:
        return users.read_new_password(text)


class Day(Text):
    """`YYYY-MM-DD`."""

    max_length = 10
    tells_length = False
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
        now = clock.now()
        if identifiers.matches(DAY, text):
            moment = clock.end_of(date.fromisoformat(text))
            # The last day may be as far ahead as its number says, though its end is some hours more.
            is_too_far = moment > clock.end_of((now + self.max_ahead).date())
        else:
            moment = read_time(text)
            is_too_far = moment - now > self.max_ahead
        if is_too_far or moment <= now and not self.past_allowed:
            raise ValidationError(clock.end_advice(self.max_ahead))
        return moment


class PastTime(Text):
    """A moment that is not in the future: ISO 8601 with an offset, or a date, which means the end of that day in UTC.

    The end of today is in the future, and allowed.
    """

    max_length = 40
    advice = "Write a date, or a time with its offset, such as 2026-01-31 or 2026-01-31T12:00:00Z."

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "maxLength": self.max_length,
            "anyOf": [{"format": "date-time"}, {"format": "date"}],
            "description": "Not in the future; a date means the end of that day (UTC), and today means now",
        }

    def read(self, text: str) -> datetime:
        now = clock.now()
        is_day = identifiers.matches(DAY, text)
        moment = clock.end_of(date.fromisoformat(text)) if is_day else read_time(text)
        if moment > (clock.end_of(now.date()) if is_day else now):
            raise ValidationError(f"Choose a time that is not in the future. In UTC it is now {now:%Y-%m-%d %H:%M}.")
        return moment


def read_time(text: str) -> datetime:
    """A moment as RFC 3339 writes it, in UTC. Parts of a microsecond are cut off. Raises ValueError, OverflowError."""
    parts = re.fullmatch(TIME_WITH_OFFSET, text)
    if parts is None:
        raise ValueError(text)
    second, _, fraction = (parts["second"] or "00").partition(".")
    # A leap second is the first one of the next minute: the clocks of computers do not have it.
    is_leap = second == "60"
    whole = f"{parts['minute']}:{'59' if is_leap else second}.{fraction[:6].ljust(6, '0')}{parts['offset']}".upper()
    return (datetime.fromisoformat(whole) + timedelta(seconds=is_leap)).astimezone(UTC)


class Hash(Identifier):
    """A SHA-256 in hexadecimal."""

    pattern = "[0-9A-Fa-f]{64}"
    max_length = 64
    advice = "Write the 64 digits and letters a to f of a hash."

    def read(self, text: str) -> str:
        return text.lower()


class ClientOrderId(Identifier):
    """What a script calls an order."""

    pattern = identifiers.CLIENT_ORDER_ID
    max_length = 64
    advice = "Write 1 to 64 letters, digits and . _ : -"


class TransactionId(Identifier):
    """The number of a transaction, with or without the zeros before it."""

    pattern = "[0-9]{1,12}"
    max_length = 12
    advice = "Write the number of a transaction: up to 12 digits."

    def read(self, text: str) -> str:
        return ledger.transaction_id(int(text))


class EventNumber(Identifier):
    """The number of an account event, with or without the zeros before it; loads as a whole number."""

    pattern = "[0-9]{1,12}"
    max_length = 12
    tells_length = False
    advice = "Write the number of an event: up to 12 digits."

    def read(self, text: str) -> int:
        return int(text)


class Month(Text):
    """A month in UTC, as text."""

    min_length = max_length = 7
    tells_length = False
    pattern = "20[0-9]{2}-(0[1-9]|1[0-2])"
    advice = "Write a month such as 2026-11."


class WholeNumber(Text):
    """A whole number from `minimum` to `maximum` in a query."""

    max_length = 10
    tells_length = False
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
    """One value of an enumeration, in any case, and none of `but`."""

    max_length = 40
    # Other letters become ASCII ones in upper case.
    pattern = "[A-Za-z_]+"

    def __init__(self, choices: type[StrEnum], *, but: Iterable[StrEnum] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choices = {str(choice): choice for choice in choices if choice not in but}
        self.advice = f"Choose one of: {', '.join(choice.lower() for choice in self.choices)}."

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": [choice.lower() for choice in self.choices]}

    def read(self, text: str) -> StrEnum:
        if text.upper() not in self.choices:
            raise ValueError(text)
        return self.choices[text.upper()]


class Scopes(Text):
    """What a token may do: `read`, and what else, in any order, with a space between words."""

    max_length = 50
    pattern = "[a-z ]+"
    advice = "Write read, and after it trade, transfer or both, with a space between words."

    def json_schema(self) -> dict[str, Any]:
        orders = (words for number in range(1, 4) for words in permutations(users.SCOPES, number))
        return {"type": "string", "enum": [" ".join(words) for words in orders if users.READ in words]}

    def read(self, text: str) -> str:
        words = text.split(" ")
        if users.READ not in words or len({*words} & {*users.SCOPES}) < len(words):
            raise ValueError(text)
        return " ".join(scope for scope in users.SCOPES if scope in words)


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
    "stop_sell": (Side.SELL, PriceType.STOP),
    "stop_limit_buy": (Side.BUY, PriceType.STOP_LIMIT),
    "stop_limit_sell": (Side.SELL, PriceType.STOP_LIMIT),
}
"""Side and price type of an order by the one word that the JSON contract has for both.

There is no `stop_buy`: without a limit, nobody knows what to reserve for it.
"""

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

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else str(value).lower()
