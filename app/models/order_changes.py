"""Placing, filling, cancelling and expiring orders: each is one read and one batch of conditional writes.

An open order holds its own reserve. Only one writer can move it out of PENDING, so the reserve is spent once or
given back once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from app.domain import clock
from app.domain.errors import Busy, OrderNotPending
from app.domain.idempotency import IdempotencyKey
from app.domain.ledger import TransactionType, post, refund, release, reserve
from app.domain.orders import (
    PAYMENT_TYPE,
    NewOrder,
    OrderStatus,
    PriceType,
    Side,
    check_end,
    fill_reserved,
    holding_after,
)
from app.models.balance_changes import read_balance_and_holding, write_balance, write_holding, write_posting
from app.models.batch import Batch, Cancelled, retry_while_busy
from app.models.idempotency import Applied, apply_once
from app.models.ledger import Balance, Holding, Trade
from app.models.orders import Order, get_order, new_order_id, open_book


@retry_while_busy
def place_order(
    username: str, order: NewOrder, current_price: Callable[[], Decimal], *, idempotency: IdempotencyKey | None = None
) -> Applied[Order]:
    """Execute an order at the market's price, or reserve what it needs and let it wait. Two calls.

    Raises InvalidInput when `expires_at` has passed, what `current_price` raises, PriceMoved, OrderTooSmall,
    OrderTooLarge, InsufficientFunds, InsufficientHolding, IdempotencyKeyReused, and Busy when every attempt came
    second.
    """

    def change(batch: Batch) -> Order:
        check_end(order.expires_at, clock.now())
        price = current_price()
        place = _reserve if order.waits_at(price) else _execute
        balance, holding = read_balance_and_holding(username, order.asset_id)
        return place(batch, order, price, balance, holding)

    def find(order_id: str) -> Order:
        return get_order(username, order_id).as_placed()

    return apply_once(username, idempotency, change=change, find=find)


def _execute(batch: Batch, order: NewOrder, price: Decimal, balance: Balance, holding: Holding | None) -> Order:
    now = clock.now()
    total = order.total_at(price)
    held = holding_after(order.side, order.asset_id, order.quantity, _quantity(holding))
    posting = post(balance.cash_account, PAYMENT_TYPE[order.side], total)
    placed = _order_item(balance.username, order, price, total, now)
    placed.status, placed.executed_at = OrderStatus.COMPLETED.value, now
    batch.put("order", placed)
    write_posting(batch, balance, posting, now, order_id=placed.order_id)
    write_holding(batch, balance.username, order.asset_id, holding, held, now)
    batch.put("trade", _trade(placed, price, total, now))
    return placed


def _reserve(batch: Batch, order: NewOrder, price: Decimal, balance: Balance, holding: Holding | None) -> Order:
    assert order.limit_price is not None and order.expires_at is not None, "an order that waits has a limit and an end"
    now = clock.now()
    total = order.total_at(order.limit_price)
    placed = _order_item(balance.username, order, order.limit_price, total, now)
    placed.open_book, placed.expiry_day = open_book(order.asset_id, order.side), order.expires_at.date().isoformat()
    if order.side is Side.BUY:
        placed.reserved_amount = total
        write_posting(batch, balance, reserve(balance.cash_account, total), now, order_id=placed.order_id)
    else:
        placed.reserved_quantity = order.quantity
        held = holding_after(order.side, order.asset_id, order.quantity, _quantity(holding))
        write_holding(batch, balance.username, order.asset_id, holding, held, now)
    batch.put("order", placed)
    return placed


@retry_while_busy
def fill_order(order: Order, price: Decimal) -> Order:
    """Execute an open order at a price that reaches its limit; a buyer gets the rest of the reserve back.

    Two calls. Raises OrderNotPending, also when its end has passed, and Busy when every attempt came second.
    """
    balance, holding = read_balance_and_holding(order.username, order.asset_id)
    now, batch = clock.now(), Batch()
    if order.expires_at <= now:
        raise OrderNotPending(OrderStatus.EXPIRED)
    filled = fill_reserved(order.side, order.quantity, price, order.reserved_amount)
    execution = {"order_price": price, "total_amount": filled.total_amount, "executed_at": now}
    changes = _end(batch, order, OrderStatus.COMPLETED, now, **execution)
    if order.side is Side.BUY:
        held = holding_after(order.side, order.asset_id, order.quantity, _quantity(holding))
        write_holding(batch, order.username, order.asset_id, holding, held, now)
        _empty_reserve(batch, order, balance, filled.refund, now)
    else:
        posting = post(balance.cash_account, TransactionType.ORDER_SALE, filled.total_amount)
        write_posting(batch, balance, posting, now, order_id=order.order_id)
    batch.put("trade", _trade(order, price, filled.total_amount, now))
    _commit(batch)
    return order.with_changes(changes)


@retry_while_busy
def cancel_order(username: str, order_id: str, *, idempotency: IdempotencyKey | None = None) -> Applied[Order]:
    """Cancel an open order and give back all that it reserves.

    Three calls. Raises OrderNotFound, OrderNotPending, IdempotencyKeyReused, and Busy when every attempt came second.
    """

    def change(batch: Batch) -> Order:
        order = get_order(username, order_id)
        if not order.is_pending:
            raise OrderNotPending(order.status)
        return order.with_changes(_give_back(batch, order, OrderStatus.CANCELLED))

    return apply_once(username, idempotency, change=change, find=partial(get_order, username))


@retry_while_busy
def expire_order(order: Order) -> Order:
    """Give back all that an open order reserves, because its end has passed. Two calls.

    Raises OrderNotPending, and Busy when every attempt came second.
    """
    batch = Batch()
    changes = _give_back(batch, order, OrderStatus.EXPIRED)
    _commit(batch)
    return order.with_changes(changes)


def _give_back(batch: Batch, order: Order, status: OrderStatus) -> dict[str, Any]:
    balance, holding = read_balance_and_holding(order.username, order.asset_id)
    now = clock.now()
    changes = _end(batch, order, status, now)
    if order.reserved_amount is not None:
        _empty_reserve(batch, order, balance, order.reserved_amount, now)
    if order.reserved_quantity is not None:
        # Giving back adds to the holding, as buying does.
        held = holding_after(Side.BUY, order.asset_id, order.reserved_quantity, _quantity(holding))
        write_holding(batch, order.username, order.asset_id, holding, held, now)
    return changes


def _empty_reserve(batch: Batch, order: Order, balance: Balance, returned: Decimal, now: datetime) -> None:
    """Take the whole reserve of an order to buy out of the reserved cash; `returned` of it goes to the balance."""
    if returned:
        posting = refund(balance.cash_account, order.reserved_amount, returned)
        write_posting(batch, balance, posting, now, order_id=order.order_id)
    else:
        write_balance(batch, balance, release(balance.cash_account, order.reserved_amount), now)


def _end(batch: Batch, order: Order, status: OrderStatus, now: datetime, **execution: Any) -> dict[str, Any]:
    """Move an order out of PENDING, which only one writer can, and out of the indexes of open orders.

    Returns the attributes that the order has when the batch is applied.
    """
    changes = {"status": status.value, "updated_at": now, **execution}
    actions = [getattr(Order, name).set(value) for name, value in changes.items()]
    removals = [Order.open_book.remove(), Order.expiry_day.remove()]
    batch.update("order", order, [*actions, *removals], condition=Order.status == OrderStatus.PENDING.value)
    return changes


def _commit(batch: Batch) -> None:
    try:
        batch.commit()
    except Cancelled as cancelled:
        raise OrderNotPending("ended") if "order" in cancelled.refused else Busy() from cancelled


def _quantity(holding: Holding | None) -> Decimal:
    return holding.quantity if holding else Decimal(0)


def _order_item(username: str, order: NewOrder, price: Decimal, total_amount: Decimal, now: datetime) -> Order:
    # Price and balance took time.
    check_end(order.expires_at, now)
    order_id = new_order_id()
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
