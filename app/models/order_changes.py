"""Placing, filling, cancelling and expiring orders: each is one read and one batch of conditional writes.

An open order holds its own reserve. Only one writer can move it out of PENDING, so the reserve is spent once or
given back once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from app.domain import clock, holdings, money
from app.domain.errors import Busy, OrderNotPending
from app.domain.holdings import AssetAccount
from app.domain.idempotency import IdempotencyKey
from app.domain.ledger import TransactionType, post, refund, release, reserve
from app.domain.orders import (
    PAYMENT_TYPE,
    REFUND_DESCRIPTIONS,
    NewOrder,
    OrderStatus,
    PriceType,
    Side,
    check_end,
    describe_reserve,
    describe_trade,
    fill_reserved,
)
from app.models.balance_changes import read_balance_and_holding, write_balance, write_holding, write_posting
from app.models.batch import Batch, Cancelled, retry_while_busy
from app.models.idempotency import Applied, apply_once
from app.models.ledger import Balance, Holding, Trade
from app.models.orders import Order, get_order, new_order_id, open_book
from app.models.reading import NOTHING, Found


@retry_while_busy
def place_order(
    username: str,
    order: NewOrder,
    current_price: Callable[[], Decimal],
    *,
    idempotency: IdempotencyKey | None = None,
    early: Found = NOTHING,
) -> Applied[Order]:
    """Execute an order at the market's price, or reserve what it needs and let it wait.

    Two calls; one where the balance and the holding were read `early` (see `apply_once`).
    Raises InvalidInput when `expires_at` has passed, what `current_price` raises, PriceMoved, OrderTooSmall,
    OrderTooLarge, InsufficientFunds, InsufficientHolding, IdempotencyKeyReused, and Busy when every attempt came
    second.
    """

    def change(batch: Batch, found: Found) -> Order:
        check_end(order.expires_at, clock.now())
        price = current_price()
        place = _reserve if order.waits_at(price) else _execute
        balance, holding = read_balance_and_holding(username, order.asset_id, found)
        return place(batch, order, price, balance, holding)

    def find(order_id: str) -> Order:
        return get_order(username, order_id).as_placed()

    return apply_once(username, idempotency, change=change, find=find, early=early)


def _execute(batch: Batch, order: NewOrder, price: Decimal, balance: Balance, holding: Holding | None) -> Order:
    now = _time_after(balance, holding)
    total = order.total_at(price)
    trade = holdings.buy if order.side is Side.BUY else holdings.sell
    after = trade(_asset_account(holding, order.asset_id), order.quantity)
    posting = post(balance.cash_account, PAYMENT_TYPE[order.side], total)
    placed = _order_item(balance.username, order, price, total, now)
    placed.status, placed.executed_at = OrderStatus.COMPLETED.value, now
    batch.put("order", placed)
    description = describe_trade(order.side, order.quantity, order.asset_id, price)
    write_posting(batch, balance, posting, now, description=description, order_id=placed.order_id)
    write_holding(batch, balance.username, holding, after, now)
    batch.put("trade", _trade(placed, price, total, now))
    return placed


def _reserve(batch: Batch, order: NewOrder, price: Decimal, balance: Balance, holding: Holding | None) -> Order:
    assert order.limit_price is not None and order.expires_at is not None, "an order that waits has a limit and an end"
    now = _time_after(balance, holding)
    total = order.total_at(order.limit_price)
    placed = _order_item(balance.username, order, order.limit_price, total, now)
    placed.open_owner = balance.username
    placed.open_book, placed.expiry_day = open_book(order.asset_id, order.side), order.expires_at.date().isoformat()
    if order.side is Side.BUY:
        placed.reserved_amount = total
        posting = reserve(balance.cash_account, total)
        description = describe_reserve(order.quantity, order.asset_id, order.limit_price)
        write_posting(batch, balance, posting, now, description=description, order_id=placed.order_id)
    else:
        placed.reserved_quantity = order.quantity
        after = holdings.reserve(_asset_account(holding, order.asset_id), order.quantity)
        write_holding(batch, balance.username, holding, after, now)
    batch.put("order", placed)
    return placed


@retry_while_busy
def fill_order(order: Order, price: Decimal) -> Order:
    """Execute an open order at a price that reaches its limit; a buyer gets the rest of the reserve back.

    Two calls. Raises OrderNotPending, also when its end has passed, and Busy when every attempt came second.
    """
    order = upgrade_order(order)
    balance, holding = read_balance_and_holding(order.username, order.asset_id)
    now, batch = _time_after(balance, holding), Batch()
    if order.expires_at <= now:
        raise OrderNotPending(OrderStatus.EXPIRED)
    filled = fill_reserved(order.side, order.quantity, price, order.reserved_amount)
    execution = {"order_price": price, "total_amount": filled.total_amount, "executed_at": now}
    changes = _end(batch, order, OrderStatus.COMPLETED, now, **execution)
    asset = _asset_account(holding, order.asset_id)
    if order.side is Side.BUY:
        write_holding(batch, order.username, holding, holdings.buy(asset, order.quantity), now)
        _empty_reserve(batch, order, balance, filled.refund, OrderStatus.COMPLETED, now)
    else:
        write_holding(batch, order.username, holding, holdings.release(asset, order.quantity), now)
        posting = post(balance.cash_account, TransactionType.ORDER_SALE, filled.total_amount)
        description = describe_trade(order.side, order.quantity, order.asset_id, price)
        write_posting(batch, balance, posting, now, description=description, order_id=order.order_id)
    batch.put("trade", _trade(order, price, filled.total_amount, now))
    _commit(batch)
    return order.with_changes(changes)


@retry_while_busy
def cancel_order(
    username: str, order_id: str, *, idempotency: IdempotencyKey | None = None, early: Found = NOTHING
) -> Applied[Order]:
    """Cancel an open order and give back all that it reserves.

    Three calls; two where the order was read `early` (see `apply_once`).
    Raises OrderNotFound, OrderNotPending, IdempotencyKeyReused, and Busy when every attempt came second.
    """

    def change(batch: Batch, found: Found) -> Order:
        order = get_order(username, order_id, found)
        if not order.is_pending:
            raise OrderNotPending(order.status)
        return order.with_changes(_give_back(batch, upgrade_order(order), OrderStatus.CANCELLED))

    return apply_once(username, idempotency, change=change, find=partial(get_order, username), early=early)


@retry_while_busy
def expire_order(order: Order) -> Order:
    """Give back all that an open order reserves, because its end has passed. Two calls.

    Raises OrderNotPending, and Busy when every attempt came second.
    """
    order, batch = upgrade_order(order), Batch()
    changes = _give_back(batch, order, OrderStatus.EXPIRED)
    _commit(batch)
    return order.with_changes(changes)


def _give_back(batch: Batch, order: Order, status: OrderStatus) -> dict[str, Any]:
    balance, holding = read_balance_and_holding(order.username, order.asset_id)
    now = _time_after(balance, holding)
    changes = _end(batch, order, status, now)
    if order.reserved_amount is not None:
        _empty_reserve(batch, order, balance, order.reserved_amount, status, now)
    if order.reserved_quantity is not None:
        after = holdings.give_back(_asset_account(holding, order.asset_id), order.reserved_quantity)
        write_holding(batch, order.username, holding, after, now)
    return changes


def _empty_reserve(
    batch: Batch, order: Order, balance: Balance, returned: Decimal, status: OrderStatus, now: datetime
) -> None:
    """Take the whole reserve of an order to buy out of the reserved cash; `returned` of it goes to the balance."""
    if returned:
        posting = refund(balance.cash_account, order.reserved_amount, returned)
        description = REFUND_DESCRIPTIONS[status]
        write_posting(batch, balance, posting, now, description=description, order_id=order.order_id)
    else:
        write_balance(batch, balance, release(balance.cash_account, order.reserved_amount), now)


def _end(batch: Batch, order: Order, status: OrderStatus, now: datetime, **execution: Any) -> dict[str, Any]:
    """Move an order out of PENDING, which only one writer can, and out of the indexes of open orders.

    Returns the attributes that the order has when the batch is applied.
    """
    changes = {"status": status.value, "updated_at": now, **execution}
    actions = [getattr(Order, name).set(value) for name, value in changes.items()]
    removals = [Order.open_book.remove(), Order.expiry_day.remove(), Order.open_owner.remove()]
    batch.update("order", order, [*actions, *removals], condition=Order.status == OrderStatus.PENDING.value)
    return changes


def _commit(batch: Batch) -> None:
    try:
        batch.commit()
    except Cancelled as cancelled:
        raise OrderNotPending("ended") if "order" in cancelled.refused else Busy() from cancelled


@retry_while_busy
def upgrade_order(order: Order) -> Order:
    """The order in the form of this version. No call for one that has it; three for one that gets it.

    While an order is in UserOpenOrdersIndex, and only then, its holding's `reserved_quantity` contains its reserve. An
    older version knows neither: it leaves the orders that it places out of both, and those that it ends in both.
    Raises Busy when every attempt came second.
    """
    if _is_upgraded(order):
        return order
    found = Order.find(Order.key(order.order_id))
    if found is None or _is_upgraded(found):
        return found or order
    balance, holding = read_balance_and_holding(found.username, found.asset_id)
    owner, batch = Order.open_owner, Batch()
    change, was = (
        (owner.set(found.username), owner.does_not_exist()) if found.is_pending else (owner.remove(), owner.exists())
    )
    batch.update("order", found, [change], condition=(Order.status == found.status) & was)
    if found.reserved_quantity is not None:
        asset, quantity = _asset_account(holding, found.asset_id), found.reserved_quantity
        reserved = money.add(asset.reserved_quantity, quantity if found.is_pending else -quantity)
        write_holding(
            batch, found.username, holding, replace(asset, reserved_quantity=reserved), _time_after(balance, holding)
        )
    try:
        batch.commit()
    except Cancelled as cancelled:
        raise Busy() from cancelled
    found.open_owner = found.username if found.is_pending else None
    return found


def _is_upgraded(order: Order) -> bool:
    return order.is_pending == (order.open_owner is not None)


def _asset_account(holding: Holding | None, asset_id: str) -> AssetAccount:
    return holding.asset_account if holding else AssetAccount(asset_id)


def _time_after(balance: Balance, holding: Holding | None) -> datetime:
    """A time after the last change of what was read: changes of an account have the order of their times."""
    return clock.now_after(balance.updated_at, holding.updated_at if holding else None)


def _order_item(username: str, order: NewOrder, price: Decimal, total_amount: Decimal, now: datetime) -> Order:
    # Price and balance took time.
    check_end(order.expires_at, now)
    order_id = new_order_id(now)
    is_limit = order.price_type is PriceType.LIMIT
    return Order(
        *Order.key(order_id),
        order_id=order_id,
        username=username,
        asset_id=order.asset_id,
        order_type=order.side.value,
        price_type=order.price_type.value,
        quantity=order.quantity,
        order_price=price,
        total_amount=total_amount,
        limit_price=order.limit_price if is_limit else None,
        expires_at=order.expires_at if is_limit else None,
        status=OrderStatus.PENDING.value,
        created_at=now,
        updated_at=now,
    )


def _trade(order: Order, price: Decimal, total_amount: Decimal, now: datetime) -> Trade:
    return Trade(
        *Trade.key(order.username, order.asset_id, now),
        username=order.username,
        asset_id=order.asset_id,
        transaction_type=order.order_type,
        quantity=order.quantity,
        price=price,
        total_amount=total_amount,
        order_id=order.order_id,
        traded_at=now,
        created_at=now,
    )
