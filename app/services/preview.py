"""Previews: what an order would cost or bring, before it is placed. Nothing is changed here."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from app.domain import clock, money
from app.domain.assets import Asset, get_tradeable_asset
from app.domain.errors import PriceUnavailable, Refusal
from app.domain.orders import NewOrder, Preview, PriceType, Side, check_end, default_limit_price, preview_order
from app.models import ledger
from app.prices import PriceSource, Quote


def get_preview(
    username: str,
    side: Side,
    price_type: PriceType,
    asset_id: str,
    prices: PriceSource,
    *,
    quantity: Decimal | None = None,
    spend: Decimal | None = None,
    price: Decimal | None = None,
    expires_at: datetime | None = None,
) -> Preview:
    """An order for a quantity, or for as much as can be bought for `spend`, at the price of the moment. One call.

    Without `price` a market order gets the price of the moment with the allowance (`default_limit_price`). What is
    spent is never above `spend`, not even at the worst price. Raises what placing the order would raise.
    """
    asset = get_tradeable_asset(asset_id)
    check_end(expires_at, clock.now())
    quote = _get_fresh_quote(asset, prices)
    limit = price or default_limit_price(side, quote.price, decimals=asset.price_decimals)
    quantity = money.quantity_for(spend, limit) if spend else quantity
    assert quantity is not None, "an order has a quantity, or an amount to spend"
    portfolio = ledger.get_portfolio(username)
    held = next((each.quantity for each in portfolio.holdings if each.asset_id == asset.asset_id), Decimal(0))
    order = NewOrder(side, price_type, asset.asset_id, quantity, limit, expires_at)
    return preview_order(order, quote.price, portfolio.balance.account, held)


def find_preview(username: str, prices: PriceSource, **order: Any) -> Preview | None:
    """As get_preview, but None where the order would be refused."""
    try:
        return get_preview(username, prices=prices, **order)
    except Refusal:
        return None


def _get_fresh_quote(asset: Asset, prices: PriceSource) -> Quote:
    quote = prices.quote(asset.asset_id)
    if quote.is_stale:
        raise PriceUnavailable()
    return quote
