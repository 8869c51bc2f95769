"""Previews: what an order would cost or bring, before it is placed. Nothing is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.domain import clock, money
from app.domain.assets import get_tradeable_asset
from app.domain.errors import Refusal
from app.domain.holdings import AssetAccount
from app.domain.orders import NewOrder, Preview, check_end, default_limit_price, preview_order
from app.models import ledger
from app.prices import PriceSource, get_tradeable_price


def get_preview(
    username: str,
    prices: PriceSource,
    *,
    quantity: Decimal | None,
    limit_price: Decimal | None,
    spend: Decimal | None = None,
    **order: Any,
) -> Preview:
    """Preview an order for a quantity, or for as much as `spend` (USD) can buy, at the current price. One call.

    `order` has the other values of a `NewOrder`. Without `limit_price` a market order gets the current price with the
    allowance (`default_limit_price`). The cost never exceeds `spend`, not even at that worst price. Raises what placing
    the order would raise.
    """
    asset = get_tradeable_asset(order["asset_id"])
    check_end(order["expires_at"], clock.now())
    current_price = get_tradeable_price(prices, asset.asset_id)
    limit_price = limit_price or default_limit_price(order["side"], current_price, decimals=asset.price_decimals)
    quantity = money.quantity_for(spend, limit_price) if spend else quantity
    assert quantity is not None, "an order has a quantity, or an amount to spend"
    portfolio = ledger.get_portfolio(username)
    held = next(
        (each.asset_account for each in portfolio.holdings if each.asset_id == asset.asset_id),
        AssetAccount(asset.asset_id),
    )
    wanted = NewOrder(quantity=quantity, limit_price=limit_price, **order)
    return preview_order(wanted, current_price, portfolio.balance.cash_account, held)


def find_preview(username: str, prices: PriceSource, **order: Any) -> Preview | None:
    """As `get_preview`, but None where the order would be refused."""
    try:
        return get_preview(username, prices, **order)
    except Refusal:
        return None
