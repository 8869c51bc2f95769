"""Table `users`: corrections of balances by administrators, of which large ones wait for a second administrator.

| item | PK | SK |
|---|---|---|
| Approval | `APPROVALS#ADJUSTMENT` | `{approval_id}` |

| access pattern | operation |
|---|---|
| one | GetItem |
| all, newest first; those that wait | Query PK |

The approval is an item of the batch that books the adjustment, so it is booked once. The item outlives the idempotency
claim of the request that asked for it.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from ulid import ULID

from app.domain import clock
from app.domain.approvals import APPROVAL_LIFETIME, ApprovalStatus, check_decision
from app.domain.errors import ApprovalNotFound, Busy, UserNotFound
from app.domain.events import REJECTED, WAITS, EventKind
from app.domain.idempotency import REMEMBERED_FOR, IdempotencyKey
from app.domain.identifiers import APPROVAL_ID, matches
from app.domain.ledger import Posting, TransactionType, post
from app.models.attributes import MoneyAttribute, TimeAttribute, TTLAttribute, UnicodeAttribute
from app.models.balance_changes import write_posting
from app.models.batch import Batch, retry_while_busy, write_if
from app.models.events import add_event, note
from app.models.idempotency import Applied, apply_once
from app.models.item import Key
from app.models.ledger import Balance, BalanceTransaction, get_balance, get_transaction
from app.models.paging import FIRST_PAGE, Page, PageRequest, list_page
from app.models.reading import NOTHING, Found, read_together
from app.models.users import UsersItem

PARTITION = "APPROVALS#ADJUSTMENT"
KEPT_FOR = REMEMBERED_FOR + timedelta(days=30)


class Approval(UsersItem, discriminator="APPROVAL"):
    """An adjustment that somebody asked for, and what became of it. Counts as waiting until `expires_at`."""

    approval_id = UnicodeAttribute()
    username = UnicodeAttribute()
    amount = MoneyAttribute()
    reason = UnicodeAttribute()
    asked_by = UnicodeAttribute()
    stored_status = UnicodeAttribute(attr_name="status", default=ApprovalStatus.WAITING)
    decided_by = UnicodeAttribute(null=True)
    decided_at = TimeAttribute(null=True)
    transaction_id = UnicodeAttribute(null=True)
    created_at = TimeAttribute()
    expires_at = TimeAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(approval_id: str) -> Key:
        return PARTITION, approval_id

    @property
    def reference(self) -> str:
        """The id by which an idempotency claim finds it again."""
        return str(self.approval_id)

    @property
    def status(self) -> ApprovalStatus:
        stored = ApprovalStatus(self.stored_status)
        has_ended = stored is ApprovalStatus.WAITING and clock.now() >= self.expires_at
        return ApprovalStatus.EXPIRED if has_ended else stored


@retry_while_busy
def adjust(
    username: str,
    amount: Decimal,
    *,
    reason: str,
    actor: str,
    waits: bool,
    idempotency: IdempotencyKey | None = None,
    dry_run: bool = False,
) -> Applied[BalanceTransaction | Approval]:
    """Add a signed amount to a balance, or let it wait for a second administrator. Two calls; of a dry run one.

    A repeated request answers with what its first run made, booked or waiting. Raises InsufficientFunds in both cases,
    UserNotFound for a closed account, IdempotencyKeyReused, and Busy when every attempt came second.
    """

    def change(batch: Batch, found: Found) -> BalanceTransaction | Approval:
        balance = _get_open_balance(username, found)
        batch.based_on(balance=balance)
        posting = post(balance.cash_account, TransactionType.SYSTEM_ADJUSTMENT, amount)
        if waits:
            return _put_approval(batch, username, amount, reason=reason, actor=actor)
        return _book(batch, balance, posting, reason=reason, actor=actor)

    find = partial(_find_made, username)
    return apply_once(username, idempotency, actor=actor, change=change, find=find, dry_run=dry_run)


def _get_open_balance(username: str, found: Found) -> Balance:
    """As `get_balance`. Raises UserNotFound where the account is closed."""
    balance = get_balance(username, found)
    if balance.closed_at:
        raise UserNotFound()
    return balance


def _book(
    batch: Batch, balance: Balance, posting: Posting, *, reason: str, actor: str, approved_by: str | None = None
) -> BalanceTransaction:
    add_event(batch, balance.username, EventKind.ADJUSTED)
    now = clock.now_after(balance.updated_at)
    return write_posting(batch, balance, posting, now, description=reason, actor=actor, approved_by=approved_by)


def _put_approval(batch: Batch, username: str, amount: Decimal, *, reason: str, actor: str) -> Approval:
    now = clock.now()
    approval_id = f"approval_{ULID.from_datetime(now)}"
    approval = Approval(
        *Approval.key(approval_id),
        approval_id=approval_id,
        username=username,
        amount=amount,
        reason=reason,
        asked_by=actor,
        created_at=now,
        expires_at=now + APPROVAL_LIFETIME,
        ttl=clock.latest() + KEPT_FOR,
    )
    batch.put("approval", approval)
    # Nothing has been done to the account, so its owner has no event.
    batch.afterwards(partial(note, EventKind.ADJUSTED, subject=username, outcome=WAITS))
    return approval


def _find_made(username: str, reference: str) -> BalanceTransaction | Approval:
    return get_approval(reference) if matches(APPROVAL_ID, reference) else get_transaction(username, reference)


def get_approval(approval_id: str, found: Found = NOTHING) -> Approval:
    """One call, unless it is in `found`. Raises ApprovalNotFound, also for text that is not an approval id."""
    approval = found.find(Approval, Approval.key(approval_id)) if matches(APPROVAL_ID, approval_id) else None
    if approval is None:
        raise ApprovalNotFound()
    return approval


def list_approvals(page: PageRequest = FIRST_PAGE, *, status: ApprovalStatus | None = None) -> Page[Approval]:
    """The adjustments that somebody asked for, newest first; of one status, if given. A page may be short."""
    return list_page(Approval, PARTITION, page, filters=_of_status(status) if status else None)


def _of_status(status: ApprovalStatus) -> Condition:
    now = clock.now()
    of_status: dict[ApprovalStatus, Condition] = {
        ApprovalStatus.WAITING: (Approval.stored_status == ApprovalStatus.WAITING) & (Approval.expires_at > now),
        ApprovalStatus.EXPIRED: (Approval.stored_status == ApprovalStatus.WAITING) & (Approval.expires_at <= now),
    }
    return of_status.get(status, Approval.stored_status == status)


@retry_while_busy
def approve(approval_id: str, *, actor: str, early: Found = NOTHING) -> Applied[BalanceTransaction]:
    """Book an adjustment that waits. Two calls, where the approval was read `early`, else three.

    Again, by who approved it, it answers with what was booked. Raises ApprovalNotFound, InsufficientFunds, UserNotFound
    for a closed account, Busy, and what `check_decision` raises.
    """
    key = Approval.key(approval_id)
    username = (early.get(Approval, key) or get_approval(approval_id)).username
    found = read_together([(Approval, key), (Balance, Balance.key(username))])
    approval = get_approval(approval_id, found)
    if _is_done(approval, ApprovalStatus.APPROVED, actor):
        return Applied(get_transaction(username, approval.transaction_id or ""), is_replay=True)
    _check(approval, ApprovalStatus.APPROVED, actor)
    balance = _get_open_balance(username, found)
    posting = post(balance.cash_account, TransactionType.SYSTEM_ADJUSTMENT, approval.amount)
    batch = Batch()
    made = _book(batch, balance, posting, reason=approval.reason, actor=approval.asked_by, approved_by=actor)
    actions = [*_decision(ApprovalStatus.APPROVED, actor), Approval.transaction_id.set(made.transaction_id)]
    batch.update("approval", approval, actions, condition=Approval.stored_status == ApprovalStatus.WAITING)
    batch.commit_as_read()
    return Applied(made)


@retry_while_busy
def reject(approval_id: str, *, actor: str) -> Approval:
    """Decide that an adjustment is not booked. Two calls, and one when that was done already by the same actor.

    Raises ApprovalNotFound, Busy, and what `check_decision` raises.
    """
    approval = get_approval(approval_id)
    if _is_done(approval, ApprovalStatus.REJECTED, actor):
        return approval
    _check(approval, ApprovalStatus.REJECTED, actor)
    actions = _decision(ApprovalStatus.REJECTED, actor)
    is_waiting = Approval.stored_status == ApprovalStatus.WAITING
    if not write_if(lambda: approval.update(actions, condition=is_waiting)):
        raise Busy()
    note(EventKind.ADJUSTED, subject=approval.username, outcome=REJECTED)
    return approval


def _is_done(approval: Approval, decision: ApprovalStatus, actor: str) -> bool:
    return approval.status is decision and approval.decided_by == actor


def _check(approval: Approval, decision: ApprovalStatus, actor: str) -> None:
    check_decision(decision, status=approval.status, decider=actor, asked_by=approval.asked_by, owner=approval.username)


def _decision(status: ApprovalStatus, actor: str) -> list[Action]:
    decided: list[Action] = [
        Approval.stored_status.set(status.value),
        Approval.decided_by.set(actor),
        Approval.decided_at.set(clock.now()),
    ]
    return decided
