"""The checks of large adjustments: each that was approved has the one transaction that says the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.audit.records import ApprovalRecord, TransactionRecord, Violation, differs, violation
from app.domain import clock
from app.domain.approvals import APPROVAL_LIFETIME, ApprovalStatus
from app.domain.ledger import TransactionType
from app.models.adjustments import KEPT_FOR

# So long after it was booked, its approval is still there.
KNOWN_FOR = KEPT_FOR - APPROVAL_LIFETIME


def check_decision(approval: ApprovalRecord) -> Iterator[Violation]:
    """What was decided names who decided, and what was approved names its transaction too."""
    item, status = approval.item, approval.status
    if (approval.decided_by is None) != (status == ApprovalStatus.WAITING):
        message = f"It is {status}, and decided_by is {approval.decided_by or 'absent'}."
        yield violation("approval_decider", item, message, status=status, found=approval.decided_by)
    if (approval.transaction_id is None) == (status == ApprovalStatus.APPROVED):
        message = f"It is {status}, and transaction_id is {approval.transaction_id or 'absent'}."
        yield violation("approval_transaction", item, message, status=status, found=approval.transaction_id)


def check_booked(transaction: TransactionRecord, approvals: Sequence[ApprovalRecord]) -> Iterator[Violation]:
    """The violations of a transaction, against the approvals that name it."""
    item = transaction.item
    for approval in approvals:
        for name, found, expected in (
            ("transaction_type", transaction.transaction_type, TransactionType.SYSTEM_ADJUSTMENT),
            ("amount", transaction.amount, approval.amount),
            ("description", transaction.description, approval.reason),
            ("actor", transaction.actor, approval.asked_by),
            ("approved_by", transaction.approved_by, approval.decided_by),
        ):
            what = f"{name}, by the approval {approval.item.SK},"
            yield from differs("approval_mismatch", item, what, found=found, expected=expected)
    for approval in approvals[1:]:
        message = f"It names the transaction {transaction.transaction_id}, as another one does."
        yield violation("approval_repeated", approval.item, message, found=transaction.transaction_id)
    if transaction.approved_by and not approvals and clock.now() < transaction.created_at + KNOWN_FOR:
        message = f"{transaction.approved_by} approved it, but no approval names it."
        yield violation("approval_missing", item, message, found=transaction.approved_by)
