"""What the model believes about a person: cash, holdings and orders, in dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.proofs.state.words import Refused, moment, money, plain, product, told

Row = dict[str, Any]


LOGIN_LIFETIME = timedelta(hours=1)


SCRIPT_LIFETIME = timedelta(days=366)


PROOF_LIFETIME = timedelta(minutes=10)


APPROVAL_LIFETIME = timedelta(days=7)


HOLDING = ("quantity", "reserved_quantity", "cost_total", "realised_gain")
"""The figures of a holding, as `ModelUser.holdings_row` has them."""


TRADEABLE = ("BTC", "ETH")


OUTGOING = ("withdraw", "order_payment")


@dataclass
class Order:
    """An order; `price` and `total` are those of the execution, or of the limit until then, or else of the stop."""

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
    # Of a sale that was executed: what its units had cost, by average.
    cost: Decimal | None = None
    stop: Decimal | None = None
    triggered_at: datetime | None = None
    revision: int = 1

    @property
    def is_buy(self) -> bool:
        return self.order_type.endswith("buy")

    @property
    def is_open(self) -> bool:
        return self.status == "pending"

    @property
    def awaited(self) -> tuple[Decimal, bool]:
        """What it waits for, and whether the price must fall to it."""
        if self.stop is not None and not self.triggered_at:
            return self.stop, not self.is_buy
        assert self.limit is not None
        return self.limit, self.is_buy

    @property
    def place_in_line(self) -> tuple[bool, Decimal, str]:
        """In which order a worker comes to it."""
        awaited, falls = self.awaited
        return not falls, -awaited if falls else awaited, self.order_id

    def is_reached_by(self, price: Decimal) -> bool:
        awaited, falls = self.awaited
        return price <= awaited if falls else price >= awaited

    def trigger(self, now: datetime) -> None:
        if self.stop is not None and not self.triggered_at:
            self.triggered_at = self.changed_at = now

    def accepts(self, price: Decimal) -> bool:
        return self.limit is None or (price <= self.limit if self.is_buy else price >= self.limit)

    def brings_nothing_at(self, price: Decimal) -> bool:
        return self.limit is None and not product(self.quantity, price, up=self.is_buy)

    def end(self, status: str, now: datetime) -> None:
        self.status, self.changed_at = status, now

    def execute(self, price: Decimal, now: datetime) -> None:
        self.price, self.total = price, product(self.quantity, price, up=self.is_buy)
        self.executed_at = now
        self.end("completed", now)

    @property
    def terms(self) -> tuple[Decimal, Decimal | None, datetime | None]:
        return self.quantity, self.limit, self.expires_at

    def change(self, quantity: Decimal, limit: Decimal, end: datetime, now: datetime) -> None:
        """Wait with other terms from now on."""
        self.quantity, self.price, self.limit, self.expires_at = quantity, limit, limit, end
        self.total = product(quantity, limit, up=self.is_buy)
        self.reserve = self.total if self.is_buy else quantity
        self.revision, self.changed_at = self.revision + 1, now

    def row(self) -> Row:
        return {
            "order_id": self.order_id,
            "order_type": self.order_type,
            "asset_id": self.asset_id,
            "quantity": plain(self.quantity),
            "price": plain(self.price),
            "limit_price": plain(self.limit) if self.limit and self.expires_at else None,
            "stop_price": plain(self.stop) if self.stop else None,
            "executed_price": plain(self.price) if self.executed_at else None,
            "reserved_amount": money(self.reserve) if self.reserve and self.is_buy else None,
            "reserved_quantity": plain(self.reserve) if self.reserve and not self.is_buy else None,
            "client_order_id": None,
            "time_in_force": "gtc" if self.expires_at else None,
            "status": self.status,
            "revision": self.revision,
            "total_amount": money(self.total),
            "expires_at": moment(self.expires_at),
            "triggered_at": moment(self.triggered_at),
            "executed_at": moment(self.executed_at),
            "created_at": moment(self.made_at),
            "updated_at": moment(self.changed_at),
        }


@dataclass
class Approval:
    """A large adjustment that an admin asked for, and what became of it."""

    approval_id: str
    username: str
    amount: Decimal
    reason: str | None
    asked_by: str
    made_at: datetime
    decision: str = "waiting"
    decided_by: str | None = None
    decided_at: datetime | None = None
    transaction_id: str | None = None

    @property
    def expires_at(self) -> datetime:
        return self.made_at + APPROVAL_LIFETIME

    def status(self, now: datetime) -> str:
        return "expired" if self.decision == "waiting" and now >= self.expires_at else self.decision

    def decide(self, decision: str, by: str, now: datetime) -> None:
        self.decision, self.decided_by, self.decided_at = decision, by, now

    def row(self, now: datetime) -> Row:
        return {
            "approval_id": self.approval_id,
            "username": self.username,
            "amount": money(self.amount),
            "reason": self.reason,
            "status": self.status(now),
            "asked_by": self.asked_by,
            "decided_by": self.decided_by,
            "decided_at": moment(self.decided_at),
            "transaction_id": self.transaction_id,
            "created_at": moment(self.made_at),
            "expires_at": moment(self.expires_at),
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
    # How long the password that was last given in that log in counts as a proof.
    proof_until: datetime | None = None
    is_suspended: bool = False
    # For good: it is to everybody as if it had never been, but for its records and its name.
    is_closed: bool = False
    cash: Decimal = Decimal(0)
    transactions: list[Row] = field(default_factory=list)
    holdings: dict[str, Decimal] = field(default_factory=dict)
    # What is owned of each asset cost, whether it waits to be sold or not.
    costs: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    # What scripts are told: the type, and which order or transaction it is about.
    events: list[tuple[str, str]] = field(default_factory=list)

    @property
    def reserved(self) -> Decimal:
        """What open orders to buy may need: their cost at the limit."""
        return sum((order.total for order in self.orders.values() if order.is_open and order.is_buy), Decimal(0))

    def reserved_of(self, asset_id: str) -> Decimal:
        """What open orders to sell may hand over of an asset."""
        waiting = (order for order in self.orders.values() if order.is_open and order.asset_id == asset_id)
        return sum((order.quantity for order in waiting if not order.is_buy), Decimal(0))

    def holdings_row(self) -> dict[str, tuple[str, ...]]:
        """What is held of each asset, what open orders reserve of it, what both cost, and what all sales gained."""
        return {
            asset_id: (
                plain(held),
                plain(self.reserved_of(asset_id)),
                money(self.costs.get(asset_id, Decimal(0))),
                money(self.gained(asset_id)),
            )
            for asset_id, held in self.holdings.items()
        }

    def gained(self, asset_id: str) -> Decimal:
        """What sales of an asset brought beyond what their units had cost."""
        sales = (each for each in self.trades() if each.asset_id == asset_id and each.cost is not None)
        return sum((each.total - each.cost for each in sales), Decimal(0))

    def settle(self, order: Order) -> None:
        """Count an order that is executed as a cost. A sale takes its share of it, in whole cents, rounded down."""
        cost = self.costs.get(order.asset_id, Decimal(0))
        if order.is_buy:
            self.costs[order.asset_id] = cost + order.total
            return
        earlier = (each for each in self.trades() if each.asset_id == order.asset_id and each is not order)
        owned = sum(each.quantity if each.is_buy else -each.quantity for each in earlier)
        cents = Fraction(cost) * 100 * Fraction(order.quantity) / Fraction(owned)
        order.cost = Decimal(int(cents)) / 100
        self.costs[order.asset_id] = cost - order.cost

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

    def paid_in(self) -> Decimal:
        """Deposits less withdrawals, with adjustments."""
        return self.moved("deposit") - self.moved("withdraw") + self.moved("system_adjustment")

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
            "actor": None,
            "created_at": moment(now),
        }
        self.transactions.append(row)
        if kind == "system_adjustment":
            self.events.append(("adjusted", row["transaction_id"]))
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
