"""The only code that writes balances and holdings; `order_changes.py` writes them through this.

Each change is one read, one decision of `app.domain`, and one batch of conditional writes. When another change came
first, it runs again with a fresh read. A refusal writes nothing. docs/architecture.md lists the conditions.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial

from app.domain import clock, money
from app.domain.errors import EmailTaken, UsernameTaken
from app.domain.holdings import AssetAccount
from app.domain.idempotency import IdempotencyKey
from app.domain.ledger import CashAccount, Posting, TransactionType, post
from app.models.batch import Batch, Cancelled, Steps, no_steps, retry_while_busy
from app.models.idempotency import Applied, apply_once
from app.models.ledger import Balance, BalanceTransaction, Holding, get_balance, get_transaction
from app.models.reading import NOTHING, Found, read_together
from app.models.users import EmailClaim, User


@retry_while_busy
def open_account(user: User, *, claims_email: bool = True, also: Steps = no_steps) -> User:
    """Register a user with an empty balance, and claim the e-mail address unless told not to. One call.

    `also` adds steps to the batch. Raises UsernameTaken or EmailTaken; UsernameTaken when both are taken.
    """
    batch = Batch()
    batch.put("user", user)
    batch.put(
        "balance",
        Balance(
            *Balance.key(user.username),
            username=user.username,
            current_balance=money.ZERO,
            total_deposits=money.ZERO,
            total_withdrawals=money.ZERO,
            reserved_cash=money.ZERO,
            version=0,
            created_at=user.created_at,
            updated_at=user.created_at,
        ),
    )
    if claims_email:
        since = user.email_unconfirmed_since
        batch.put("email", EmailClaim(*EmailClaim.key(user.email), username=user.username, unconfirmed_since=since))
    also(batch)
    try:
        batch.commit()
    except Cancelled as cancelled:
        raise EmailTaken() if cancelled.refused == {"email"} else UsernameTaken() from cancelled
    return user


@retry_while_busy
def post_transaction(
    username: str,
    transaction_type: TransactionType,
    amount: Decimal,
    *,
    description: str | None = None,
    actor: str | None = None,
    idempotency: IdempotencyKey | None = None,
    early: Found = NOTHING,
) -> Applied[BalanceTransaction]:
    """Deposit, withdraw or adjust: USD with 2 decimals, above zero; an adjustment is signed.

    Two calls; one where the balance was read `early` (see `apply_once`). `actor` is the user who made the change, if
    not the owner: the idempotency key is then the actor's.
    Raises InsufficientFunds, IdempotencyKeyReused, and Busy when every attempt came second.
    """

    def change(batch: Batch, found: Found) -> BalanceTransaction:
        balance = get_balance(username, found)
        posting = post(balance.cash_account, transaction_type, amount)
        now = clock.now_after(balance.updated_at)
        return write_posting(batch, balance, posting, now, description=description, actor=actor)

    find = partial(get_transaction, username)
    return apply_once(username, idempotency, actor=actor, change=change, find=find, early=early)


def read_balance_and_holding(username: str, asset_id: str, found: Found = NOTHING) -> tuple[Balance, Holding | None]:
    """The balance and one holding, which is None if the user never held the asset.

    One consistent call, unless both are in `found`.
    """
    holding = Holding.key(username, asset_id)
    if not found.has_read(Holding, holding):
        found = read_together([(Balance, Balance.key(username)), (Holding, holding)])
    return get_balance(username, found), found.get(Holding, holding)


def write_posting(
    batch: Batch,
    balance: Balance,
    posting: Posting,
    now: datetime,
    *,
    description: str | None = None,
    order_id: str | None = None,
    actor: str | None = None,
) -> BalanceTransaction:
    """Add one transaction and the balance after it to a batch."""
    write_balance(batch, balance, posting.after, now)
    transaction = BalanceTransaction(
        *BalanceTransaction.key(balance.username, posting.transaction_id),
        username=balance.username,
        transaction_id=posting.transaction_id,
        transaction_type=posting.transaction_type.value,
        amount=posting.amount,
        previous_balance=posting.previous_balance,
        new_balance=posting.after.current_balance,
        description=description,
        order_id=order_id,
        actor=actor,
        created_at=now,
    )
    batch.put("transaction", transaction)
    return transaction


def write_balance(batch: Batch, balance: Balance, after: CashAccount, now: datetime) -> None:
    """Add a balance's new state to a batch; `balance` is the one that was read."""
    batch.update(
        "balance",
        balance,
        [
            Balance.current_balance.set(after.current_balance),
            Balance.total_deposits.set(after.total_deposits),
            Balance.total_withdrawals.set(after.total_withdrawals),
            Balance.reserved_cash.set(after.reserved_cash),
            Balance.version.set(after.version),
            Balance.updated_at.set(now),
        ],
        # A reserve that is used up whole changes `reserved_cash` without a transaction, so without a new version.
        condition=(Balance.version == balance.version) & (Balance.reserved_cash == balance.reserved_cash),
    )


def write_holding(batch: Batch, username: str, holding: Holding | None, after: AssetAccount, now: datetime) -> None:
    """Add a holding's new state to a batch; `holding` is the one that was read, if any."""
    if holding is None:
        batch.put(
            "holding",
            Holding(
                *Holding.key(username, after.asset_id),
                username=username,
                asset_id=after.asset_id,
                quantity=after.quantity,
                reserved_quantity=after.reserved_quantity,
                created_at=now,
                updated_at=now,
            ),
        )
        return
    reserved = Holding.reserved_quantity
    batch.update(
        "holding",
        holding,
        [Holding.quantity.set(after.quantity), reserved.set(after.reserved_quantity), Holding.updated_at.set(now)],
        condition=(Holding.quantity == holding.quantity)
        & (reserved.does_not_exist() if holding.reserved_quantity is None else reserved == holding.reserved_quantity),
    )
