"""The only code that writes balances and holdings; `order_changes.py` writes them through this.

The exception is `cost_upgrade.py`: it writes what a holding of an older version cost and gained, with its `updated_at`.
Its condition is the same, with that of `updated_at`. It also writes what sales had cost and gained.

Each change is one read, one decision of `app.domain`, and one batch of conditional writes. When another change came
first, it runs again with a fresh read. A refusal writes nothing. docs/architecture.md lists the conditions.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from app.domain import clock, money
from app.domain.account_events import AccountEventType
from app.domain.errors import ClosedSince, EmailTaken, UsernameTaken
from app.domain.holdings import AssetAccount
from app.domain.idempotency import IdempotencyKey
from app.domain.ledger import CashAccount, Posting, TransactionType, post
from app.models.account_events import AccountEvent, new_event
from app.models.batch import Batch, Cancelled, Steps, no_steps, retry_while_busy
from app.models.idempotency import Applied, apply_once
from app.models.ledger import Balance, BalanceTransaction, Holding, get_balance, get_transaction
from app.models.reading import NOTHING, Found, read_together
from app.models.users import EmailClaim, User, month_of


@retry_while_busy
def open_account(user: User, *, claims_email: bool = True, also: Steps = no_steps) -> User:
    """Register a user with an empty balance, and claim the e-mail address unless told not to. One call.

    From then on the user is in the list of those who joined. `also` adds steps to the batch. Raises UsernameTaken or
    EmailTaken; UsernameTaken when both are taken.
    """
    batch = Batch()
    user.join_month = month_of(user.created_at)
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
    idempotency: IdempotencyKey | None = None,
    early: Found = NOTHING,
    dry_run: bool = False,
) -> Applied[BalanceTransaction]:
    """Deposit or withdraw: USD with 2 decimals, above zero. Adjustments are in `app.models.adjustments`.

    Two calls; one where the balance was read `early`, and of a dry run (see `apply_once`). Raises InsufficientFunds,
    IdempotencyKeyReused, and Busy when every attempt came second.
    """

    def change(batch: Batch, found: Found) -> BalanceTransaction:
        balance = get_balance(username, found)
        batch.based_on(balance=balance)
        posting = post(balance.cash_account, transaction_type, amount)
        now = clock.now_after(balance.updated_at)
        return write_posting(batch, balance, posting, now, description=description)

    find = partial(get_transaction, username)
    return apply_once(username, idempotency, change=change, find=find, early=early, dry_run=dry_run)


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
    approved_by: str | None = None,
    tells: AccountEventType | None = None,
) -> BalanceTransaction:
    """Add one transaction, which follows the last one in the chain of hashes, and the balance after it to a batch.

    It `tells` the scripts of the owner what happened to the order; an adjustment always tells of itself.
    """
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
        approved_by=approved_by,
        created_at=now,
    )
    transaction.hash = transaction.hash_after(balance.hash_before_next)
    event = new_event(balance, tells, now, order_id=order_id) if tells else None
    if posting.transaction_type is TransactionType.SYSTEM_ADJUSTMENT:
        event = new_event(balance, AccountEventType.ADJUSTED, now, transaction_id=posting.transaction_id)
        transaction.event_number = event.event_number
    write_balance(batch, balance, posting.after, now, head=transaction.hash, event=event)
    batch.put("transaction", transaction)
    return transaction


# What a change of a balance is conditional on. A reserve that is used up whole changes `reserved_cash` without a
# transaction, so without a new version. An event may change neither. A closed account takes no change.
BALANCE_AS_READ = ("version", "reserved_cash", "event_version", "closed_at")


def write_balance(
    batch: Batch,
    balance: Balance,
    after: CashAccount,
    now: datetime,
    *,
    head: str | None = None,
    event: AccountEvent | None = None,
) -> None:
    """Add a balance's new state to a batch; `balance` is the one that was read.

    `head` is the hash of the transaction that changes it; None where there is none. `event` is the next account event,
    and costs 2 write units.

    Raises ClosedSince for the balance of a closed account, also for an administrator.
    """
    if balance.closed_at:
        raise ClosedSince()
    values = {
        "current_balance": after.current_balance,
        "total_deposits": after.total_deposits,
        "total_withdrawals": after.total_withdrawals,
        "reserved_cash": after.reserved_cash,
        "version": after.version,
        "updated_at": now,
    }
    if head:
        values |= {"head_hash": head, "head_number": after.version}
    if event:
        values |= {"event_version": event.number}
        batch.put("account event", event)
    batch.set("balance", balance, values, unchanged=BALANCE_AS_READ)


def tell(
    batch: Batch, balance: Balance, event_type: AccountEventType, now: datetime, *, order_id: str | None = None
) -> None:
    """Add an account event to the batch of a change that does not touch the balance: 4 write units.

    Raises ClosedSince for the balance of a closed account.
    """
    event = new_event(balance, event_type, now, order_id=order_id)
    write_balance(batch, balance, balance.cash_account, now, event=event)


def telling(username: str, event_type: AccountEventType) -> Steps:
    """The step of a batch that is made elsewhere: see `tell`. One call, as it reads the balance."""

    def step(batch: Batch) -> None:
        balance = get_balance(username)
        tell(batch, balance, event_type, clock.now_after(balance.updated_at))

    return step


def close_balance(batch: Batch, balance: Balance, now: datetime) -> None:
    """Add the end of a balance that was read as empty to a batch: no change that was begun before can follow."""
    batch.set("balance", balance, {"closed_at": now, "updated_at": now}, unchanged=BALANCE_AS_READ)


# That of a holding. Two trades can restore the quantity, and leave another cost or gain.
HOLDING_AS_READ = ("quantity", "reserved_quantity", "cost_total", "realised_gain")


def write_holding(batch: Batch, username: str, holding: Holding | None, after: AssetAccount, now: datetime) -> None:
    """Add a holding's new state to a batch; `holding` is the one that was read, if any."""
    figures: dict[str, Any] = {"quantity": after.quantity, "reserved_quantity": after.reserved_quantity}
    if after.basis is not None:
        figures |= {"cost_total": after.basis.cost_total, "realised_gain": after.basis.realised_gain}
    if holding is None:
        key, asset_id = Holding.key(username, after.asset_id), after.asset_id
        made = Holding(*key, username=username, asset_id=asset_id, **figures, created_at=now, updated_at=now)
        batch.put("holding", made)
        return
    batch.set("holding", holding, {**figures, "updated_at": now}, unchanged=HOLDING_AS_READ)
