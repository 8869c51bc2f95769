"""Values between Python and JSON: amounts are `Decimal` and never float, times are aware and in UTC."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

Amount = Decimal | int | str
Moment = datetime | date


class Unreadable(ValueError):
    """An answer is not what this client knows: the service is older than it."""


def amount_text(amount: Amount) -> str:
    """An amount as the service takes it. A float is refused: 0.1 is not a tenth there."""
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int | str):
        raise TypeError(f"Write an amount as Decimal, text or int, not as {type(amount).__name__}.")
    if isinstance(amount, Decimal):
        if not amount.is_finite():
            raise ValueError(f"{amount} is not an amount.")
        return format(amount, "f")
    return str(amount)


def moment_text(moment: Moment | str) -> str:
    """A time or a day as the service takes it; text is left as it is. A time needs its zone."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError("A time needs its zone, such as datetime.now(timezone.utc).")
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return moment.isoformat() if isinstance(moment, date) else moment


def to_json(value: Any) -> str:
    """JSON of what the service answered, or is sent: amounts are text, as in its own answers."""
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return amount_text(value) if isinstance(value, Decimal) else moment_text(value)


def from_json(text: str | bytes) -> Any:
    """JSON without floats."""
    return json.loads(text, parse_float=Decimal)


@cache
def _fields_of(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def read(kind: type[T], value: Any) -> T:
    """An object of an answer as its class. Fields that the class does not have are left out. Raises Unreadable."""
    try:
        read_value: T = _read(kind, value)
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise Unreadable(f"The answer is not a {kind.__name__} as this client knows it: {error}") from error
    return read_value


def _read(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in {types.UnionType, typing.Union}:
        kinds = [each for each in typing.get_args(kind) if each is not types.NoneType]
        return None if value is None else _read(kinds[0], value)
    if origin is list:
        [kind_of_each] = typing.get_args(kind)
        return [_read(kind_of_each, each) for each in value]
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        # What may be null may also be missing: an older service does not know it.
        return kind(**{name: _read(each, value.get(name)) for name, each in _fields_of(kind).items()})
    return _read_plain(kind, origin, value)


def _read_plain(kind: Any, origin: Any, value: Any) -> Any:
    if kind is Decimal and isinstance(value, str | int | Decimal):
        return Decimal(value)
    if kind is datetime:
        return datetime.fromisoformat(value).astimezone(UTC)
    if kind is date:
        return date.fromisoformat(value)
    # Words that a newer service has are let through.
    wanted = type(typing.get_args(kind)[0]) if origin is typing.Literal else origin or kind
    if wanted is Any or isinstance(value, wanted):
        return value
    raise TypeError(f"{value!r} is not {wanted}")
