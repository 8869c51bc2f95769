"""The market, open to everyone: the list of assets, and the page of each asset with its order form."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, render_template, request

from app.domain import clock, money
from app.domain.assets import Asset, get_asset
from app.domain.orders import ALLOWANCE_PERCENT, MAX_LIFETIME, Side, default_limit_price
from app.models import ledger
from app.models.paging import PageRequest
from app.prices import MAX_HISTORY_DAYS, MarketStats
from app.schemas.fields import ORDER_TYPES
from app.schemas.inputs import ChartInput, MarketInput
from app.schemas.order_inputs import TradeInput
from app.services import market, portfolio
from app.services.portfolio import ValuedHolding, ValuedPortfolio
from app.views.http import current_path, prices
from app.views.pages.charts import LineChart, line_chart
from app.views.pages.formatters import write_days, write_price
from app.views.pages.forms import Form
from app.views.pages.sessions import current_username, is_logged_in
from app.views.paging import read_query, sent_query

# Days of price history to choose from.
PERIODS = ((1, "1 day"), (7, "7 days"), (30, "30 days"), (MAX_HISTORY_DAYS, "1 year"))

# How many of the newest trades in an asset its chart marks.
MARKED = PageRequest(limit=100)

# The fields of the order form; the asset is in its address.
ORDER_FIELDS = tuple(name for name in TradeInput.names() if name != "asset_id")

# The columns that can be sorted: by what, and in which order at first.
HEADINGS = {"Asset": ("name", "name"), "Price>": ("price", "-price"), "24 hours>": ("change", "-change")}

blueprint = Blueprint("market", __name__)


@blueprint.get("/assets")
def assets() -> str:
    """All assets, or those that are searched for or held; the latter costs one call."""
    query = read_query(MarketInput())
    asked = {name: value for name, value in sent_query().items() if name in query}
    is_mine = query["mine"] and is_logged_in()
    held = portfolio.list_holdings(current_username(), prices()) if is_mine else []
    ids = {each.asset_id for each in held if each.owned_quantity} if is_mine else None
    found = market.find_assets(prices(), text=query["q"].strip(), sort=query["sort"], ids=ids)
    headings = {name: _heading(query["sort"], *each, asked) for name, each in HEADINGS.items()}
    return render_template("assets.html", found=found, query=query, asked=asked, is_mine=is_mine, headings=headings)


def _heading(sort: str, ascending: str, first: str, asked: dict[str, str]) -> dict[str, str]:
    """Where the heading of a column leads, and how the column is sorted now: empty if it is not."""
    order = {ascending: "ascending", f"-{ascending}": "descending"}.get(sort, "")
    other = {"ascending": f"-{ascending}", "descending": ascending}.get(order, first)
    return {"address": f"{current_path()}?{urlencode({**asked, 'sort': other})}", "order": order}


@blueprint.get("/assets/<asset_id>")
def asset(asset_id: str) -> str:
    """The address can fill in the order form: `side=sell`, `all=yes`, or its fields by name."""
    typed = {name: request.args[name] for name in ORDER_FIELDS if name in request.args}
    side = "market_sell" if request.args.get("side") == "sell" else "market_buy"
    wanted = request.args.get("order_type", "")
    return asset_page(Form({**typed, "order_type": wanted if wanted in ORDER_TYPES else side}), asset_id)


def asset_page(form: Form, asset_id: str) -> str:
    """The page of an asset, with the order form for users; also without a price. Raises AssetNotFound.

    One call for a user, and one more where the chart marks trades.
    """
    query = read_query(ChartInput())
    asset = get_asset(asset_id)
    stats = market.find_stats(asset_id, prices())
    portfolio = _portfolio()
    holding = _find_holding(portfolio, asset)
    today = clock.now().date()
    # The page has one field for both.
    form.errors = {{"spend": "quantity"}.get(name, name): messages for name, messages in form.errors.items()}
    return render_template(
        "asset.html",
        form=form,
        asset=asset,
        market=stats,
        portfolio=portfolio,
        holding=holding,
        amount=_amount(form, portfolio, holding),
        chart=_price_chart(asset, query["days"], with_trades=query["trades"] and is_logged_in()),
        days=query["days"],
        with_trades=query["trades"],
        periods=PERIODS,
        tradeable_price=stats.price if stats and not stats.is_stale else None,
        worst=_worst_prices(asset, stats),
        allowance=ALLOWANCE_PERCENT,
        bounds=money,
        first_day=today,
        last_day=today + MAX_LIFETIME,
    )


def _amount(form: Form, portfolio: ValuedPortfolio | None, holding: ValuedHolding | None) -> tuple[str, str]:
    """The text of the one field for a quantity and an amount to spend, and its unit: `asset` or `usd`."""
    if portfolio and request.args.get("all") == "yes":
        if form.value("order_type").endswith("_sell"):
            return (money.plain(holding.quantity) if holding else ""), "asset"
        return str(min(portfolio.cash_balance, money.MAX_AMOUNT)), "usd"
    spend = form.value("spend")
    return spend or form.value("quantity"), "usd" if spend or form.value("unit") == "usd" else "asset"


def _find_holding(portfolio: ValuedPortfolio | None, asset: Asset) -> ValuedHolding | None:
    held = portfolio.assets if portfolio else []
    return next((each for each in held if each.asset_id == asset.asset_id), None)


def _price_chart(asset: Asset, days: int, *, with_trades: bool) -> LineChart:
    points = [(point.time, point.price) for point in market.find_history(asset.asset_id, prices(), days=days)]
    title = f"Price of {asset.name}, {'24 hours' if days == 1 else write_days(days)}"
    trades = ledger.list_trades(current_username(), MARKED, asset_id=asset.asset_id).items if with_trades else []
    marked = {
        name: [(each.traded_at, each.price) for each in trades if each.transaction_type == side]
        for side, name in ((Side.BUY, "Bought"), (Side.SELL, "Sold"))
        if with_trades
    }
    return line_chart(
        "price-chart", title, points, write=lambda price: write_price(price, asset.asset_id), marked=marked
    )


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
