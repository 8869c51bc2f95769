"""Table `orders`: one item for each order, and five indexes.

| item | PK | SK |
|---|---|---|
| Order | `{order_id}` | `ORDER` |

| access pattern | operation |
|---|---|
| one order | GetItem |
| orders of a user, newest first, also by asset, type, status | Query UserOrderHistoryIndex |
| every order of a user in one asset | Query UserOrdersIndex |
| open orders of a user, newest first | Query UserOpenOrdersIndex |
| open orders that a price fills | Query OpenOrdersIndex |
| the best limits of all books, while few orders are open | Scan OpenOrdersIndex |
| open orders past their time | Query ExpiringOrdersIndex |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pynamodb.attributes import DiscriminatorAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, IncludeProjection
from ulid import ULID

from app.domain import money
from app.domain.errors import OrderNotFound
from app.domain.orders import OrderStatus, PriceType, Side
from app.models.attributes import DecimalAttribute, MoneyAttribute, QuantityAttribute, TimeAttribute
from app.models.item import Item, Key, TableMeta
from app.models.paging import FIRST_PAGE, Page, PageRequest, iterate_readable, list_page
from app.models.reading import NOTHING, Found

# As many open orders cost less to read at once than to ask every book for some.
FEW_OPEN = 50


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
    """Open limit orders of a user by `order_id`. Sparse: an order that ends loses `open_owner`."""

    class Meta:
        index_name = "UserOpenOrdersIndex"
        projection = AllProjection()

    open_owner = UnicodeAttribute(hash_key=True)
    PK = UnicodeAttribute(range_key=True)


class OpenOrdersIndex(GlobalSecondaryIndex["Order"]):
    """Open limit orders by asset, side (`BTC#BUY`) and price. Sparse: an order that ends loses `open_book`."""

    class Meta:
        index_name = "OpenOrdersIndex"
        projection = AllProjection()

    open_book = UnicodeAttribute(hash_key=True)
    limit_price = DecimalAttribute(range_key=True)


class ExpiringOrdersIndex(GlobalSecondaryIndex["Order"]):
    """Open limit orders by the day and time of their end. Sparse: an order that ends loses `expiry_day`."""

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

    `reserved_amount` (a buyer's) or `reserved_quantity` (a seller's) stays on record when the order has ended.
    `open_owner`, `open_book` and `expiry_day`, which keep it in the indexes of open orders, do not.
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
    limit_price = DecimalAttribute(null=True)
    reserved_amount = MoneyAttribute(null=True)
    reserved_quantity = QuantityAttribute(null=True)
    # The username. Absent on an open order that was placed before this attribute existed.
    open_owner = UnicodeAttribute(null=True)
    open_book = UnicodeAttribute(null=True)
    expiry_day = UnicodeAttribute(null=True)
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
        """This order with the attributes that a write has given it."""
        for name, value in changes.items():
            setattr(self, name, value)
        return self

    def as_placed(self) -> Order:
        """This order as it was when it was placed, whatever happened to it since."""
        if self.has_waited and self.limit_price is not None:
            self.status = OrderStatus.PENDING.value
            self.order_price = self.limit_price
            self.total_amount = money.order_total(self.quantity, self.limit_price, buying=self.side is Side.BUY)
            self.executed_at = None
            self.updated_at = self.created_at
        return self


def new_order_id(time: datetime) -> str:
    """A new id for an order made at this time. Ids made later sort later, to the millisecond."""
    return f"order_{ULID.from_datetime(time)}"


def get_order(username: str, order_id: str, found: Found = NOTHING) -> Order:
    """One order of a user. Raises OrderNotFound, also for the order of someone else.

    One consistent call, unless it is in `found`.
    """
    order = found.find(Order, Order.key(order_id))
    if order is None or order.username != username:
        raise OrderNotFound()
    return order


def list_orders(
    username: str,
    page: PageRequest = FIRST_PAGE,
    *,
    asset_id: str | None = None,
    side: Side | None = None,
    price_type: PriceType | None = None,
    status: OrderStatus | None = None,
) -> Page[Order]:
    """Orders of a user, newest first, filtered by what is given. A page may be short (see `list_page`).

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
    return list_page(Order, username, page, index=index, filters=filters)


def open_book(asset_id: str, side: Side) -> str:
    """The hash key of the open orders of one asset and side in OpenOrdersIndex."""
    return f"{asset_id}#{side}"


def find_best_limits() -> dict[str, Decimal] | None:
    """The limit that the market reaches first in each book that has open orders; None if FEW_OPEN orders are too few.

    One call. The index may lag.
    """
    pages = Order.scan(index_name=OpenOrdersIndex.Meta.index_name, page_size=FEW_OPEN).page_iter
    best: dict[str, Decimal] = {}
    # Raw: the rest of an item that cannot be read does not matter here.
    for row in next(pages)["Items"]:
        book, limit = row["open_book"]["S"], Decimal(row["limit_price"]["N"])
        better = max if book.endswith(f"#{Side.BUY}") else min
        best[book] = better(limit, best.get(book, limit))
    return None if pages.last_evaluated_key else best


def iterate_fillable_orders(asset_id: str, side: Side, price: Decimal) -> Iterator[Order]:
    """The open orders that this price fills, best limit first, read page by page.

    Reads no other orders. The index may lag: an order may have ended already.
    """
    buying = side is Side.BUY
    limit = OpenOrdersIndex.limit_price
    return iterate_readable(
        Order,
        Order.query(
            open_book(asset_id, side),
            limit >= price if buying else limit <= price,
            index_name=OpenOrdersIndex.Meta.index_name,
            scan_index_forward=not buying,
        ),
    )


def iterate_expired_order_ids(day: date, now: datetime) -> Iterator[str]:
    """The ids of the open orders that end on this day (UTC) and whose end has passed, read page by page."""
    rows = iterate_readable(
        Order,
        Order.query(
            day.isoformat(), ExpiringOrdersIndex.expires_at <= now, index_name=ExpiringOrdersIndex.Meta.index_name
        ),
    )
    return (row.PK for row in rows)


def list_orders_of_asset(username: str, asset_id: str, page: PageRequest = FIRST_PAGE) -> Page[Order]:
    """Every order of a user in one asset, not in order of time. One call; reads no other assets."""
    return list_page(Order, username, page, index=Order.user_orders_index, keys=UserOrdersIndex.asset_id == asset_id)
