"""Table `orders`: one item for each order and one for each change of it while it waited, and five indexes.

| item | PK | SK |
|---|---|---|
| Order | `{order_id}` | `ORDER` |
| OrderChange | `{order_id}` | `CHANGE#{revision}` |

| access pattern | operation |
|---|---|
| one order | GetItem |
| what changed of an order, newest first | Query PK, SK begins with `CHANGE#` |
| orders of a user, newest first, also by asset, type, status | Query UserOrderHistoryIndex |
| orders that a user placed in a period, also those that are open | the same, between two ids |
| every order of a user in one asset | Query UserOrdersIndex |
| open orders of a user, newest first | Query UserOpenOrdersIndex |
| open orders that a price fills | Query OpenOrdersIndex |
| the price that each book waits for first, while few orders are open | Scan OpenOrdersIndex |
| open orders past their time | Query ExpiringOrdersIndex |
| orders of a user that were open at a past moment | Query UserOrderHistoryIndex between two ids |
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pynamodb.attributes import DiscriminatorAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, IncludeProjection
from ulid import ULID

from app.domain import money
from app.domain.errors import OrderNotFound
from app.domain.orders import (
    LIMIT_DIRECTION,
    MAX_LIFETIME,
    STOP_DIRECTION,
    Direction,
    OrderStatus,
    PriceType,
    Side,
    Terms,
    TimeInForce,
    accepts,
    reaches,
)
from app.domain.periods import ALWAYS, Period
from app.models.attributes import (
    DecimalAttribute,
    MoneyAttribute,
    NumberAttribute,
    QuantityAttribute,
    TimeAttribute,
    UnicodeAttribute,
)
from app.models.database import database
from app.models.item import Item, Key, TableMeta
from app.models.paging import FIRST_PAGE, Page, PageRequest, iterate_readable, list_page
from app.models.reading import NOTHING, Found

# The digits of a ULID: those of its millisecond, then random ones.
TIME_DIGITS, RANDOM_DIGITS = 10, 16
# As many open orders cost less to read at once than to ask every book for some.
FEW_OPEN = 50
# An order is open until its end, and until a worker has seen that: see `app.services.worker`.
LONGEST_OPEN = MAX_LIFETIME + timedelta(days=10)
# How many changes of an order are shown with it.
MOST_SHOWN = 20


class UserOrdersIndex(GlobalSecondaryIndex["Order"]):
    """Orders of a user by asset, not in order of time."""

    class Meta:
        index_name = "UserOrdersIndex"
        projection = AllProjection()

    username = UnicodeAttribute(hash_key=True)
    asset_id = UnicodeAttribute(range_key=True)


class UserOrderHistoryIndex(GlobalSecondaryIndex["Order"]):
    """Orders of a user by `order_id`, which follows time."""

    class Meta:
        index_name = "UserOrderHistoryIndex"
        projection = AllProjection()

    username = UnicodeAttribute(hash_key=True)
    PK = UnicodeAttribute(range_key=True)


class UserOpenOrdersIndex(GlobalSecondaryIndex["Order"]):
    """Open orders of a user by `order_id`. Sparse: an order that ends loses `open_owner`."""

    class Meta:
        index_name = "UserOpenOrdersIndex"
        projection = AllProjection()

    open_owner = UnicodeAttribute(hash_key=True)
    PK = UnicodeAttribute(range_key=True)


class OpenOrdersIndex(GlobalSecondaryIndex["Order"]):
    """Open orders by asset, book, shard (`BTC#BUY`) and price. Sparse: an order that ends loses `open_book`."""

    class Meta:
        index_name = "OpenOrdersIndex"
        projection = AllProjection()

    open_book = UnicodeAttribute(hash_key=True)
    book_price = DecimalAttribute(range_key=True, attr_name="limit_price")


class ExpiringOrdersIndex(GlobalSecondaryIndex["Order"]):
    """Open orders by day (with the shard) and time of their end. Sparse: one that ends loses `expiry_day`."""

    class Meta:
        index_name = "ExpiringOrdersIndex"
        projection = IncludeProjection(["entity_type"])

    expiry_day = UnicodeAttribute(hash_key=True)
    expires_at = TimeAttribute(range_key=True)


class OrdersItem(Item):
    """Any item of table `orders`."""

    Meta = TableMeta("orders")  # type: ignore[assignment]

    entity_type = DiscriminatorAttribute()
    user_orders_index = UserOrdersIndex()
    user_order_history_index = UserOrderHistoryIndex()
    user_open_orders_index = UserOpenOrdersIndex()
    open_orders_index = OpenOrdersIndex()
    expiring_orders_index = ExpiringOrdersIndex()


class Order(OrdersItem, discriminator="ORDER"):
    """One order. `order_price` and `total_amount` are those of the execution; until then, those at the limit.

    A stop order without a limit has those at the stop until then.
    `book_price` is what it waits for in its book: the limit, or the stop until that has triggered it.

    `reserved_amount` (a buyer's) or `reserved_quantity` (a seller's) stays on record when the order has ended.
    `open_owner`, `open_book` and `expiry_day`, which keep it in the indexes of open orders, do not. Every change of an
    open order is conditional on its `revision`, and that of a stop order on its `triggered_at`. `revision` counts how
    often the order was given other values.
    """

    order_id = UnicodeAttribute()
    username = UnicodeAttribute()
    asset_id = UnicodeAttribute()
    order_type = UnicodeAttribute()
    price_type = UnicodeAttribute()
    quantity = QuantityAttribute()
    order_price = QuantityAttribute()
    total_amount = MoneyAttribute()
    status = UnicodeAttribute()
    expires_at = TimeAttribute(null=True)
    executed_at = TimeAttribute(null=True)
    # Stored under the name that it had when limit orders alone waited: a range key cannot be renamed.
    book_price = DecimalAttribute(null=True, attr_name="limit_price")
    stop_price = QuantityAttribute(null=True)
    # The limit of a stop-limit order, which is not in `book_price` until it is triggered.
    stop_limit_price = QuantityAttribute(null=True)
    triggered_at = TimeAttribute(null=True)
    # Absent on a market order that says nothing about it, and on orders that were placed before this attribute existed.
    stored_time_in_force = UnicodeAttribute(null=True, attr_name="time_in_force")
    client_order_id = UnicodeAttribute(null=True)
    reserved_amount = MoneyAttribute(null=True)
    reserved_quantity = QuantityAttribute(null=True)
    # The username. Absent on an open order that was placed before this attribute existed.
    open_owner = UnicodeAttribute(null=True)
    open_book = UnicodeAttribute(null=True)
    expiry_day = UnicodeAttribute(null=True)
    # The account event of its end, of one that waited. Absent where an older version ended it, which told nobody.
    event_number = UnicodeAttribute(null=True)
    # 1 at first. Absent, which means 1, on an order that was placed before this attribute existed.
    revision = NumberAttribute(null=True)
    created_at = TimeAttribute()
    updated_at = TimeAttribute()

    @staticmethod
    def key(order_id: str) -> Key:
        return order_id, "ORDER"

    @property
    def reference(self) -> str:
        """The id by which an idempotency claim finds it again."""
        return str(self.order_id)

    @property
    def side(self) -> Side:
        return Side(self.order_type)

    @property
    def limit_price(self) -> Decimal | None:
        """The worst price that it accepts. None for a market order, and for a stop order without a limit."""
        return self.book_price if self.price_type == PriceType.LIMIT else self.stop_limit_price

    @property
    def nominal_price(self) -> Decimal | None:
        """The price of which its total is made while it waits: its limit, or its stop where it has no limit."""
        return self.stop_price if self.limit_price is None else self.limit_price

    @property
    def has_stop(self) -> bool:
        return self.stop_price is not None

    @property
    def awaits_stop(self) -> bool:
        """Whether it has a stop that has not triggered it."""
        return self.has_stop and self.triggered_at is None

    @property
    def direction(self) -> Direction:
        """Which way the price must go to reach its `book_price`."""
        return (STOP_DIRECTION if self.awaits_stop else LIMIT_DIRECTION)[self.side]

    def accepts(self, price: Decimal) -> bool:
        """Whether this price is as good as its limit; always, where it has none."""
        return accepts(self.side, self.limit_price, price)

    def is_worth_a_cent_at(self, price: Decimal) -> bool:
        """Whether it comes to 0.01 or more. It did at its limit or stop; below a stop, proceeds may be rounded to 0."""
        return bool(money.order_total(self.quantity, price, buying=self.side is Side.BUY))

    def fills_at(self, price: Decimal) -> bool:
        """Whether it is executed at this price.

        Its limit accepts the price, at which it is worth a cent, and its stop has been or is reached.
        """
        is_free = not self.awaits_stop or reaches(self.direction, self.book_price, price)
        return is_free and self.accepts(price) and self.is_worth_a_cent_at(price)

    @property
    def revision_number(self) -> int:
        return int(self.revision or 1)

    @property
    def terms(self) -> Terms:
        """Of an order that waits or waited."""
        price = self.nominal_price
        assert price is not None, "an order that waits has a price"
        return Terms(self.side, self.quantity, price, self.expires_at)

    @property
    def time_in_force(self) -> TimeInForce | None:
        """None for a market order that says nothing about it."""
        if self.stored_time_in_force:
            return TimeInForce(self.stored_time_in_force)
        return None if self.price_type == PriceType.MARKET else TimeInForce.GTC

    @property
    def is_pending(self) -> bool:
        return self.status == OrderStatus.PENDING

    @property
    def executed_price(self) -> Decimal | None:
        """None until it is executed."""
        return self.order_price if self.executed_at else None

    @property
    def has_waited(self) -> bool:
        """Whether it reserved something instead of being executed when it was placed."""
        return any(reserve is not None for reserve in (self.reserved_amount, self.reserved_quantity))

    def with_changes(self, changes: Mapping[str, Any]) -> Order:
        """A copy of this order with the attributes that a write gives it."""
        changed = copy.copy(self)
        changed.attribute_values = {**self.attribute_values, **changes}
        return changed

    def waiting(self, terms: Terms, *, revision: int, since: datetime) -> Order:
        """This order while it waits with these terms, in the revision that began then; with a stop, for that."""
        reserve = "reserved_amount" if self.side is Side.BUY else "reserved_quantity"
        return self.with_changes(
            {
                "quantity": terms.quantity,
                "book_price": self.stop_price if self.has_stop else terms.limit_price,
                "order_price": terms.limit_price,
                "total_amount": terms.total,
                "expires_at": terms.expires_at,
                reserve: terms.reserve,
                "status": OrderStatus.PENDING.value,
                "triggered_at": None,
                "executed_at": None,
                "revision": revision,
                "updated_at": since,
            }
        )


class OrderChange(OrdersItem, discriminator="CHANGE"):
    """What its owner changed of an open order: its terms in one revision and in the next. Never changed or deleted.

    It has no attribute that is the key of an index, so it is in none. Whose it is, its order says.
    """

    order_id = UnicodeAttribute()
    # The one that the change ended: 1 at first.
    revision = NumberAttribute()
    quantity_before = QuantityAttribute()
    quantity_after = QuantityAttribute()
    limit_before = QuantityAttribute()
    limit_after = QuantityAttribute()
    end_before = TimeAttribute()
    end_after = TimeAttribute()
    # The account event that tells of it.
    event_number = UnicodeAttribute()
    created_at = TimeAttribute()

    @staticmethod
    def key(order_id: str, revision: int | Decimal) -> Key:
        return order_id, f"CHANGE#{int(revision):06d}"

    def terms_before(self, side: Side) -> Terms:
        return Terms(side, self.quantity_before, self.limit_before, self.end_before)

    def terms_after(self, side: Side) -> Terms:
        return Terms(side, self.quantity_after, self.limit_after, self.end_after)


def change_item(order: Order, after: Terms, now: datetime, *, event_number: str) -> OrderChange:
    """What is to be kept of an open order when it gets other terms."""
    before, revision = order.terms, order.revision_number
    return OrderChange(
        *OrderChange.key(order.order_id, revision),
        order_id=order.order_id,
        revision=revision,
        quantity_before=before.quantity,
        quantity_after=after.quantity,
        limit_before=before.limit_price,
        limit_after=after.limit_price,
        end_before=before.expires_at,
        end_after=after.expires_at,
        event_number=event_number,
        created_at=now,
    )


def new_order_id(time: datetime) -> str:
    """A new id for an order made at this time. Ids made later sort later, to the millisecond."""
    return f"order_{ULID.from_datetime(time)}"


def first_order_id(time: datetime) -> str:
    """No id of an order made in this millisecond, or later, sorts before it."""
    return f"order_{str(ULID.from_datetime(time))[:TIME_DIGITS]}{'0' * RANDOM_DIGITS}"


def last_order_id(time: datetime) -> str:
    """No id of an order made in this millisecond, or before, sorts after it."""
    return f"order_{str(ULID.from_datetime(time))[:TIME_DIGITS]}{'Z' * RANDOM_DIGITS}"


def get_order(username: str, order_id: str, found: Found = NOTHING) -> Order:
    """One order of a user. Raises OrderNotFound, also for the order of someone else.

    One consistent call, unless it is in `found`.
    """
    order = found.find(Order, Order.key(order_id))
    if order is None or order.username != username:
        raise OrderNotFound()
    return order


def get_order_in(username: str, order_id: str, *, revision: int = 1) -> Order:
    """One order of a user as a revision of it began, whatever happened since. One that never waited, as it is.

    One consistent call, and another one where its terms have changed. Raises OrderNotFound.
    """
    order = get_order(username, order_id)
    if not order.has_waited or order.nominal_price is None:
        return order
    terms, since = order.terms, order.created_at
    if revision > 1:
        change = OrderChange.get(*OrderChange.key(order_id, revision - 1), consistent_read=True)
        terms, since = change.terms_after(order.side), change.created_at
    elif order.revision_number > 1:
        terms = OrderChange.get(*OrderChange.key(order_id, 1), consistent_read=True).terms_before(order.side)
    return order.waiting(terms, revision=revision, since=since)


def list_changes(order_id: str, page: PageRequest = FIRST_PAGE) -> Page[OrderChange]:
    """What changed of an order while it waited, newest first. One call."""
    return list_page(OrderChange, order_id, page, keys=OrderChange.SK.startswith("CHANGE#"))


def read_changes(order: Order) -> list[OrderChange]:
    """What changed of an order while it waited, oldest first: the first change, and the newest MOST_SHOWN after it.

    No call where nothing changed; else one, and another one where there are more.
    """
    if order.revision_number == 1:
        return []
    found = OrderChange.query(
        order.order_id,
        OrderChange.SK.startswith("CHANGE#"),
        consistent_read=True,
        scan_index_forward=False,
        limit=MOST_SHOWN,
    )
    changes = list(found)[::-1]
    if changes[0].revision > 1:
        changes.insert(0, OrderChange.get(*OrderChange.key(order.order_id, 1), consistent_read=True))
    return changes


def iterate_changes(order_id: str) -> Iterator[OrderChange]:
    """What changed of an order while it waited, oldest first, 500 in a call."""
    return OrderChange.query(order_id, OrderChange.SK.startswith("CHANGE#"), consistent_read=True, page_size=500)


def list_orders(
    username: str,
    page: PageRequest = FIRST_PAGE,
    *,
    asset_id: str | None = None,
    side: Side | None = None,
    price_type: PriceType | None = None,
    status: OrderStatus | None = None,
    ended: bool | None = None,
    period: Period = ALWAYS,
) -> Page[Order]:
    """Orders of a user, newest first, filtered by what is given. A page may be short (see `list_page`).

    `ended` leaves out the open ones. `period`, of whole milliseconds, is that in which they were placed: it bounds what
    is read.

    Open orders are read from UserOpenOrdersIndex, which holds no others. The rest are read from UserOrderHistoryIndex,
    also when filtered by asset: UserOrdersIndex is not in order of time.
    """
    index: GlobalSecondaryIndex[Any] = Order.user_order_history_index
    if status is OrderStatus.PENDING:
        index, status = Order.user_open_orders_index, None
    filters: Condition | None = None
    for attribute, value in (
        (Order.asset_id, asset_id),
        (Order.order_type, side),
        (Order.price_type, price_type),
        (Order.status, status),
    ):
        if value:
            filters = filters & (attribute == str(value)) if filters is not None else attribute == str(value)
    if ended:
        has_ended = Order.status != OrderStatus.PENDING.value
        filters = filters & has_ended if filters is not None else has_ended
    keys = OrdersItem.PK.between(first_order_id(period.start), last_order_id(period.end))
    return list_page(Order, username, page, index=index, keys=keys, filters=filters)


def iterate_orders(username: str) -> Iterator[Order]:
    """Every order of a user, oldest first, 500 in a call. The index may lag."""
    return Order.query(username, index_name=UserOrderHistoryIndex.Meta.index_name, page_size=500)


# What the keys call the books: limit orders, which gave them their names, were alone in them once.
_BOOK_NAMES = {Direction.DOWN: "BUY", Direction.UP: "SELL"}


def open_books(asset_id: str, direction: Direction) -> list[str]:
    """The hash keys in OpenOrdersIndex of the orders of one asset that wait for the price to go one way.

    `BTC#BUY`, `BTC#BUY#1`, ... wait for it to fall: limit orders to buy, and stop orders to sell.
    `BTC#SELL`, ... wait for it to rise: limit orders to sell, and stop orders to buy.
    """
    return _shards(f"{asset_id}#{_BOOK_NAMES[direction]}")


def expiry_days(day: date) -> list[str]:
    """The hash keys in ExpiringOrdersIndex of the open orders that end on this day (UTC): `2026-11-29`, ..."""
    return _shards(day.isoformat())


def _shards(key: str) -> list[str]:
    """The keys over which the orders of one key are spread. The first is the key itself, as if there were no others."""
    return [key, *(f"{key}#{shard}" for shard in range(1, database().key_shards))]


def shard_of(keys: list[str], order_id: str) -> str:
    """The one of these keys under which an order is written."""
    return keys[zlib.crc32(order_id.encode()) % len(keys)]


def find_first_prices() -> dict[str, Decimal] | None:
    """The price that the market reaches first, by the key of each book with open orders; None if more are open.

    At most FEW_OPEN orders are read.

    One call. The index may lag.
    """
    pages = Order.scan(index_name=OpenOrdersIndex.Meta.index_name, page_size=FEW_OPEN).page_iter
    first: dict[str, Decimal] = {}
    # Raw: the rest of an item that cannot be read does not matter here.
    for row in next(pages)["Items"]:
        book, price = row["open_book"]["S"], Decimal(row[OpenOrdersIndex.book_price.attr_name]["N"])
        earlier = max if book.split("#")[1] == _BOOK_NAMES[Direction.DOWN] else min
        first[book] = earlier(price, first.get(book, price))
    return None if pages.last_evaluated_key else first


def iterate_reached_orders(book: str, direction: Direction, price: Decimal) -> Iterator[Order]:
    """The open orders of one of `open_books` that this price reaches, the first reached first, read page by page.

    Reads no other orders. The index may lag: an order may have ended already, or wait in the other book.
    """
    falling = direction is Direction.DOWN
    awaited = OpenOrdersIndex.book_price
    return iterate_readable(
        Order,
        Order.query(
            book,
            awaited >= price if falling else awaited <= price,
            index_name=OpenOrdersIndex.Meta.index_name,
            scan_index_forward=not falling,
        ),
    )


def iterate_expired_order_ids(expiry_day: str, now: datetime) -> Iterator[str]:
    """The ids of the open orders at one of `expiry_days` whose end has passed, read page by page."""
    rows = iterate_readable(
        Order,
        Order.query(expiry_day, ExpiringOrdersIndex.expires_at <= now, index_name=ExpiringOrdersIndex.Meta.index_name),
    )
    return (row.PK for row in rows)


def find_reserved_quantities(username: str, time: datetime) -> dict[str, Decimal]:
    """What the orders to sell that were open at a past moment reserved of each asset.

    One call for each 1 MB of the orders that were placed up to LONGEST_OPEN before; and one for each of them whose
    terms have changed. The index may lag.
    """
    rows = Order.query(
        username,
        UserOrderHistoryIndex.PK.between(first_order_id(time - LONGEST_OPEN), last_order_id(time)),
        (Order.order_type == Side.SELL.value) & Order.reserved_quantity.exists() & (Order.created_at <= time),
        index_name=UserOrderHistoryIndex.Meta.index_name,
    )
    found: dict[str, Decimal] = {}
    for order in iterate_readable(Order, rows):
        if order.is_pending or order.updated_at > time:
            changes = iterate_changes(order.order_id) if order.revision_number > 1 else ()
            later = (each.quantity_before for each in changes if each.created_at > time)
            reserved = next(later, order.reserved_quantity)
            found[order.asset_id] = money.add(found.get(order.asset_id, Decimal(0)), reserved)
    return found


def list_orders_of_asset(username: str, asset_id: str, page: PageRequest = FIRST_PAGE) -> Page[Order]:
    """Every order of a user in one asset, not in order of time. One call; reads no other assets."""
    return list_page(Order, username, page, index=Order.user_orders_index, keys=UserOrdersIndex.asset_id == asset_id)
