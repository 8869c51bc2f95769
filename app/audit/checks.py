"""The invariants of DESIGN.md, section 3, as functions on plain values.

Each check has a stable code and says in a sentence, with its figures, what is wrong. What is checked arrives in an
order that lets an account of any size be followed with sums alone: its transactions by number (`LedgerCheck`), then
each order together with what belongs to it (`check_order`), the sums at the end (`HoldingsCheck`). How the items
are stored and read is not known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from app.domain import clock, money
from app.domain.assets import CATALOGUE
from app.domain.identifiers import TRANSACTION_ID, matches
from app.domain.ledger import TransactionType, effect_of
from app.domain.orders import PAYMENT_TYPE, OrderStatus, PriceType, Side, reaches


class ItemKey(NamedTuple):
    """Where an item stands."""

    table: str
    PK: str
    SK: str

    def __str__(self) -> str:
        return " ".join(self)


@dataclass(frozen=True, slots=True)
class Violation:
    """One check that one item fails. `figures` are what the message says, for programs."""

    check: str
    item: ItemKey
    message: str
    figures: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, ItemKey]:
        """Which violation it is, though its figures may move."""
        return self.check, self.item


class UserRecord(NamedTuple):
    item: ItemKey
    username: str
    email: str


class BalanceRecord(NamedTuple):
    item: ItemKey
    current_balance: Decimal
    total_deposits: Decimal
    total_withdrawals: Decimal
    reserved_cash: Decimal
    version: Decimal


class TransactionRecord(NamedTuple):
    item: ItemKey
    transaction_id: str
    transaction_type: str
    amount: Decimal
    previous_balance: Decimal
    new_balance: Decimal
    order_id: str | None
    actor: str | None
    description: str | None


class HoldingRecord(NamedTuple):
    item: ItemKey
    asset_id: str
    quantity: Decimal


class TradeRecord(NamedTuple):
    item: ItemKey
    username: str
    asset_id: str
    transaction_type: str
    quantity: Decimal
    price: Decimal
    total_amount: Decimal
    order_id: str
    traded_at: datetime


class OrderRecord(NamedTuple):
    item: ItemKey
    username: str
    asset_id: str
    order_type: str
    price_type: str
    quantity: Decimal
    order_price: Decimal
    total_amount: Decimal
    status: str
    limit_price: Decimal | None
    expires_at: datetime | None
    executed_at: datetime | None
    created_at: datetime
    reserved_amount: Decimal | None
    reserved_quantity: Decimal | None
    open_book: str | None
    expiry_day: str | None

    @property
    def is_buy(self) -> bool:
        return self.order_type == Side.BUY

    @property
    def is_pending(self) -> bool:
        return self.status == OrderStatus.PENDING

    @property
    def is_completed(self) -> bool:
        return self.status == OrderStatus.COMPLETED

    @property
    def is_limit(self) -> bool:
        return self.price_type == PriceType.LIMIT


Record = UserRecord | BalanceRecord | TransactionRecord | HoldingRecord | TradeRecord | OrderRecord


def differs(check: str, item: ItemKey, what: str, *, found: object, expected: object) -> Violation:
    """A violation by a value that is not the one that it should be."""
    figures = {"found": _text(found), "expected": _text(expected)}
    return Violation(check, item, f"{what} is {figures['found']}, and should be {figures['expected']}.", figures)


def _text(value: object) -> str:
    if value is None:
        return "absent"
    if isinstance(value, datetime):
        return clock.to_text(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _not_positive(item: ItemKey, **amounts: Decimal) -> Iterator[Violation]:
    for name, amount in amounts.items():
        if amount <= 0:
            yield Violation(
                "amount_not_positive",
                item,
                f"{name} is {_text(amount)}, and should be above 0.",
                {"found": _text(amount)},
            )


def _negative(check: str, item: ItemKey, what: str, amount: Decimal) -> Iterator[Violation]:
    if amount < 0:
        yield Violation(check, item, f"{what} is {_text(amount)}, below zero.", {"found": _text(amount)})


def _unknown_asset(item: ItemKey, asset_id: str) -> Iterator[Violation]:
    if asset_id not in CATALOGUE:
        yield Violation("asset_unknown", item, f"{asset_id!r} is no asset of the catalogue.", {"found": asset_id})


# Who someone is


def check_user(user: UserRecord, claims: Iterable[ItemKey]) -> Iterator[Violation]:
    """A user's e-mail address is claimed, and no other address is; `claims` are those that name this user."""
    own = f"EMAIL#{user.email}"
    claimed = [claim.PK for claim in claims]
    if own not in claimed:
        yield Violation(
            "email_claim_missing", user.item, f"No claim of {user.email} names this user.", {"expected": own}
        )
    for claim in claims:
        if own != claim.PK:
            yield differs(
                "email_claim_stray", claim, f"The address claimed for {user.username}", found=claim.PK, expected=own
            )


# Cash


@dataclass
class LedgerCheck:
    """Follows the transactions of one account in the order of their numbers, and keeps nothing of them but sums."""

    number: int = 0
    balance: Decimal = money.ZERO
    totals: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: money.ZERO))

    def add(self, transaction: TransactionRecord) -> Iterator[Violation]:
        """The violations of the next transaction, by itself and against the one before it."""
        yield from _check_amount(transaction)
        yield from _check_purpose(transaction)
        yield from self._check_number(transaction)
        effect = effect_of(TransactionType(transaction.transaction_type), transaction.amount)
        if transaction.previous_balance != self.balance:
            yield differs(
                "chain_broken",
                transaction.item,
                "previous_balance",
                found=transaction.previous_balance,
                expected=self.balance,
            )
        expected = money.add(transaction.previous_balance, effect)
        if transaction.new_balance != expected:
            yield differs(
                "effect_mismatch",
                transaction.item,
                f"new_balance after {_text(transaction.previous_balance)} and {_text(effect)}",
                found=transaction.new_balance,
                expected=expected,
            )
        yield from _negative("negative_balance", transaction.item, "new_balance", transaction.new_balance)
        self.balance = transaction.new_balance
        self.totals[transaction.transaction_type] = money.add(
            self.totals[transaction.transaction_type], transaction.amount
        )

    def _check_number(self, transaction: TransactionRecord) -> Iterator[Violation]:
        text, item = transaction.transaction_id, transaction.item
        if not matches(TRANSACTION_ID, text) or not int(text):
            yield Violation(
                "transaction_id_malformed",
                item,
                f"transaction_id {text!r} is no number of 12 digits from 1.",
                {"found": text},
            )
            return
        number = int(text)
        if number <= self.number:
            yield Violation(
                "sequence_duplicate",
                item,
                f"Number {number} comes after number {self.number}.",
                {"found": str(number), "expected": str(self.number + 1)},
            )
        elif number > self.number + 1:
            yield Violation(
                "sequence_gap",
                item,
                f"Number {number} follows number {self.number}: {number - self.number - 1} missing.",
                {"found": str(number), "expected": str(self.number + 1)},
            )
        self.number = max(number, self.number)

    def finish(self, balance: BalanceRecord, *, reserved: Decimal) -> Iterator[Violation]:
        """The violations of the balance against all transactions, and against what open orders to buy reserve."""
        for check, name, expected in (
            ("balance_mismatch", "current_balance", self.balance),
            ("version_mismatch", "version", Decimal(self.number)),
            ("deposits_mismatch", "total_deposits", self.totals[TransactionType.DEPOSIT]),
            ("withdrawals_mismatch", "total_withdrawals", self.totals[TransactionType.WITHDRAW]),
            ("reserve_mismatch", "reserved_cash", reserved),
        ):
            found = getattr(balance, name)
            if found != expected:
                yield differs(check, balance.item, name, found=found, expected=expected)
        yield from _negative("negative_balance", balance.item, "current_balance", balance.current_balance)
        yield from _negative("negative_reserve", balance.item, "reserved_cash", balance.reserved_cash)


def _check_amount(transaction: TransactionRecord) -> Iterator[Violation]:
    if transaction.transaction_type != TransactionType.SYSTEM_ADJUSTMENT:
        yield from _not_positive(transaction.item, amount=transaction.amount)
    elif not transaction.amount:
        yield Violation("adjustment_zero", transaction.item, "An adjustment of 0.00 changes nothing.")


_ORDER_TYPES = {
    TransactionType.ORDER_PAYMENT: "payment",
    TransactionType.ORDER_SALE: "sale",
    TransactionType.ORDER_REFUND: "refund",
}


def _check_purpose(transaction: TransactionRecord) -> Iterator[Violation]:
    """What belongs to an order names it, what does not names none, and an adjustment says by whom and why."""
    kind, item = transaction.transaction_type, transaction.item
    if kind in _ORDER_TYPES and transaction.order_id is None:
        yield Violation("order_reference_missing", item, f"{kind} names no order.")
    if kind not in _ORDER_TYPES and transaction.order_id is not None:
        yield Violation(
            "order_reference_unexpected",
            item,
            f"{kind} names the order {transaction.order_id}.",
            {"found": transaction.order_id},
        )
    if kind == TransactionType.SYSTEM_ADJUSTMENT and not (transaction.actor and transaction.description):
        yield Violation(
            "adjustment_unexplained",
            item,
            "An adjustment names its actor and its reason.",
            {"actor": _text(transaction.actor), "description": _text(transaction.description)},
        )


# Holdings


@dataclass
class HoldingsCheck:
    """What a user should own of each asset, and have reserved, from trades and open orders."""

    owned: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    reserved_cash: Decimal = money.ZERO

    def add_trade(self, trade: TradeRecord) -> None:
        change = trade.quantity if trade.transaction_type == Side.BUY else -trade.quantity
        self.owned[trade.asset_id] = money.add(self.owned[trade.asset_id], change)

    def add_order(self, order: OrderRecord) -> None:
        if not order.is_pending:
            return
        if order.is_buy:
            self.reserved_cash = money.add(self.reserved_cash, order.reserved_amount or money.ZERO)
        else:
            reserved = order.reserved_quantity or Decimal(0)
            self.owned[order.asset_id] = money.subtract(self.owned[order.asset_id], reserved)

    def finish(self, holdings: Sequence[HoldingRecord], balance: ItemKey) -> Iterator[Violation]:
        """The violations of the holdings; one that is missing is reported at the balance's key."""
        for holding in holdings:
            yield from _unknown_asset(holding.item, holding.asset_id)
            yield from _negative("negative_quantity", holding.item, "quantity", holding.quantity)
            expected = self.owned.get(holding.asset_id, Decimal(0))
            if holding.quantity != expected:
                yield differs(
                    "holding_mismatch",
                    holding.item,
                    "quantity (bought - sold - reserved)",
                    found=holding.quantity,
                    expected=expected,
                )
        for asset_id in sorted(set(self.owned) - {holding.asset_id for holding in holdings}):
            yield differs(
                "holding_missing", balance, f"The holding of {asset_id}", found=None, expected=self.owned[asset_id]
            )


# Orders


def check_trade(trade: TradeRecord) -> Iterator[Violation]:
    """The violations of a purchase or sale by itself."""
    yield from _not_positive(trade.item, quantity=trade.quantity, price=trade.price, total_amount=trade.total_amount)
    yield from _check_total("trade_total_wrong", trade, buying=trade.transaction_type == Side.BUY)


def _check_total(check: str, made: TradeRecord | OrderRecord, *, buying: bool) -> Iterator[Violation]:
    price = made.price if isinstance(made, TradeRecord) else made.order_price
    expected = money.order_total(made.quantity, price, buying=buying)
    if made.total_amount != expected:
        yield differs(
            check,
            made.item,
            f"total_amount of {_text(made.quantity)} at {_text(price)}",
            found=made.total_amount,
            expected=expected,
        )


def check_order(
    order: OrderRecord, trades: Sequence[TradeRecord], transactions: Sequence[TransactionRecord]
) -> Iterator[Violation]:
    """The violations of an order by itself and against all that names it."""
    yield from _not_positive(order.item, quantity=order.quantity, order_price=order.order_price)
    yield from _unknown_asset(order.item, order.asset_id)
    yield from _check_total("order_total_wrong", order, buying=order.is_buy)
    yield from _check_limit(order)
    yield from _check_reserve(order)
    yield from _check_indexes(order)
    if (order.executed_at is not None) != order.is_completed:
        yield Violation(
            "executed_at_wrong", order.item, f"A {order.status} order has executed_at {_text(order.executed_at)}."
        )
    yield from _check_trades(order, trades)
    yield from _check_payments(order, transactions)


def _check_limit(order: OrderRecord) -> Iterator[Violation]:
    if not order.is_limit:
        if not order.is_completed:
            yield differs("market_order_unfinished", order.item, "status", found=order.status, expected="COMPLETED")
        if order.limit_price is not None or order.expires_at is not None:
            yield Violation("limit_unexpected", order.item, "A market order has no limit_price and no expires_at.")
        return
    if order.limit_price is None or order.expires_at is None:
        yield Violation("limit_missing", order.item, "A limit order has a limit_price and expires_at.")
    elif not order.is_completed and order.order_price != order.limit_price:
        yield differs(
            "order_price_wrong", order.item, "order_price", found=order.order_price, expected=order.limit_price
        )
    elif not reaches(Side(order.order_type), order.limit_price, order.order_price):
        yield differs(
            "limit_violated",
            order.item,
            "order_price",
            found=order.order_price,
            expected=f"{'at most' if order.is_buy else 'at least'} {_text(order.limit_price)}",
        )


def _check_reserve(order: OrderRecord) -> Iterator[Violation]:
    """An order that waits, or waited, reserved exactly what it could need; the others reserved nothing."""
    for name, expected in _reserve_of(order).items():
        found = getattr(order, name)
        if found != expected:
            yield differs("reserve_wrong", order.item, name, found=found, expected=expected)


def _reserve_of(order: OrderRecord) -> dict[str, Decimal | None]:
    reserve: dict[str, Decimal | None] = {"reserved_amount": None, "reserved_quantity": None}
    # What is executed at once is executed at the very moment that it is made.
    if not order.is_limit or order.executed_at == order.created_at:
        return reserve
    if not order.is_buy:
        return reserve | {"reserved_quantity": order.quantity}
    limit = order.order_price if order.limit_price is None else order.limit_price
    return reserve | {"reserved_amount": money.order_total(order.quantity, limit, buying=True)}


def _check_indexes(order: OrderRecord) -> Iterator[Violation]:
    """OpenOrdersIndex and ExpiringOrdersIndex hold the orders that wait, and those alone."""
    book = day = None
    if order.is_pending and order.is_limit:
        book = f"{order.asset_id}#{order.order_type}"
        day = order.expires_at.date().isoformat() if order.expires_at else None
    check = "open_index_wrong" if order.is_pending else "closed_order_in_index"
    for name, found, expected in (("open_book", order.open_book, book), ("expiry_day", order.expiry_day, day)):
        if found != expected:
            yield differs(check, order.item, name, found=found, expected=expected)


def _check_trades(order: OrderRecord, trades: Sequence[TradeRecord]) -> Iterator[Violation]:
    if order.is_completed and not trades:
        yield Violation("trade_missing", order.item, "A COMPLETED order has one asset transaction, and this has none.")
    for trade in trades[order.is_completed :]:
        check = "trade_duplicate" if order.is_completed else "trade_unexpected"
        yield Violation(
            check,
            trade.item,
            f"The {order.status} order {order.item.PK} has {len(trades)} of these.",
            {"found": str(len(trades)), "expected": str(int(order.is_completed))},
        )
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
            if found != expected:
                yield differs(
                    "trade_differs",
                    trade.item,
                    f"{name} of the trade of {order.item.PK}",
                    found=found,
                    expected=expected,
                )


def expected_payments(order: OrderRecord) -> dict[TransactionType, Decimal]:
    """The balance transactions that an order has, by type and amount."""
    if not order.is_buy:
        return {PAYMENT_TYPE[Side.SELL]: order.total_amount} if order.is_completed else {}
    if order.reserved_amount is None:
        return {PAYMENT_TYPE[Side.BUY]: order.total_amount}
    payments = {TransactionType.ORDER_PAYMENT: order.reserved_amount}
    used = {OrderStatus.COMPLETED: order.total_amount, OrderStatus.PENDING: order.reserved_amount}
    refund = money.subtract(order.reserved_amount, used.get(OrderStatus(order.status), money.ZERO))
    return payments | {TransactionType.ORDER_REFUND: refund} if refund > 0 else payments


def _check_payments(order: OrderRecord, transactions: Sequence[TransactionRecord]) -> Iterator[Violation]:
    expected = expected_payments(order)
    for kind, name in _ORDER_TYPES.items():
        found = [transaction for transaction in transactions if transaction.transaction_type == kind]
        amount = expected.get(kind)
        if amount is None:
            for extra in found:
                yield Violation(
                    f"{name}_unexpected",
                    extra.item,
                    f"The {order.status} order {order.item.PK} has no {kind}, and this is of {_text(extra.amount)}.",
                    {"found": _text(extra.amount)},
                )
            continue
        if not found:
            yield differs(f"{name}_missing", order.item, f"Its {kind}", found=None, expected=amount)
        for extra in found[1:]:
            yield Violation(
                f"{name}_duplicate",
                extra.item,
                f"The order {order.item.PK} has {len(found)} of type {kind}.",
                {"found": str(len(found))},
            )
        for each in found:
            if each.amount != amount:
                yield differs(
                    f"{name}_wrong", each.item, f"amount for {order.item.PK}", found=each.amount, expected=amount
                )
