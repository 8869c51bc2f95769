"""The checks of a user's cash: each transaction, the chain of transactions, and the balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from app.audit.orders import ORDER_TRANSACTIONS
from app.audit.records import (
    BalanceRecord,
    ItemKey,
    TransactionRecord,
    Violation,
    as_text,
    differs,
    negative,
    not_positive,
    violation,
)
from app.domain import chain, money
from app.domain.identifiers import TRANSACTION_ID, matches
from app.domain.ledger import TransactionType, effect_of


@dataclass
class LedgerCheck:
    """Follows one user's transactions in the order of their numbers. Keeps only sums, so any number of them fits."""

    number: int = 0
    balance: Decimal = money.ZERO
    time: datetime | None = None
    # What the next transaction follows in the chain of hashes; None where that cannot be known.
    hash_before_next: str | None = None
    # The last transaction that has a hash: its number, and its hash. The balance keeps both.
    head: tuple[Decimal, str] | None = None
    totals: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: money.ZERO))

    def add(self, transaction: TransactionRecord) -> Iterator[Violation]:
        """The violations of the next transaction, by itself and against the one before it."""
        item, kind = transaction.item, transaction.transaction_type
        yield from _check_amount(transaction)
        yield from _check_purpose(transaction)
        yield from self._check_number(transaction)
        before, after = transaction.previous_balance, transaction.new_balance
        yield from differs("chain_broken", item, "previous_balance", found=before, expected=self.balance)
        effect = effect_of(TransactionType(kind), transaction.amount)
        what = f"new_balance after {as_text(before)} and {as_text(effect)}"
        yield from differs("effect_mismatch", item, what, found=after, expected=money.add(before, effect))
        yield from negative("negative_balance", item, "new_balance", after)
        yield from self._check_hash(transaction)
        yield from self._check_time(item, transaction.created_at)
        self.time = transaction.created_at
        self.balance = after
        self.totals[kind] = money.add(self.totals[kind], transaction.amount)

    def _check_number(self, transaction: TransactionRecord) -> Iterator[Violation]:
        text, item, last = transaction.transaction_id, transaction.item, self.number
        if not matches(TRANSACTION_ID, text) or not int(text):
            message = f"transaction_id {text!r} is not a number of 12 digits, from 1."
            yield violation("transaction_id_malformed", item, message, found=text)
            return
        number = int(text)
        if number <= last:
            message = f"Number {number} comes after number {last}."
            yield violation("sequence_duplicate", item, message, found=number, expected=last + 1)
        elif number > last + 1:
            message = f"Number {number} follows number {last}: {number - last - 1} missing."
            yield violation("sequence_gap", item, message, found=number, expected=last + 1)
        self.number = max(number, last)

    def begin(self, balance: BalanceRecord) -> None:
        """Know when the account began, before its first transaction is added."""
        self.hash_before_next = chain.first_hash(balance.username, balance.created_at)

    def _check_hash(self, transaction: TransactionRecord) -> Iterator[Violation]:
        """One without a hash was written by an older version: there the chain begins anew."""
        if transaction.hash is None:
            state = transaction.username, transaction.transaction_id, as_text(transaction.new_balance)
            self.hash_before_next = chain.hash_of_state(*state)
            return
        if self.hash_before_next is not None:
            what = "The hash of what it says and of all before it"
            expected = _hash_after(self.hash_before_next, transaction)
            yield from differs("hash_mismatch", transaction.item, what, found=transaction.hash, expected=expected)
        self.hash_before_next = transaction.hash
        self.head = Decimal(self.number), transaction.hash

    def _check_time(self, item: ItemKey, time: datetime) -> Iterator[Violation]:
        if self.time and time < self.time:
            message = (
                f"Its time {as_text(time)} is before {as_text(self.time)}, that of the last transaction before it."
            )
            yield violation("time_went_back", item, message, found=time, expected=self.time)

    def finish(self, balance: BalanceRecord, *, reserved: Decimal) -> Iterator[Violation]:
        """The violations of the balance, against all transactions and the cash `reserved` by open orders."""
        for check, name, expected in (
            ("balance_mismatch", "current_balance", self.balance),
            ("version_mismatch", "version", Decimal(self.number)),
            ("deposits_mismatch", "total_deposits", self.totals[TransactionType.DEPOSIT]),
            ("withdrawals_mismatch", "total_withdrawals", self.totals[TransactionType.WITHDRAW]),
            ("reserve_mismatch", "reserved_cash", reserved),
        ):
            yield from differs(check, balance.item, name, found=getattr(balance, name), expected=expected)
        yield from negative("negative_balance", balance.item, "current_balance", balance.current_balance)
        yield from negative("negative_reserve", balance.item, "reserved_cash", balance.reserved_cash)
        number, head = self.head or (None, None)
        yield from differs("head_mismatch", balance.item, "head_number", found=balance.head_number, expected=number)
        yield from differs("head_mismatch", balance.item, "head_hash", found=balance.head_hash, expected=head)
        yield from self._check_time(balance.item, balance.updated_at)


def _hash_after(previous: str, transaction: TransactionRecord) -> str:
    amounts = transaction.amount, transaction.previous_balance, transaction.new_balance
    names = transaction.order_id, transaction.actor, transaction.description
    values = transaction.username, transaction.transaction_id, transaction.transaction_type, *map(as_text, amounts)
    return chain.hash_of_transaction(previous, [*values, *names, as_text(transaction.created_at)])


def _check_amount(transaction: TransactionRecord) -> Iterator[Violation]:
    if transaction.transaction_type != TransactionType.SYSTEM_ADJUSTMENT:
        yield from not_positive(transaction.item, amount=transaction.amount)
    elif not transaction.amount:
        yield violation("adjustment_zero", transaction.item, "An adjustment of 0.00 changes nothing.")


def _check_purpose(transaction: TransactionRecord) -> Iterator[Violation]:
    """Payments, sales and refunds name an order, others do not; an adjustment names its actor and reason."""
    kind, item, order_id = transaction.transaction_type, transaction.item, transaction.order_id
    if kind in ORDER_TRANSACTIONS and order_id is None:
        yield violation("order_reference_missing", item, f"{kind} names no order.")
    if kind not in ORDER_TRANSACTIONS and order_id is not None:
        yield violation("order_reference_unexpected", item, f"{kind} names the order {order_id}.", found=order_id)
    if kind == TransactionType.SYSTEM_ADJUSTMENT and not (transaction.actor and transaction.description):
        message = "An adjustment must name its actor and its reason."
        figures = {"actor": transaction.actor, "description": transaction.description}
        yield violation("adjustment_unexplained", item, message, **figures)
    if transaction.approved_by is not None and transaction.approved_by == transaction.actor:
        message = f"{transaction.actor} made this adjustment, and approved it."
        yield violation("adjustment_approved_by_its_actor", item, message, found=transaction.actor)
