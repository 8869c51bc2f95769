"""What an admin does: find users and see what they own, suspend and reinstate them, and correct a balance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from app.domain import clock
from app.domain.account_events import AccountEventType
from app.domain.errors import NotAdmin, OwnAccount, UserNotFound
from app.domain.events import EventKind
from app.domain.idempotency import identify
from app.domain.ledger import Posting, TransactionType, post
from app.domain.users import UserStatus
from app.models import adjustments, ledger, users
from app.models.adjustments import Approval
from app.models.balance_changes import telling
from app.models.batch import Batch
from app.models.dry_runs import DryRun, read_dry_run
from app.models.events import add_event, event_of
from app.models.idempotency import Applied, read_user_and_claim
from app.models.ledger import BalanceTransaction
from app.models.paging import Page, PageRequest
from app.models.reading import NOTHING, read_together
from app.models.users import User
from app.prices import PriceSource
from app.services.portfolio import ValuedPortfolio, get_portfolio

STATUS_EVENTS = {
    UserStatus.ACTIVE: (EventKind.REINSTATED, AccountEventType.REINSTATED),
    UserStatus.SUSPENDED: (EventKind.SUSPENDED, AccountEventType.SUSPENDED),
}


@dataclass(frozen=True)
class UserPortfolio:
    """A user and what that user owns."""

    user: User
    portfolio: ValuedPortfolio


@dataclass(frozen=True)
class AdjustmentPreview:
    """What an adjustment of a user's balance would do, and whether it `waits` for a second admin."""

    user: User
    posting: Posting
    waits: bool


@dataclass(frozen=True, kw_only=True)
class TriedAdjustment(DryRun):
    """What an adjustment would do; one that needs an approval books nothing yet."""

    needs_approval: bool


def require_admin(user: User) -> None:
    """Raises NotAdmin."""
    if not user.is_admin:
        raise NotAdmin()


def find_user(*, username: str | None = None, email: str | None = None) -> User | None:
    """The user with this username, closed or not, else the one with this e-mail address. One call, two by address."""
    if username:
        return users.find_user(username, even_closed=True)
    return users.find_user_by_email(email) if email else None


def list_joined(month: str, page: PageRequest) -> Page[User]:
    """The users who joined in a month (`2026-11`), newest first. Two calls; half a read unit for each user.

    A page may be short: who has closed the account just now may still be in the index.
    """
    joined = users.list_joined(month, page)
    keys = [User.key(each.username) for each in joined.items]
    found = read_together([(User, key) for key in keys], consistent=[]) if keys else NOTHING
    there = [user for key in keys if (user := found.get(User, key)) and not user.is_closed]
    return replace(joined, items=there)


def get_user(username: str, *, even_closed: bool = False) -> User:
    """One call. Raises UserNotFound, also for a closed account unless it is asked for."""
    user = users.find_user(username, even_closed=even_closed)
    if user is None:
        raise UserNotFound()
    return user


def get_user_portfolio(username: str, prices: PriceSource, *, now: datetime) -> UserPortfolio:
    """Of a closed account too. Two calls. Raises UserNotFound."""
    return UserPortfolio(get_user(username, even_closed=True), get_portfolio(username, prices, now=now))


def set_status(admin: User, username: str, status: UserStatus) -> User:
    """Suspend or reinstate a user, which ends the sessions and login tokens of that user at once. Three calls.

    Raises UserNotFound, OwnAccount, Busy.
    """
    if username == admin.username and status is UserStatus.SUSPENDED:
        raise OwnAccount()
    kind, event_type = STATUS_EVENTS[status]

    def also(batch: Batch) -> None:
        add_event(batch, username, kind)
        telling(username, event_type)(batch)

    return users.set_status(username, status, now=clock.now(), also=also)


def end_sessions(admin: User, username: str, *, keep_tokens: bool = False) -> None:
    """End every session and login token of a user, and every personal token unless they are kept. Two calls.

    Raises UserNotFound, OwnAccount, Busy.
    """
    if username == admin.username:
        raise OwnAccount()
    also = event_of(username, EventKind.SESSIONS_ENDED)
    users.end_sessions(username, keep_tokens=keep_tokens, now=clock.now(), also=also)


def preview_adjustment(admin: User, username: str, amount: Decimal, *, approval_over: Decimal) -> AdjustmentPreview:
    """What `adjust_balance` would do now. Nothing is written. Two calls.

    Raises UserNotFound, OwnAccount, InsufficientFunds.
    """
    if username == admin.username:
        raise OwnAccount()
    user = get_user(username)
    balance = ledger.get_balance(username)
    posting = post(balance.cash_account, TransactionType.SYSTEM_ADJUSTMENT, amount)
    return AdjustmentPreview(user, posting, waits=abs(amount) > approval_over)


def tried_adjustment(applied: Applied[BalanceTransaction | Approval]) -> TriedAdjustment:
    """What the dry run of an adjustment tells of it."""
    return TriedAdjustment(**vars(read_dry_run(applied)), needs_approval=isinstance(applied.item, Approval))


def adjust_balance(
    admin: User,
    username: str,
    amount: Decimal,
    reason: str,
    *,
    approval_over: Decimal,
    idempotency_key: str | None = None,
    dry_run: bool = False,
) -> Applied[BalanceTransaction | Approval]:
    """Add an amount to a balance: USD with 2 decimals, signed, not 0. Its reason and the admin are recorded.

    One of more than `approval_over`, up or down, waits for a second admin. Three calls, or two for a `dry_run`, which
    writes nothing and does not look at the key.

    Raises UserNotFound, OwnAccount, InsufficientFunds when the balance would fall below zero, IdempotencyKeyReused and
    Busy.
    """
    if username == admin.username:
        raise OwnAccount()
    # Before format 2 of the store, the claim was among those of the user, under a key with a space.
    former = idempotency_key and identify(f"{admin.username} {idempotency_key}", "adjustment", amount, reason)
    user, claim = read_user_and_claim(username, None if dry_run else former or None)
    if user is None:
        raise UserNotFound()
    if claim:
        return Applied(ledger.get_transaction(username, claim.reference), is_replay=True)
    return adjustments.adjust(
        username,
        amount,
        reason=reason,
        actor=admin.username,
        waits=abs(amount) > approval_over,
        idempotency=identify(idempotency_key, "adjustment", username, amount, reason),
        dry_run=dry_run,
    )
