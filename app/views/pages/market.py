"""The market, open to everyone: the list of assets, and the page of each asset with its order form."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from app.domain import clock, money
from app.domain.assets import Asset, get_asset
from app.domain.orders import ALLOWANCE_PERCENT, MAX_LIFETIME, Side, default_limit_price
from app.prices import MAX_HISTORY_DAYS, MarketStats
from app.schemas.fields import ORDER_TYPES
from app.schemas.inputs import DaysInput, TradeInput
from app.services import market, portfolio
from app.services.portfolio import ValuedHolding, ValuedPortfolio
from app.views.http import prices
from app.views.pages.charts import LineChart, line_chart
from app.views.pages.formatters import write_days, write_price
from app.views.pages.forms import Form
from app.views.pages.sessions import current_username, is_logged_in
from app.views.paging import read_query

# Days of price history to choose from.
PERIODS = ((1, "1 day"), (7, "7 days"), (30, "30 days"), (MAX_HISTORY_DAYS, "1 year"))

# The fields of the order form; the asset is in its address.
ORDER_FIELDS = tuple(name for name in TradeInput.names() if name != "asset_id")

blueprint = Blueprint("market", __name__)


@blueprint.get("/assets")
def assets() -> str:
    return render_template("assets.html", assets=market.list_assets(prices()))


@blueprint.get("/assets/<asset_id>")
def asset(asset_id: str) -> str:
    """The address can fill in the order form: `side=sell`, `all=yes`, or its fields by name."""
    typed = {name: request.args[name] for name in ORDER_FIELDS if name in request.args}
    side = "market_sell" if request.args.get("side") == "sell" else "market_buy"
    wanted = request.args.get("order_type", "")
    return asset_page(Form({**typed, "order_type": wanted if wanted in ORDER_TYPES else side}), asset_id)


def asset_page(form: Form, asset_id: str) -> str:
    """The page of an asset, with the order form for users; also without a price. Raises AssetNotFound."""
    days = read_query(DaysInput())["days"]
    asset = get_asset(asset_id)
    stats = market.find_stats(asset_id, prices())
    portfolio = _portfolio()
    holding = _find_holding(portfolio, asset)
    today = clock.now().date()
    quantity = form.value("quantity")
    if holding and request.args.get("all") == "yes":
        quantity = money.plain(holding.quantity)
    return render_template(
        "asset.html",
        form=form,
        asset=asset,
        market=stats,
        portfolio=portfolio,
        holding=holding,
        quantity_typed=quantity,
        chart=_price_chart(asset, days),
        days=days,
        periods=PERIODS,
        tradeable_price=stats.price if stats and not stats.is_stale else None,
        worst=_worst_prices(asset, stats),
        allowance=ALLOWANCE_PERCENT,
        bounds=money,
        first_day=today,
        last_day=today + MAX_LIFETIME,
    )


def _find_holding(portfolio: ValuedPortfolio | None, asset: Asset) -> ValuedHolding | None:
    held = portfolio.assets if portfolio else []
    return next((each for each in held if each.asset_id == asset.asset_id), None)


def _price_chart(asset: Asset, days: int) -> LineChart:
    points = [(point.time, point.price) for point in market.find_history(asset.asset_id, prices(), days=days)]
    title = f"Price of {asset.name}, {'24 hours' if days == 1 else write_days(days)}"
    return line_chart("price-chart", title, points, write=lambda price: write_price(price, asset.asset_id))


def _worst_prices(asset: Asset, stats: MarketStats | None) -> dict[str, str]:
    """What the script suggests as the worst price of a market order, by its side; empty without a price."""
    if stats is None:
        return {}
    decimals = asset.price_decimals
    return {side: money.plain(default_limit_price(side, stats.price, decimals=decimals)) for side in Side}


def _portfolio() -> ValuedPortfolio | None:
    if not is_logged_in():
        return None
    return portfolio.get_portfolio(current_username(), prices(), now=clock.now())
