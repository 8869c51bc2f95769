"""Administration, for users with the role ADMIN: users and their money, and who holds and trades an asset."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.domain import clock
from app.domain.assets import CATALOGUE, get_asset
from app.domain.errors import UserNotFound
from app.domain.orders import OrderStatus
from app.domain.users import UserStatus
from app.models import ledger, orders
from app.models.paging import PageRequest
from app.models.users import User
from app.schemas.inputs import AdjustmentInput, Input, PageInput, StatusInput, UserSearchForm
from app.services import admin, recovery
from app.views.http import prices, reset_link
from app.views.pages.forms import Form, read_filter, submits
from app.views.pages.outcomes import flash_outcome
from app.views.pages.sessions import logged_in_user, only_for_users
from app.views.paging import listing, read_page, read_query

LATEST = PageRequest(limit=5)
STATUS_CHANGED = {
    UserStatus.SUSPENDED: "is suspended, and logged out everywhere",
    UserStatus.ACTIVE: "is reinstated, and can log in again",
}

blueprint = Blueprint("admin", __name__, url_prefix="/admin")
only_for_users(blueprint)


@blueprint.before_request
def _require_admin() -> None:
    admin.require_admin(logged_in_user())


@blueprint.get("")
def search() -> ResponseReturnValue:
    form, query = read_filter(UserSearchForm()) if "user" in request.args else (Form(), None)
    found = _find(query["user"]) if query else None
    if found:
        return redirect(url_for("admin.user", username=found.username), 303)
    if query:
        form.refuse(UserNotFound())
    return make_response(render_template("admin_search.html", form=form, assets=CATALOGUE.values()), form.status)


def _find(name: str) -> User | None:
    """The user of a name, or of an e-mail address, each as it is stored."""
    return admin.find_user(email=name) if "@" in name else admin.find_user(username=name)


@blueprint.get("/users/<username>")
def user(username: str) -> str:
    account = admin.get_user_portfolio(username, prices(), now=clock.now())
    return render_template(
        "admin_user.html",
        user=account.user,
        portfolio=account.portfolio,
        open_orders=orders.list_orders(username, LATEST, status=OrderStatus.PENDING),
        latest=ledger.list_transactions(username, LATEST),
    )


@blueprint.get("/users/<username>/transactions")
def transactions(username: str) -> str:
    user = admin.get_user(username)
    query = read_query(PageInput())
    page = ledger.list_transactions(username, read_page(query))
    return render_template("admin_transactions.html", user=user, listing=listing(page, query))


@blueprint.get("/users/<username>/orders")
def order_list(username: str) -> str:
    user = admin.get_user(username)
    query = read_query(PageInput())
    page = orders.list_orders(username, read_page(query))
    return render_template("admin_orders.html", user=user, listing=listing(page, query))


def _status_page(form: Form, username: str) -> str:
    return render_template("admin_status.html", form=form, user=admin.get_user(username))


@blueprint.get("/users/<username>/status")
def status(username: str) -> str:
    return _status_page(Form(), username)


@blueprint.post("/users/<username>/status")
@submits(StatusInput, again=_status_page)
def send_status(form: Form, data: dict[str, Any], username: str) -> ResponseReturnValue:
    user = admin.set_status(logged_in_user(), username, data["status"])
    flash(f"{user.username} {STATUS_CHANGED[data['status']]}.")
    return redirect(url_for("admin.user", username=username), 303)


def _reset_page(form: Form, username: str, **made: Any) -> str:
    return render_template("admin_reset.html", form=form, user=admin.get_user(username), **made)


@blueprint.get("/users/<username>/reset-link")
def reset(username: str) -> str:
    return _reset_page(Form(), username)


@blueprint.post("/users/<username>/reset-link")
@submits(Input, again=_reset_page)
def send_reset(form: Form, data: dict[str, Any], username: str) -> ResponseReturnValue:
    made = recovery.offer_reset(logged_in_user(), username)
    # No redirect: it would have to carry the link in its address or in the session.
    return _reset_page(form, username, link=reset_link(made), expires_at=made.expires_at), 201


def _adjustment_page(form: Form, username: str) -> str:
    user = admin.get_user(username)
    return render_template("admin_adjustment.html", form=form, user=user, balance=ledger.get_balance(username))


@blueprint.get("/users/<username>/adjustment")
def adjustment(username: str) -> str:
    return _adjustment_page(Form(), username)


@blueprint.post("/users/<username>/adjustment")
@submits(AdjustmentInput, again=_adjustment_page)
def send_adjustment(form: Form, data: dict[str, Any], username: str) -> ResponseReturnValue:
    posted = admin.adjust_balance(logged_in_user(), username, **data, idempotency_key=form.sent_key())
    made = posted.item
    replay_of = made.created_at if posted.is_replay else None
    flash_outcome("adjustment", username, made.transaction_id, replay_of=replay_of)
    return redirect(url_for("admin.user", username=username), 303)


@blueprint.get("/assets/<asset_id>")
def holders(asset_id: str) -> str:
    asset = get_asset(asset_id)
    query = read_query(PageInput())
    page = ledger.list_holders(asset.asset_id, read_page(query))
    return render_template("admin_holders.html", asset=asset, listing=listing(page, query))


@blueprint.get("/assets/<asset_id>/trades")
def trades(asset_id: str) -> str:
    asset = get_asset(asset_id)
    query = read_query(PageInput())
    page = ledger.list_trades_of_asset(asset.asset_id, read_page(query))
    return render_template("admin_trades.html", asset=asset, listing=listing(page, query))
