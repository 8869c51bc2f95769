"""Orders: placing, changing and cancelling them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from app import metrics
from app.domain import clock
from app.domain.assets import get_tradeable_asset
from app.domain.errors import Busy, OrderNotFound, OrderNotPending, StoreUnavailable
from app.domain.idempotency import identify
from app.domain.orders import Distance, NewOrder, NewTerms, OrderStatus, Side, TimeInForce, distance_to
from app.models import order_changes
from app.models.idempotency import Applied, find_client_order, plan_once
from app.models.ledger import Trade, find_trade
from app.models.orders import Order, get_order, list_orders
from app.models.paging import PageRequest
from app.models.reading import NOTHING, Found
from app.models.upgrade import require_alone
from app.prices import PriceSource, get_tradeable_price

LIMIT_ORDER_LIFETIME = timedelta(days=30)
MOST_CANCELLED = 25
_MORE = "more"


def place_order(
    username: str,
    order: NewOrder,
    prices: PriceSource,
    *,
    idempotency_key: str | None = None,
    early: Found = NOTHING,
    dry_run: bool = False,
) -> Applied[Order]:
    """Buy or sell at the market's price, or at a limit; an order that must wait reserves what it needs.

    Two calls, or one with an `early` balance and holding, and one for a `dry_run`, which writes nothing. An order that
    may wait and has no end gets its `usual_end`. Raises AssetNotTradeable, InvalidInput when `expires_at` has passed,
    PriceUnavailable, PriceMoved, StopReached, OrderTooSmall, OrderTooLarge, InsufficientFunds, InsufficientHolding,
    IdempotencyKeyReused, ClientOrderIdTaken, UpgradeUnfinished for a stop order, Busy.
    """
    asset = get_tradeable_asset(order.asset_id)
    if order.stop_price is not None:
        # Copies of an older version would take it for a limit order.
        require_alone()
    operation = f"{order.price_type} {order.side}"
    idempotency = identify(idempotency_key, operation, *order.identity)
    client = identify(order.client_order_id, operation, *order.identity)
    if not order.is_immediate and order.expires_at is None:
        order = replace(order, expires_at=usual_end(order.time_in_force))
    current_price = partial(get_tradeable_price, prices, asset.asset_id)
    placed = order_changes.place_order(
        username, order, current_price, idempotency=idempotency, client=client, early=early, dry_run=dry_run
    )
    if not placed.is_replay and not dry_run:
        metrics.count_orders("placed")
        if not placed.item.is_pending:
            metrics.count_orders("filled")
    return placed


def get_order_by_client_id(username: str, client_order_id: str) -> Order:
    """The order that a script gave this id. Two consistent calls. Raises OrderNotFound."""
    order_id = find_client_order(username, client_order_id)
    if order_id is None:
        raise OrderNotFound()
    return get_order(username, order_id)


def find_sale(order: Order) -> Trade | None:
    """The trade of an order that sold, with what its units had cost and gained; None of others. Up to one call."""
    if order.side is Side.BUY or order.executed_at is None:
        return None
    return find_trade(order.username, order.asset_id, order.executed_at)


def find_distances(orders: Iterable[Order], prices: PriceSource) -> dict[str, Distance]:
    """How far the price is from what each open order waits for, by `order_id`; without those without a fresh price."""
    pending = [order for order in orders if order.is_pending]
    quotes = prices.quotes() if pending else {}
    return {
        order.order_id: distance_to(order.direction, order.book_price, quote.price)
        for order in pending
        if (quote := quotes.get(order.asset_id)) and not quote.is_stale
    }


@dataclass(frozen=True, slots=True)
class EndedOrder:
    """How an order ended that was to be cancelled: CANCELLED, or COMPLETED or EXPIRED where that came first."""

    order_id: str
    outcome: OrderStatus


@dataclass(frozen=True, slots=True)
class EndedOrders:
    """How each order ended, whether others are open, and whether the request was repeated."""

    data: list[EndedOrder]
    has_more: bool
    is_replay: bool


def cancel_orders(
    username: str, *, asset_id: str | None = None, side: Side | None = None, idempotency_key: str | None = None
) -> EndedOrders:
    """Cancel up to MOST_CANCELLED open orders of a user, newest first, one after the other.

    A repetition with the same key ends the same orders, and answers the same. One call, with a key two more, and then
    as `cancel_order` for each. Each is a change by itself: what refuses one leaves those before it cancelled.
    Raises IdempotencyKeyReused, Busy when nothing was cancelled, and StoreUnavailable when only some were.
    """

    def choose() -> list[str]:
        page = list_orders(
            username, PageRequest(limit=MOST_CANCELLED), asset_id=asset_id, side=side, status=OrderStatus.PENDING
        )
        return [order.order_id for order in page.items] + ([_MORE] if page.next_start_key else [])

    words, is_replay = plan_once(username, identify(idempotency_key, "cancel orders", asset_id, side), choose)
    ended: list[EndedOrder] = []
    for order_id in (word for word in words if word != _MORE):
        try:
            ended.append(_end_order(username, order_id))
        except Busy as error:
            # It says that nothing was changed, which is no longer true.
            raise (StoreUnavailable() if ended else error) from error
    return EndedOrders(ended, _MORE in words, is_replay)


def _end_order(username: str, order_id: str) -> EndedOrder:
    try:
        order_changes.cancel_order(username, order_id)
    except OrderNotPending as refusal:
        return EndedOrder(order_id, OrderStatus(str(refusal.details["order_status"]).upper()))
    metrics.count_orders("cancelled")
    return EndedOrder(order_id, OrderStatus.CANCELLED)


def change_order(
    username: str,
    order_id: str,
    wanted: NewTerms,
    *,
    idempotency_key: str | None = None,
    early: Found = NOTHING,
    dry_run: bool = False,
) -> Applied[Order]:
    """Give an open order another quantity, limit or end, and pay or give back the difference of its reserve.

    A limit that the market reaches already is for the next round of the worker. The calls of
    `order_changes.change_order`, and one more until it is known that no older version runs.
    Raises what that raises, and UpgradeUnfinished.
    """
    require_alone()
    return order_changes.change_order(
        username,
        order_id,
        wanted,
        idempotency=identify(idempotency_key, "change", order_id, *wanted.identity),
        early=early,
        dry_run=dry_run,
    )


def usual_end(time_in_force: TimeInForce | None) -> datetime:
    """When an order that waits ends, if it is placed now and nothing is said of its end."""
    now = clock.now()
    return clock.end_of(now.date()) if time_in_force is TimeInForce.DAY else now + LIMIT_ORDER_LIFETIME


def cancel_order(
    username: str, order_id: str, *, idempotency_key: str | None = None, early: Found = NOTHING, dry_run: bool = False
) -> Applied[Order]:
    """End an open order and give back what it reserves. Three calls, or two with an `early` order.

    Two for a `dry_run`, which writes nothing.

    Raises OrderNotFound, OrderNotPending, IdempotencyKeyReused, Busy.
    """
    cancelled = order_changes.cancel_order(
        username, order_id, idempotency=identify(idempotency_key, "cancel", order_id), early=early, dry_run=dry_run
    )
    if not cancelled.is_replay and not dry_run:
        metrics.count_orders("cancelled")
    return cancelled
