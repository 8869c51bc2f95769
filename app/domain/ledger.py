"""The cash account of a user: what each transaction does to the balance.

A balance is what the user can spend now; what open orders reserve has left it. Every change of it is one transaction,
which remembers the balance before and after. `version` counts the transactions and is the number of the last one.
Amounts are USD with 2 decimals.
Invariant: previous_balance + effect = new_balance, never below zero; the numbers have no gap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from app.domain import money
from app.domain.errors import InsufficientFunds


class TransactionType(StrEnum):
    """Says the direction of an amount, which is above zero. Only SYSTEM_ADJUSTMENT has a signed amount."""

    DEPOSIT = "DEPOSIT"
    WITHDRAW = "WITHDRAW"
    ORDER_PAYMENT = "ORDER_PAYMENT"
    ORDER_SALE = "ORDER_SALE"
    ORDER_REFUND = "ORDER_REFUND"
    SYSTEM_ADJUSTMENT = "SYSTEM_ADJUSTMENT"


OUTGOING = frozenset({TransactionType.WITHDRAW, TransactionType.ORDER_PAYMENT})


@dataclass(frozen=True, slots=True)
class CashAccount:
    """The money of one user at one version. No amount is below zero."""

    current_balance: Decimal = money.ZERO
    total_deposits: Decimal = money.ZERO
    total_withdrawals: Decimal = money.ZERO
    reserved_cash: Decimal = money.ZERO
    version: int = 0


@dataclass(frozen=True, slots=True)
class Posting:
    """One transaction that was decided, and the cash account `after` it."""

    transaction_type: TransactionType
    amount: Decimal
    previous_balance: Decimal
    after: CashAccount

    @property
    def transaction_id(self) -> str:
        return transaction_id(self.after.version)


def transaction_id(number: int) -> str:
    """A transaction's number in its account as an id: 12 digits, so that text order is the order of the numbers."""
    return f"{number:012d}"


def effect_of(transaction_type: TransactionType, amount: Decimal) -> Decimal:
    """What a transaction adds to the balance: above zero for money in, below zero for money out."""
    return money.subtract(money.ZERO, amount) if transaction_type in OUTGOING else amount


def post(account: CashAccount, transaction_type: TransactionType, amount: Decimal) -> Posting:
    """Apply one transaction. Raises InsufficientFunds when the balance would fall below zero."""
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
    """Pay what an order to buy may need into its reserve. Raises InsufficientFunds."""
    posting = post(account, TransactionType.ORDER_PAYMENT, amount)
    return replace(posting, after=_add_to_reserve(posting.after, amount))


def release(account: CashAccount, reserved: Decimal) -> CashAccount:
    """The cash account after an order used up its whole reserve. No transaction: the money was paid before."""
    return _add_to_reserve(account, money.subtract(money.ZERO, reserved))


def refund(account: CashAccount, reserved: Decimal, amount: Decimal) -> Posting:
    """Empty an order's reserve of `reserved`, and return `amount` of it, above zero, to the balance."""
    return post(release(account, reserved), TransactionType.ORDER_REFUND, amount)


def change_reserve(account: CashAccount, difference: Decimal) -> Posting:
    """Pay a difference, other than zero, into the reserve of an order to buy; below zero, return it to the balance.

    Raises InsufficientFunds.
    """
    if difference > 0:
        return reserve(account, difference)
    returned = money.subtract(money.ZERO, difference)
    return refund(account, returned, returned)


def _add_to_reserve(account: CashAccount, change: Decimal) -> CashAccount:
    return replace(account, reserved_cash=money.add(account.reserved_cash, change))
