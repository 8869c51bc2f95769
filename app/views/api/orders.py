"""`/api/v1/orders` and `/assets`: orders, and the trades that they made."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from werkzeug.exceptions import HTTPException

from app.domain import errors
from app.domain.orders import NewOrder
from app.domain.users import TRADE
from app.models import ledger
from app.models import orders as order_items
from app.models.reading import Place
from app.schemas.fields import ORDER_TYPES
from app.schemas.inputs import OrderInput, OrderListInput, PageInput, TradeExportInput
from app.schemas.outputs import AssetTransactionListOutput, OneOrderOutput, OrderListOutput
from app.services import orders, statements
from app.views.api.blueprint import (
    JsonBlueprint,
    current_user,
    found,
    idempotency_key,
    read_asset_id,
    read_json,
    read_order_id,
    replay_header,
)
from app.views.http import csv_answer, prices
from app.views.paging import paged, read_page
from app.views.reads import balance_of, holding_of, order_in_path, reads

blueprint = JsonBlueprint("Orders", __name__, description="Orders and trades")


def _ordered_holding(username: str) -> Place | None:
    """The holding of the asset that the body names, if it can be read: what is wrong with it is told afterwards."""
    try:
        asset_id = read_json(request.get_data()).get("asset_id")
    except (HTTPException, AttributeError):
        return None
    return holding_of(username, asset_id) if isinstance(asset_id, str) else None


@blueprint.post("/orders")
@blueprint.authenticated
@blueprint.for_scope(TRADE)
@blueprint.arguments(OrderInput)
@blueprint.refuses(
    errors.NotSupported,
    errors.AssetNotTradeable,
    errors.PriceUnavailable,
    errors.PriceMoved,
    errors.OrderTooSmall,
    errors.OrderTooLarge,
    errors.InsufficientFunds,
    errors.InsufficientHolding,
    errors.IdempotencyKeyReused,
)
@blueprint.response(201, OneOrderOutput)
@reads(balance_of, _ordered_holding)
def place_order(data: dict[str, Any]) -> Any:
    """Buy or sell at the market's price at once, or place an order that waits for its limit.

    `price` is the limit, or the worst price that a market order accepts.
    """
    applied = orders.place_order(
        current_user().username, NewOrder(**data), prices(), idempotency_key=idempotency_key(), early=found()
    )
    return {"data": applied.item}, 201, replay_header(applied)


@blueprint.get("/orders")
@blueprint.authenticated
@blueprint.arguments(OrderListInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, OrderListOutput)
def list_orders(query: dict[str, Any]) -> Any:
    """Orders, newest first."""
    side, price_type = ORDER_TYPES.get(query["order_type"], (None, None))
    page = order_items.list_orders(
        current_user().username,
        read_page(query),
        asset_id=query["asset_id"],
        side=side,
        price_type=price_type,
        status=query["status"],
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


@blueprint.post("/orders/<order_id>/cancel")
@blueprint.authenticated
@blueprint.for_scope(TRADE)
@blueprint.refuses(errors.OrderNotFound, errors.OrderNotPending, errors.IdempotencyKeyReused)
@blueprint.response(200, OneOrderOutput)
@reads(order_in_path)
def cancel_order(order_id: str) -> Any:
    """Cancel an open order and give back its reserve."""
    applied = orders.cancel_order(
        current_user().username, read_order_id(order_id), idempotency_key=idempotency_key(), early=found()
    )
    return {"data": applied.item}, 200, replay_header(applied)


@blueprint.get("/assets/transactions")
@blueprint.authenticated
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, AssetTransactionListOutput)
def list_trades(query: dict[str, Any]) -> Any:
    """Purchases and sales of all assets, newest first."""
    return _trades(query, None)


@blueprint.get("/assets/transactions.csv")
@blueprint.authenticated
@blueprint.arguments(TradeExportInput, location="query")
@blueprint.response(200, {"type": "string"}, content_type="text/csv")
def download_trades(query: dict[str, Any]) -> Response:
    """The purchases and sales of a period as CSV, oldest first, of all assets or of one."""
    trades = statements.open_trades(current_user().username, **query)
    return csv_answer(statements.write_trades_csv(trades), "trades", query)


@blueprint.get("/assets/<asset_id>/transactions")
@blueprint.authenticated
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, AssetTransactionListOutput)
def list_trades_of_asset(query: dict[str, Any], asset_id: str) -> Any:
    """Purchases and sales of one asset, newest first."""
    return _trades(query, read_asset_id(asset_id))


def _trades(query: dict[str, Any], asset_id: str | None) -> dict[str, Any]:
    page = ledger.list_trades(current_user().username, read_page(query), asset_id=asset_id)
    return {"data": page.items, **paged(page, query)}
