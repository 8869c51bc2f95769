"""Activity: every balance transaction, and every trade, newest first."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, make_response, render_template
from flask.typing import ResponseReturnValue

from app.domain.assets import CATALOGUE
from app.domain.ledger import TransactionType
from app.domain.periods import period_of
from app.models import ledger
from app.schemas.inputs import ActivityInput, TradeListInput
from app.views.pages.lists import Listing, listing, read_query, wanted_page
from app.views.pages.sessions import current_username, only_for_users
from app.views.pages.statement import read_filter

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
    username, wanted = current_username(), query["transaction_type"]
    first_day, last_day = query["first_day"], query["last_day"]
    binding = ("transactions", username, wanted, str(first_day), str(last_day))
    page, period = wanted_page(query, *binding), period_of(first_day, last_day)
    return listing(ledger.list_transactions(username, page, transaction_type=wanted, period=period), *binding)


@blueprint.get("/trades")
def trades() -> str:
    query = read_query(TradeListInput())
    username, asset_id = current_username(), query["asset_id"]
    binding = ("trades", username, asset_id)
    page = ledger.list_trades(username, wanted_page(query, *binding), asset_id=asset_id)
    return render_template("trades.html", listing=listing(page, *binding), asset_id=asset_id, assets=CATALOGUE.values())


@blueprint.get("/<transaction_id>")
def transaction(transaction_id: str) -> str:
    return render_template("transaction.html", transaction=ledger.get_transaction(current_username(), transaction_id))
