"""Placing, filling, cancelling and expiring orders: each one read and one batch of conditional writes.

An open order is the escrow of what it reserves: only one writer can move it out of PENDING, so it is filled once or
given back once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from app.domain import clock
from app.domain.errors import Busy, OrderNotPending
from app.domain.idempotency import IdempotencyKey
from app.domain.ledger import TransactionType, post, refund, release, reserve
from app.domain.orders import PAYMENT_TYPE, NewOrder, OrderStatus, PriceType, Side, fill_reserved, holding_after
from app.models.balance_changes import read_balance_and_holding, write_balance, write_holding, write_posting
from app.models.batch import Batch, Cancelled, retry_while_busy
from app.models.idempotency import Applied, apply_once
from app.models.ledger import Balance, Holding, Trade
from app.models.orders import Order, get_order, new_order_id, open_book


@retry_while_busy
def place_order(
    username: str, order: NewOrder, current_price: Callable[[], Decimal], *, request: IdempotencyKey | None = None
) -> Applied[Order]:
    """Execute an order at the price of the moment, or reserve what it needs and let it wait. Two calls.

    Raises what `current_price` raises, PriceMoved, OrderTooSmall, OrderTooLarge, InsufficientFunds,
    InsufficientHolding, IdempotencyKeyReused, and Busy when every attempt lost its race.
    """

    def change(batch: Batch) -> Order:
        price = current_price()
        place = _reserve if order.waits_at(price) else _execute
        balance, holding = read_balance_and_holding(username, order.asset_id)
        return place(batch, order, price, balance, holding)

    return apply_once(
        change,
        username,
        request,
        reference=lambda placed: placed.order_id,
        find=lambda order_id: get_order(username, order_id).as_placed(),
    )


def _execute(batch: Batch, order: NewOrder, price: Decimal, balance: Balance, holding: Holding | None) -> Order:
    now = clock.now()
    total = order.total_at(price)
    held = holding_after(order.side, order.asset_id, order.quantity, _quantity(holding))
    posting = post(balance.account, PAYMENT_TYPE[order.side], total)
    placed = _new_order(balance.username, order, price, total, now)
    placed.status, placed.executed_at = OrderStatus.COMPLETED.value, now
    batch.put("order", placed)
    write_posting(batch, balance, posting, now, order_id=placed.order_id)
    write_holding(batch, balance.username, order.asset_id, holding, held, now)
    batch.put("asset transaction", _trade(placed, now))
    return placed


def _reserve(batch: Batch, order: NewOrder, price: Decimal, balance: Balance, holding: Holding | None) -> Order:
    assert order.price is not None and order.expires_at is not None, "an order that waits has a limit and an end"
    now = clock.now()
    total = order.total_at(order.price)
    placed = _new_order(balance.username, order, order.price, total, now)
    placed.open_book, placed.expiry_day = open_book(order.asset_id, order.side), order.expires_at.date().isoformat()
    if order.side is Side.BUY:
        placed.reserved_amount = total
        write_posting(batch, balance, reserve(balance.account, total), now, order_id=placed.order_id)
    else:
        placed.reserved_quantity = order.quantity
        held = holding_after(order.side, order.asset_id, order.quantity, _quantity(holding))
        write_holding(batch, balance.username, order.asset_id, holding, held, now)
    batch.put("order", placed)
    return placed


@retry_while_busy
def fill_order(order: Order, price: Decimal) -> Order:
    """Execute an open order at a price that reaches its limit, and give a buyer back what is left of the reserve.

    Two calls. Raises OrderNotPending, and Busy when every attempt lost its race.
    """
    balance, holding = read_balance_and_holding(order.username, order.asset_id)
    now, batch = clock.now(), Batch()
    filled = fill_reserved(order.side, order.quantity, price, order.reserved_amount)
    _end(batch, order, OrderStatus.COMPLETED, now, price=price, total_amount=filled.total_amount)
    if order.side is Side.BUY:
        held = holding_after(Side.BUY, order.asset_id, order.quantity, _quantity(holding))
        write_holding(batch, order.username, order.asset_id, holding, held, now)
        _empty_escrow(batch, order, balance, filled.refund, now)
    else:
        posting = post(balance.account, TransactionType.ORDER_SALE, filled.total_amount)
        write_posting(batch, balance, posting, now, order_id=order.order_id)
    batch.put("asset transaction", _trade(order, now))
    _commit(batch)
    return order


@retry_while_busy
def cancel_order(username: str, order_id: str, *, request: IdempotencyKey | None = None) -> Applied[Order]:
    """Give back all that an open order reserves.

    Three calls. Raises OrderNotFound, OrderNotPending, IdempotencyKeyReused, Busy.
    """

    def change(batch: Batch) -> Order:
        order = get_order(username, order_id)
        if not order.is_pending:
            raise OrderNotPending(order.status)
        return _give_back(batch, order, OrderStatus.CANCELLED)

    return apply_once(
        change,
        username,
        request,
        reference=lambda cancelled: cancelled.order_id,
        find=lambda cancelled_id: get_order(username, cancelled_id),
    )


@retry_while_busy
def expire_order(order: Order) -> Order:
    """Give back all that an open order reserves, as its time is over. Two calls.

    Raises OrderNotPending, and Busy when every attempt lost its race.
    """
    batch = Batch()
    _give_back(batch, order, OrderStatus.EXPIRED)
    _commit(batch)
    return order


def _give_back(batch: Batch, order: Order, status: OrderStatus) -> Order:
    balance, holding = read_balance_and_holding(order.username, order.asset_id)
    now = clock.now()
    _end(batch, order, status, now)
    if order.reserved_amount is not None:
        _empty_escrow(batch, order, balance, order.reserved_amount, now)
    if order.reserved_quantity is not None:
        held = holding_after(Side.BUY, order.asset_id, order.reserved_quantity, _quantity(holding))
        write_holding(batch, order.username, order.asset_id, holding, held, now)
    return order


def _empty_escrow(batch: Batch, order: Order, balance: Balance, returned: Decimal, now: datetime) -> None:
    """Take the whole reserve of an order to buy out of the reserved cash; `returned` of it goes to the balance."""
    if returned:
        posting = refund(balance.account, order.reserved_amount, returned)
        write_posting(batch, balance, posting, now, order_id=order.order_id)
    else:
        write_balance(batch, balance, release(balance.account, order.reserved_amount), now)


def _end(
    batch: Batch,
    order: Order,
    status: OrderStatus,
    now: datetime,
    *,
    price: Decimal | None = None,
    total_amount: Decimal | None = None,
) -> None:
    """Move an order out of PENDING, which one writer can, and out of the indexes of open orders."""
    order.status, order.updated_at = status.value, now
    actions = [
        Order.status.set(order.status),
        Order.updated_at.set(now),
        Order.open_book.remove(),
        Order.expiry_day.remove(),
    ]
    if price is not None and total_amount is not None:
        order.order_price, order.total_amount, order.executed_at = price, total_amount, now
        actions += [Order.order_price.set(price), Order.total_amount.set(total_amount), Order.executed_at.set(now)]
    batch.update("order", order, actions, condition=Order.status == OrderStatus.PENDING.value)


def _commit(batch: Batch) -> None:
    try:
        batch.commit()
    except Cancelled as cancelled:
        raise OrderNotPending("ended") if "order" in cancelled.refused else Busy() from cancelled


def _quantity(holding: Holding | None) -> Decimal:
    return holding.quantity if holding else Decimal(0)


def _new_order(username: str, order: NewOrder, price: Decimal, total_amount: Decimal, now: datetime) -> Order:
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
        limit_price=order.price if is_limit else None,
        expires_at=order.expires_at if is_limit else None,
        status=OrderStatus.PENDING.value,
        created_at=now,
        updated_at=now,
    )


def _trade(order: Order, traded_at: datetime) -> Trade:
    return Trade(
        *Trade.key(order.username, order.asset_id, traded_at),
        username=order.username,
        asset_id=order.asset_id,
        transaction_type=order.order_type,
        quantity=order.quantity,
        price=order.order_price,
        total_amount=order.total_amount,
        order_id=order.order_id,
        traded_at=traded_at,
        created_at=traded_at,
    )
