"""`/api/v1/admin`: for users with the role ADMIN."""

from __future__ import annotations

from typing import Any

from app.domain import clock, errors
from app.models import ledger, orders
from app.schemas.inputs import AdjustmentInput, PageInput, StatusInput, UserSearchInput
from app.schemas.outputs import (
    AccountOutput,
    AdjustmentOutput,
    HolderListOutput,
    OrderListOutput,
    ResetLinkOutput,
    TransactionListOutput,
    UserAssetTransactionListOutput,
    UserListOutput,
    UserWithStatusOutput,
)
from app.services import admin, recovery
from app.views.api.blueprint import JsonBlueprint, current_user, idempotency_key, read_asset_id, replay_header
from app.views.http import prices, reset_link
from app.views.paging import paged, read_page

blueprint = JsonBlueprint("Administration", __name__, url_prefix="/admin", description="For administrators")


@blueprint.get("/users")
@blueprint.admin_only
@blueprint.arguments(UserSearchInput, location="query")
@blueprint.response(200, UserListOutput)
def find_users(query: dict[str, Any]) -> Any:
    """Find a user by name or e-mail address."""
    user = admin.find_user(**query)
    return {"data": [user] if user else []}


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
@blueprint.refuses(errors.UserNotFound, errors.OwnAccount)
@blueprint.response(200, UserWithStatusOutput)
def set_status(data: dict[str, Any], username: str) -> Any:
    """Suspend or reinstate a user; sessions and login tokens end at once."""
    return admin.set_status(current_user(), username, data["status"])


@blueprint.post("/users/<username>/reset-link")
@blueprint.admin_only
@blueprint.refuses(errors.UserNotFound, errors.OperatorAccount)
@blueprint.response(201, ResetLinkOutput)
def make_reset_link(username: str) -> Any:
    """Make a link with which a user chooses a new password, to hand to that user. It works once."""
    made = recovery.offer_reset(current_user(), username)
    return {"reset_link": reset_link(made), "expires_at": made.expires_at}


@blueprint.post("/users/<username>/adjustments")
@blueprint.admin_only
@blueprint.arguments(AdjustmentInput)
@blueprint.refuses(errors.UserNotFound, errors.OwnAccount, errors.InsufficientFunds, errors.IdempotencyKeyReused)
@blueprint.response(201, AdjustmentOutput)
def adjust_balance(data: dict[str, Any], username: str) -> Any:
    """Add a signed amount to a balance; the reason is recorded."""
    applied = admin.adjust_balance(current_user(), username, **data, idempotency_key=idempotency_key())
    return {"data": applied.item}, 201, replay_header(applied)


@blueprint.get("/users/<username>/transactions")
@blueprint.admin_only
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.UserNotFound, errors.InvalidCursor)
@blueprint.response(200, TransactionListOutput)
def list_transactions(query: dict[str, Any], username: str) -> Any:
    """All transactions of a user's balance, newest first."""
    admin.get_user(username)
    page = ledger.list_transactions(username, read_page(query))
    return {"transactions": page.items, "total_count": len(page.items), **paged(page, query)}


@blueprint.get("/users/<username>/orders")
@blueprint.admin_only
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.UserNotFound, errors.InvalidCursor)
@blueprint.response(200, OrderListOutput)
def list_orders(query: dict[str, Any], username: str) -> Any:
    """A user's orders, newest first."""
    admin.get_user(username)
    page = orders.list_orders(username, read_page(query))
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/assets/<asset_id>/balances")
@blueprint.admin_only
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, HolderListOutput)
def list_holders(query: dict[str, Any], asset_id: str) -> Any:
    """The users who hold or once held an asset."""
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
