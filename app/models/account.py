"""The only code that changes balances and holdings; what orders do to them is in `trading.py`, through this.

Each change is one read, one decision of `app.domain`, and one batch of conditional writes; it is run again with a
fresh read when another change came first. A refusal writes nothing. See DESIGN.md, section 3, for the conditions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar

from app.domain import clock, money
from app.domain.errors import Busy, EmailTaken, IdempotencyKeyReused, Refusal, UsernameTaken
from app.domain.ledger import Account, Posting, TransactionType, post
from app.domain.requests import REMEMBERED_FOR, RequestKey
from app.models.ledger import AssetBalance, Balance, BalanceTransaction, RequestClaim, get_balance, get_transaction
from app.models.table import Batch, Cancelled, Item, again_after_lost_race
from app.models.users import EmailClaim, User, UsersItem

ResultT = TypeVar("ResultT", bound=Item)


@dataclass(frozen=True)
class Applied(Generic[ResultT]):
    """What a change made, or what the first run of the same keyed request had made (`is_replay`)."""

    item: ResultT
    is_replay: bool = False


@again_after_lost_race
def open_account(user: User) -> User:
    """Make a user with an empty balance, and claim the e-mail address. One call.

    Raises UsernameTaken, EmailTaken (the first when both are).
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
    batch.put("email", EmailClaim(*EmailClaim.key(user.email), username=user.username))
    try:
        batch.commit()
    except Cancelled as cancelled:
        raise EmailTaken() if cancelled.refused == {"email"} else UsernameTaken() from cancelled
    return user


@again_after_lost_race
def move_cash(
    username: str,
    transaction_type: TransactionType,
    amount: Decimal,
    *,
    description: str | None = None,
    actor: str | None = None,
    request: RequestKey | None = None,
) -> Applied[BalanceTransaction]:
    """Deposit, withdraw or adjust (a signed amount). Two calls.

    `actor` is who did it, if not the owner.

    Raises InsufficientFunds, IdempotencyKeyReused, and Busy when every attempt lost its race.
    """

    def change(batch: Batch) -> BalanceTransaction:
        balance = get_balance(username)
        posting = post(balance.account, transaction_type, amount)
        return write_posting(batch, balance, posting, clock.now(), description=description, actor=actor)

    return apply(
        change,
        username,
        request,
        reference=lambda transaction: transaction.transaction_id,
        find=lambda transaction_id: get_transaction(username, transaction_id),
    )


def apply(
    change: Callable[[Batch], ResultT],
    username: str,
    request: RequestKey | None,
    *,
    reference: Callable[[ResultT], str],
    find: Callable[[str], ResultT],
) -> Applied[ResultT]:
    """Commit a change, a keyed one at most once: its claim is part of the batch, and only a success leaves one.

    `change` reads, decides and fills the batch; `reference` names what it made, and `find` reads that again.
    Raises what `change` raises, IdempotencyKeyReused, and Busy when another change came first.
    """
    batch = Batch()
    try:
        item = change(batch)
    except Refusal:
        # What stands in the way may be this very request, applied before: it may have spent the money itself.
        claim = _find_claim(username, request) if request else None
        if claim:
            return Applied(find(claim.reference), is_replay=True)
        raise
    if request:
        _write_claim(batch, username, request, reference(item))
    try:
        batch.commit()
    except Cancelled as cancelled:
        claim = _find_claim(username, request) if request and "request" in cancelled.refused else None
        if claim:
            return Applied(find(claim.reference), is_replay=True)
        raise Busy() from cancelled
    return Applied(item)


def _find_claim(username: str, request: RequestKey) -> RequestClaim | None:
    """The claim that an earlier run of this request left; raises IdempotencyKeyReused when it was another request."""
    claim = RequestClaim.find(RequestClaim.key(username, request.key))
    if claim is None or claim.ttl <= clock.now():
        return None
    if claim.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused()
    return claim


def _write_claim(batch: Batch, username: str, request: RequestKey, reference: str) -> None:
    now = clock.now()
    claim = RequestClaim(
        *RequestClaim.key(username, request.key),
        fingerprint=request.fingerprint,
        reference=reference,
        created_at=now,
        ttl=now + REMEMBERED_FOR,
    )
    # DynamoDB deletes what is past its ttl days later, or never: such a claim counts as gone.
    batch.put("request", claim, condition=RequestClaim.absent() | (RequestClaim.ttl <= now))


def read_position(username: str, asset_id: str) -> tuple[Balance, AssetBalance | None]:
    """The balance and one holding, None if there never was one. One call."""
    items = list(
        UsersItem.batch_get([Balance.key(username), AssetBalance.key(username, asset_id)], consistent_read=True)
    )
    balance = next(item for item in items if isinstance(item, Balance))
    return balance, next((item for item in items if isinstance(item, AssetBalance)), None)


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
    write_balance(batch, balance, posting.account, now)
    transaction = BalanceTransaction(
        *BalanceTransaction.key(balance.username, posting.transaction_id),
        username=balance.username,
        transaction_id=posting.transaction_id,
        transaction_type=posting.transaction_type.value,
        amount=posting.amount,
        previous_balance=posting.previous_balance,
        new_balance=posting.account.current_balance,
        description=description,
        order_id=order_id,
        actor=actor,
        created_at=now,
    )
    batch.put("transaction", transaction)
    return transaction


def write_balance(batch: Batch, balance: Balance, after: Account, now: datetime) -> None:
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
        # An escrow that is used up whole changes the reserve without a transaction, so without a new version.
        condition=(Balance.version == balance.version) & (Balance.reserved_cash == balance.reserved_cash),
    )


def write_holding(
    batch: Batch, username: str, asset_id: str, holding: AssetBalance | None, quantity: Decimal, now: datetime
) -> None:
    """Add a holding's new quantity to a batch; `holding` is the one that was read, if any."""
    if holding is None:
        batch.put(
            "holding",
            AssetBalance(
                *AssetBalance.key(username, asset_id),
                username=username,
                asset_id=asset_id,
                quantity=quantity,
                created_at=now,
                updated_at=now,
            ),
        )
        return
    batch.update(
        "holding",
        holding,
        [AssetBalance.quantity.set(quantity), AssetBalance.updated_at.set(now)],
        condition=AssetBalance.quantity == holding.quantity,
    )
