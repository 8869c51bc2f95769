"""What the model believes about a person: cash, holdings and orders, in dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.proofs.state.words import Refused, moment, money, plain, product, told

Row = dict[str, Any]


LOGIN_LIFETIME = timedelta(hours=1)


SCRIPT_LIFETIME = timedelta(days=366)


TRADEABLE = ("BTC", "ETH")


OUTGOING = ("withdraw", "order_payment")


@dataclass
class Order:
    """An order; `price` and `total` are those of the execution, or of the limit until then."""

    order_id: str
    order_type: str
    asset_id: str
    quantity: Decimal
    price: Decimal
    total: Decimal
    limit: Decimal | None
    expires_at: datetime | None
    made_at: datetime
    changed_at: datetime
    executed_at: datetime | None = None
    status: str = "pending"
    # Cash of an order to buy, a quantity of an order to sell, if it had to wait.
    reserve: Decimal | None = None

    @property
    def is_buy(self) -> bool:
        return self.order_type.endswith("buy")

    @property
    def is_open(self) -> bool:
        return self.status == "pending"

    def is_reached_by(self, price: Decimal) -> bool:
        assert self.limit is not None
        return price <= self.limit if self.is_buy else price >= self.limit

    def end(self, status: str, now: datetime) -> None:
        self.status, self.changed_at = status, now

    def execute(self, price: Decimal, now: datetime) -> None:
        self.price, self.total = price, product(self.quantity, price, up=self.is_buy)
        self.executed_at = now
        self.end("completed", now)

    def row(self) -> Row:
        return {
            "order_id": self.order_id,
            "order_type": self.order_type,
            "asset_id": self.asset_id,
            "quantity": plain(self.quantity),
            "price": plain(self.price),
            "limit_price": plain(self.limit) if self.limit and self.expires_at else None,
            "executed_price": plain(self.price) if self.executed_at else None,
            "reserved_amount": money(self.reserve) if self.reserve and self.is_buy else None,
            "reserved_quantity": plain(self.reserve) if self.reserve and not self.is_buy else None,
            "status": self.status,
            "total_amount": money(self.total),
            "expires_at": moment(self.expires_at),
            "executed_at": moment(self.executed_at),
            "created_at": moment(self.made_at),
            "updated_at": moment(self.changed_at),
        }


@dataclass(frozen=True)
class Claim:
    """An idempotency key that was used: for what, when, and what was answered."""

    request: tuple[Any, ...]
    answer: Mapping[str, Any]
    until: datetime


@dataclass
class ModelUser:
    """What must be true of one user."""

    username: str
    is_admin: bool
    # When the tokens of the last log in end.
    login_until: datetime | None = None
    script_until: datetime | None = None
    is_suspended: bool = False
    cash: Decimal = Decimal(0)
    transactions: list[Row] = field(default_factory=list)
    holdings: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)

    @property
    def reserved(self) -> Decimal:
        """What open orders to buy may need: their cost at the limit."""
        return sum((order.total for order in self.orders.values() if order.is_open and order.is_buy), Decimal(0))

    def reserved_of(self, asset_id: str) -> Decimal:
        """What open orders to sell may hand over of an asset."""
        waiting = (order for order in self.orders.values() if order.is_open and order.asset_id == asset_id)
        return sum((order.quantity for order in waiting if not order.is_buy), Decimal(0))

    def holdings_row(self) -> dict[str, tuple[str, str]]:
        """What is held of each asset, and what open orders reserve of it."""
        return {asset_id: (plain(held), plain(self.reserved_of(asset_id))) for asset_id, held in self.holdings.items()}

    def moved(self, kind: str) -> Decimal:
        """The sum of all transactions of one type."""
        return sum((Decimal(row["amount"]) for row in self.transactions if row["transaction_type"] == kind), Decimal(0))

    def trades(self) -> list[Order]:
        return [order for order in self.orders.values() if order.status == "completed"]

    def row(self) -> Row:
        """The balance."""
        return {
            "current_balance": money(self.cash),
            "total_deposits": money(self.moved("deposit")),
            "total_withdrawals": money(self.moved("withdraw")),
            "reserved_cash": money(self.reserved),
        }

    def value(self, prices: Mapping[str, Decimal]) -> Decimal:
        """All that the user owns, at these prices."""
        owned = {asset_id: held + self.reserved_of(asset_id) for asset_id, held in self.holdings.items()}
        assets = (product(quantity, prices[asset_id], up=False) for asset_id, quantity in owned.items())
        return sum(assets, self.cash + self.reserved)

    def post(
        self, kind: str, amount: Decimal, now: datetime, *, order_id: str | None = None, about: str | None = None
    ) -> Row:
        """One transaction; a balance never falls below zero."""
        after = self.cash - amount if kind in OUTGOING else self.cash + amount
        if after < 0:
            raise Refused("insufficient_funds")
        row = {
            "transaction_id": f"{len(self.transactions) + 1:012d}",
            "transaction_type": kind,
            "amount": money(amount),
            "previous_balance": money(self.cash),
            "new_balance": money(after),
            "status": "completed",
            "description": about,
            "order_id": order_id,
            "created_at": moment(now),
        }
        self.transactions.append(row)
        self.cash = after
        return row

    def take(self, asset_id: str, quantity: Decimal) -> None:
        if quantity > self.holdings.get(asset_id, 0):
            raise Refused("insufficient_holding")
        self.give(asset_id, -quantity)

    def give(self, asset_id: str, quantity: Decimal) -> None:
        self.holdings[asset_id] = self.holdings.get(asset_id, Decimal(0)) + quantity


def what_was_traded(order: Order) -> str:
    return f"{'Bought' if order.is_buy else 'Sold'} {plain(order.quantity)} {order.asset_id} at {told(order.price)}"


def what_was_reserved(order: Order) -> str:
    assert order.limit is not None
    return f"Reserved to buy {plain(order.quantity)} {order.asset_id} at {told(order.limit)} or less"
