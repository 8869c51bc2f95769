"""Orders: placing and cancelling them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from app import metrics
from app.domain import clock
from app.domain.assets import get_tradeable_asset
from app.domain.idempotency import identify
from app.domain.orders import NewOrder, PriceType
from app.models import order_changes
from app.models.idempotency import Applied
from app.models.orders import Order
from app.models.reading import NOTHING, Found
from app.prices import PriceSource, get_tradeable_price

LIMIT_ORDER_LIFETIME = timedelta(days=30)


def place_order(
    username: str, order: NewOrder, prices: PriceSource, *, idempotency_key: str | None = None, early: Found = NOTHING
) -> Applied[Order]:
    """Buy or sell at the market's price, or at a limit; an order that must wait reserves what it needs.

    Two calls, or one with an `early` balance and holding. A limit order without an end ends LIMIT_ORDER_LIFETIME from
    now.
    Raises AssetNotTradeable, InvalidInput when `expires_at` has passed, PriceUnavailable, PriceMoved, OrderTooSmall,
    OrderTooLarge, InsufficientFunds, InsufficientHolding, IdempotencyKeyReused, Busy.
    """
    asset = get_tradeable_asset(order.asset_id)
    idempotency = identify(idempotency_key, f"{order.price_type} {order.side}", *order.identity)
    if order.price_type is PriceType.LIMIT and order.expires_at is None:
        order = replace(order, expires_at=clock.now() + LIMIT_ORDER_LIFETIME)
    current_price = partial(get_tradeable_price, prices, asset.asset_id)
    placed = order_changes.place_order(username, order, current_price, idempotency=idempotency, early=early)
    if not placed.is_replay:
        metrics.count_orders("placed")
        if not placed.item.is_pending:
            metrics.count_orders("filled")
    return placed


def cancel_order(
    username: str, order_id: str, *, idempotency_key: str | None = None, early: Found = NOTHING
) -> Applied[Order]:
    """End an open order and give back what it reserves. Three calls, or two with an `early` order.

    Raises OrderNotFound, OrderNotPending, IdempotencyKeyReused, Busy.
    """
    cancelled = order_changes.cancel_order(
        username, order_id, idempotency=identify(idempotency_key, "cancel", order_id), early=early
    )
    if not cancelled.is_replay:
        metrics.count_orders("cancelled")
    return cancelled
