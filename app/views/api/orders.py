"""`/api/v1/orders` and `/assets`: orders, and the trades that they made."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response, jsonify, request
from werkzeug.exceptions import HTTPException

from app.domain import errors
from app.domain.orders import NewOrder, NewTerms
from app.domain.periods import period_of
from app.domain.users import TRADE
from app.models import ledger
from app.models import orders as order_items
from app.models.dry_runs import read_dry_run
from app.models.reading import Place
from app.schemas.dry_run_outputs import DryRunOutput, PreviewOutput
from app.schemas.fields import ORDER_TYPES
from app.schemas.inputs import OrderListInput, PageInput, TradeExportInput, TradePageInput
from app.schemas.order_inputs import CancelInput, CancelOrdersInput, OrderChangeInput, OrderInput
from app.schemas.outputs import (
    AssetTransactionListOutput,
    EndedOrdersOutput,
    OneOrderOutput,
    OrderChangeListOutput,
    OrderListOutput,
)
from app.services import orders, statements
from app.services.preview import get_preview
from app.views.api.blueprint import (
    JsonBlueprint,
    current_user,
    dry_run_answer,
    found,
    idempotency_key,
    read_asset_id,
    read_client_order_id,
    read_order_id,
    replay_header,
)
from app.views.http import csv_answer, prices
from app.views.limits import moves_money, reads_statement
from app.views.paging import paged, read_page
from app.views.reads import balance_of, holding_of, order_in_path, reads

blueprint = JsonBlueprint("Orders", __name__, description="Orders and trades")


PLACING_REFUSALS = (
    errors.NotSupported,
    errors.AssetNotTradeable,
    errors.PriceUnavailable,
    errors.PriceMoved,
    errors.StopReached,
    errors.OrderTooSmall,
    errors.OrderTooLarge,
    errors.InsufficientFunds,
    errors.InsufficientHolding,
    errors.ClientOrderIdTaken,
    errors.UpgradeUnfinished,
)


def _ordered_holding(username: str) -> Place | None:
    """The holding of the asset that the body names, if it can be read: what is wrong with it is told afterwards."""
    try:
        asset_id = orjson.loads(request.get_data()).get("asset_id")
    except (ValueError, HTTPException, AttributeError):
        return None
    return holding_of(username, asset_id) if isinstance(asset_id, str) else None


@blueprint.post("/orders")
@blueprint.authenticated
@blueprint.for_scope(TRADE)
@blueprint.arguments(OrderInput)
@blueprint.refuses(*PLACING_REFUSALS, errors.IdempotencyKeyReused, errors.TooManyRequests)
@blueprint.response(201, OneOrderOutput)
@blueprint.alt_response(200, schema=PreviewOutput, success=True)
@moves_money
@reads(balance_of, _ordered_holding)
def place_order(data: dict[str, Any]) -> Any:
    """Buy or sell at the market's price at once, or place an order that waits for its limit or its stop.

    `price` is the limit, or the worst price that a market order accepts. A purchase may say what to `spend` instead of
    a `quantity`. A stop order waits until the price falls to `stop_price` to sell, or rises to it to buy. Then
    `stop_sell` sells at the price of that moment, which may be far below the stop. The others become limit orders, and
    stay so whatever the price does next. The price is looked at about every 2 seconds: what it reaches between two
    looks does not count.

    `client_order_id` is an id of your own, which one order has for good. Sent again with the same values, it answers
    with that order. With `dry_run`, `POST /api/v1/orders/preview` is the same.
    """
    key, is_dry_run = idempotency_key(), data.pop("dry_run")
    order = NewOrder(**data)
    if is_dry_run:
        return _preview_answer(order)
    applied = orders.place_order(current_user().username, order, prices(), idempotency_key=key, early=found())
    return {"data": applied.item}, 201, replay_header(applied)


@blueprint.post("/orders/preview")
@blueprint.authenticated
@blueprint.for_scope(TRADE)
@blueprint.arguments(OrderInput)
@blueprint.refuses(*PLACING_REFUSALS)
@blueprint.response(200, PreviewOutput)
def preview_order(data: dict[str, Any]) -> Any:
    """What placing an order would do now, without placing it. It refuses what placing would refuse."""
    del data["dry_run"]
    return _preview_answer(NewOrder(**data))


def _preview_answer(order: NewOrder) -> Response:
    return dry_run_answer(get_preview(current_user().username, order, prices()), PreviewOutput)


@blueprint.get("/orders")
@blueprint.authenticated
@blueprint.arguments(OrderListInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, OrderListOutput)
def list_orders(query: dict[str, Any]) -> Any:
    """Orders, newest first: all, or those of an asset, a type, a status and a period in which they were placed."""
    side, price_type = ORDER_TYPES.get(query["order_type"], (None, None))
    page = order_items.list_orders(
        current_user().username,
        read_page(query),
        asset_id=query["asset_id"],
        side=side,
        price_type=price_type,
        status=query["status"],
        period=period_of(query["first_day"], query["last_day"]),
    )
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/orders/<order_id>")
@blueprint.authenticated
@blueprint.refuses(errors.InvalidInput, errors.OrderNotFound)
@blueprint.response(200, OneOrderOutput)
@reads(order_in_path)
def get_order(order_id: str) -> Any:
    """One order."""
    return {"data": order_items.get_order(current_user().username, read_order_id(order_id), found())}


@blueprint.patch("/orders/<order_id>")
@blueprint.authenticated
@blueprint.for_scope(TRADE)
@blueprint.arguments(OrderChangeInput)
@blueprint.refuses(
    errors.NotSupported,
    errors.OrderNotFound,
    errors.OrderNotPending,
    errors.StopNotChangeable,
    errors.OrderTooSmall,
    errors.OrderTooLarge,
    errors.InsufficientFunds,
    errors.InsufficientHolding,
    errors.IdempotencyKeyReused,
    errors.TooManyRequests,
    errors.UpgradeUnfinished,
)
@blueprint.response(200, {"oneOf": [OneOrderOutput, DryRunOutput]})
@moves_money
@reads(order_in_path, balance_of)
def change_order(data: dict[str, Any], order_id: str) -> Any:
    """Change the price, the quantity or the end of an open order, which keeps its id and its reserve.

    Only the difference of the reserve is paid or given back. A price that the market reaches already is accepted: the
    order is executed within a few seconds, at the market's price. Values that the order has already change nothing.
    An order with a stop cannot be changed.
    """
    dry_run = data.pop("dry_run")
    applied = orders.change_order(
        current_user().username,
        read_order_id(order_id),
        NewTerms(**data),
        idempotency_key=idempotency_key(),
        early=found(),
        dry_run=dry_run,
    )
    if applied.is_dry_run:
        return dry_run_answer(read_dry_run(applied))
    return jsonify(OneOrderOutput().dump({"data": applied.item})), 200, replay_header(applied)


@blueprint.get("/orders/<order_id>/changes")
@blueprint.authenticated
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.InvalidInput, errors.OrderNotFound, errors.InvalidCursor)
@blueprint.response(200, OrderChangeListOutput)
@reads(order_in_path)
def list_changes(query: dict[str, Any], order_id: str) -> Any:
    """What changed of an order while it waited, newest first."""
    order = order_items.get_order(current_user().username, read_order_id(order_id), found())
    page = order_items.list_changes(order.order_id, read_page(query))
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/orders/by-client-id/<client_order_id>")
@blueprint.authenticated
@blueprint.refuses(errors.InvalidInput, errors.OrderNotFound)
@blueprint.response(200, OneOrderOutput)
def get_order_by_client_id(client_order_id: str) -> Any:
    """One order, by the id that you gave it. It is found as soon as its order was answered."""
    return {"data": orders.get_order_by_client_id(current_user().username, read_client_order_id(client_order_id))}


@blueprint.post("/orders/<order_id>/cancel")
@blueprint.authenticated
@blueprint.for_scope(TRADE)
@blueprint.arguments(CancelInput)
@blueprint.refuses(errors.NotSupported, errors.OrderNotFound, errors.OrderNotPending)
@blueprint.refuses(errors.IdempotencyKeyReused, errors.TooManyRequests)
@blueprint.response(200, {"oneOf": [OneOrderOutput, DryRunOutput]})
@moves_money
@reads(order_in_path)
def cancel_order(data: dict[str, Any], order_id: str) -> Any:
    """Cancel an open order and give back its reserve. The body may be left out."""
    applied = orders.cancel_order(
        current_user().username, read_order_id(order_id), **data, idempotency_key=idempotency_key(), early=found()
    )
    if applied.is_dry_run:
        return dry_run_answer(read_dry_run(applied))
    return jsonify(OneOrderOutput().dump({"data": applied.item})), 200, replay_header(applied)


@blueprint.post("/orders/cancel")
@blueprint.authenticated
@blueprint.for_scope(TRADE)
@blueprint.arguments(CancelOrdersInput)
@blueprint.refuses(errors.IdempotencyKeyReused, errors.TooManyRequests)
@blueprint.response(200, EndedOrdersOutput)
@moves_money
def cancel_orders(data: dict[str, Any]) -> Any:
    """Cancel up to 25 open orders, newest first: all, or those of one asset or side.

    Each is cancelled by itself. An order that ended meanwhile says so in `outcome`. While `has_more` is true, send the
    request again, with a new key. An order that was placed a moment ago may be left out.
    """
    ended = orders.cancel_orders(current_user().username, **data, idempotency_key=idempotency_key())
    return ended, 200, replay_header(ended)


@blueprint.get("/assets/transactions")
@blueprint.authenticated
@blueprint.arguments(TradePageInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, AssetTransactionListOutput)
def list_trades(query: dict[str, Any]) -> Any:
    """Purchases and sales of all assets, newest first; of a period, if given."""
    return _trades(query, None)


@blueprint.get("/assets/transactions.csv")
@blueprint.authenticated
@blueprint.arguments(TradeExportInput, location="query")
@blueprint.refuses(errors.TooManyRequests)
@blueprint.response(200, {"type": "string"}, content_type="text/csv")
@reads_statement
def download_trades(query: dict[str, Any]) -> Response:
    """The purchases and sales of a period as CSV, oldest first, of all assets or of one."""
    trades = statements.open_trades(current_user().username, **query)
    return csv_answer(statements.write_trades_csv(trades), "trades", query)


@blueprint.get("/assets/<asset_id>/transactions")
@blueprint.authenticated
@blueprint.arguments(TradePageInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, AssetTransactionListOutput)
def list_trades_of_asset(query: dict[str, Any], asset_id: str) -> Any:
    """Purchases and sales of one asset, newest first; of a period, if given."""
    return _trades(query, read_asset_id(asset_id))


def _trades(query: dict[str, Any], asset_id: str | None) -> dict[str, Any]:
    period = period_of(query["first_day"], query["last_day"])
    page = ledger.list_trades(current_user().username, read_page(query), asset_id=asset_id, period=period)
    return {"data": page.items, **paged(page, query)}
