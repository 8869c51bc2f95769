"""`/api/v1/admin`: for users with the role ADMIN."""

from __future__ import annotations

from typing import Any

from flask import jsonify

from app.domain import clock, errors
from app.models import adjustments, events, ledger, orders, system, users
from app.models.adjustments import Approval
from app.schemas.admin_outputs import (
    AccountOutput,
    ActListOutput,
    AdjustmentDryRunOutput,
    AdjustmentOutput,
    AdminEventListOutput,
    ApprovalListOutput,
    FactorResetOutput,
    HolderListOutput,
    OneApprovalOutput,
    ResetLinkOutput,
    TotalsListOutput,
    UserAssetTransactionListOutput,
    UserListOutput,
)
from app.schemas.inputs import (
    AdjustmentInput,
    ApprovalInput,
    ApprovalListInput,
    EndSessionsInput,
    MonthListInput,
    PageInput,
    StatusInput,
    UserSearchInput,
)
from app.schemas.outputs import OrderListOutput, TransactionListOutput, UserWithStatusOutput
from app.services import admin, recovery
from app.services.proving import Evidence
from app.services.second_factor import offer_reset
from app.views.api.blueprint import (
    JsonBlueprint,
    current_authentication,
    current_user,
    dry_run_answer,
    found,
    idempotency_key,
    read_asset_id,
    replay_header,
)
from app.views.http import approval_over, prices, reset_link
from app.views.limits import moves_money
from app.views.paging import paged, read_page
from app.views.proofs import factor_rules, require_fresh_proof, take_evidence
from app.views.reads import approval_in_path, reads

blueprint = JsonBlueprint("Administration", __name__, url_prefix="/admin", description="For administrators")


@blueprint.get("/users")
@blueprint.admin_only
@blueprint.arguments(UserSearchInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, UserListOutput)
def find_users(query: dict[str, Any]) -> Any:
    """Find a user by name or e-mail address, or list those who joined in a month, newest first.

    Who has closed the account is found by name, and is in no list. So a page may be short.
    """
    if query["month"]:
        page = admin.list_joined(query["month"], read_page(query))
        return {"data": page.items, **paged(page, query)}
    user = admin.find_user(username=query["username"], email=query["email"])
    return {"data": [user] if user else [], "has_more": False, "next_cursor": None}


@blueprint.get("/totals")
@blueprint.admin_only
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, TotalsListOutput)
def list_totals(query: dict[str, Any]) -> Any:
    """What all accounts had together at each audit that kept it, newest first. None before the first one."""
    page = system.list_totals(read_page(query))
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/acts")
@blueprint.admin_only
@blueprint.arguments(MonthListInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, ActListOutput)
def list_acts(query: dict[str, Any]) -> Any:
    """What administrators did to the accounts of others in a month, newest first; of the last 90 days."""
    page = events.list_acts(query["month"] or users.month_of(clock.now()), read_page(query))
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/users/<username>")
@blueprint.admin_only
@blueprint.refuses(errors.UserNotFound)
@blueprint.response(200, AccountOutput)
def get_account(username: str) -> Any:
    """A user with balance and holdings."""
    return admin.get_user_portfolio(username, prices(), now=clock.now())


@blueprint.patch("/users/<username>")
@blueprint.admin_only
@blueprint.arguments(StatusInput)
@blueprint.refuses(errors.UserNotFound, errors.OwnAccount, errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(200, UserWithStatusOutput)
def set_status(data: dict[str, Any], username: str) -> Any:
    """Suspend or reinstate a user; sessions and login tokens end at once."""
    require_fresh_proof(current_authentication(), take_evidence(data))
    return admin.set_status(current_user(), username, data["status"])


@blueprint.post("/users/<username>/reset-link")
@blueprint.admin_only
@blueprint.refuses(errors.UserNotFound, errors.OperatorAccount, errors.ProofRequired)
@blueprint.response(201, ResetLinkOutput)
def make_reset_link(username: str) -> Any:
    """Make a link with which a user chooses a new password, to hand to that user. It works once.

    There is no body: where a proof is asked for, give it to `POST /api/v1/auth/proof`.
    """
    require_fresh_proof(current_authentication(), Evidence())
    made = recovery.offer_reset(username)
    return {"reset_link": reset_link(made), "expires_at": made.expires_at}


@blueprint.post("/users/<username>/second-factor/reset")
@blueprint.admin_only
@blueprint.refuses(errors.UserNotFound, errors.OwnAccount, errors.OperatorAccount, errors.NoSecondFactor)
@blueprint.refuses(errors.ProofRequired)
@blueprint.response(202, FactorResetOutput)
def reset_second_factor(username: str) -> Any:
    """Let the second factor of a user who has lost it fall away, after a wait. They are told by mail at once.

    A code that they use meanwhile takes it back. There is no body: where a proof is asked for, give it to
    `POST /api/v1/auth/proof`.
    """
    require_fresh_proof(current_authentication(), Evidence())
    return {"falls_at": offer_reset(current_user(), username, factor_rules())}


@blueprint.post("/users/<username>/adjustments")
@blueprint.admin_only
@blueprint.arguments(AdjustmentInput)
@blueprint.refuses(
    errors.UserNotFound,
    errors.OwnAccount,
    errors.InsufficientFunds,
    errors.IdempotencyKeyReused,
    errors.TooManyRequests,
)
@blueprint.refuses(errors.ProofRequired, errors.NotSupported)
@blueprint.response(201, AdjustmentOutput)
@blueprint.alt_response(202, schema=OneApprovalOutput, success=True)
@blueprint.alt_response(200, schema=AdjustmentDryRunOutput, success=True)
@moves_money
def adjust_balance(data: dict[str, Any], username: str) -> Any:
    """Add a signed amount to a balance; the reason is recorded.

    A large one waits for another administrator, and is answered 202 with what waits. A dry run needs the same proof.
    """
    require_fresh_proof(current_authentication(), take_evidence(data))
    applied = admin.adjust_balance(
        current_user(), username, **data, approval_over=approval_over(), idempotency_key=idempotency_key()
    )
    if applied.is_dry_run:
        return dry_run_answer(admin.tried_adjustment(applied), AdjustmentDryRunOutput)
    if isinstance(applied.item, Approval):
        return jsonify(OneApprovalOutput().dump({"data": applied.item})), 202, replay_header(applied)
    return {"data": applied.item}, 201, replay_header(applied)


@blueprint.get("/approvals")
@blueprint.admin_only
@blueprint.arguments(ApprovalListInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, ApprovalListOutput)
def list_approvals(query: dict[str, Any]) -> Any:
    """Adjustments that wait, or waited, for a second administrator, newest first."""
    page = adjustments.list_approvals(read_page(query), status=query["status"])
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/approvals/<approval_id>")
@blueprint.admin_only
@reads(approval_in_path)
@blueprint.refuses(errors.ApprovalNotFound)
@blueprint.response(200, OneApprovalOutput)
def get_approval(approval_id: str) -> Any:
    """One of them."""
    return {"data": adjustments.get_approval(approval_id, found())}


@blueprint.post("/approvals/<approval_id>/approve")
@blueprint.admin_only
@reads(approval_in_path)
@blueprint.arguments(ApprovalInput)
@blueprint.refuses(
    errors.NotSupported,
    errors.ApprovalNotFound,
    errors.ApprovalNotWaiting,
    errors.SecondOperatorNeeded,
    errors.OwnAccount,
    errors.InsufficientFunds,
    errors.UserNotFound,
    errors.TooManyRequests,
    errors.ProofRequired,
)
@blueprint.response(201, AdjustmentOutput)
@moves_money
def approve(_: dict[str, Any], approval_id: str) -> Any:
    """Book an adjustment that another administrator asked for. Approving it again changes nothing.

    The body may be left out: where a proof is asked for, give it to `POST /api/v1/auth/proof`.
    """
    require_fresh_proof(current_authentication(), Evidence())
    return {"data": adjustments.approve(approval_id, actor=current_user().username, early=found()).item}


@blueprint.post("/approvals/<approval_id>/reject")
@blueprint.admin_only
@blueprint.refuses(errors.ApprovalNotFound, errors.ApprovalNotWaiting, errors.OwnAccount)
@blueprint.response(200, OneApprovalOutput)
def reject(approval_id: str) -> Any:
    """Reject an adjustment that waits, or take back what you asked for yourself."""
    return {"data": adjustments.reject(approval_id, actor=current_user().username)}


@blueprint.delete("/users/<username>/sessions")
@blueprint.admin_only
@blueprint.arguments(EndSessionsInput, location="query")
@blueprint.refuses(errors.UserNotFound, errors.OwnAccount, errors.ProofRequired)
@blueprint.response(204)
def end_sessions(query: dict[str, Any], username: str) -> None:
    """End every session and token of a user. `keep_tokens` keeps personal tokens. Needs a proof as approving does."""
    require_fresh_proof(current_authentication(), Evidence())
    admin.end_sessions(current_user(), username, **query)


@blueprint.get("/users/<username>/transactions")
@blueprint.admin_only
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.UserNotFound, errors.InvalidCursor)
@blueprint.response(200, TransactionListOutput)
def list_transactions(query: dict[str, Any], username: str) -> Any:
    """All transactions of a user's balance, newest first."""
    admin.get_user(username, even_closed=True)
    page = ledger.list_transactions(username, read_page(query))
    return {"transactions": page.items, "total_count": len(page.items), **paged(page, query)}


@blueprint.get("/users/<username>/orders")
@blueprint.admin_only
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.UserNotFound, errors.InvalidCursor)
@blueprint.response(200, OrderListOutput)
def list_orders(query: dict[str, Any], username: str) -> Any:
    """A user's orders, newest first."""
    admin.get_user(username, even_closed=True)
    page = orders.list_orders(username, read_page(query))
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/users/<username>/events")
@blueprint.admin_only
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.UserNotFound, errors.InvalidCursor)
@blueprint.response(200, AdminEventListOutput)
def list_events(query: dict[str, Any], username: str) -> Any:
    """What was done to a user's account in the last 90 days, and by whom, newest first."""
    admin.get_user(username, even_closed=True)
    page = events.list_events(username, read_page(query))
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/assets/<asset_id>/balances")
@blueprint.admin_only
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, HolderListOutput)
def list_holders(query: dict[str, Any], asset_id: str) -> Any:
    """The users who own some of an asset."""
    page = ledger.list_holders(read_asset_id(asset_id), read_page(query))
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/assets/<asset_id>/transactions")
@blueprint.admin_only
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, UserAssetTransactionListOutput)
def list_trades(query: dict[str, Any], asset_id: str) -> Any:
    """All purchases and sales of an asset, by all users."""
    page = ledger.list_trades_of_asset(read_asset_id(asset_id), read_page(query))
    return {"data": page.items, **paged(page, query)}
