"""Cash: deposits and withdrawals. Amounts are USD with 2 decimals, above 0.

A dry run takes one call and writes nothing.
"""

from __future__ import annotations

from decimal import Decimal

from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.models.balance_changes import post_transaction
from app.models.idempotency import Applied
from app.models.ledger import BalanceTransaction
from app.models.reading import NOTHING, Found


def deposit(
    username: str,
    amount: Decimal,
    description: str | None = None,
    *,
    idempotency_key: str | None = None,
    early: Found = NOTHING,
    dry_run: bool = False,
) -> Applied[BalanceTransaction]:
    """Add cash to the balance. Two calls, or one with an `early` balance. Raises IdempotencyKeyReused, Busy."""
    kind = TransactionType.DEPOSIT
    idempotency = identify(idempotency_key, kind, amount, description)
    return post_transaction(
        username, kind, amount, description=description, idempotency=idempotency, early=early, dry_run=dry_run
    )


def withdraw(
    username: str,
    amount: Decimal,
    description: str | None = None,
    *,
    idempotency_key: str | None = None,
    early: Found = NOTHING,
    dry_run: bool = False,
) -> Applied[BalanceTransaction]:
    """Take cash from the balance. Two calls, or one with an `early` balance.

    Raises InsufficientFunds, IdempotencyKeyReused, Busy.
    """
    kind = TransactionType.WITHDRAW
    idempotency = identify(idempotency_key, kind, amount, description)
    return post_transaction(
        username, kind, amount, description=description, idempotency=idempotency, early=early, dry_run=dry_run
    )
