"""Orders: what buying and selling an asset costs, brings, reserves and gives back.

A market order is filled at once, and so is a limit order whose limit the price reaches already. Another limit order
waits. A stop order always waits: until the price reaches its stop, it is not executed at any price. It reserves what it
may need: a buyer's cost at the limit leaves the balance, a seller's quantity leaves the holding. The reserve stays with
the order until the order is filled, cancelled or expires.
Prices are USD for one unit, quantities are above zero; both have up to 8 decimals. Totals have 2 decimals.
Nothing here knows storage or HTTP: price and time are arguments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.domain import clock, money
from app.domain.assets import get_asset
from app.domain.errors import FieldError, InvalidInput, PriceMoved, StopReached
from app.domain.ledger import TransactionType
from app.domain.writing import grouped


class Side(StrEnum):
    """Which way the asset goes: to the user or from them."""

    BUY = "BUY"
    SELL = "SELL"


class PriceType(StrEnum):
    """Whether an order executes now at the market's price, or for what it waits.

    LIMIT waits for its limit. STOP waits for its stop, and then executes at the market's price. STOP_LIMIT waits for
    its stop, and from then on is a limit order.
    """

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


class Direction(StrEnum):
    """Which way the price must go to reach an order that waits."""

    DOWN = "DOWN"
    UP = "UP"


LIMIT_DIRECTION = {Side.BUY: Direction.DOWN, Side.SELL: Direction.UP}
STOP_DIRECTION = {Side.BUY: Direction.UP, Side.SELL: Direction.DOWN}


class TimeInForce(StrEnum):
    """How long an order stands.

    GTC until its `expires_at`, DAY to the end of the day (UTC) on which it is placed. IOC and FOK execute at once or
    not at all; they are the same here, where no order is filled in part.
    """

    GTC = "GTC"
    DAY = "DAY"
    IOC = "IOC"
    FOK = "FOK"


IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class OrderStatus(StrEnum):
    """PENDING is open; the other three are final."""

    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


ENDS_WITH_DAY = "This order ends with the day. Leave this out."

# How far from the price that a person saw their market order may execute, unless they say otherwise.
ALLOWANCE_PERCENT = Decimal("0.5")

# How long an order may wait; one that ends with a day, until the end of the last of these.
MAX_LIFETIME = timedelta(days=90)

PAYMENT_TYPE = {Side.BUY: TransactionType.ORDER_PAYMENT, Side.SELL: TransactionType.ORDER_SALE}


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a user asks for.

    `limit_price` is the worst price that the order accepts: a limit order has one, a market order may have one.
    A purchase may say what to `spend` (USD) instead of a quantity, which is 0 until `sized_at`.
    A field that is added goes last, with the default of an order that does not have it.
    """

    side: Side
    price_type: PriceType
    asset_id: str
    quantity: Decimal = Decimal(0)
    limit_price: Decimal | None = None
    expires_at: datetime | None = None
    # None is what is usual: a limit order waits until its end, a market order does not wait.
    time_in_force: TimeInForce | None = None
    # What a script calls it: one order of a user for good.
    client_order_id: str | None = None
    spend: Decimal | None = None
    # A STOP or STOP_LIMIT order has one, and no other does.
    stop_price: Decimal | None = None

    @property
    def is_immediate(self) -> bool:
        """Whether it executes when it is placed, or is refused."""
        return self.price_type is PriceType.MARKET or self.time_in_force in IMMEDIATE

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

    @property
    def nominal_price(self) -> Decimal | None:
        """The price of which its total is made while it waits: its limit, or its stop where it has no limit."""
        return self.limit_price if self.limit_price is not None else self.stop_price

    def waits_at(self, price: Decimal) -> bool:
        """Whether the order must wait while this is the market's price.

        An immediate order never waits: raises PriceMoved when it does not accept the price. A stop order always waits:
        raises StopReached when the price is there already.
        """
        if self.stop_price is not None:
            if reaches(STOP_DIRECTION[self.side], self.stop_price, price):
                raise StopReached(
                    price=money.plain(price),
                    stop_price=money.plain(self.stop_price),
                    side="above" if self.side is Side.BUY else "below",
                )
            return True
        if self.limit_price is None or accepts(self.side, self.limit_price, price):
            return False
        if self.is_immediate:
            raise PriceMoved(price=money.plain(price), worst_price=money.plain(self.limit_price))
        return True

    def worst_price_at(self, price: Decimal) -> Decimal | None:
        """The worst price that the order accepts; where it accepts any, this price with the allowance.

        None for a stop order without a limit: nobody knows at which price it is executed.
        """
        if self.limit_price is not None or self.stop_price is not None:
            return self.limit_price
        return default_limit_price(self.side, price, decimals=get_asset(self.asset_id).price_decimals)

    def sized_at(self, price: Decimal) -> NewOrder:
        """This order with as much as `spend` buys at its worst price; as it is without `spend`.

        The quantity follows the price, so the order is told apart by `spend`.
        """
        if self.spend is None:
            return self
        worst_price = self.worst_price_at(price)
        assert worst_price is not None, "a purchase has a worst price"
        return replace(self, quantity=money.quantity_for(self.spend, worst_price))

    def total_at(self, price: Decimal) -> Decimal:
        """Cost or proceeds at this price. Raises OrderTooSmall, OrderTooLarge."""
        return money.new_order_total(self.quantity, price, buying=self.side is Side.BUY)


def _as_text(value: object) -> str | None:
    if isinstance(value, Decimal):
        return money.plain(value)
    if isinstance(value, datetime):
        return clock.to_text(value)
    return None if value is None else str(value)


def check_end(expires_at: datetime | None, now: datetime, time_in_force: TimeInForce | None = None) -> None:
    """Refuse a new order whose end has passed. Raises InvalidInput."""
    if expires_at is not None and expires_at <= now:
        if time_in_force is TimeInForce.DAY:
            raise InvalidInput(FieldError("time_in_force", "That day is over. Send the order again for the new day."))
        raise InvalidInput(FieldError("expires_at", clock.end_advice(MAX_LIFETIME)))


def reaches(direction: Direction, awaited: Decimal, price: Decimal) -> bool:
    """Whether the market's price has gone as far as the awaited one: down to it, or up to it."""
    return price <= awaited if direction is Direction.DOWN else price >= awaited


def accepts(side: Side, limit_price: Decimal | None, price: Decimal) -> bool:
    """Whether the market's price is as good as the limit: for a buyer not above it, for a seller not below it.

    An order without a limit accepts every price.
    """
    return limit_price is None or reaches(LIMIT_DIRECTION[side], limit_price, price)


@dataclass(frozen=True, slots=True)
class Distance:
    """How far the price must still go in a `direction`: by `amount` and `percent` of it, both 0 where it is there."""

    direction: Direction
    price: Decimal
    amount: Decimal
    percent: Decimal


def distance_to(direction: Direction, awaited: Decimal, price: Decimal) -> Distance:
    """How far the market's price must still fall or rise to the awaited one."""
    way = money.subtract(price, awaited) if direction is Direction.DOWN else money.subtract(awaited, price)
    amount = max(way, Decimal(0))
    return Distance(direction, price, amount, money.percentage(amount, price))


def default_limit_price(side: Side, price: Decimal, *, decimals: int) -> Decimal:
    """The price seen with the allowance: the most that a buyer then pays, the least that a seller then gets."""
    percent = ALLOWANCE_PERCENT if side is Side.BUY else -ALLOWANCE_PERCENT
    return money.moved_price(price, percent, decimals=decimals)


def is_within(amount: Decimal, quantity: Decimal, limit_price: Decimal | None) -> bool:
    """Whether a purchase cannot cost more than an amount: false without a worst price."""
    return limit_price is not None and money.order_total(quantity, limit_price, buying=True) <= amount


@dataclass(frozen=True, slots=True)
class Terms:
    """What the owner of an open order can change, and what it needs for that: `total` at the limit, and its `reserve`.

    The reserve is cash for an order to buy, and units of the asset for one to sell.
    """

    side: Side
    quantity: Decimal
    limit_price: Decimal
    expires_at: datetime

    @property
    def total(self) -> Decimal:
        return money.order_total(self.quantity, self.limit_price, buying=self.side is Side.BUY)

    @property
    def reserve(self) -> Decimal:
        return self.total if self.side is Side.BUY else self.quantity


@dataclass(frozen=True, slots=True)
class NewTerms:
    """What a user wants to change of an open order. None leaves it as it is."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    expires_at: datetime | None = None

    @property
    def identity(self) -> list[str | None]:
        """The values as text: they are the same when the request is repeated."""
        return [_as_text(getattr(self, each.name)) for each in fields(self)]

    def applied_to(
        self, before: Terms, *, placed_at: datetime, time_in_force: TimeInForce | None, now: datetime
    ) -> Terms:
        """The terms of an open order after the change. Its limit may be one that the market reaches already.

        An order waits at most MAX_LIFETIME from when it was placed, however often it is changed.
        Raises InvalidInput for its end, OrderTooSmall, OrderTooLarge.
        """
        self._check_end(placed_at, time_in_force, now)
        given = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}
        after = replace(before, **given)
        money.new_order_total(after.quantity, after.limit_price, buying=after.side is Side.BUY)
        return after

    def _check_end(self, placed_at: datetime, time_in_force: TimeInForce | None, now: datetime) -> None:
        if self.expires_at is None:
            return
        if time_in_force is TimeInForce.DAY:
            raise InvalidInput(FieldError("expires_at", ENDS_WITH_DAY))
        check_end(self.expires_at, now)
        last_day = (placed_at + MAX_LIFETIME).date()
        if self.expires_at > clock.end_of(last_day):
            days = MAX_LIFETIME.days
            advice = f"An order waits at most {days} days from when it was placed. Choose a time up to {last_day}."
            raise InvalidInput(FieldError("expires_at", advice))


def change_of_reserve(before: Terms, after: Terms) -> Decimal:
    """How much more an open order reserves after its terms changed: signed, USD or units as `Terms.reserve`."""
    return money.subtract(after.reserve, before.reserve)


@dataclass(frozen=True, slots=True)
class Fill:
    """An open order at its execution: what the trade comes to, and what a buyer gets back of the reserve."""

    total_amount: Decimal
    refund: Decimal


def fill_reserved(side: Side, quantity: Decimal, price: Decimal, reserved_amount: Decimal | None) -> Fill:
    """Fill an open order at a price that it accepts. The refund is then never below zero."""
    total = money.order_total(quantity, price, buying=side is Side.BUY)
    return Fill(total, money.subtract(reserved_amount, total) if reserved_amount is not None else money.ZERO)


def describe_trade(side: Side, quantity: Decimal, asset_id: str, price: Decimal) -> str:
    """The words of a transaction that paid for a trade, such as `Bought 0.01 BTC at 58,950.08`."""
    did = "Bought" if side is Side.BUY else "Sold"
    return f"{did} {money.plain(quantity)} {asset_id} at {_price_text(asset_id, price)}"


def describe_reserve(quantity: Decimal, asset_id: str, limit_price: Decimal) -> str:
    """The words of a transaction that paid into an order's reserve."""
    return f"Reserved to buy {money.plain(quantity)} {asset_id} at {_price_text(asset_id, limit_price)} or less"


@dataclass(frozen=True, slots=True)
class Described:
    """What the words of an order's transaction say: `did` is `Bought`, `Sold` or `Reserved to buy`."""

    did: str
    quantity: Decimal
    asset_id: str
    price: Decimal


def read_description(text: str | None) -> Described | None:
    """What `describe_trade` or `describe_reserve` wrote; None for other words, which older versions may have left."""
    found = re.fullmatch(r"(Bought|Sold|Reserved to buy) ([0-9.]+) ([A-Z0-9]+) at ([0-9,.]+)(?: or less)?", text or "")
    if not found:
        return None
    did, quantity, asset_id, price = found.groups()
    return Described(did, Decimal(quantity), asset_id, Decimal(price.replace(",", "")))


def _price_text(asset_id: str, price: Decimal) -> str:
    return grouped(money.plain(price), decimals=get_asset(asset_id).price_decimals)


# The words of a transaction that gives back what an order reserved, by how the order ended.
REFUND_DESCRIPTIONS = {
    OrderStatus.COMPLETED: "Returned: bought below the limit",
    OrderStatus.CANCELLED: "Returned: cancelled",
    OrderStatus.EXPIRED: "Returned: expired",
}


def describe_change(difference: Decimal) -> str:
    """The words of a transaction that changed what an open order to buy reserves, by this difference."""
    return "Reserved: order changed" if difference > 0 else "Returned: order changed"
