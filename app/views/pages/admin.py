"""Administration, for users with the role ADMIN: users and their money, and who holds and trades an asset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.domain import clock, money
from app.domain.approvals import ApprovalStatus
from app.domain.assets import CATALOGUE, get_asset
from app.domain.errors import InvalidInput, ProofRequired, Refusal, UserNotFound
from app.domain.orders import OrderStatus
from app.domain.users import UserStatus
from app.models import adjustments, events, ledger, orders, users
from app.models.adjustments import Approval
from app.models.paging import PageRequest
from app.models.users import User, month_of
from app.schemas.inputs import (
    AdjustmentForm,
    ApprovalListInput,
    EndUserSessionsForm,
    Input,
    MonthListInput,
    PageInput,
    ProvenInput,
    StatusInput,
    UserSearchForm,
)
from app.services import admin, recovery, tokens
from app.services.admin_front_page import get_front_page
from app.services.second_factor import offer_reset
from app.views.http import approval_over, prices, reset_link
from app.views.limits import moves_money
from app.views.pages.formatters import write_short_time
from app.views.pages.forms import Form, read_filter, sent_form, submits
from app.views.pages.orders import checked_id
from app.views.pages.outcomes import already_done, flash_outcome
from app.views.pages.sessions import current_authentication, found, logged_in_user, only_for_admins
from app.views.paging import listing, read_page, read_query
from app.views.proofs import factor_rules, require_fresh_proof, take_evidence
from app.views.reads import approval_in_path, reads

LATEST = PageRequest(limit=5)
# What a form asks for where a proof is missing.
PROOF = frozenset({"current_password", "code"})
STATUS_CHANGED = {
    UserStatus.SUSPENDED: "is suspended, and logged out everywhere",
    UserStatus.ACTIVE: "is reinstated, and can log in again",
}

blueprint = Blueprint("admin", __name__, url_prefix="/admin")
only_for_admins(blueprint)


@blueprint.get("")
def search() -> ResponseReturnValue:
    """The front page, and the search for a user that stands on it."""
    form, query = read_filter(UserSearchForm()) if "user" in request.args else (Form(), None)
    user = _find(query["user"]) if query else None
    if user:
        return redirect(url_for("admin.user", username=user.username), 303)
    if query:
        form.refuse(UserNotFound())
    front = get_front_page(prices(), now=clock.now())
    shown = {"form": form, "front": front, "month": month_of(clock.now()), "assets": CATALOGUE.values()}
    return make_response(render_template("admin_search.html", **shown), form.status)


def _find(name: str) -> User | None:
    """The user of a name, or of an e-mail address, each as it is stored."""
    return admin.find_user(email=name) if "@" in name else admin.find_user(username=name)


@blueprint.get("/users")
def joined() -> str:
    query = read_query(MonthListInput())
    months = _months(query)
    page = users.list_joined(months.shown, read_page(query))
    return render_template("admin_joined.html", listing=listing(page, query), months=months)


@blueprint.get("/acts")
def acts() -> str:
    query = read_query(MonthListInput())
    months = _months(query)
    page = events.list_acts(months.shown, read_page(query))
    return render_template("admin_acts.html", listing=listing(page, query), months=months)


@dataclass(frozen=True)
class Months:
    """The month of a list, and those beside it; `later` is None in this month."""

    shown: str
    earlier: str
    later: str | None


def _months(query: Mapping[str, Any]) -> Months:
    this = month_of(clock.now())
    shown = query["month"] or this
    first = date.fromisoformat(f"{shown}-01")
    earlier, later = (f"{first + timedelta(days=days):%Y-%m}" for days in (-1, 31))
    return Months(shown, earlier, later if shown < this else None)


@blueprint.get("/users/<username>")
def user(username: str) -> str:
    account = admin.get_user_portfolio(username, prices(), now=clock.now())
    return render_template(
        "admin_user.html",
        user=account.user,
        portfolio=account.portfolio,
        credentials=tokens.list_credentials(account.user),
        events=events.list_events(username, LATEST),
        open_orders=orders.list_orders(username, LATEST, status=OrderStatus.PENDING),
        latest=ledger.list_transactions(username, LATEST),
    )


@blueprint.get("/users/<username>/transactions")
def transactions(username: str) -> str:
    user = admin.get_user(username, even_closed=True)
    query = read_query(PageInput())
    page = ledger.list_transactions(username, read_page(query))
    return render_template("admin_transactions.html", user=user, listing=listing(page, query))


@blueprint.get("/users/<username>/orders")
def order_list(username: str) -> str:
    user = admin.get_user(username, even_closed=True)
    query = read_query(PageInput())
    page = orders.list_orders(username, read_page(query))
    return render_template("admin_orders.html", user=user, listing=listing(page, query))


@blueprint.get("/users/<username>/orders/<order_id>")
def order(username: str, order_id: str) -> str:
    user = admin.get_user(username, even_closed=True)
    order = orders.get_order(username, checked_id(order_id))
    query = read_query(PageInput())
    page = ledger.list_transactions_of_order(username, order_id, read_page(query))
    return render_template("admin_order.html", user=user, order=order, listing=listing(page, query))


@blueprint.get("/users/<username>/events")
def event_list(username: str) -> str:
    user = admin.get_user(username, even_closed=True)
    query = read_query(PageInput())
    page = events.list_events(username, read_page(query))
    return render_template("admin_events.html", user=user, listing=listing(page, query))


def _status_page(form: Form, username: str) -> str:
    return render_template("admin_status.html", form=form, user=admin.get_user(username))


@blueprint.get("/users/<username>/status")
def status(username: str) -> str:
    return _status_page(Form(), username)


@blueprint.post("/users/<username>/status")
@submits(StatusInput, again=_status_page)
def send_status(form: Form, data: dict[str, Any], username: str) -> ResponseReturnValue:
    require_fresh_proof(current_authentication(), take_evidence(data))
    user = admin.set_status(logged_in_user(), username, data["status"])
    flash(f"{user.username} {STATUS_CHANGED[data['status']]}.")
    return redirect(url_for("admin.user", username=username), 303)


def _reset_page(form: Form, username: str, **made: Any) -> str:
    return render_template("admin_reset.html", form=form, user=admin.get_user(username), **made)


@blueprint.get("/users/<username>/reset-link")
def reset(username: str) -> str:
    return _reset_page(Form(), username)


@blueprint.post("/users/<username>/reset-link")
@submits(ProvenInput, again=_reset_page)
def send_reset(form: Form, data: dict[str, Any], username: str) -> ResponseReturnValue:
    require_fresh_proof(current_authentication(), take_evidence(data))
    made = recovery.offer_reset(username)
    # No redirect: it would have to carry the link in its address or in the session.
    return _reset_page(form, username, link=reset_link(made), expires_at=made.expires_at), 201


def _factor_page(form: Form, username: str) -> str:
    hours = factor_rules().reset_wait // timedelta(hours=1)
    return render_template("admin_factor.html", form=form, user=admin.get_user(username), hours=hours)


@blueprint.get("/users/<username>/second-factor")
def factor(username: str) -> str:
    return _factor_page(Form(), username)


@blueprint.post("/users/<username>/second-factor")
@submits(ProvenInput, again=_factor_page)
def send_factor(form: Form, data: dict[str, Any], username: str) -> ResponseReturnValue:
    require_fresh_proof(current_authentication(), take_evidence(data))
    falls_at = offer_reset(logged_in_user(), username, factor_rules())
    flash(f"The second factor of {username} falls away at a log-in after {write_short_time(falls_at)}.")
    return redirect(url_for("admin.user", username=username), 303)


def _adjustment_page(form: Form, username: str) -> str:
    user = admin.get_user(username)
    return render_template(
        "admin_adjustment.html",
        form=form,
        user=user,
        balance=ledger.get_balance(username),
        over=approval_over(),
        bounds=money,
    )


@blueprint.get("/users/<username>/adjustment")
def adjustment(username: str) -> str:
    return _adjustment_page(Form(), username)


@blueprint.get("/users/<username>/adjustment/review")
@blueprint.get("/users/<username>/adjustment/change", endpoint="back_from_change")
def back_to_adjustment(username: str) -> ResponseReturnValue:
    """The page to return to after logging in during a review."""
    return redirect(url_for("admin.adjustment", username=username), 303)


@blueprint.post("/users/<username>/adjustment/review")
@submits(AdjustmentForm, again=_adjustment_page, writes=False)
def review_adjustment(form: Form, data: dict[str, Any], username: str) -> ResponseReturnValue:
    """What it would do, before it is booked."""
    return _adjustment_review(form, data, username)


def _adjustment_review(form: Form, data: Mapping[str, Any], username: str) -> str:
    preview = admin.preview_adjustment(logged_in_user(), username, data["amount"], approval_over=approval_over())
    return render_template("admin_adjustment_review.html", form=form, preview=preview, user=preview.user)


@blueprint.post("/users/<username>/adjustment/change")
def change_adjustment(username: str) -> str:
    """From the review back to the form, with what the person typed."""
    return _adjustment_page(sent_form(), username)


def _adjustment_refused(form: Form, username: str) -> str:
    """The review where only the proof is missing, else the form with the reasons."""
    if isinstance(form.refusal, (ProofRequired, InvalidInput)) and not form.errors.keys() - PROOF:
        try:
            return _adjustment_review(form, form.load(AdjustmentForm(), {}), username)
        except Refusal:
            pass  # the balance has changed since
    return _adjustment_page(form, username)


@blueprint.post("/users/<username>/adjustment")
@submits(AdjustmentForm, again=_adjustment_refused)
@moves_money
def send_adjustment(form: Form, data: dict[str, Any], username: str) -> ResponseReturnValue:
    require_fresh_proof(current_authentication(), take_evidence(data))
    posted = admin.adjust_balance(
        logged_in_user(), username, **data, approval_over=approval_over(), idempotency_key=form.sent_key()
    )
    made = posted.item
    if isinstance(made, Approval):
        waits = "Nothing is booked yet: it waits for another administrator."
        flash(already_done(made.created_at) if posted.is_replay else waits)
        return redirect(url_for("admin.approval", approval_id=made.approval_id), 303)
    replay_of = made.created_at if posted.is_replay else None
    flash_outcome("adjustment", username, made.transaction_id, replay_of=replay_of)
    return redirect(url_for("admin.user", username=username), 303)


@blueprint.get("/approvals")
def approvals() -> str:
    query = read_query(ApprovalListInput())
    page = adjustments.list_approvals(read_page(query), status=query["status"])
    return render_template(
        "admin_approvals.html", listing=listing(page, query), status=query["status"], statuses=ApprovalStatus
    )


def _approval_page(form: Form, approval_id: str) -> str:
    approval = adjustments.get_approval(approval_id, found())
    return render_template(
        "admin_approval.html", form=form, approval=approval, balance=ledger.get_balance(approval.username)
    )


@blueprint.get("/approvals/<approval_id>")
@reads(approval_in_path)
def approval(approval_id: str) -> str:
    return _approval_page(Form(), approval_id)


def _decision_refused(form: Form, approval_id: str) -> str:
    found().take()
    return _approval_page(form, approval_id)


@blueprint.post("/approvals/<approval_id>/approve")
@reads(approval_in_path)
@submits(ProvenInput, again=_decision_refused)
@moves_money
def approve(form: Form, data: dict[str, Any], approval_id: str) -> ResponseReturnValue:
    require_fresh_proof(current_authentication(), take_evidence(data))
    posted = adjustments.approve(approval_id, actor=logged_in_user().username, early=found())
    made = posted.item
    replay_of = made.created_at if posted.is_replay else None
    flash_outcome("adjustment", made.username, made.transaction_id, replay_of=replay_of)
    return redirect(url_for("admin.approval", approval_id=approval_id), 303)


@blueprint.post("/approvals/<approval_id>/reject")
@submits(Input, again=_approval_page)
def reject(form: Form, data: dict[str, Any], approval_id: str) -> ResponseReturnValue:
    adjustments.reject(approval_id, actor=logged_in_user().username)
    flash("Rejected. Nothing was booked.")
    return redirect(url_for("admin.approvals"), 303)


def _sessions_page(form: Form, username: str) -> str:
    return render_template("admin_sessions.html", form=form, user=admin.get_user(username))


@blueprint.get("/users/<username>/sessions")
def sessions(username: str) -> str:
    return _sessions_page(Form(), username)


@blueprint.post("/users/<username>/sessions")
@submits(EndUserSessionsForm, again=_sessions_page)
def end_sessions(form: Form, data: dict[str, Any], username: str) -> ResponseReturnValue:
    require_fresh_proof(current_authentication(), take_evidence(data))
    admin.end_sessions(logged_in_user(), username, **data)
    flash(f"{username} is logged out everywhere.")
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
