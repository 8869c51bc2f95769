"""Trading from an asset's page: the order form, a review of what the order would do, and placing it.

The form of a market order carries the worst price that the user accepts, by default the price seen with a small
allowance. If the market has moved beyond it, nothing is placed and the review is shown again with the new price.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.domain.assets import get_asset
from app.domain.errors import PriceMoved
from app.domain.orders import ALLOWANCE_PERCENT, NewOrder, PriceType, Side, is_within
from app.schemas.order_inputs import TradeInput
from app.services import orders
from app.services.preview import Preview, find_preview, get_preview
from app.views.http import prices
from app.views.limits import moves_money
from app.views.pages.forms import Form, sent_form, submits
from app.views.pages.market import ORDER_FIELDS, asset_page
from app.views.pages.outcomes import flash_outcome
from app.views.pages.sessions import current_username, found, only_for_users
from app.views.reads import balance_of, holding_in_path, reads

blueprint = Blueprint("trade", __name__)
only_for_users(blueprint)


@blueprint.get("/assets/<asset_id>/review")
@blueprint.get("/assets/<asset_id>/change", endpoint="back_from_change")
def back_to_asset(asset_id: str) -> ResponseReturnValue:
    """The page to return to after logging in during a review."""
    return redirect(url_for("market.asset", asset_id=get_asset(asset_id).asset_id), 303)


def read_order() -> Form:
    """The sent form by the fields of `TradeInput`.

    The page of an asset has one amount, of the asset or to spend. It has ticks for a limit and a stop. A stop to buy
    has a limit, ticked or not.
    """
    form = sent_form()
    typed = form.typed
    if typed.get("unit") == "usd" and not typed.get("spend"):
        typed["spend"] = typed.pop("quantity", "")
    order_type = typed.get("order_type", "")
    waits_for = [word for word in ("stop", "limit") if f"at_{word}" in typed]
    if waits_for == ["stop"] and order_type == "market_buy":
        waits_for = ["stop", "limit"]
    if waits_for:
        typed["order_type"] = order_type.replace("market", "_".join(waits_for))
    return form


@blueprint.post("/assets/<asset_id>/review")
@submits(TradeInput, again=asset_page, writes=False, read=read_order)
def review(form: Form, data: dict[str, Any], asset_id: str) -> ResponseReturnValue:
    if form.is_suggested("price"):
        # It was made when the page was shown: the review shows that of now.
        data["limit_price"] = None
    return _review_page(form, NewOrder(**data))


def _review_page(form: Form, wanted: NewOrder) -> str:
    return _show_review(form, wanted, get_preview(current_username(), wanted, prices()))


def _show_review(form: Form, wanted: NewOrder, preview: Preview) -> str:
    # The order that the review places: with its quantity, and a worst price.
    order = replace(wanted, quantity=preview.quantity, limit_price=preview.worst_price)
    return render_template(
        "review.html",
        form=form,
        fields=ORDER_FIELDS,
        preview=preview,
        order=order,
        asset=get_asset(order.asset_id),
        is_buy=order.side is Side.BUY,
        is_market=order.price_type is PriceType.MARKET,
        is_price_suggested=not form.value("price") or isinstance(form.refusal, PriceMoved),
        allowance=ALLOWANCE_PERCENT,
        ends_at=order.expires_at or orders.usual_end(order.time_in_force),
    )


@blueprint.post("/assets/<asset_id>/change")
def change(asset_id: str) -> ResponseReturnValue:
    """From the review back to the order form, with what the person typed in either."""
    form = read_order()
    typed: dict[str, Any] = {name: form.value(name) or None for name in ORDER_FIELDS}
    return redirect(url_for("market.asset", asset_id=get_asset(asset_id).asset_id, **typed), 303)


def _after_refusal(form: Form, asset_id: str) -> str:
    """The review with a new quote if the price has moved, else the asset's page with the reasons."""
    data = form.load(TradeInput(), {"asset_id": asset_id}) if isinstance(form.refusal, PriceMoved) else None
    # A limit is the person's own.
    if data and data["price_type"] is PriceType.MARKET:
        wanted = NewOrder(**{**data, "limit_price": None})
        preview = find_preview(current_username(), wanted, prices())
        if preview:
            return _show_review(form, wanted, preview)
    return asset_page(form, asset_id)


@blueprint.post("/assets/<asset_id>")
@submits(TradeInput, again=_after_refusal)
@moves_money
@reads(balance_of, holding_in_path)
def place(form: Form, data: dict[str, Any], asset_id: str) -> ResponseReturnValue:
    if _must_be_reviewed(**data):
        # The user must have seen the quantity, and it must be the same when the form is sent twice.
        return _review_page(form, NewOrder(**data))
    del data["spend"]
    placed = orders.place_order(
        current_username(), NewOrder(**data), prices(), idempotency_key=form.sent_key(), early=found()
    )
    order = placed.item
    replay_of = order.created_at if placed.is_replay else None
    flash_outcome("order", order.username, f"{order.order_id}/{order.asset_id}", replay_of=replay_of)
    return redirect(url_for("orders.order", order_id=order.order_id), 303)


def _must_be_reviewed(
    *, side: Side, quantity: Decimal, spend: Decimal | None, limit_price: Decimal | None, **_: Any
) -> bool:
    """Whether the quantity for an amount is not known yet, or may cost more, as after a worst price was raised."""
    if not quantity:
        return True
    return spend is not None and side is Side.BUY and not is_within(spend, quantity, limit_price)
