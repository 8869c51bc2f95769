"""What the audit reads of an item, as plain values, and what it reports. How items are stored is not known here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.orders import OrderStatus, PriceType, Side


class ItemKey(NamedTuple):
    """The table (`users` or `orders`, whatever its real name) and the key of an item."""

    table: str
    PK: str
    SK: str

    def __str__(self) -> str:
        return " ".join(self)


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that an item fails. `check` is a stable code; `figures` repeats the message's values for programs."""

    check: str
    item: ItemKey
    message: str
    figures: Mapping[str, str]

    @property
    def identity(self) -> tuple[str, ItemKey]:
        """Check and item: equal in two readings of the same fault, even if its figures changed."""
        return self.check, self.item


class UserRecord(NamedTuple):
    item: ItemKey
    username: str
    email: str
    email_unconfirmed_since: datetime | None


class BalanceRecord(NamedTuple):
    item: ItemKey
    current_balance: Decimal
    total_deposits: Decimal
    total_withdrawals: Decimal
    reserved_cash: Decimal
    version: Decimal
    updated_at: datetime


class TransactionRecord(NamedTuple):
    item: ItemKey
    transaction_id: str
    transaction_type: str
    amount: Decimal
    previous_balance: Decimal
    new_balance: Decimal
    order_id: str | None
    actor: str | None
    description: str | None
    created_at: datetime


class HoldingRecord(NamedTuple):
    item: ItemKey
    asset_id: str
    quantity: Decimal
    reserved_quantity: Decimal | None


class TradeRecord(NamedTuple):
    item: ItemKey
    username: str
    asset_id: str
    transaction_type: str
    quantity: Decimal
    price: Decimal
    total_amount: Decimal
    order_id: str
    traded_at: datetime


class OrderRecord(NamedTuple):
    item: ItemKey
    username: str
    asset_id: str
    order_type: str
    price_type: str
    quantity: Decimal
    order_price: Decimal
    total_amount: Decimal
    status: str
    limit_price: Decimal | None
    expires_at: datetime | None
    executed_at: datetime | None
    created_at: datetime
    reserved_amount: Decimal | None
    reserved_quantity: Decimal | None
    open_owner: str | None
    open_book: str | None
    expiry_day: str | None

    @property
    def is_buy(self) -> bool:
        return self.order_type == Side.BUY

    @property
    def is_pending(self) -> bool:
        return self.status == OrderStatus.PENDING

    @property
    def is_completed(self) -> bool:
        return self.status == OrderStatus.COMPLETED

    @property
    def is_limit(self) -> bool:
        return self.price_type == PriceType.LIMIT


Record = UserRecord | BalanceRecord | TransactionRecord | HoldingRecord | TradeRecord | OrderRecord


def violation(check: str, item: ItemKey, message: str, /, **figures: object) -> Violation:
    """A violation with its figures as text."""
    return Violation(check, item, message, {name: as_text(value) for name, value in figures.items()})


def differs(check: str, item: ItemKey, what: str, *, found: object, expected: object) -> Iterator[Violation]:
    """A violation if the two values differ; `what` names the value in the message."""
    if found != expected:
        message = f"{what} is {as_text(found)}, and should be {as_text(expected)}."
        yield violation(check, item, message, found=found, expected=expected)


def not_positive(item: ItemKey, **amounts: Decimal) -> Iterator[Violation]:
    """A violation for each amount that is not above zero."""
    for name, amount in amounts.items():
        if amount <= 0:
            message = f"{name} is {as_text(amount)}, and should be above 0."
            yield violation("amount_not_positive", item, message, found=amount)


def negative(check: str, item: ItemKey, what: str, amount: Decimal) -> Iterator[Violation]:
    """A violation if the amount is below zero."""
    if amount < 0:
        yield violation(check, item, f"{what} is {as_text(amount)}, below zero.", found=amount)


def unknown_asset(item: ItemKey, asset_id: str) -> Iterator[Violation]:
    """A violation if the asset is not in the catalogue."""
    if asset_id not in CATALOGUE:
        yield violation("asset_unknown", item, f"{asset_id!r} is not in the catalogue.", found=asset_id)


def as_text(value: object) -> str:
    """A figure as messages show it: decimals in plain notation, times as stored, None as `absent`."""
    if value is None:
        return "absent"
    if isinstance(value, datetime):
        return clock.to_text(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)
