"""The checks of an order and of everything that names it: its trades and its transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from app.audit.records import (
    OrderRecord,
    TradeRecord,
    TransactionRecord,
    Violation,
    as_text,
    differs,
    not_positive,
    unknown_asset,
    violation,
)
from app.domain import clock, money
from app.domain.assets import CATALOGUE
from app.domain.ledger import TransactionType
from app.domain.orders import (
    PAYMENT_TYPE,
    REFUND_DESCRIPTIONS,
    OrderStatus,
    Side,
    describe_reserve,
    describe_trade,
    reaches,
)

# A running worker ends an order within seconds, and within half an hour where its clock was wrong.
OVERDUE_AFTER = timedelta(hours=1)

# The transactions that belong to an order, and the word for each in the codes of checks.
ORDER_TRANSACTIONS = {
    TransactionType.ORDER_PAYMENT: "payment",
    TransactionType.ORDER_SALE: "sale",
    TransactionType.ORDER_REFUND: "refund",
}


def check_trade(trade: TradeRecord) -> Iterator[Violation]:
    """The violations of a trade by itself."""
    yield from not_positive(trade.item, quantity=trade.quantity, price=trade.price, total_amount=trade.total_amount)
    yield from _check_total("trade_total_wrong", trade, trade.price, buying=trade.transaction_type == Side.BUY)


def check_order(
    order: OrderRecord, trades: Sequence[TradeRecord], transactions: Sequence[TransactionRecord]
) -> Iterator[Violation]:
    """The violations of an order by itself, and against the trades and transactions that name it."""
    yield from not_positive(order.item, quantity=order.quantity, order_price=order.order_price)
    yield from unknown_asset(order.item, order.asset_id)
    yield from _check_total("order_total_wrong", order, order.order_price, buying=order.is_buy)
    yield from _check_limit(order) if order.is_limit else _check_market(order)
    yield from _check_reserve(order)
    yield from _check_indexes(order)
    yield from _check_times(order)
    yield from _check_trades(order, trades)
    yield from _check_transactions(order, transactions)


def _check_total(check: str, made: TradeRecord | OrderRecord, price: Decimal, *, buying: bool) -> Iterator[Violation]:
    expected = money.order_total(made.quantity, price, buying=buying)
    what = f"total_amount of {as_text(made.quantity)} at {as_text(price)}"
    yield from differs(check, made.item, what, found=made.total_amount, expected=expected)


def _check_market(order: OrderRecord) -> Iterator[Violation]:
    yield from differs(
        "market_order_unfinished", order.item, "status", found=order.status, expected=OrderStatus.COMPLETED.value
    )
    if order.limit_price is not None or order.expires_at is not None:
        yield violation("limit_unexpected", order.item, "A market order has no limit_price and no expires_at.")


def _check_limit(order: OrderRecord) -> Iterator[Violation]:
    price, limit_price = order.order_price, order.limit_price
    if limit_price is None or order.expires_at is None:
        yield violation("limit_missing", order.item, "A limit order must have limit_price and expires_at.")
    elif not order.is_completed and price != limit_price:
        yield from differs("order_price_wrong", order.item, "order_price", found=price, expected=limit_price)
    elif not reaches(Side(order.order_type), limit_price, price):
        expected = f"{'at most' if order.is_buy else 'at least'} {as_text(limit_price)}"
        yield from differs("limit_violated", order.item, "order_price", found=price, expected=expected)


def _check_times(order: OrderRecord) -> Iterator[Violation]:
    """An order is executed until its end, and is not open long after it."""
    end, executed_at = order.expires_at, order.executed_at
    if (executed_at is not None) != order.is_completed:
        message = f"The executed_at of a {order.status} order is {as_text(executed_at)}."
        yield violation("executed_at_wrong", order.item, message)
    if end is None:
        return
    if executed_at is not None and executed_at > end:
        yield from differs("executed_after_end", order.item, "executed_at", found=executed_at, expected=end)
    if order.is_pending and clock.now() - end > OVERDUE_AFTER:
        message = f"It is open, and its end was {as_text(end)}. A worker must run: `flask orders run`."
        yield violation("order_overdue", order.item, message, found=end)


def _check_reserve(order: OrderRecord) -> Iterator[Violation]:
    """An order that waits, or waited, reserved exactly what it could need; the others reserved nothing."""
    for name, expected in _reserve_of(order).items():
        yield from differs("reserve_wrong", order.item, name, found=getattr(order, name), expected=expected)


def _reserve_of(order: OrderRecord) -> dict[str, Decimal | None]:
    reserve: dict[str, Decimal | None] = {"reserved_amount": None, "reserved_quantity": None}
    # An order that never waited was executed at the moment of its creation.
    if not order.is_limit or order.executed_at == order.created_at:
        return reserve
    if not order.is_buy:
        return reserve | {"reserved_quantity": order.quantity}
    limit_price = order.order_price if order.limit_price is None else order.limit_price
    return reserve | {"reserved_amount": money.order_total(order.quantity, limit_price, buying=True)}


def _check_indexes(order: OrderRecord) -> Iterator[Violation]:
    """The three indexes of open orders contain the orders that wait, and no others."""
    owner = book = day = None
    if order.is_pending and order.is_limit:
        owner = order.username
        book = f"{order.asset_id}#{order.order_type}"
        day = order.expires_at.date().isoformat() if order.expires_at else None
    check = "open_index_wrong" if order.is_pending else "closed_order_in_index"
    yield from differs(check, order.item, "open_owner", found=order.open_owner, expected=owner)
    yield from differs(check, order.item, "open_book", found=order.open_book, expected=book)
    yield from differs(check, order.item, "expiry_day", found=order.expiry_day, expected=day)


def _check_trades(order: OrderRecord, trades: Sequence[TradeRecord]) -> Iterator[Violation]:
    """A completed order has one trade, equal in every figure; any other has none."""
    if order.is_completed and not trades:
        yield violation("trade_missing", order.item, "A COMPLETED order must have one trade; this one has none.")
    for trade in trades[order.is_completed :]:
        check = "trade_duplicate" if order.is_completed else "trade_unexpected"
        message = f"The {order.status} order {order.item.PK} has {len(trades)} trades."
        yield violation(check, trade.item, message, found=len(trades), expected=int(order.is_completed))
    for trade in trades:
        for name, found, expected in (
            ("username", trade.username, order.username),
            ("asset_id", trade.asset_id, order.asset_id),
            ("transaction_type", trade.transaction_type, order.order_type),
            ("quantity", trade.quantity, order.quantity),
            ("price", trade.price, order.order_price),
            ("total_amount", trade.total_amount, order.total_amount),
            ("traded_at", trade.traded_at, order.executed_at),
        ):
            what = f"{name} of the trade of {order.item.PK}"
            yield from differs("trade_differs", trade.item, what, found=found, expected=expected)


def _expected_transactions(order: OrderRecord) -> dict[TransactionType, Decimal]:
    """The transactions that an order implies: their types and amounts."""
    if not order.is_buy:
        return {PAYMENT_TYPE[Side.SELL]: order.total_amount} if order.is_completed else {}
    if order.reserved_amount is None:
        return {PAYMENT_TYPE[Side.BUY]: order.total_amount}
    expected = {TransactionType.ORDER_PAYMENT: order.reserved_amount}
    used = {OrderStatus.COMPLETED: order.total_amount, OrderStatus.PENDING: order.reserved_amount}
    refund = money.subtract(order.reserved_amount, used.get(OrderStatus(order.status), money.ZERO))
    return expected | {TransactionType.ORDER_REFUND: refund} if refund > 0 else expected


def _check_transactions(order: OrderRecord, transactions: Sequence[TransactionRecord]) -> Iterator[Violation]:
    expected = _expected_transactions(order)
    for kind in ORDER_TRANSACTIONS:
        found = [transaction for transaction in transactions if transaction.transaction_type == kind]
        if kind in expected:
            yield from _check_amounts(order, kind, expected[kind], found)
            yield from _check_descriptions(order, kind, found)
        else:
            yield from _unexpected(order, kind, found)


def _check_descriptions(
    order: OrderRecord, kind: TransactionType, found: Sequence[TransactionRecord]
) -> Iterator[Violation]:
    """A transaction of an order says what the order says. Older versions wrote no description."""
    side = Side(order.order_type)
    if order.asset_id not in CATALOGUE:
        return
    if kind is TransactionType.ORDER_REFUND:
        expected = REFUND_DESCRIPTIONS.get(OrderStatus(order.status))
    elif order.is_buy and order.reserved_amount is not None and order.limit_price is not None:
        expected = describe_reserve(order.quantity, order.asset_id, order.limit_price)
    else:
        expected = describe_trade(side, order.quantity, order.asset_id, order.order_price)
    for each in found:
        if each.description is not None:
            what = f"description for {order.item.PK}"
            yield from differs("description_wrong", each.item, what, found=each.description, expected=expected)


def _unexpected(order: OrderRecord, kind: TransactionType, found: Sequence[TransactionRecord]) -> Iterator[Violation]:
    for extra in found:
        amount = extra.amount
        message = f"The {order.status} order {order.item.PK} should have no {kind}; this one is of {as_text(amount)}."
        yield violation(f"{ORDER_TRANSACTIONS[kind]}_unexpected", extra.item, message, found=amount)


def _check_amounts(
    order: OrderRecord, kind: TransactionType, amount: Decimal, found: Sequence[TransactionRecord]
) -> Iterator[Violation]:
    """There is exactly one transaction of this kind, of this amount."""
    name, order_id = ORDER_TRANSACTIONS[kind], order.item.PK
    if not found:
        yield from differs(f"{name}_missing", order.item, f"Its {kind}", found=None, expected=amount)
    for extra in found[1:]:
        message = f"The order {order_id} has {len(found)} of type {kind}."
        yield violation(f"{name}_duplicate", extra.item, message, found=len(found))
    for each in found:
        yield from differs(f"{name}_wrong", each.item, f"amount for {order_id}", found=each.amount, expected=amount)
