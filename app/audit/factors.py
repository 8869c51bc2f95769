"""The checks of second factors: a user has one exactly where the user says so, and its codes and passkeys are sound."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from app.audit.records import FactorRecord, ItemKey, UserRecord, Violation, differs, violation
from app.domain.passkeys import MOST_PASSKEYS
from app.domain.second_factor import RECOVERY_CODES


def check_factor(
    user: UserRecord | None, factor: FactorRecord | None, *, is_unread: bool = False
) -> Iterator[Violation]:
    """The violations of a user and a second factor, each if it could be read. `is_unread`: there is one that could not.

    Without the item, its user cannot log in; without the user's word for it, the password alone is enough.
    """
    if user and factor is None and user.second_factor and not is_unread:
        item = ItemKey("users", user.username, "FACTOR")
        yield violation("factor_missing", item, f"{user.username} has a second factor, but not this item.")
    if factor is None:
        return
    if user:
        what = f"The time since which {user.username} has a second factor"
        yield from differs("factor_differs", factor.item, what, found=user.second_factor, expected=factor.created_at)
    yield from _check_list(factor, "recovery code", factor.recovery_hashes.split(), RECOVERY_CODES)
    yield from _check_list(factor, "passkey", [each.credential_id for each in factor.passkeys or ()], MOST_PASSKEYS)
    if not re.fullmatch("([0-9a-f]{64}( [0-9a-f]{64})*)?", factor.recovery_hashes):
        yield violation(
            "recovery_codes_malformed", factor.item, "recovery_hashes are not SHA-256 hashes apart by spaces."
        )


def _check_list(factor: FactorRecord, what: str, found: Collection[str], most: int) -> Iterator[Violation]:
    if len(found) > most:
        message = f"It has {len(found)} {what}s, and may have {most}."
        yield violation("factor_has_too_many", factor.item, message, found=len(found))
    if len(set(found)) < len(found):
        yield violation("factor_has_twice", factor.item, f"It has a {what} twice.", name=what)
