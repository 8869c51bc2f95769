"""Adjustments that need a second administrator: how long they wait, and who may decide about them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from app.domain.errors import ApprovalNotWaiting, OwnAccount, SecondOperatorNeeded

APPROVAL_LIFETIME = timedelta(days=7)


class ApprovalStatus(StrEnum):
    """EXPIRED is one that still waits after its end; it is not stored."""

    WAITING = "WAITING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


def check_decision(
    decision: ApprovalStatus, *, status: ApprovalStatus, decider: str, asked_by: str, owner: str
) -> None:
    """Whether this administrator may now decide so. Who asked may take it back, and not approve it.

    Raises OwnAccount for the owner of the balance, SecondOperatorNeeded, ApprovalNotWaiting.
    """
    if decider == owner:
        raise OwnAccount()
    if decision is ApprovalStatus.APPROVED and decider == asked_by:
        raise SecondOperatorNeeded()
    if status is not ApprovalStatus.WAITING:
        raise ApprovalNotWaiting(status)
