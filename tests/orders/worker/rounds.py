"""What the tests of the worker ask about a round and the orders in it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from app.domain import clock
from app.domain.orders import Direction, OrderStatus, PriceType
from app.models.orders import Order, get_order, new_order_id, open_books
from app.services.worker import Worker
from tests.support.applications import tables_named
from tests.support.books import Books, check_books

TABLES = tables_named("worker")


def books_of(store: Any, username: str) -> Books:
    return check_books(store, username, **TABLES)


def status_of(order: Order) -> str:
    return str(get_order(order.username, order.order_id).status)


def done_of(worker: Worker) -> tuple[int, int, int, int]:
    """Orders filled, expired, lost to others and failed in one round."""
    done = worker.run_round()
    return done.filled, done.expired, done.lost, done.failed


def write_order(username: str, **more: Any) -> Order:
    """An open order to buy that nobody placed: nothing is reserved for it."""
    now = clock.now()
    order_id = new_order_id(now)
    end = now + timedelta(days=1)
    fields = {
        "order_id": order_id,
        "username": username,
        "asset_id": "BTC",
        "order_type": "BUY",
        "price_type": PriceType.LIMIT.value,
        "quantity": Decimal(1),
        "order_price": Decimal(500),
        "total_amount": Decimal(500),
        "book_price": Decimal(500),
        "reserved_amount": Decimal(500),
        "status": OrderStatus.PENDING.value,
        "open_owner": username,
        "open_book": open_books("BTC", Direction.DOWN)[0],
        "expires_at": end,
        "expiry_day": end.date().isoformat(),
        "created_at": now,
        "updated_at": now,
        **more,
    }
    order = Order(*Order.key(order_id), **fields)
    order.save()
    return order
