"""The cash account: what each ledger transaction does to a balance.

A balance is what can be spent now; what open orders reserve has left it. Every change of it is one transaction that
remembers the balance before and after it. `version` counts the changes, and is the number of the last transaction.
Invariant: previous_balance + effect = new_balance, never below zero; numbers have no gap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from app.domain import money
from app.domain.errors import InsufficientFunds


class TransactionType(StrEnum):
    """Amounts are stored positive and these say the direction, except SYSTEM_ADJUSTMENT, whose amount is signed."""

    DEPOSIT = "DEPOSIT"
    WITHDRAW = "WITHDRAW"
    ORDER_PAYMENT = "ORDER_PAYMENT"
    ORDER_SALE = "ORDER_SALE"
    ORDER_REFUND = "ORDER_REFUND"
    SYSTEM_ADJUSTMENT = "SYSTEM_ADJUSTMENT"


OUTGOING = frozenset({TransactionType.WITHDRAW, TransactionType.ORDER_PAYMENT})


@dataclass(frozen=True, slots=True)
class CashAccount:
    """The money of one user at one version."""

    current_balance: Decimal = money.ZERO
    total_deposits: Decimal = money.ZERO
    total_withdrawals: Decimal = money.ZERO
    reserved_cash: Decimal = money.ZERO
    version: int = 0


@dataclass(frozen=True, slots=True)
class Posting:
    """One transaction and the account as it stands after it."""

    transaction_type: TransactionType
    amount: Decimal
    previous_balance: Decimal
    account: CashAccount

    @property
    def transaction_id(self) -> str:
        return transaction_id(self.account.version)


def transaction_id(number: int) -> str:
    """The account's own sequence number as an id, padded so that text order is time order (DESIGN.md, 1)."""
    return f"{number:012d}"


def effect_of(transaction_type: TransactionType, amount: Decimal) -> Decimal:
    """What a transaction adds to the balance: negative for what goes out."""
    return money.subtract(money.ZERO, amount) if transaction_type in OUTGOING else amount


def post(account: CashAccount, transaction_type: TransactionType, amount: Decimal) -> Posting:
    """Apply one transaction to the account; raises InsufficientFunds when the balance would fall below zero."""
    new_balance = money.add(account.current_balance, effect_of(transaction_type, amount))
    if new_balance < 0:
        raise InsufficientFunds(available=account.current_balance, required=abs(amount))
    after = replace(account, current_balance=new_balance, version=account.version + 1)
    if transaction_type is TransactionType.DEPOSIT:
        after = replace(after, total_deposits=money.add(account.total_deposits, amount))
    elif transaction_type is TransactionType.WITHDRAW:
        after = replace(after, total_withdrawals=money.add(account.total_withdrawals, amount))
    return Posting(transaction_type, amount, account.current_balance, after)


def reserve(account: CashAccount, amount: Decimal) -> Posting:
    """Pay what an order may need into its escrow; raises InsufficientFunds."""
    posting = post(account, TransactionType.ORDER_PAYMENT, amount)
    return replace(posting, account=_with_reserve(posting.account, amount))


def release(account: CashAccount, reserved: Decimal) -> CashAccount:
    """The account after an order has used up its whole escrow; no transaction, as the money was paid before."""
    return _with_reserve(account, money.subtract(money.ZERO, reserved))


def refund(account: CashAccount, reserved: Decimal, amount: Decimal) -> Posting:
    """Empty an order's escrow of `reserved`, of which `amount`, above zero, returns to the balance."""
    return post(release(account, reserved), TransactionType.ORDER_REFUND, amount)


def _with_reserve(account: CashAccount, change: Decimal) -> CashAccount:
    return replace(account, reserved_cash=money.add(account.reserved_cash, change))
