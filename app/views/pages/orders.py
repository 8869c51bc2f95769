"""Orders: the list, one order with its history, and cancelling it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.domain.assets import CATALOGUE, get_asset
from app.domain.errors import OrderNotFound
from app.domain.identifiers import ORDER_ID, matches
from app.domain.orders import OrderStatus
from app.models import ledger
from app.models import orders as order_items
from app.models.reading import NOTHING, Found
from app.schemas.fields import ORDER_TYPES
from app.schemas.inputs import Input, OrderListInput, PageInput
from app.services import orders
from app.views.pages.forms import Form, submits
from app.views.pages.outcomes import flash_outcome
from app.views.pages.sessions import current_username, found, only_for_users
from app.views.paging import listing, read_page, read_query
from app.views.reads import order_in_path, reads

blueprint = Blueprint("orders", __name__)
only_for_users(blueprint)


@blueprint.get("/orders")
def order_list() -> str:
    query = read_query(OrderListInput())
    asset_id, status = query["asset_id"], query["status"]
    side, price_type = ORDER_TYPES.get(query["order_type"], (None, None))
    page = order_items.list_orders(
        current_username(), read_page(query), asset_id=asset_id, side=side, price_type=price_type, status=status
    )
    return render_template(
        "orders.html",
        listing=listing(page, query),
        asset_id=asset_id,
        order_type=query["order_type"],
        status=status,
        assets=CATALOGUE.values(),
        statuses=OrderStatus,
    )


def _order_page(form: Form, order_id: str, read: Found = NOTHING) -> str:
    order = order_items.get_order(current_username(), _checked(order_id), read)
    return render_template("order.html", form=form, order=order, asset=get_asset(order.asset_id))


def _checked(order_id: str) -> str:
    # Not looked up: DynamoDB refuses keys over 2 KB.
    if not matches(ORDER_ID, order_id):
        raise OrderNotFound()
    return order_id


@blueprint.get("/orders/<order_id>")
@reads(order_in_path)
def order(order_id: str) -> str:
    return _order_page(Form(), order_id, found())


@blueprint.get("/orders/<order_id>/transactions")
def transactions(order_id: str) -> str:
    """The transactions of an order, searched for only on this page: the order does not name them."""
    query = read_query(PageInput())
    page = ledger.list_transactions_of_order(current_username(), _checked(order_id), read_page(query))
    return render_template("order_transactions.html", listing=listing(page, query), order_id=order_id)


@blueprint.post("/orders/<order_id>")
@submits(Input, again=_order_page)
@reads(order_in_path)
def cancel(form: Form, data: dict[str, Any], order_id: str) -> ResponseReturnValue:
    cancelled = orders.cancel_order(
        current_username(), _checked(order_id), idempotency_key=form.sent_key(), early=found()
    )
    replay_of = cancelled.item.updated_at if cancelled.is_replay else None
    flash_outcome("cancellation", current_username(), order_id, replay_of=replay_of)
    return redirect(url_for("orders.order", order_id=order_id), 303)
