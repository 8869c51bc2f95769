"""Previews: what an order would do, before it is placed or changed. They are dry runs, which write nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from app.domain import holdings, money
from app.domain.errors import FieldError, InvalidInput, Refusal
from app.domain.gains import Gain
from app.domain.orders import NewOrder, NewTerms, Side, Terms, accepts, change_of_reserve
from app.models.dry_runs import DryRun, read_dry_run
from app.models.idempotency import Applied
from app.models.orders import Order
from app.prices import PriceSource
from app.services import orders


@dataclass(frozen=True, kw_only=True)
class Preview(DryRun):
    """What an order would do at this price of the market.

    `total` is the cost or the proceeds; for an order that would wait, at its limit, or at its stop where it has none.
    `worst_total` is the same at `worst_price`: the worst price that the order accepts or, where it accepts any, the
    price with the allowance. A stop order without a limit has neither. Where a sale waits, `gained` is what it gains at
    the price of `total`, with the cost of now.
    The price and what follows from it are None for an order that is there already, by its client order id.
    """

    waits: bool
    quantity: Decimal
    total: Decimal
    worst_price: Decimal | None
    worst_total: Decimal | None

    @property
    def outcome(self) -> str:
        return "waits" if self.waits else "executes"


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """What a change would make of an open order, and of what its owner can spend (a buyer) or sell now.

    `difference` is how much more is reserved, signed. What can be sold is None where the change does not look at it.
    `is_reached` says whether the market's price, if there is one, already reaches the new limit.
    """

    order: Order
    after: Terms
    difference: Decimal
    available_before: Decimal | None
    available_after: Decimal | None
    price: Decimal | None
    is_reached: bool


def preview_change(username: str, order_id: str, wanted: NewTerms, prices: PriceSource) -> ChangePreview:
    """Preview a change of an open order, by a dry run of it.

    Raises what changing it would raise; and InvalidInput where the order has these values already.
    """
    tried = orders.change_order(username, order_id, wanted, dry_run=True)
    assert tried.uncommitted is not None, "a dry run commits nothing"
    run, order, after = read_dry_run(tried), tried.uncommitted.basis["order"], tried.item.terms
    if after == order.terms:
        raise InvalidInput(FieldError("", "The order has these values already. Change at least one of them."))
    is_buy = order.side is Side.BUY
    quote = prices.quotes().get(order.asset_id)
    price = quote.price if quote and not quote.is_stale else None
    return ChangePreview(
        order,
        after,
        change_of_reserve(order.terms, after),
        run.cash_before if is_buy else run.holding_before,
        run.cash_after if is_buy else run.holding_after,
        price,
        is_reached=price is not None and accepts(order.side, after.limit_price, price),
    )


def get_preview(username: str, order: NewOrder, prices: PriceSource) -> Preview:
    """Preview an order at the current price. One call. Raises what placing it would raise."""
    return preview_of(order, orders.place_order(username, order, prices, dry_run=True))


def find_preview(username: str, order: NewOrder, prices: PriceSource) -> Preview | None:
    """As `get_preview`, but None where the order would be refused."""
    try:
        return get_preview(username, order, prices)
    except Refusal:
        return None


def preview_of(wanted: NewOrder, tried: Applied[Order]) -> Preview:
    """What the dry run of placing an order tells of it."""
    run, order = read_dry_run(tried), tried.item
    worst_price = wanted.worst_price_at(run.price) if run.price is not None else None
    worst_total = worst_price and money.order_total(order.quantity, worst_price, buying=order.side is Side.BUY)
    gained = run.gained or (_gained_at_limit(run.asset_before, order) if order.is_pending else None)
    return Preview(
        **{**vars(run), "gained": gained},
        waits=order.is_pending,
        quantity=order.quantity,
        total=order.total_amount,
        worst_price=worst_price,
        worst_total=worst_total,
    )


def _gained_at_limit(asset: holdings.AssetAccount | None, order: Order) -> Gain | None:
    """What an order to sell that waits gains at its limit."""
    if asset is None or order.side is Side.BUY:
        return None
    return holdings.sell(asset, order.quantity, order.total_amount).gained
