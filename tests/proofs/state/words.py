"""Requests and answers in the words of the JSON API, and amounts and times as it writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Request:
    """Something that moves money, orders or people; `target` is the order or the user that it is about, if any.

    `credential` is `login`, `script` (a personal token that may trade) or `reader` (one that may not).
    """

    actor: str
    credential: str
    action: str
    body: Mapping[str, Any]
    target: str = ""
    key: str | None = None


@dataclass(frozen=True)
class Answer:
    """`done`, or the code of the error; what was made or changed; whether it is the answer of an earlier request."""

    code: str = "done"
    body: Mapping[str, Any] = field(default_factory=dict)
    is_replay: bool = False


class Refused(Exception):
    """The argument is the code."""


# Decimals, the least and the most.
MONEY = (2, Decimal("0.01"), Decimal(1_000_000))


QUANTITY = (8, Decimal("0.00000001"), Decimal(100_000_000_000_000))


PRICE = (8, Decimal("0.00000001"), Decimal(1_000_000_000))


def read_amount(text: str, kind: tuple[int, Decimal, Decimal], *, is_signed: bool = False) -> Decimal:
    decimals, least, most = kind
    sign = "-" if is_signed and text.startswith("-") else ""
    digits = text.removeprefix(sign)
    if not re.fullmatch(rf"[0-9]+(\.[0-9]{{1,{decimals}}})?", digits) or len(digits) > 40:
        raise Refused("invalid_input")
    if not least <= Decimal(digits) <= most:
        raise Refused("invalid_input")
    return Decimal(text)


def product(quantity: Decimal, price: Decimal, *, up: bool) -> Decimal:
    """Quantity x price in whole cents, rounded up or down; both have 8 decimals at most."""
    cents, rest = divmod(int(quantity * 10**8) * int(price * 10**8), 10**14)
    return Decimal(cents + (up and rest > 0)) / 100


def told(price: Decimal) -> str:
    """With commas, and all decimals, of which there are two or more: so BTC and ETH are priced."""
    return re.sub(r"(\.\d\d\d*?)0*$", r"\1", f"{price:,.8f}")


def money(amount: Decimal) -> str:
    return f"{amount:.2f}"


def plain(number: Decimal) -> str:
    return re.sub(r"\.?0*$", "", f"{number:.8f}")


def moment(time: datetime | None) -> str | None:
    return time and time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_moment(text: str | None) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z") if text else None
