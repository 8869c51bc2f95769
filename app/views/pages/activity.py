"""Activity: all balance transactions and all trades, newest first."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue

from app.domain.assets import CATALOGUE
from app.domain.ledger import TransactionType
from app.domain.periods import period_of
from app.models import ledger
from app.schemas.inputs import ActivityInput, TradeExportInput, TradeListInput
from app.services import statements
from app.views.http import csv_answer
from app.views.pages.forms import Form, read_filter
from app.views.pages.sessions import current_username, found, only_for_users
from app.views.paging import Listing, listing, read_page, read_query
from app.views.reads import reads, transaction_in_path

blueprint = Blueprint("activity", __name__, url_prefix="/activity")
only_for_users(blueprint)


@blueprint.get("")
def transactions() -> ResponseReturnValue:
    form, query = read_filter(ActivityInput())
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
def trades() -> str:
    query = read_query(TradeListInput())
    asset_id = query["asset_id"]
    page = ledger.list_trades(current_username(), read_page(query), asset_id=asset_id)
    return render_template("trades.html", listing=listing(page, query), asset_id=asset_id, assets=CATALOGUE.values())


@blueprint.get("/trades.csv")
def download_trades() -> Response:
    """Without a period or an asset: all trades. Raises InvalidInput."""
    query = Form(request.args.to_dict()).load(TradeExportInput(), {})
    trades = statements.open_trades(current_username(), **query)
    return csv_answer(statements.write_trades_csv(trades), "trades", query, for_spreadsheet=True)


@blueprint.get("/<transaction_id>")
@reads(transaction_in_path)
def transaction(transaction_id: str) -> str:
    found_one = ledger.get_transaction(current_username(), transaction_id, found())
    return render_template("transaction.html", transaction=found_one)
