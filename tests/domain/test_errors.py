"""What a refusal tells: a sentence to the person, and named values to a program."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain import errors

TELLING = {
    "insufficient_funds": (
        lambda: errors.InsufficientFunds(available=Decimal("5.00"), required=Decimal("7.50")),
        "The balance is 5.00, and this needs 7.50. Deposit more, or choose a smaller amount.",
        {"available": "5.00", "required": "7.50"},
    ),
    "insufficient_holding": (
        lambda: errors.InsufficientHolding(asset_id="BTC", available="1", required="1.5"),
        "You have 1 BTC to sell, and this needs 1.5. Choose a smaller quantity.",
        {"asset_id": "BTC", "available": "1", "required": "1.5"},
    ),
    "price_moved": (
        lambda: errors.PriceMoved(price="101", worst_price="100"),
        "The price is now 101, worse than the 100 that you accept. Look at the new price and order again.",
        {"price": "101", "worst_price": "100"},
    ),
    "order_not_pending": (
        lambda: errors.OrderNotPending("CANCELLED"),
        "This order is already cancelled and can no longer change.",
        {"order_status": "cancelled"},
    ),
    "asset_not_tradeable": (
        lambda: errors.AssetNotTradeable("MATIC"),
        "MATIC cannot be traded here. See the list of assets for those that can.",
        {"asset_id": "MATIC"},
    ),
    "too_many_requests": (
        lambda: errors.TooManyRequests(limit=20, reset_seconds=90),
        "Too many attempts. Wait 90 seconds, then try again.",
        {},
    ),
    "too_many_requests, nearly over": (
        lambda: errors.TooManyRequests(limit=20, reset_seconds=1),
        "Too many attempts. Wait 1 second, then try again.",
        {},
    ),
    "invalid_input": (
        lambda: errors.InvalidInput(errors.FieldError("amount", "Choose another.")),
        "Some values are invalid. See the message for each field.",
        {},
    ),
    "unknown_parameter": (
        lambda: errors.UnknownParameter(["page", "sort"], ["limit", "cursor"]),
        "This address does not take 'page', 'sort' in its query. It takes only: limit, cursor.",
        {},
    ),
    "not_supported": (
        lambda: errors.NotSupported({"side": "Send order_type.", "test": "Leave this out."}),
        "'side' is not supported. Send order_type. 'test' is not supported. Leave this out.",
        {},
    ),
}


@pytest.mark.parametrize(("code", "case"), TELLING.items(), ids=TELLING.keys())
def test_what_a_refusal_says(code, case):
    make, sentence, details = case
    refusal = make()
    assert isinstance(refusal, errors.Refusal) and refusal.code == code.partition(",")[0]
    assert (str(refusal), refusal.details) == (sentence, details)


def test_what_else_a_refusal_carries():
    limited = errors.TooManyRequests(limit=20, reset_seconds=90)
    assert (limited.limit, limited.reset_seconds) == (20, 90)
    fields = [errors.FieldError("amount", "Choose another."), errors.FieldError("", "Two of them.")]
    assert errors.InvalidInput(*fields).errors == fields
