"""What the audit reads of an item, as plain values, and what it reports. How items are stored is not known here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.orders import LIMIT_DIRECTION, STOP_DIRECTION, Direction, OrderStatus, PriceType, Side
from app.domain.passkeys import Passkey
from app.domain.users import UserStatus


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
    status: str
    email: str | None
    email_unconfirmed_since: datetime | None
    first_name: str | None
    last_name: str | None
    phone: str | None
    date_of_birth: str | None
    marketing_emails_consent: bool
    second_factor: datetime | None
    join_month: str | None
    created_at: datetime

    @property
    def is_closed(self) -> bool:
        return self.status == UserStatus.CLOSED


class EventRecord(NamedTuple):
    item: ItemKey
    username: str
    actor: str | None
    act_month: str | None
    created_at: datetime


class AccountEventRecord(NamedTuple):
    item: ItemKey
    username: str
    event_number: str
    event_type: str
    order_id: str | None
    transaction_id: str | None
    created_at: datetime
    ttl: Decimal


class BalanceRecord(NamedTuple):
    item: ItemKey
    username: str
    current_balance: Decimal
    total_deposits: Decimal
    total_withdrawals: Decimal
    reserved_cash: Decimal
    version: Decimal
    head_hash: str | None
    head_number: Decimal | None
    event_version: Decimal | None
    closed_at: datetime | None
    created_at: datetime
    updated_at: datetime


class FactorRecord(NamedTuple):
    item: ItemKey
    recovery_hashes: str
    passkeys: tuple[Passkey, ...] | None
    created_at: datetime


class TransactionRecord(NamedTuple):
    item: ItemKey
    username: str
    transaction_id: str
    transaction_type: str
    amount: Decimal
    previous_balance: Decimal
    new_balance: Decimal
    order_id: str | None
    actor: str | None
    approved_by: str | None
    event_number: str | None
    description: str | None
    hash: str | None
    created_at: datetime


class ApprovalRecord(NamedTuple):
    item: ItemKey
    username: str
    amount: Decimal
    reason: str
    asked_by: str
    status: str
    decided_by: str | None
    transaction_id: str | None


class HoldingRecord(NamedTuple):
    item: ItemKey
    asset_id: str
    quantity: Decimal
    reserved_quantity: Decimal | None
    cost_total: Decimal | None
    realised_gain: Decimal | None


class TradeRecord(NamedTuple):
    item: ItemKey
    username: str
    asset_id: str
    transaction_type: str
    quantity: Decimal
    price: Decimal
    total_amount: Decimal
    cost_total: Decimal | None
    gain: Decimal | None
    order_id: str
    traded_at: datetime

    @property
    def is_buy(self) -> bool:
        return self.transaction_type == Side.BUY


class ClientOrderRecord(NamedTuple):
    item: ItemKey
    username: str
    client_order_id: str
    order_id: str


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
    """As it is stored: the price that it waits for in its book."""
    stop_price: Decimal | None
    stop_limit_price: Decimal | None
    triggered_at: datetime | None
    time_in_force: str | None
    client_order_id: str | None
    expires_at: datetime | None
    executed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    event_number: str | None
    reserved_amount: Decimal | None
    reserved_quantity: Decimal | None
    open_owner: str | None
    open_book: str | None
    expiry_day: str | None
    revision: Decimal | None

    @property
    def number_of_changes(self) -> int:
        return 0 if self.revision is None else int(self.revision) - 1

    @property
    def terms(self) -> tuple[object, ...]:
        """What its owner can change of it while it is open: quantity, limit and end."""
        return self.quantity, self.limit_price, self.expires_at

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
    def is_market(self) -> bool:
        return self.price_type == PriceType.MARKET

    @property
    def is_limit(self) -> bool:
        return self.price_type == PriceType.LIMIT

    @property
    def has_stop(self) -> bool:
        return self.price_type in {PriceType.STOP, PriceType.STOP_LIMIT}

    @property
    def awaits_stop(self) -> bool:
        return self.has_stop and self.triggered_at is None

    @property
    def worst_price(self) -> Decimal | None:
        """Its limit, if it is of a type that has one."""
        return self.stop_limit_price if self.has_stop else self.limit_price

    @property
    def direction(self) -> Direction:
        """Which way the price must go to reach it while it waits."""
        return (STOP_DIRECTION if self.awaits_stop else LIMIT_DIRECTION)[Side(self.order_type)]


class ChangeRecord(NamedTuple):
    item: ItemKey
    order_id: str
    revision: Decimal
    quantity_before: Decimal
    quantity_after: Decimal
    limit_before: Decimal
    limit_after: Decimal
    end_before: datetime
    end_after: datetime
    event_number: str
    created_at: datetime

    @property
    def before(self) -> tuple[object, ...]:
        return self.quantity_before, self.limit_before, self.end_before

    @property
    def after(self) -> tuple[object, ...]:
        return self.quantity_after, self.limit_after, self.end_after


Record = (
    UserRecord
    | EventRecord
    | AccountEventRecord
    | BalanceRecord
    | FactorRecord
    | TransactionRecord
    | ApprovalRecord
    | ClientOrderRecord
    | HoldingRecord
    | TradeRecord
    | OrderRecord
    | ChangeRecord
)


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
