"""The checks of closed accounts: nothing personal and nothing of worth is left, and nobody else lacks an address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.audit.records import BalanceRecord, HoldingRecord, UserRecord, Violation, as_text, differs, violation
from app.models.users import month_of

# What everybody has but who closed the account.
ALWAYS = ("email", "first_name", "last_name")
PERSONAL = (*ALWAYS, "email_unconfirmed_since", "phone", "date_of_birth", "second_factor", "join_month")


def check_closing(
    found: tuple[UserRecord | None, BalanceRecord | None], holdings: Sequence[HoldingRecord]
) -> Iterator[Violation]:
    """The violations of a user and a balance, each if it could be read, and of the holdings."""
    user, balance = found
    if user is None:
        return
    if not user.is_closed:
        yield from _check_open(user, balance)
        return
    for name in (name for name in PERSONAL if getattr(user, name) is not None):
        yield violation("closed_user_has", user.item, f"A closed account must have no {name}.", name=name)
    if user.marketing_emails_consent:
        yield violation("closed_user_has", user.item, "A closed account consents to nothing.", name="consent")
    if balance and balance.closed_at is None:
        yield violation("balance_not_closed", balance.item, f"{user.username} has closed the account.")
    yield from _check_empty(balance, holdings)


def _check_open(user: UserRecord, balance: BalanceRecord | None) -> Iterator[Violation]:
    for name in (name for name in ALWAYS if getattr(user, name) is None):
        yield violation("attribute_missing", user.item, f"A user must have {name}.", name=name)
    what, month = f"join_month of {user.username}", month_of(user.created_at)
    yield from differs("join_month_wrong", user.item, what, found=user.join_month, expected=month)
    if balance:
        what = f"closed_at of the balance of {user.username}"
        yield from differs("balance_closed", balance.item, what, found=balance.closed_at, expected=None)


def _check_empty(balance: BalanceRecord | None, holdings: Sequence[HoldingRecord]) -> Iterator[Violation]:
    left = [(balance.item, "cash", balance.current_balance + balance.reserved_cash)] if balance else []
    left += [(each.item, each.asset_id, each.quantity + (each.reserved_quantity or 0)) for each in holdings]
    for item, what, amount in left:
        if amount:
            message = f"A closed account has {as_text(amount)} {what}."
            yield violation("closed_account_not_empty", item, message, found=amount)
