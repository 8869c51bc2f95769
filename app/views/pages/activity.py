"""Activity: all balance transactions and all trades, newest first, and what the sales of a year gained."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue

from app.domain import clock
from app.domain.assets import CATALOGUE
from app.domain.gains import CostMethod
from app.domain.ledger import TransactionType
from app.domain.periods import period_of
from app.models import ledger
from app.schemas.inputs import GainsInput, TradeExportInput, TradeListInput, TransactionListInput
from app.services import statements
from app.services.gains import MOST_LINES, file_name, open_gains, read_gains, write_gains_csv
from app.views.http import csv_answer
from app.views.limits import reads_statement
from app.views.pages.forms import PERIOD, Form, read_filter
from app.views.pages.sessions import current_username, found, logged_in_user, only_for_users
from app.views.paging import Listing, listing, read_page
from app.views.reads import reads, transaction_in_path

METHODS = {CostMethod.AVERAGE: "Average cost", CostMethod.FIFO: "Oldest first"}

blueprint = Blueprint("activity", __name__, url_prefix="/activity")
only_for_users(blueprint)


@blueprint.get("")
def transactions() -> ResponseReturnValue:
    form, query = read_filter(TransactionListInput())
    filters = {name: form.value(name) for name in ("transaction_type", "from", "to") if form.value(name)}
    page = render_template(
        "activity.html",
        form=form,
        types=TransactionType,
        listing=_list(query) if query else None,
        filters=filters,
        period={name: text for name, text in filters.items() if name != "transaction_type"},
    )
    return make_response(page, form.status)


def _list(query: dict[str, Any]) -> Listing:
    page = ledger.list_transactions(
        current_username(),
        read_page(query),
        transaction_type=query["transaction_type"],
        period=period_of(query["first_day"], query["last_day"]),
    )
    return listing(page, query)


@blueprint.get("/trades")
def trades() -> ResponseReturnValue:
    form, query = read_filter(TradeListInput(), written=PERIOD)
    page = render_template(
        "trades.html",
        form=form,
        listing=_list_trades(query) if query else None,
        filters={name: form.value(name) for name in ("asset_id", "from", "to") if form.value(name)},
        asset_id=query["asset_id"] if query else None,
        assets=CATALOGUE.values(),
    )
    return make_response(page, form.status)


def _list_trades(query: dict[str, Any]) -> Listing:
    period = period_of(query["first_day"], query["last_day"])
    page = ledger.list_trades(current_username(), read_page(query), asset_id=query["asset_id"], period=period)
    return listing(page, query)


@blueprint.get("/trades.csv")
@reads_statement
def download_trades() -> Response:
    """Without a period or an asset: all trades. Raises InvalidInput."""
    query = Form(request.args.to_dict()).load(TradeExportInput(), {})
    trades = statements.open_trades(current_username(), **query)
    return csv_answer(statements.write_trades_csv(trades), "trades", query, for_spreadsheet=True)


@blueprint.get("/gains")
@reads_statement
def gains() -> ResponseReturnValue:
    form, query = read_filter(GainsInput())
    shown = _gains_of(query) if query else {}
    years = {*range(logged_in_user().created_at.year, clock.now().year + 1), *([query["year"]] if query else [])}
    years_down = sorted(years, reverse=True)
    page = render_template("gains.html", form=form, years=years_down, methods=METHODS, rows=MOST_LINES, **shown)
    return make_response(page, form.status)


def _gains_of(query: dict[str, Any]) -> dict[str, Any]:
    year, method = query["year"], query["method"]
    return {
        "report": read_gains(current_username(), year, method),
        "names": {asset.asset_id: asset.name for asset in CATALOGUE.values()},
        "chosen": {"year": year, "method": method.lower()},
        "period": {"from": f"{year}-01-01", "to": f"{year}-12-31"},
    }


@blueprint.get("/gains.csv")
@reads_statement
def download_gains() -> Response:
    """Without a year: the gains of this one, by average cost. Raises InvalidInput."""
    query = Form(request.args.to_dict()).load(GainsInput(), {})
    lines = open_gains(current_username(), **query)
    return csv_answer(write_gains_csv(lines), file_name(**query), {}, for_spreadsheet=True)


@blueprint.get("/<transaction_id>")
@reads(transaction_in_path)
def transaction(transaction_id: str) -> str:
    found_one = ledger.get_transaction(current_username(), transaction_id, found())
    return render_template("transaction.html", transaction=found_one)
