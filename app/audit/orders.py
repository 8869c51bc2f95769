"""The checks of an order and of everything that names it: its trades and its transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from app.audit.records import (
    ChangeRecord,
    ClientOrderRecord,
    OrderRecord,
    TradeRecord,
    TransactionRecord,
    Violation,
    as_text,
    differs,
    negative,
    not_positive,
    unknown_asset,
    violation,
)
from app.domain import clock, money
from app.domain.assets import CATALOGUE
from app.domain.ledger import TransactionType
from app.domain.orders import (
    IMMEDIATE,
    PAYMENT_TYPE,
    REFUND_DESCRIPTIONS,
    STOP_DIRECTION,
    OrderStatus,
    PriceType,
    Side,
    TimeInForce,
    accepts,
    describe_change,
    describe_reserve,
    describe_trade,
    reaches,
)
from app.models.orders import expiry_days, open_books

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
    yield from _check_total("trade_total_wrong", trade, trade.price, buying=trade.is_buy)
    yield from _check_gain(trade)


def _check_gain(trade: TradeRecord) -> Iterator[Violation]:
    """A sale says what its units had cost, and its gain is what it brought beyond that. A purchase says neither."""
    cost = trade.cost_total
    if trade.is_buy or cost is None:
        what = f"cost_total of a {trade.transaction_type.lower()}"
        yield from differs("trade_cost_wrong", trade.item, what, found=cost, expected=None if trade.is_buy else "there")
    else:
        yield from negative("negative_cost", trade.item, "cost_total", cost)
    expected = None if trade.is_buy or cost is None else money.subtract(trade.total_amount, cost)
    yield from differs("trade_gain_wrong", trade.item, "gain (proceeds - cost)", found=trade.gain, expected=expected)


def check_order(
    order: OrderRecord,
    trades: Sequence[TradeRecord],
    transactions: Sequence[TransactionRecord],
    changes: Sequence[ChangeRecord],
) -> Iterator[Violation]:
    """The violations of an order by itself, and against the trades, transactions and changes that name it."""
    yield from not_positive(order.item, quantity=order.quantity, order_price=order.order_price)
    yield from unknown_asset(order.item, order.asset_id)
    yield from _check_total("order_total_wrong", order, order.order_price, buying=order.is_buy)
    yield from _check_market(order) if order.is_market else _check_limit(order)
    yield from _check_stop(order)
    yield from _check_reserve(order)
    yield from _check_indexes(order)
    yield from _check_times(order)
    yield from _check_trades(order, trades)
    yield from _check_transactions(order, transactions, changes)


def check_client_id(order: OrderRecord, claims: Sequence[ClientOrderRecord]) -> Iterator[Violation]:
    """The id that a script gave an order is claimed for it, and no other is."""
    for claim in claims:
        what = f"The client_order_id claimed for {order.item.PK}"
        yield from differs(
            "client_id_differs", claim.item, what, found=claim.client_order_id, expected=order.client_order_id
        )
    if order.client_order_id is not None and not claims:
        message = f"Nothing claims its client_order_id {order.client_order_id}."
        yield violation("client_id_missing", order.item, message, expected=order.client_order_id)


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
    """An order that may wait has a price to wait for and an end. It is executed at no worse price than its limit."""
    price, limit_price = order.order_price, order.worst_price
    yield from _check_time_in_force(order)
    nominal_price = order.stop_price if order.price_type == PriceType.STOP else limit_price
    if nominal_price is None or (order.expires_at is None and order.time_in_force not in IMMEDIATE):
        yield violation("limit_missing", order.item, "An order that may wait must have its price and expires_at.")
    elif not order.is_completed and price != nominal_price:
        yield from differs("order_price_wrong", order.item, "order_price", found=price, expected=nominal_price)
    elif not accepts(Side(order.order_type), limit_price, price):
        expected = f"{'at most' if order.is_buy else 'at least'} {as_text(limit_price)}"
        yield from differs("limit_violated", order.item, "order_price", found=price, expected=expected)


def _check_stop(order: OrderRecord) -> Iterator[Violation]:
    """A stop order waits for its stop until that has triggered it, and is not executed before."""
    if not order.has_stop:
        if (order.stop_price, order.stop_limit_price, order.triggered_at) != (None, None, None):
            yield violation("stop_unexpected", order.item, f"A {order.price_type} order has no stop.")
        return
    has_limit = order.stop_limit_price is not None
    if order.stop_price is None or has_limit != (order.price_type == PriceType.STOP_LIMIT):
        yield violation("stop_wrong", order.item, f"stop_price and stop_limit_price do not fit {order.price_type}.")
        return
    expected = order.stop_limit_price if has_limit and order.triggered_at else order.stop_price
    yield from differs("book_price_wrong", order.item, "limit_price", found=order.limit_price, expected=expected)
    yield from _check_trigger(order, order.stop_price)


def _check_trigger(order: OrderRecord, stop_price: Decimal) -> Iterator[Violation]:
    """An order is triggered before it is executed; in the same moment only at a price that reaches its stop."""
    triggered_at, executed_at = order.triggered_at, order.executed_at
    if triggered_at is None:
        if order.is_completed:
            yield violation("not_triggered", order.item, "It is completed, and its stop never triggered it.")
        return
    latest = executed_at or triggered_at
    is_in_order = order.created_at <= triggered_at <= latest
    if not is_in_order or (order.price_type == PriceType.STOP and triggered_at != executed_at):
        message = f"Its triggered_at {as_text(triggered_at)} does not fit when it was placed and executed."
        yield violation("triggered_at_wrong", order.item, message, found=triggered_at)
        return
    direction = STOP_DIRECTION[Side(order.order_type)]
    if triggered_at == executed_at and not reaches(direction, stop_price, order.order_price):
        yield from differs("stop_violated", order.item, "order_price", found=order.order_price, expected=stop_price)


def _check_time_in_force(order: OrderRecord) -> Iterator[Violation]:
    """An order that executes at once or not at all did so; one for a day ends with the day on which it was placed."""
    if order.time_in_force in IMMEDIATE:
        if order.executed_at != order.created_at or order.expires_at is not None:
            message = f"An order of the kind {order.time_in_force} is executed when it is placed, and has no end."
            yield violation("immediate_order_waited", order.item, message)
    elif order.time_in_force == TimeInForce.DAY:
        expected = clock.end_of(order.created_at.date())
        yield from differs("day_end_wrong", order.item, "expires_at", found=order.expires_at, expected=expected)


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
    if order.is_market or order.executed_at == order.created_at:
        return reserve
    if not order.is_buy:
        return reserve | {"reserved_quantity": order.quantity}
    limit_price = order.order_price if order.worst_price is None else order.worst_price
    return reserve | {"reserved_amount": money.order_total(order.quantity, limit_price, buying=True)}


def _check_indexes(order: OrderRecord) -> Iterator[Violation]:
    """The three indexes of open orders contain the orders that wait, and no others."""
    owner = book = day = None
    if order.is_pending and not order.is_market:
        owner = order.username
        book = _expected(order.open_book, open_books(order.asset_id, order.direction))
        day = _expected(order.expiry_day, expiry_days(order.expires_at.date())) if order.expires_at else None
    check = "open_index_wrong" if order.is_pending else "closed_order_in_index"
    yield from differs(check, order.item, "open_owner", found=order.open_owner, expected=owner)
    yield from differs(check, order.item, "open_book", found=order.open_book, expected=book)
    yield from differs(check, order.item, "expiry_day", found=order.expiry_day, expected=day)


def _expected(found: str | None, keys: Sequence[str]) -> str:
    """The key that is found, where workers look at it; else the first of those that they look at."""
    return next((key for key in keys if key == found), keys[0])


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


class _Expected(NamedTuple):
    """A transaction that an order implies; without words, where these follow from an asset that nobody knows."""

    amount: Decimal
    description: str | None


def _expected_transactions(
    order: OrderRecord, changes: Sequence[ChangeRecord]
) -> dict[TransactionType, list[_Expected]]:
    """The transactions that an order with its changes implies, by type, oldest first."""
    expected: dict[TransactionType, list[_Expected]] = {kind: [] for kind in ORDER_TRANSACTIONS}
    if order.reserved_amount is None:
        if order.is_buy or order.is_completed:
            expected[PAYMENT_TYPE[Side(order.order_type)]].append(_Expected(order.total_amount, _words_of_trade(order)))
        return expected
    if not order.is_buy:
        return expected
    reserves = [money.order_total(each.quantity_before, each.limit_before, buying=True) for each in changes]
    reserves.append(order.reserved_amount)
    expected[TransactionType.ORDER_PAYMENT].append(_Expected(reserves[0], _words_of_reserve(order, changes)))
    for before, after in pairwise(reserves):
        difference = money.subtract(after, before)
        kind = TransactionType.ORDER_PAYMENT if difference > 0 else TransactionType.ORDER_REFUND
        if difference:
            expected[kind].append(_Expected(abs(difference), describe_change(difference)))
    status = OrderStatus(order.status)
    used = {OrderStatus.COMPLETED: order.total_amount, OrderStatus.PENDING: order.reserved_amount}
    returned = money.subtract(order.reserved_amount, used.get(status, money.ZERO))
    if returned > 0:
        expected[TransactionType.ORDER_REFUND].append(_Expected(returned, REFUND_DESCRIPTIONS.get(status)))
    return expected


def _words_of_trade(order: OrderRecord) -> str | None:
    if order.asset_id not in CATALOGUE:
        return None
    return describe_trade(Side(order.order_type), order.quantity, order.asset_id, order.order_price)


def _words_of_reserve(order: OrderRecord, changes: Sequence[ChangeRecord]) -> str | None:
    quantity, limit_price = order.quantity, order.worst_price
    if limit_price is None or order.asset_id not in CATALOGUE:
        return _words_of_trade(order)
    if changes:
        quantity, limit_price = changes[0].quantity_before, changes[0].limit_before
    return describe_reserve(quantity, order.asset_id, limit_price)


def _check_transactions(
    order: OrderRecord, transactions: Sequence[TransactionRecord], changes: Sequence[ChangeRecord]
) -> Iterator[Violation]:
    for kind, expected in _expected_transactions(order, changes).items():
        found = [transaction for transaction in transactions if transaction.transaction_type == kind]
        yield from _check_kind(order, kind, expected, found) if expected else _unexpected(order, kind, found)


def _unexpected(order: OrderRecord, kind: TransactionType, found: Sequence[TransactionRecord]) -> Iterator[Violation]:
    for extra in found:
        amount = extra.amount
        message = f"The {order.status} order {order.item.PK} should have no {kind}; this one is of {as_text(amount)}."
        yield violation(f"{ORDER_TRANSACTIONS[kind]}_unexpected", extra.item, message, found=amount)


def _check_kind(
    order: OrderRecord, kind: TransactionType, expected: Sequence[_Expected], found: Sequence[TransactionRecord]
) -> Iterator[Violation]:
    """The transactions of this kind are those expected, in this order. Older versions wrote no description."""
    name, order_id = ORDER_TRANSACTIONS[kind], order.item.PK
    for missing in expected[len(found) :]:
        yield from differs(f"{name}_missing", order.item, f"Its {kind}", found=None, expected=missing.amount)
    for extra in found[len(expected) :]:
        message = f"The order {order_id} has {len(found)} of type {kind}, and should have {len(expected)}."
        yield violation(f"{name}_duplicate", extra.item, message, found=len(found))
    for each, (amount, description) in zip(found, expected, strict=False):
        yield from differs(f"{name}_wrong", each.item, f"amount for {order_id}", found=each.amount, expected=amount)
        if each.description is not None and description is not None:
            what = f"description for {order_id}"
            yield from differs("description_wrong", each.item, what, found=each.description, expected=description)


def check_changes(order: OrderRecord, changes: Sequence[ChangeRecord]) -> Iterator[Violation]:
    """An order has one change for each revision before its own. Each begins where the last one ended, and later."""
    number = order.number_of_changes
    if number < 0 or (number and not order.is_limit):
        found = order.revision
        yield violation("revision_wrong", order.item, f"Its revision is {as_text(found)}.", found=found)
    found_revisions = {int(each.revision) for each in changes}
    for revision in sorted(set(range(1, number + 1)) - found_revisions):
        message = f"The change of its revision {revision} is missing."
        yield violation("change_missing", order.item, message, expected=revision)
    time, terms = order.created_at, None
    for each in changes:
        if not 1 <= each.revision <= number:
            message = f"The order has {number} changes, and this is of its revision {as_text(each.revision)}."
            yield violation("change_unexpected", each.item, message, found=each.revision)
        if terms not in {None, each.before} or each.before == each.after:
            message = "What it changed is not what the change before it left, or is the same afterwards."
            yield violation("change_broken", each.item, message)
        if each.created_at < time:
            message = f"Its time {as_text(each.created_at)} is before {as_text(time)}, that of what came before it."
            yield violation("time_went_back", each.item, message, found=each.created_at, expected=time)
        time, terms = each.created_at, each.after
    if terms not in {None, order.terms}:
        yield violation("change_differs", order.item, "Its quantity, limit or end is not what its last change left.")
