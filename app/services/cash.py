"""Cash: deposits and withdrawals."""

from __future__ import annotations

from decimal import Decimal

from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.models import balance_changes
from app.models.idempotency import Applied
from app.models.ledger import BalanceTransaction


def deposit(
    username: str, amount: Decimal, description: str | None = None, *, idempotency_key: str | None = None
) -> Applied[BalanceTransaction]:
    """Add cash. Raises IdempotencyKeyReused, Busy."""
    return _move(username, TransactionType.DEPOSIT, amount, description, idempotency_key)


def withdraw(
    username: str, amount: Decimal, description: str | None = None, *, idempotency_key: str | None = None
) -> Applied[BalanceTransaction]:
    """Take cash out. Raises InsufficientFunds, IdempotencyKeyReused, Busy."""
    return _move(username, TransactionType.WITHDRAW, amount, description, idempotency_key)


def _move(
    username: str,
    transaction_type: TransactionType,
    amount: Decimal,
    description: str | None,
    idempotency_key: str | None,
) -> Applied[BalanceTransaction]:
    return balance_changes.post_transaction(
        username,
        transaction_type,
        amount,
        description=description,
        idempotency=identify(idempotency_key, transaction_type, amount, description),
    )
