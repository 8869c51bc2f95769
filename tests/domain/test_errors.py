"""What an error tells where its words follow from values: `contract/test_errors.py` tests all of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain import errors

TELLING = {
    "order_not_pending": (
        errors.OrderNotPending("CANCELLED"),
        "This order is already cancelled and can no longer change.",
    ),
    "too_many_requests": (
        errors.TooManyRequests(limit=20, reset_seconds=90),
        "Too many attempts. Wait 90 seconds, then try again.",
    ),
    "too_many_requests, nearly over": (
        errors.TooManyRequests(limit=20, reset_seconds=1),
        "Too many attempts. Wait 1 second, then try again.",
    ),
    "unknown_parameter": (
        errors.UnknownParameter(["page", "sort"], ["limit", "cursor"]),
        "This address does not take 'page', 'sort' in its query. It takes only: limit, cursor.",
    ),
    "unknown_parameter, none known": (
        errors.UnknownParameter(["page"], []),
        "This address does not take 'page' in its query. It takes none.",
    ),
    "not_supported": (
        errors.NotSupported({"side": "Send order_type.", "test": "Leave this out."}),
        "'side' is not supported. Send order_type. 'test' is not supported. Leave this out.",
    ),
}


@pytest.mark.parametrize(("error", "sentence"), TELLING.values(), ids=TELLING)
def test_what_an_error_says(error, sentence):
    assert str(error) == sentence


def test_what_an_error_carries():
    assert errors.OrderNotPending("CANCELLED").details == {"order_status": "cancelled"}
    assert errors.InsufficientFunds(available=Decimal("5.00"), required=Decimal("7.50")).details == {
        "available": "5.00",
        "required": "7.50",
    }
    limited = errors.TooManyRequests(limit=20, reset_seconds=90)
    assert (limited.limit, limited.reset_seconds) == (20, 90)
    fields = [errors.FieldError("amount", "Choose another."), errors.FieldError("", "Two of them.")]
    assert errors.InvalidInput(*fields).errors == fields
