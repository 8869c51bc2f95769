"""Orders: what buying and selling an asset costs, brings, reserves and gives back.

A holding is what a user owns of one asset and can sell now. An order at the market's price, or at a limit that the
price already reaches, is filled at once. Another limit order waits: what it may need has left the balance (a buyer's
cost at the limit) or the holding (a seller's quantity), and the order itself is its escrow, until it is filled,
cancelled or expires. Nothing here knows of storage or HTTP: price and time are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.domain import money
from app.domain.errors import FieldError, InsufficientHolding, InvalidInput, PriceMoved
from app.domain.ledger import CashAccount, TransactionType, post, reserve


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class PriceType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"


class OrderStatus(StrEnum):
    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


# How far a market order that a person places may execute from the price that the person saw, unless told otherwise.
ALLOWANCE_PERCENT = Decimal("0.5")

# How long an order may wait.
MAX_LIFETIME = timedelta(days=90)

PAYMENT_TYPE = {Side.BUY: TransactionType.ORDER_PAYMENT, Side.SELL: TransactionType.ORDER_SALE}


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a user asks for.

    `price` is the limit of a limit order, and the worst price that a market order accepts, if any.
    """

    side: Side
    price_type: PriceType
    asset_id: str
    quantity: Decimal
    price: Decimal | None = None
    expires_at: datetime | None = None

    def waits_at(self, price: Decimal) -> bool:
        """Whether the order must wait while this is the market's price.

        Raises PriceMoved for a market order that does not accept the price: it never waits.
        """
        if self.price is None or reaches(self.side, self.price, price):
            return False
        if self.price_type is PriceType.MARKET:
            raise PriceMoved(price=money.plain(price), worst_price=money.plain(self.price))
        return True

    def total_at(self, price: Decimal) -> Decimal:
        """Cost or proceeds at this price. Raises OrderTooSmall, OrderTooLarge."""
        return money.new_order_total(self.quantity, price, buying=self.side is Side.BUY)


def check_end(expires_at: datetime | None, now: datetime) -> None:
    """Refuse a new order whose time is over before it begins; raises InvalidInput."""
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(
            FieldError("expires_at", f"Choose a time in the future, at most {MAX_LIFETIME.days} days ahead.")
        )


def reaches(side: Side, limit_price: Decimal, price: Decimal) -> bool:
    """Whether the market's price is as good as the limit: at or below it for a buyer, at or above it for a seller."""
    return price <= limit_price if side is Side.BUY else price >= limit_price


def default_limit_price(side: Side, price: Decimal, *, decimals: int) -> Decimal:
    """The price seen with the allowance: the most that a buyer then pays, the least that a seller then gets."""
    percent = ALLOWANCE_PERCENT if side is Side.BUY else -ALLOWANCE_PERCENT
    return money.moved_price(price, percent, decimals=decimals)


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would do at this price of the market.

    `total` is the cost or the proceeds; of an order that would wait, at its limit. `worst_total` is the same at the
    worst price that a market order accepts.
    """

    order: NewOrder
    price: Decimal
    waits: bool
    total: Decimal
    worst_total: Decimal
    cash_after: Decimal
    holding_after: Decimal


def preview_order(order: NewOrder, price: Decimal, account: CashAccount, holding: Decimal) -> Preview:
    """Raises PriceMoved, OrderTooSmall, OrderTooLarge, InsufficientFunds, InsufficientHolding, as placing it would."""
    waits = order.waits_at(price)
    limit = order.price if order.price is not None else price
    total = order.total_at(limit if waits else price)
    held = holding_after(order.side, order.asset_id, order.quantity, holding)
    if not waits:
        account = post(account, PAYMENT_TYPE[order.side], total).account
    elif order.side is Side.BUY:
        account, held = reserve(account, total).account, holding
    worst_total = money.order_total(order.quantity, limit, buying=order.side is Side.BUY)
    return Preview(order, price, waits, total, worst_total, account.current_balance, held)


@dataclass(frozen=True, slots=True)
class Fill:
    """An open order at its execution: what the trade comes to, and what a buyer gets back of the reserve."""

    total_amount: Decimal
    refund: Decimal


def fill_reserved(side: Side, quantity: Decimal, price: Decimal, reserved_amount: Decimal | None) -> Fill:
    """Fill an open order at a price that reaches its limit; the refund is never below zero then."""
    total = money.order_total(quantity, price, buying=side is Side.BUY)
    return Fill(total, money.subtract(reserved_amount, total) if reserved_amount is not None else money.ZERO)


def holding_after(side: Side, asset_id: str, quantity: Decimal, holding: Decimal) -> Decimal:
    """The holding after buying or selling a quantity; raises InsufficientHolding."""
    if side is Side.BUY:
        return money.add(holding, quantity)
    if quantity > holding:
        raise InsufficientHolding(asset_id=asset_id, available=money.plain(holding), required=money.plain(quantity))
    return money.subtract(holding, quantity)
