"""Orders: what buying and selling an asset costs, brings, reserves and gives back.

A market order is filled at once, and so is a limit order whose limit the price reaches already. Another limit order
waits. It reserves what it may need: a buyer's cost at the limit leaves the balance, a seller's quantity leaves the
holding. The reserve stays with the order until the order is filled, cancelled or expires.
Prices are USD for one unit, quantities are above zero; both have up to 8 decimals. Totals have 2 decimals.
Nothing here knows storage or HTTP: price and time are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.domain import clock, holdings, money
from app.domain.assets import get_asset
from app.domain.errors import FieldError, InvalidInput, PriceMoved
from app.domain.holdings import AssetAccount
from app.domain.ledger import CashAccount, TransactionType, post, reserve


class Side(StrEnum):
    """Which way the asset goes: to the user or from them."""

    BUY = "BUY"
    SELL = "SELL"


class PriceType(StrEnum):
    """Whether an order executes now at the market's price, or waits for its limit."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class OrderStatus(StrEnum):
    """PENDING is open; the other three are final."""

    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


# How far from the price that a person saw their market order may execute, unless they say otherwise.
ALLOWANCE_PERCENT = Decimal("0.5")

# How long an order may wait; one that ends with a day, until the end of the last of these.
MAX_LIFETIME = timedelta(days=90)

PAYMENT_TYPE = {Side.BUY: TransactionType.ORDER_PAYMENT, Side.SELL: TransactionType.ORDER_SALE}


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a user asks for.

    `limit_price` is the worst price that the order accepts: a limit order has one, a market order may have one.
    A field that is added goes last, with the default of an order that does not have it.
    """

    side: Side
    price_type: PriceType
    asset_id: str
    quantity: Decimal
    limit_price: Decimal | None = None
    expires_at: datetime | None = None

    @property
    def identity(self) -> list[str | None]:
        """What follows side and price type as text: it is the same when an order is repeated.

        Four values are always there. Others are named, and there where they are given: an order without them keeps the
        fingerprint that it had before they existed.
        """
        first, later = fields(self)[2:6], fields(self)[6:]
        return [
            *(_as_text(getattr(self, each.name)) for each in first),
            *(
                f"{each.name}={_as_text(value)}"
                for each in later
                if (value := getattr(self, each.name)) != each.default
            ),
        ]

    def waits_at(self, price: Decimal) -> bool:
        """Whether the order must wait while this is the market's price.

        A market order never waits: raises PriceMoved when it does not accept the price.
        """
        if self.limit_price is None or reaches(self.side, self.limit_price, price):
            return False
        if self.price_type is PriceType.MARKET:
            raise PriceMoved(price=money.plain(price), worst_price=money.plain(self.limit_price))
        return True

    def total_at(self, price: Decimal) -> Decimal:
        """Cost or proceeds at this price. Raises OrderTooSmall, OrderTooLarge."""
        return money.new_order_total(self.quantity, price, buying=self.side is Side.BUY)


def _as_text(value: object) -> str | None:
    if isinstance(value, Decimal):
        return money.plain(value)
    if isinstance(value, datetime):
        return clock.to_text(value)
    return None if value is None else str(value)


def check_end(expires_at: datetime | None, now: datetime) -> None:
    """Refuse a new order whose end has passed. Raises InvalidInput."""
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(FieldError("expires_at", clock.end_advice(MAX_LIFETIME)))


def reaches(side: Side, limit_price: Decimal, price: Decimal) -> bool:
    """Whether the market's price is as good as the limit: at or below it for a buyer, at or above it for a seller."""
    return price <= limit_price if side is Side.BUY else price >= limit_price


def default_limit_price(side: Side, price: Decimal, *, decimals: int) -> Decimal:
    """The price seen with the allowance: the most that a buyer then pays, the least that a seller then gets."""
    percent = ALLOWANCE_PERCENT if side is Side.BUY else -ALLOWANCE_PERCENT
    return money.moved_price(price, percent, decimals=decimals)


def is_within(amount: Decimal, quantity: Decimal, limit_price: Decimal | None) -> bool:
    """Whether a purchase cannot cost more than an amount: false without a worst price."""
    return limit_price is not None and money.order_total(quantity, limit_price, buying=True) <= amount


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would do at this price of the market.

    `total` is the cost or the proceeds; for an order that would wait, at its limit. `limit_total` is the same at the
    worst price that the order accepts.
    """

    order: NewOrder
    price: Decimal
    waits: bool
    total: Decimal
    limit_total: Decimal
    cash_after: Decimal
    holding_after: Decimal


def preview_order(order: NewOrder, price: Decimal, cash: CashAccount, asset: AssetAccount) -> Preview:
    """Raises PriceMoved, OrderTooSmall, OrderTooLarge, InsufficientFunds, InsufficientHolding, as placing it would."""
    waits = order.waits_at(price)
    limit_price = order.limit_price if order.limit_price is not None else price
    total = order.total_at(limit_price if waits else price)
    if order.side is Side.SELL:
        asset = holdings.sell(asset, order.quantity)
    elif not waits:
        asset = holdings.buy(asset, order.quantity)
    if not waits:
        cash = post(cash, PAYMENT_TYPE[order.side], total).after
    elif order.side is Side.BUY:
        cash = reserve(cash, total).after
    limit_total = money.order_total(order.quantity, limit_price, buying=order.side is Side.BUY)
    return Preview(order, price, waits, total, limit_total, cash.current_balance, asset.quantity)


@dataclass(frozen=True, slots=True)
class Fill:
    """An open order at its execution: what the trade comes to, and what a buyer gets back of the reserve."""

    total_amount: Decimal
    refund: Decimal


def fill_reserved(side: Side, quantity: Decimal, price: Decimal, reserved_amount: Decimal | None) -> Fill:
    """Fill an open order at a price that reaches its limit. The refund is then never below zero."""
    total = money.order_total(quantity, price, buying=side is Side.BUY)
    return Fill(total, money.subtract(reserved_amount, total) if reserved_amount is not None else money.ZERO)


def describe_trade(side: Side, quantity: Decimal, asset_id: str, price: Decimal) -> str:
    """The words of a transaction that paid for a trade, such as `Bought 0.01 BTC at 58,950.08`."""
    did = "Bought" if side is Side.BUY else "Sold"
    return f"{did} {money.plain(quantity)} {asset_id} at {_price_text(asset_id, price)}"


def describe_reserve(quantity: Decimal, asset_id: str, limit_price: Decimal) -> str:
    """The words of a transaction that paid into an order's reserve."""
    return f"Reserved to buy {money.plain(quantity)} {asset_id} at {_price_text(asset_id, limit_price)} or less"


def _price_text(asset_id: str, price: Decimal) -> str:
    return money.grouped(price, decimals=get_asset(asset_id).price_decimals)


# The words of a transaction that gives back what an order reserved, by how the order ended.
REFUND_DESCRIPTIONS = {
    OrderStatus.COMPLETED: "Returned: bought below the limit",
    OrderStatus.CANCELLED: "Returned: cancelled",
    OrderStatus.EXPIRED: "Returned: expired",
}
