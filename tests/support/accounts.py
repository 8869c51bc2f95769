"""Users and orders made directly through the models: no HTTP, no bcrypt. All but `user_item` need a context."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from app.domain import clock
from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.domain.orders import LIMIT_DIRECTION, NewOrder, PriceType, Side
from app.domain.periods import ALWAYS
from app.models import order_changes
from app.models.balance_changes import open_account, post_transaction
from app.models.ledger import Holding, Trade, get_holding, iterate_trades
from app.models.orders import Order, expiry_days, new_order_id, open_books, shard_of
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


def forget_cost(username: str, asset_id: str = "BTC") -> None:
    """Make a holding and its sales what a version before costs wrote."""
    holding = get_holding(username, asset_id)
    holding.update([Holding.cost_total.remove(), Holding.realised_gain.remove()])
    for trade in iterate_trades(username, ALWAYS, asset_id=asset_id):
        trade.update([Trade.cost_total.remove(), Trade.gain.remove()])


def deposit(username: str, amount: str) -> None:
    post_transaction(username, TransactionType.DEPOSIT, Decimal(amount))


def place(
    username: str,
    side: Side,
    quantity: str,
    *,
    price: str,
    limit: str | None = None,
    stop: str | None = None,
    asset_id: str = "BTC",
    expires_at: datetime | None = None,
    key: str | None = None,
    client_order_id: str | None = None,
    early: Found = NOTHING,
) -> Order:
    """An order, placed while the market is at `price`.

    A `limit` makes it a limit order, a `stop` a stop order; both wait until tomorrow, unless `expires_at` is given.
    """
    placed_at = clock.now()
    if limit or stop:
        end = expires_at or placed_at + timedelta(days=1)
        # An order whose end has passed was placed before its end.
        placed_at = min(placed_at, end - timedelta(seconds=1))
        kind = PriceType.LIMIT if not stop else PriceType.STOP_LIMIT if limit else PriceType.STOP
        limit_price, stop_price = (Decimal(each) if each else None for each in (limit, stop))
        order = NewOrder(side, kind, asset_id, Decimal(quantity), limit_price, end, stop_price=stop_price)
    else:
        order = NewOrder(side, PriceType.MARKET, asset_id, Decimal(quantity))
    order = replace(order, client_order_id=client_order_id)
    values = (side, asset_id, quantity, price)
    with clock.at(placed_at):
        placed = order_changes.place_order(
            username,
            order,
            lambda: Decimal(price),
            idempotency=identify(key, *values),
            client=identify(client_order_id, *values),
            early=early,
        )
    return placed.item


def place_limit(username: str, side: Side, quantity: str, limit: str, **more: Any) -> Order:
    """A limit order that the market does not reach, so that it waits; its `expires_at` may have passed."""
    unreached = Decimal(limit) * 2 if side is Side.BUY else Decimal(limit) / 2
    order = place(username, side, quantity, price=str(unreached), limit=limit, **more)
    assert order.is_pending
    return order


def place_stop(username: str, side: Side, quantity: str, stop: str, **more: Any) -> Order:
    """A stop order, with a limit if one is given; its `expires_at` may have passed."""
    unreached = Decimal(stop) / 2 if side is Side.BUY else Decimal(stop) * 2
    return place(username, side, quantity, price=str(unreached), stop=stop, **more)


def unplaced_order(side: Side, limit: Decimal, ends: datetime, asset_id: str = "BTC") -> Order:
    """An open order for one unit that is not saved yet, of a user who does not exist: to fill the indexes with many."""
    now = clock.now()
    order_id = new_order_id(now)
    return Order(
        *Order.key(order_id),
        order_id=order_id,
        username="nobody",
        asset_id=asset_id,
        order_type=side.value,
        price_type="LIMIT",
        quantity=Decimal(1),
        order_price=limit,
        total_amount=limit,
        book_price=limit,
        status="PENDING",
        open_owner="nobody",
        open_book=shard_of(open_books(asset_id, LIMIT_DIRECTION[side]), order_id),
        expires_at=ends,
        expiry_day=shard_of(expiry_days(ends.date()), order_id),
        created_at=now,
        updated_at=now,
    )
