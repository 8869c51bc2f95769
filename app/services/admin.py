"""What an admin does: find users and see what they own, suspend and reinstate them, and correct a balance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.domain import clock
from app.domain.errors import NotAdmin, OwnAccount, UserNotFound
from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.domain.users import UserStatus
from app.models import balance_changes, ledger, users
from app.models.idempotency import Applied, read_user_and_claim
from app.models.ledger import BalanceTransaction
from app.models.users import User
from app.prices import PriceSource
from app.services.portfolio import ValuedPortfolio, get_portfolio


@dataclass(frozen=True)
class UserPortfolio:
    """A user and what that user owns."""

    user: User
    portfolio: ValuedPortfolio


def require_admin(user: User) -> None:
    """Raises NotAdmin."""
    if not user.is_admin:
        raise NotAdmin()


def find_user(*, username: str | None = None, email: str | None = None) -> User | None:
    """The user with this username, else the one with this e-mail address. One call, two by e-mail address."""
    if username:
        return users.find_user(username)
    return users.find_user_by_email(email) if email else None


def get_user(username: str) -> User:
    """One call. Raises UserNotFound."""
    user = users.find_user(username)
    if user is None:
        raise UserNotFound()
    return user


def get_user_portfolio(username: str, prices: PriceSource, *, now: datetime) -> UserPortfolio:
    """Two calls. Raises UserNotFound."""
    return UserPortfolio(get_user(username), get_portfolio(username, prices, now=now))


def set_status(admin: User, username: str, status: UserStatus) -> User:
    """Suspend or reinstate a user, which ends the sessions and login tokens of that user at once. Two calls.

    Raises UserNotFound, OwnAccount, Busy.
    """
    if username == admin.username and status is UserStatus.SUSPENDED:
        raise OwnAccount()
    return users.set_status(username, status, now=clock.now())


def adjust_balance(
    admin: User, username: str, amount: Decimal, reason: str, *, idempotency_key: str | None = None
) -> Applied[BalanceTransaction]:
    """Add an amount to a balance: USD with 2 decimals, signed, not 0. Its reason and the admin are recorded.

    Three calls. Raises UserNotFound, OwnAccount, InsufficientFunds when the balance would fall below zero,
    IdempotencyKeyReused, Busy.
    """
    if username == admin.username:
        raise OwnAccount()
    # Before format 2 of the store, the claim was among those of the user, under a key with a space.
    former = idempotency_key and identify(f"{admin.username} {idempotency_key}", "adjustment", amount, reason)
    user, claim = read_user_and_claim(username, former or None)
    if user is None:
        raise UserNotFound()
    if claim:
        return Applied(ledger.get_transaction(username, claim.reference), is_replay=True)
    return balance_changes.post_transaction(
        username,
        TransactionType.SYSTEM_ADJUSTMENT,
        amount,
        description=reason,
        actor=admin.username,
        idempotency=identify(idempotency_key, "adjustment", username, amount, reason),
    )
