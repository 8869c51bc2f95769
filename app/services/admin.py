"""What operators do: find users and see their accounts, suspend and reinstate them, and correct a balance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.domain import clock
from app.domain.errors import NotAdmin, OwnAccount, UserNotFound
from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.domain.users import UserStatus
from app.models import balance_changes, users
from app.models.idempotency import Applied
from app.models.ledger import BalanceTransaction
from app.models.users import User
from app.prices import PriceSource
from app.services.portfolio import ValuedPortfolio, get_portfolio


@dataclass(frozen=True)
class UserPortfolio:
    """A user with all that the user has."""

    user: User
    portfolio: ValuedPortfolio


def require_admin(user: User) -> None:
    """Raises NotAdmin."""
    if not user.is_admin:
        raise NotAdmin()


def find_user(*, username: str | None = None, email: str | None = None) -> User | None:
    """The user with this username, or with this e-mail address (a moment after registering)."""
    if username:
        return users.find_user(username)
    return users.find_user_by_email(email) if email else None


def get_user(username: str) -> User:
    """Raises UserNotFound."""
    user = users.find_user(username)
    if user is None:
        raise UserNotFound()
    return user


def get_account(username: str, prices: PriceSource, *, now: datetime) -> UserPortfolio:
    """Raises UserNotFound. Two calls."""
    return UserPortfolio(get_user(username), get_portfolio(username, prices, now=now))


def set_status(admin: User, username: str, status: UserStatus) -> User:
    """Suspend or reinstate; sessions and login tokens end at once. Raises UserNotFound, OwnAccount, Busy."""
    if username == admin.username and status is UserStatus.SUSPENDED:
        raise OwnAccount()
    return users.set_status(username, status, now=clock.now())


def adjust_balance(
    admin: User, username: str, amount: Decimal, reason: str, *, idempotency_key: str | None = None
) -> Applied[BalanceTransaction]:
    """Add a signed amount to a balance, recorded with its reason and the admin as actor.

    Raises UserNotFound, InsufficientFunds when the balance would fall below zero, IdempotencyKeyReused, Busy.
    """
    get_user(username)
    # The claim lies among the owner's: a space, which no key has, keeps the admin's keys apart from the owner's.
    own_key = f"{admin.username} {idempotency_key}" if idempotency_key else None
    return balance_changes.post_transaction(
        username,
        TransactionType.SYSTEM_ADJUSTMENT,
        amount,
        description=reason,
        actor=admin.username,
        idempotency=identify(own_key, "adjustment", amount, reason),
    )
