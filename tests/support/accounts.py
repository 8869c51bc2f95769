"""Users and orders made directly through the models: no HTTP, no bcrypt. All but `user_item` need a context."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from app.domain import clock
from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.domain.orders import NewOrder, PriceType, Side
from app.models import order_changes
from app.models.balance_changes import open_account, post_transaction
from app.models.orders import Order, new_order_id, open_book
from app.models.reading import NOTHING, Found
from app.models.users import User
from tests.support.people import LONG_AGO

_numbers = itertools.count(1)


def user_item(username: str, *, password_hash: str = "-", now: datetime | None = None) -> User:
    """A user that is not saved yet."""
    now = now or clock.now()
    return User(
        *User.key(username),
        username=username,
        email=f"{username}@example.com",
        password_hash=password_hash,
        first_name="Ann",
        last_name="Smith",
        created_at=now,
        updated_at=now,
    )


def open_trader(cash: str = "0", **holdings: str) -> str:
    """The username of an old account with this cash and these quantities, each bought at 1.00."""
    name = f"trader_{next(_numbers)}"
    with clock.at(LONG_AGO):
        open_account(user_item(name))
        for asset_id, quantity in holdings.items():
            deposit(name, str(Decimal(quantity).quantize(Decimal("0.01"))))
            place(name, Side.BUY, quantity, asset_id=asset_id, price="1")
        if Decimal(cash):
            deposit(name, cash)
    return name


def deposit(username: str, amount: str) -> None:
    post_transaction(username, TransactionType.DEPOSIT, Decimal(amount))


def place(
    username: str,
    side: Side,
    quantity: str,
    *,
    price: str,
    limit: str | None = None,
    asset_id: str = "BTC",
    expires_at: datetime | None = None,
    key: str | None = None,
    early: Found = NOTHING,
) -> Order:
    """An order, placed while the market is at `price`; a `limit` makes it a limit order, by default until tomorrow."""
    placed_at = clock.now()
    if limit:
        end = expires_at or placed_at + timedelta(days=1)
        # An order whose end has passed was placed before its end.
        placed_at = min(placed_at, end - timedelta(seconds=1))
        order = NewOrder(side, PriceType.LIMIT, asset_id, Decimal(quantity), Decimal(limit), end)
    else:
        order = NewOrder(side, PriceType.MARKET, asset_id, Decimal(quantity))
    idempotency = identify(key, side, asset_id, quantity, price)
    with clock.at(placed_at):
        placed = order_changes.place_order(
            username, order, lambda: Decimal(price), idempotency=idempotency, early=early
        )
    return placed.item


def place_limit(username: str, side: Side, quantity: str, limit: str, **more: Any) -> Order:
    """A limit order that the market does not reach, so that it waits; its `expires_at` may have passed."""
    unreached = Decimal(limit) * 2 if side is Side.BUY else Decimal(limit) / 2
    order = place(username, side, quantity, price=str(unreached), limit=limit, **more)
    assert order.is_pending
    return order


def unplaced_order(side: Side, limit: Decimal, ends: datetime) -> Order:
    """An open order for 1 BTC that is not saved yet, of a user who does not exist: to fill the indexes with many."""
    now = clock.now()
    order_id = new_order_id(now)
    return Order(
        *Order.key(order_id),
        order_id=order_id,
        username="nobody",
        asset_id="BTC",
        order_type=side.value,
        price_type="LIMIT",
        quantity=Decimal(1),
        order_price=limit,
        total_amount=limit,
        limit_price=limit,
        status="PENDING",
        open_owner="nobody",
        open_book=open_book("BTC", side),
        expires_at=ends,
        expiry_day=ends.date().isoformat(),
        created_at=now,
        updated_at=now,
    )
