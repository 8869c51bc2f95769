"""Placing, changing, filling, cancelling and expiring orders: each is one read and one batch of conditional writes.

To trigger a stop-limit order is one conditional write: nothing but the order changes.

An open order holds its own reserve. Only one writer can move it out of PENDING, so the reserve is spent once or
given back once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from pynamodb.expressions.condition import Condition

from app.domain import clock, holdings, money
from app.domain.account_events import ENDS, AccountEventType
from app.domain.errors import Busy, OrderNotPending, StopNotChangeable
from app.domain.gains import Gain
from app.domain.holdings import AssetAccount
from app.domain.idempotency import IdempotencyKey
from app.domain.ledger import TransactionType, change_reserve, post, refund, release, reserve
from app.domain.orders import (
    LIMIT_DIRECTION,
    PAYMENT_TYPE,
    REFUND_DESCRIPTIONS,
    NewOrder,
    NewTerms,
    OrderStatus,
    PriceType,
    Side,
    Terms,
    TimeInForce,
    change_of_reserve,
    check_end,
    describe_change,
    describe_reserve,
    describe_trade,
    fill_reserved,
)
from app.models.account_events import new_event
from app.models.balance_changes import read_balance_and_holding, tell, write_balance, write_holding, write_posting
from app.models.batch import Batch, Cancelled, retry_while_busy, write_if
from app.models.idempotency import Applied, apply_once
from app.models.ledger import Balance, Holding, Trade, get_balance
from app.models.orders import (
    Order,
    change_item,
    expiry_days,
    get_order,
    get_order_in,
    new_order_id,
    open_books,
    shard_of,
)
from app.models.reading import NOTHING, Found, Place, read_together


@retry_while_busy
def place_order(
    username: str,
    order: NewOrder,
    current_price: Callable[[], Decimal],
    *,
    idempotency: IdempotencyKey | None = None,
    client: IdempotencyKey | None = None,
    early: Found = NOTHING,
    dry_run: bool = False,
) -> Applied[Order]:
    """Execute an order at the market's price, or reserve what it needs and let it wait.

    Two calls; one where the balance and the holding were read `early`, and of a dry run (see `apply_once`).
    Raises InvalidInput when `expires_at` has passed, what `current_price` raises, PriceMoved, StopReached,
    OrderTooSmall, OrderTooLarge, InsufficientFunds, InsufficientHolding, IdempotencyKeyReused, ClientOrderIdTaken, and
    Busy when every attempt came second.
    """

    def change(batch: Batch, found: Found) -> Order:
        check_end(order.expires_at, clock.now(), order.time_in_force)
        price = current_price()
        place = _reserve if order.waits_at(price) else _execute
        balance, holding = read_balance_and_holding(username, order.asset_id, found)
        batch.based_on(balance=balance, asset=_asset_account(holding, order.asset_id), price=price)
        return place(batch, order.sized_at(price), price, balance, holding)

    find = partial(get_order_in, username)
    return apply_once(username, idempotency, change=change, find=find, client=client, early=early, dry_run=dry_run)


def _execute(batch: Batch, order: NewOrder, price: Decimal, balance: Balance, holding: Holding | None) -> Order:
    now = _time_after(balance, holding)
    total = order.total_at(price)
    trade = holdings.buy if order.side is Side.BUY else holdings.sell
    traded = trade(_asset_account(holding, order.asset_id), order.quantity, total)
    posting = post(balance.cash_account, PAYMENT_TYPE[order.side], total)
    placed = _order_item(balance.username, order, price, total, now)
    placed.status, placed.executed_at = OrderStatus.COMPLETED.value, now
    batch.put("order", placed)
    description = describe_trade(order.side, order.quantity, order.asset_id, price)
    write_posting(batch, balance, posting, now, description=description, order_id=placed.order_id)
    write_holding(batch, balance.username, holding, traded.after, now)
    batch.put("trade", _trade(placed, price, total, traded.gained, now))
    return placed


def _reserve(batch: Batch, order: NewOrder, price: Decimal, balance: Balance, holding: Holding | None) -> Order:
    nominal = order.nominal_price
    assert nominal is not None and order.expires_at is not None, "an order that waits has a price and an end"
    now = _time_after(balance, holding)
    total = order.total_at(nominal)
    placed = _order_item(balance.username, order, nominal, total, now)
    placed.open_owner = balance.username
    placed.open_book = shard_of(open_books(order.asset_id, placed.direction), placed.order_id)
    placed.expiry_day = shard_of(expiry_days(order.expires_at.date()), placed.order_id)
    if order.side is Side.BUY:
        placed.reserved_amount = total
        posting = reserve(balance.cash_account, total)
        description = describe_reserve(order.quantity, order.asset_id, nominal)
        write_posting(batch, balance, posting, now, description=description, order_id=placed.order_id)
    else:
        placed.reserved_quantity = order.quantity
        after = holdings.reserve(_asset_account(holding, order.asset_id), order.quantity)
        write_holding(batch, balance.username, holding, after, now)
    batch.put("order", placed)
    return placed


class NotDue(Exception):
    """An open order is not to be filled, or not to expire.

    Its limit or its end is not what the caller takes it for; or it would bring nothing.
    """


@retry_while_busy
def fill_order(order: Order, price: Decimal) -> Order:
    """Execute an open order at a price that it accepts; a buyer gets the rest of the reserve back.

    A stop that the price reaches triggers the order in the same batch. `order` may be an old copy: see
    `_apply_to_copy`. Raises NotDue when its end has passed, when the price does not reach what it waits for, and when a
    stop would bring less than 0.01; OrderNotPending, and Busy when every attempt came second.
    """

    def change(batch: Batch, order: Order, balance: Balance, holding: Holding | None) -> Order:
        now = _time_after(balance, holding, order)
        if order.expires_at <= now or not order.fills_at(price):
            raise NotDue()
        filled = fill_reserved(order.side, order.quantity, price, order.reserved_amount)
        execution = {"order_price": price, "total_amount": filled.total_amount, "executed_at": now}
        trade = holdings.buy if order.side is Side.BUY else holdings.sell_reserved
        traded = trade(_asset_account(holding, order.asset_id), order.quantity, filled.total_amount)
        write_holding(batch, order.username, holding, traded.after, now)
        if order.side is Side.BUY:
            _empty_reserve(batch, order, balance, filled.refund, OrderStatus.COMPLETED, now)
        else:
            posting = post(balance.cash_account, TransactionType.ORDER_SALE, filled.total_amount)
            description = describe_trade(order.side, order.quantity, order.asset_id, price)
            tells = ENDS[OrderStatus.COMPLETED]
            write_posting(batch, balance, posting, now, description=description, order_id=order.order_id, tells=tells)
        batch.put("trade", _trade(order, price, filled.total_amount, traded.gained, now))
        execution |= {"event_number": balance.next_event_number, **_trigger(order, now)}
        return _end(batch, order, OrderStatus.COMPLETED, now, **execution)

    return _apply_to_copy(order, change)


class _Revision(NamedTuple):
    """An order in the revision that a request to change it made, or found to be what was wanted."""

    order: Order

    @property
    def reference(self) -> str:
        return f"{self.order.order_id} {self.order.revision_number}"


@retry_while_busy
def change_order(
    username: str,
    order_id: str,
    wanted: NewTerms,
    *,
    idempotency: IdempotencyKey | None = None,
    early: Found = NOTHING,
    dry_run: bool = False,
) -> Applied[Order]:
    """Give an open order other terms. Only the difference of its reserve is paid, or given back.

    Where nothing is to be changed, nothing is written but a claim. Two calls; one where the order and the balance were
    read `early` (see `apply_once`); and one more where the quantity of an order to sell is to change. A `dry_run` makes
    one less; its basis has the `order` before it.
    Raises OrderNotFound, OrderNotPending, also when its end has passed, StopNotChangeable, InvalidInput for the end,
    OrderTooSmall, OrderTooLarge, InsufficientFunds, InsufficientHolding, IdempotencyKeyReused, and Busy when every
    attempt came second.
    """
    places: list[Place] = [(Order, Order.key(order_id)), (Balance, Balance.key(username))]

    def change(batch: Batch, found: Found) -> _Revision:
        found = found or read_together(places)
        order = get_order(username, order_id, found)
        order = order if dry_run else upgrade_order(order)
        balance, holding = get_balance(username, found), None
        batch.based_on(order=order, balance=balance)
        if order.side is Side.SELL and wanted.quantity is not None:
            holding = Holding.find(Holding.key(username, order.asset_id))
            batch.based_on(asset=_asset_account(holding, order.asset_id))
        now = _time_after(balance, holding, order)
        terms = _decide_terms(order, wanted, now)
        if terms == order.terms:
            return _Revision(order)
        _move_reserve(batch, order, change_of_reserve(order.terms, terms), balance, holding, now)
        return _Revision(_give_terms(batch, order, terms, now, event_number=balance.next_event_number))

    def find(reference: str) -> _Revision:
        order_id, revision = reference.split()
        return _Revision(get_order_in(username, order_id, revision=int(revision)))

    applied = apply_once(username, idempotency, change=change, find=find, early=early, dry_run=dry_run)
    return Applied(applied.item.order, applied.is_replay, applied.uncommitted)


def _decide_terms(order: Order, wanted: NewTerms, now: datetime) -> Terms:
    """The terms of an order after a change at this time.

    Raises OrderNotPending, also when its end has passed, StopNotChangeable, InvalidInput for the new end,
    OrderTooSmall, OrderTooLarge.
    """
    if not order.is_pending:
        raise OrderNotPending(order.status)
    if order.expires_at <= now:
        raise OrderNotPending(OrderStatus.EXPIRED)
    if order.has_stop:
        raise StopNotChangeable()
    return wanted.applied_to(order.terms, placed_at=order.created_at, time_in_force=order.time_in_force, now=now)


def _move_reserve(
    batch: Batch, order: Order, difference: Decimal, balance: Balance, holding: Holding | None, now: datetime
) -> None:
    """Pay the difference into the reserve of an open order, or give it back; and tell of the change."""
    tells = AccountEventType.ORDER_CHANGED
    if difference and order.side is Side.BUY:
        posting = change_reserve(balance.cash_account, difference)
        description = describe_change(difference)
        write_posting(batch, balance, posting, now, description=description, order_id=order.order_id, tells=tells)
        return
    tell(batch, balance, tells, now, order_id=order.order_id)
    if difference:
        after = holdings.change_reserve(_asset_account(holding, order.asset_id), difference)
        write_holding(batch, order.username, holding, after, now)


def _give_terms(batch: Batch, order: Order, terms: Terms, now: datetime, *, event_number: str) -> Order:
    changed = order.waiting(terms, revision=order.revision_number + 1, since=now)
    changed.expiry_day = shard_of(expiry_days(terms.expires_at.date()), order.order_id)
    written = {name: value for name, value in changed.attribute_values.items() if value != getattr(order, name)}
    batch.set("order", order, written, unchanged=("status", "revision"))
    batch.put("change", change_item(order, terms, now, event_number=event_number))
    return changed


@retry_while_busy
def trigger_order(order: Order) -> Order:
    """Let an open stop-limit order wait for its limit from now on, in the other book: the price has reached its stop.

    One call. Raises NotDue when its end has passed; OrderNotPending, also when it was triggered or changed since it was
    read; and Busy.
    """
    now = clock.now_after(order.updated_at)
    if order.expires_at <= now:
        raise NotDue()
    book = shard_of(open_books(order.asset_id, LIMIT_DIRECTION[order.side]), order.order_id)
    changes = {"updated_at": now, "open_book": book, **_trigger(order, now)}
    actions = [getattr(Order, name).set(value) for name, value in changes.items()]
    condition = as_read(order) & Order.triggered_at.does_not_exist()
    if not write_if(partial(order.update, actions, condition=condition)):
        raise OrderNotPending("ended")
    return order.with_changes(changes)


def _trigger(order: Order, now: datetime) -> dict[str, Any]:
    """What changes when the price reaches the stop of an order; nothing, where it does not wait for one."""
    if not order.awaits_stop:
        return {}
    limit = {} if order.limit_price is None else {"book_price": order.limit_price}
    return {"triggered_at": now, **limit}


@retry_while_busy
def cancel_order(
    username: str,
    order_id: str,
    *,
    idempotency: IdempotencyKey | None = None,
    early: Found = NOTHING,
    dry_run: bool = False,
) -> Applied[Order]:
    """Cancel an open order and give back all that it reserves.

    Three calls; two where the order was read `early`, and of a dry run (see `apply_once`).
    Raises OrderNotFound, OrderNotPending, IdempotencyKeyReused, and Busy when every attempt came second.
    """

    def change(batch: Batch, found: Found) -> Order:
        order = get_order(username, order_id, found)
        if not order.is_pending:
            raise OrderNotPending(order.status)
        # Of an order of an older version, a dry run leaves the reserve wrong that the holding has: nothing shows it.
        order = order if dry_run else upgrade_order(order)
        balance, holding = read_balance_and_holding(username, order.asset_id)
        batch.based_on(balance=balance, asset=_asset_account(holding, order.asset_id))
        return _give_back(batch, order, balance, holding, OrderStatus.CANCELLED)

    find = partial(get_order, username)
    return apply_once(username, idempotency, change=change, find=find, early=early, dry_run=dry_run)


@retry_while_busy
def expire_order(order: Order) -> Order:
    """Give back all that an open order reserves, because its end has passed.

    `order` may be an old copy: see `_apply_to_copy`. Raises NotDue where it has a later end by now; OrderNotPending,
    and Busy when every attempt came second.
    """

    def change(batch: Batch, now_open: Order, balance: Balance, holding: Holding | None) -> Order:
        if now_open.expires_at > order.expires_at:
            raise NotDue()
        return _give_back(batch, now_open, balance, holding, OrderStatus.EXPIRED)

    return _apply_to_copy(order, change)


def _apply_to_copy(order: Order, change: Callable[[Batch, Order, Balance, Holding | None], Order]) -> Order:
    """Commit a change of an open order, decided on a copy of it, such as an index shows.

    Two calls. Where the copy is old, two more, which decide on the order as it is; one where it has ended.
    Raises what `change` raises, OrderNotPending, and Busy when another change came first again.
    """
    username, place = order.username, (Order, Order.key(order.order_id))
    holding = Holding, Holding.key(username, order.asset_id)

    def change_copy(batch: Batch, found: Found) -> Order:
        found = found or read_together([place, (Balance, Balance.key(username)), holding])
        copy = get_order(username, order.order_id, found)
        if not copy.is_pending:
            raise OrderNotPending(copy.status)
        copy = upgrade_order(copy)
        return change(batch, copy, *read_balance_and_holding(username, copy.asset_id, found))

    find = partial(get_order, username)
    return apply_once(username, None, change=change_copy, find=find, early=Found({place: order})).item


def _give_back(batch: Batch, order: Order, balance: Balance, holding: Holding | None, status: OrderStatus) -> Order:
    now = _time_after(balance, holding, order)
    if order.side is Side.BUY:
        _empty_reserve(batch, order, balance, order.reserved_amount, status, now)
    else:
        tell(batch, balance, ENDS[status], now, order_id=order.order_id)
        after = holdings.give_back(_asset_account(holding, order.asset_id), order.reserved_quantity)
        write_holding(batch, order.username, holding, after, now)
    return _end(batch, order, status, now, event_number=balance.next_event_number)


def _empty_reserve(
    batch: Batch, order: Order, balance: Balance, returned: Decimal, status: OrderStatus, now: datetime
) -> None:
    """Take the whole reserve of an order to buy out of the reserved cash; `returned` of it goes to the balance."""
    if returned:
        posting = refund(balance.cash_account, order.reserved_amount, returned)
        description, tells = REFUND_DESCRIPTIONS[status], ENDS[status]
        write_posting(batch, balance, posting, now, description=description, order_id=order.order_id, tells=tells)
    else:
        event = new_event(balance, ENDS[status], now, order_id=order.order_id)
        write_balance(batch, balance, release(balance.cash_account, order.reserved_amount), now, event=event)


def _end(batch: Batch, order: Order, status: OrderStatus, now: datetime, **execution: Any) -> Order:
    """Move an order out of PENDING, which only one writer can, and out of the indexes of open orders.

    Returns the order as it is when the batch is applied.
    """
    changes = {"status": status.value, "updated_at": now, **execution}
    actions = [getattr(Order, name).set(value) for name, value in changes.items()]
    removals = [Order.open_book.remove(), Order.expiry_day.remove(), Order.open_owner.remove()]
    batch.update("order", order, [*actions, *removals], condition=as_read(order))
    return order.with_changes(changes)


def as_read(order: Order) -> Condition:
    """The condition that an open order is the one that was read: nothing may change, trigger or end it meanwhile."""
    revision, trigger = Order.revision, Order.triggered_at
    is_same: Condition = revision.does_not_exist() if order.revision is None else revision == order.revision
    if order.has_stop:
        is_same &= trigger.does_not_exist() if order.triggered_at is None else trigger == order.triggered_at
    is_open: Condition = Order.status == OrderStatus.PENDING.value
    both: Condition = is_open & is_same
    return both


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
    still = as_read(found) if found.is_pending else Order.status == found.status
    batch.update("order", found, [change], condition=still & was)
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


def _time_after(balance: Balance, holding: Holding | None, order: Order | None = None) -> datetime:
    """A time after the last change of what was read: changes of an account have the order of their times."""
    return clock.now_after(balance.updated_at, *(each.updated_at for each in (holding, order) if each))


def _order_item(username: str, order: NewOrder, price: Decimal, total_amount: Decimal, now: datetime) -> Order:
    # Price and balance took time.
    check_end(order.expires_at, now, order.time_in_force)
    order_id = new_order_id(now)
    may_wait = order.price_type is not PriceType.MARKET
    time_in_force = order.time_in_force or (TimeInForce.GTC if may_wait else None)
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
        book_price=(order.stop_price or order.limit_price) if may_wait else None,
        stop_price=order.stop_price,
        stop_limit_price=order.limit_price if order.stop_price else None,
        expires_at=order.expires_at if may_wait else None,
        stored_time_in_force=time_in_force and time_in_force.value,
        client_order_id=order.client_order_id,
        status=OrderStatus.PENDING.value,
        revision=1,
        created_at=now,
        updated_at=now,
    )


def _trade(order: Order, price: Decimal, total_amount: Decimal, gained: Gain | None, now: datetime) -> Trade:
    return Trade(
        *Trade.key(order.username, order.asset_id, now),
        username=order.username,
        asset_id=order.asset_id,
        transaction_type=order.order_type,
        quantity=order.quantity,
        price=price,
        total_amount=total_amount,
        cost_total=gained.cost_total if gained else None,
        gain=gained.gain if gained else None,
        order_id=order.order_id,
        traded_at=now,
        created_at=now,
    )
