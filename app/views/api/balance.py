"""`/api/v1/balance` and `/portfolio`: cash and holdings."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.domain import clock, errors
from app.domain.users import TRANSFER
from app.models import ledger
from app.models.idempotency import Applied
from app.models.ledger import BalanceTransaction
from app.schemas.inputs import CashInput, DaysInput, StatementInput, TransactionListInput, WindowInput
from app.schemas.outputs import (
    BalanceOutput,
    CashMovementOutput,
    HoldingListOutput,
    HoldingOutput,
    PortfolioHistoryOutput,
    PortfolioOutput,
    TransactionListOutput,
    TransactionOutput,
)
from app.services import cash, history, portfolio, statements
from app.views.api.blueprint import JsonBlueprint, current_user, found, idempotency_key, replay_header
from app.views.http import csv_answer, prices
from app.views.paging import paged, part_of, read_page
from app.views.reads import balance_of, holding_in_path, reads, transaction_in_path

blueprint = JsonBlueprint("Balance", __name__, description="Cash, holdings and their value")


@blueprint.get("/balance")
@blueprint.authenticated
@blueprint.response(200, BalanceOutput)
@reads(balance_of)
def get_balance() -> Any:
    """The cash balance."""
    return ledger.get_balance(current_user().username, found())


@blueprint.post("/balance/deposit")
@blueprint.authenticated
@blueprint.for_scope(TRANSFER)
@blueprint.arguments(CashInput)
@blueprint.refuses(errors.IdempotencyKeyReused)
@blueprint.response(201, CashMovementOutput)
@reads(balance_of)
def deposit(data: dict[str, Any]) -> Any:
    """Deposit cash."""
    applied = cash.deposit(current_user().username, **data, idempotency_key=idempotency_key(), early=found())
    return _transaction_answer("Deposit successful", applied)


@blueprint.post("/balance/withdraw")
@blueprint.authenticated
@blueprint.for_scope(TRANSFER)
@blueprint.arguments(CashInput)
@blueprint.refuses(errors.InsufficientFunds, errors.IdempotencyKeyReused)
@blueprint.response(201, CashMovementOutput)
@reads(balance_of)
def withdraw(data: dict[str, Any]) -> Any:
    """Withdraw cash, at most the balance."""
    applied = cash.withdraw(current_user().username, **data, idempotency_key=idempotency_key(), early=found())
    return _transaction_answer("Withdrawal successful", applied)


def _transaction_answer(message: str, applied: Applied[BalanceTransaction]) -> Any:
    transaction = applied.item
    answer = {
        "success": True,
        "message": message,
        "transaction_id": transaction.transaction_id,
        "timestamp": transaction.created_at,
        "transaction": transaction,
    }
    return answer, 201, replay_header(applied)


@blueprint.get("/balance/transactions")
@blueprint.authenticated
@blueprint.arguments(TransactionListInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, TransactionListOutput)
def list_transactions(query: dict[str, Any]) -> Any:
    """All transactions of the balance, newest first."""
    page = ledger.list_transactions(
        current_user().username, read_page(query), transaction_type=query["transaction_type"]
    )
    return {"transactions": page.items, "total_count": len(page.items), **paged(page, query)}


@blueprint.get("/balance/transactions.csv")
@blueprint.authenticated
@blueprint.arguments(StatementInput, location="query")
@blueprint.response(200, {"type": "string"}, content_type="text/csv")
def download_statement(query: dict[str, Any]) -> Response:
    """The transactions of a period as CSV, oldest first, with the opening and closing balance."""
    statement = statements.open_statement(current_user().username, **query)
    return csv_answer(statements.write_csv(statement), "transactions", query)


@blueprint.get("/balance/transactions/<transaction_id>")
@blueprint.authenticated
@blueprint.refuses(errors.TransactionNotFound)
@blueprint.response(200, TransactionOutput)
@reads(transaction_in_path)
def get_transaction(transaction_id: str) -> Any:
    """One transaction of the balance."""
    return ledger.get_transaction(current_user().username, transaction_id, found())


@blueprint.get("/balance/assets")
@blueprint.authenticated
@blueprint.arguments(WindowInput, location="query")
@blueprint.response(200, HoldingListOutput)
def list_holdings(query: dict[str, Any]) -> Any:
    """Every asset ever held, at current prices."""
    return {"data": part_of(portfolio.list_holdings(current_user().username, prices()), query)}


@blueprint.get("/balance/asset/<asset_id>")
@blueprint.authenticated
@blueprint.refuses(errors.AssetNotFound, errors.HoldingNotFound)
@blueprint.response(200, HoldingOutput)
@reads(holding_in_path)
def get_holding(asset_id: str) -> Any:
    """One holding at the current price."""
    return portfolio.get_holding(current_user().username, asset_id, prices(), found())


@blueprint.get("/portfolio")
@blueprint.authenticated
@blueprint.response(200, PortfolioOutput)
def get_portfolio() -> Any:
    """Cash and holdings at current prices, and their total."""
    return portfolio.get_portfolio(current_user().username, prices(), now=clock.now())


@blueprint.get("/portfolio/history")
@blueprint.authenticated
@blueprint.arguments(DaysInput, location="query")
@blueprint.response(200, PortfolioHistoryOutput)
def get_portfolio_history(query: dict[str, Any]) -> Any:
    """The total value at the end of each of the last days, and now."""
    return history.get_portfolio_history(current_user().username, prices(), days=query["days"])
