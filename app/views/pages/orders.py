"""Orders: the list, one order with its history, changing it, and cancelling it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.domain import clock, money
from app.domain.assets import CATALOGUE, get_asset
from app.domain.errors import OrderNotFound, OrderNotPending, StopNotChangeable
from app.domain.identifiers import ORDER_ID, matches
from app.domain.orders import MAX_LIFETIME, NewTerms, OrderStatus
from app.domain.periods import period_of
from app.models import ledger
from app.models import orders as order_items
from app.models.reading import NOTHING, Found
from app.schemas.fields import ORDER_TYPES
from app.schemas.inputs import Input, OrderPageInput, PageInput
from app.schemas.order_inputs import CancelOrdersInput, OrderChangeForm
from app.services import orders
from app.services.preview import preview_change
from app.views.http import prices
from app.views.limits import moves_money
from app.views.pages.forms import PERIOD, Form, read_filter, submits
from app.views.pages.outcomes import flash_outcome
from app.views.pages.sessions import current_username, found, only_for_users
from app.views.paging import listing, read_page, read_query
from app.views.reads import balance_of, order_in_path, reads

blueprint = Blueprint("orders", __name__)
only_for_users(blueprint)


@blueprint.get("/orders")
def order_list() -> ResponseReturnValue:
    asked, query = read_filter(OrderPageInput(), written=PERIOD)
    return make_response(_show_list(Form(), asked, query), asked.status)


def _list_page(form: Form) -> str:
    return _show_list(form, *read_filter(OrderPageInput(), written=PERIOD))


def _show_list(form: Form, asked: Form, query: dict[str, Any] | None) -> str:
    """The list with the form that cancels all; without rows where what was asked for is refused."""
    return render_template(
        "orders.html", asked=asked, form=form, new_form=Form, assets=CATALOGUE.values(), **_listed(query or {})
    )


def _listed(query: dict[str, Any]) -> dict[str, Any]:
    filters = {name: query.get(name) for name in ("asset_id", "order_type", "status", "ended")}
    if not query:
        return {**filters, "listing": None, "distances": {}}
    side, price_type = ORDER_TYPES.get(query["order_type"], (None, None))
    page = order_items.list_orders(
        current_username(),
        read_page(query),
        asset_id=query["asset_id"],
        side=side,
        price_type=price_type,
        status=query["status"],
        ended=query["ended"],
        period=period_of(query["first_day"], query["last_day"]),
    )
    distances = orders.find_distances(page.items, prices())
    return {**filters, "listing": listing(page, query), "distances": distances}


def _order_page(form: Form, order_id: str, read: Found = NOTHING) -> str:
    order = order_items.get_order(current_username(), checked_id(order_id), read)
    changes = order_items.read_changes(order)
    return render_template(
        "order.html",
        form=form,
        order=order,
        asset=get_asset(order.asset_id),
        distance=orders.find_distances([order], prices()).get(order_id),
        sale=orders.find_sale(order),
        changes=changes,
        placed=changes[0].terms_before(order.side) if changes else None,
    )


def checked_id(order_id: str) -> str:
    """An order id of a path. Raises OrderNotFound for other text, as DynamoDB refuses to look up long keys."""
    if not matches(ORDER_ID, order_id):
        raise OrderNotFound()
    return order_id


@blueprint.post("/orders/cancel")
@submits(CancelOrdersInput, again=_list_page)
@moves_money
def cancel_all(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    ended = orders.cancel_orders(current_username(), **data, idempotency_key=form.sent_key())
    flash(_told(ended))
    return redirect(url_for("orders.order_list", status="pending", asset_id=data["asset_id"]), 303)


def _told(ended: orders.EndedOrders) -> str:
    number = {outcome: sum(each.outcome is outcome for each in ended.data) for outcome in OrderStatus}
    cancelled = number[OrderStatus.CANCELLED]
    whose = "it" if cancelled == 1 else "them"
    sentences = [f"Cancelled {_count(cancelled)}. What was reserved for {whose} is yours again."]
    if number[OrderStatus.COMPLETED]:
        sentences.append(f"{_count(number[OrderStatus.COMPLETED]).capitalize()} had been executed before.")
    if number[OrderStatus.EXPIRED]:
        sentences.append(f"{_count(number[OrderStatus.EXPIRED]).capitalize()} had expired before.")
    if ended.has_more:
        sentences.append("Others are still open: cancel again.")
    return " ".join(sentences)


def _count(number: int) -> str:
    return f"{number or 'no'} order{'' if number == 1 else 's'}"


@blueprint.get("/orders/cancel")
def back_to_orders() -> ResponseReturnValue:
    """The page to return to after logging in."""
    return redirect(url_for("orders.order_list", status="pending"), 303)


@blueprint.get("/orders/<order_id>")
@reads(order_in_path)
def order(order_id: str) -> str:
    return _order_page(Form(), order_id, found())


@blueprint.get("/orders/<order_id>/transactions")
@reads(order_in_path)
def transactions(order_id: str) -> str:
    """The transactions of an order, searched for only on this page: the order does not name them."""
    order_items.get_order(current_username(), checked_id(order_id), found())
    query = read_query(PageInput())
    page = ledger.list_transactions_of_order(current_username(), order_id, read_page(query))
    return render_template("order_transactions.html", listing=listing(page, query), order_id=order_id)


CHANGE_FIELDS = OrderChangeForm.names()


def _change_page(form: Form, order_id: str, read: Found = NOTHING) -> str:
    order = order_items.get_order(current_username(), checked_id(order_id), read)
    if not order.is_pending:
        raise OrderNotPending(order.status)
    if order.has_stop:
        raise StopNotChangeable()
    # What the form begins with; then what the person typed.
    form.typed = {"price": money.plain(order.terms.limit_price), "quantity": money.plain(order.quantity), **form.typed}
    return render_template(
        "order_change.html",
        form=form,
        order=order,
        first_day=clock.now().date(),
        last_day=(order.created_at + MAX_LIFETIME).date(),
    )


@blueprint.get("/orders/<order_id>/change")
# The page to return to after logging in during a review.
@blueprint.get("/orders/<order_id>/change/confirm", endpoint="back_to_change")
@reads(order_in_path)
def change_form(order_id: str) -> str:
    typed = {name: text for name, text in request.args.items() if name in CHANGE_FIELDS}
    return _change_page(Form(typed), order_id, found())


@blueprint.post("/orders/<order_id>/change")
@submits(OrderChangeForm, again=_change_page, writes=False)
def review_change(form: Form, data: dict[str, Any], order_id: str) -> str:
    preview = preview_change(current_username(), checked_id(order_id), NewTerms(**data), prices())
    order = preview.order
    typed = {name: form.value(name) for name in CHANGE_FIELDS if form.value(name)}
    return render_template("order_change_review.html", form=form, preview=preview, order=order, typed=typed)


@blueprint.post("/orders/<order_id>/change/confirm")
@submits(OrderChangeForm, again=_change_page)
@moves_money
@reads(order_in_path, balance_of)
def change(form: Form, data: dict[str, Any], order_id: str) -> ResponseReturnValue:
    changed = orders.change_order(
        current_username(), checked_id(order_id), NewTerms(**data), idempotency_key=form.sent_key(), early=found()
    )
    replay_of = changed.item.updated_at if changed.is_replay else None
    flash_outcome("change", current_username(), f"{order_id}/{changed.item.asset_id}", replay_of=replay_of)
    return redirect(url_for("orders.order", order_id=order_id), 303)


@blueprint.post("/orders/<order_id>")
@submits(Input, again=_order_page)
@moves_money
@reads(order_in_path)
def cancel(form: Form, data: dict[str, Any], order_id: str) -> ResponseReturnValue:
    cancelled = orders.cancel_order(
        current_username(), checked_id(order_id), idempotency_key=form.sent_key(), early=found()
    )
    replay_of = cancelled.item.updated_at if cancelled.is_replay else None
    flash_outcome("cancellation", current_username(), f"{order_id}/{cancelled.item.asset_id}", replay_of=replay_of)
    return redirect(url_for("orders.order", order_id=order_id), 303)
