"""What can be sent: one schema for each action, the same for JSON and for forms. Unknown fields are ignored."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate, validates_schema

from app.domain.ledger import TransactionType
from app.domain.orders import MAX_LIFETIME, OrderStatus, PriceType
from app.domain.users import NAME_ADVICE, UserStatus, contains_name
from app.schemas.amounts import Adjustment, Money, Price, Quantity
from app.schemas.fields import (
    NO_CONTROLS,
    ORDER_TYPES,
    AssetId,
    Choice,
    DateOfBirth,
    Day,
    EmailAddress,
    EndTime,
    NewPassword,
    PersonName,
    Phone,
    StrictBoolean,
    Switch,
    Text,
    Username,
    WholeNumber,
)


class Input(Schema):
    class Meta:
        unknown = EXCLUDE


class RegistrationInput(Input):
    username = Username(required=True, metadata={"example": "ann_smith"})
    email = EmailAddress(required=True, metadata={"example": "ann@example.com"})
    password = NewPassword(required=True, metadata={"example": "seven green kettles"})
    first_name = PersonName(required=True, metadata={"example": "Ann"})
    last_name = PersonName(required=True, metadata={"example": "Smith"})
    phone = Phone(load_default=None, allow_none=True, metadata={"example": "+442079460000"})
    date_of_birth = DateOfBirth(load_default=None, allow_none=True, metadata={"example": "1990-12-31"})
    marketing_emails_consent = StrictBoolean(load_default=False)

    @validates_schema(skip_on_field_errors=False)
    def password_is_not_the_name(self, data: dict[str, Any], **kwargs: Any) -> None:
        if contains_name(data.get("password"), data.get("username"), data.get("email")):
            raise ValidationError(NAME_ADVICE, "password")


class ProfileInput(Input):
    """Only what is given changes; null clears an optional field."""

    first_name = PersonName(metadata={"example": "Ann"})
    last_name = PersonName(metadata={"example": "Smith"})
    email = EmailAddress(metadata={"example": "ann@example.com"})
    phone = Phone(allow_none=True, metadata={"example": "+442079460000"})
    date_of_birth = DateOfBirth(allow_none=True, metadata={"example": "1990-12-31"})
    marketing_emails_consent = StrictBoolean()


class PasswordInput(Input):
    current_password = fields.String(required=True, metadata={"example": "seven green kettles"})
    new_password = NewPassword(required=True, metadata={"example": "nine yellow saucers"})


class TokenInput(Input):
    name = Text(most=50, required=True, metadata={"example": "nightly report"})
    scopes = fields.String(
        load_default="read", validate=validate.OneOf(["read", "read trade"], error="Choose one of: {choices}.")
    )
    expires_at = EndTime(most_days=366, load_default=None, allow_none=True)


class LoginInput(Input):
    """What is no possible password is simply a wrong one, so nothing is said about its form."""

    username = Text(most=254, required=True, metadata={"example": "ann_smith"})
    password = fields.String(required=True, metadata={"example": "seven green kettles"})


class CashInput(Input):
    amount = Money(required=True)
    description = Text(
        most=200,
        load_default=None,
        allow_none=True,
        metadata={"example": "Savings", "minLength": 0, "pattern": NO_CONTROLS, "description": "Empty means none"},
    )

    @pre_load
    def empty_description_is_none(self, data: Any, **kwargs: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("description"), str) and not data["description"].strip():
            return {**data, "description": None}
        return data


class OrderInput(Input):
    order_type = fields.String(
        required=True, validate=validate.OneOf(list(ORDER_TYPES), error="Choose one of: {choices}.")
    )
    asset_id = AssetId(required=True, metadata={"example": "BTC"})
    quantity = Quantity(required=True, example="0.005")
    price = Price(load_default=None, allow_none=True, example=None)
    expires_at = EndTime(most_days=MAX_LIFETIME.days, past_allowed=True, load_default=None, allow_none=True)

    @validates_schema
    def limits_have_a_price_and_alone_an_end(self, data: dict[str, Any], **kwargs: Any) -> None:
        _, price_type = ORDER_TYPES[data["order_type"]]
        if price_type is PriceType.LIMIT and data["price"] is None:
            raise ValidationError("Write the limit: the highest price to buy at, or the lowest to sell at.", "price")
        if price_type is PriceType.MARKET and data["expires_at"] is not None:
            raise ValidationError("A market order is executed at once. Leave this out.", "expires_at")

    @post_load
    def split_type(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        side, price_type = ORDER_TYPES[data.pop("order_type")]
        return {**data, "side": side, "price_type": price_type}


class AdjustmentInput(Input):
    """A signed amount, and why."""

    amount = Adjustment(required=True, metadata={"example": "-12.50"})
    reason = Text(most=200, required=True, metadata={"example": "Correction of a double deposit"})


class StatusInput(Input):
    status = Choice(UserStatus, required=True)


class UserSearchInput(Input):
    """One of the two."""

    username = Username(load_default=None)
    email = EmailAddress(load_default=None)

    @validates_schema
    def one_is_given(self, data: dict[str, Any], **kwargs: Any) -> None:
        if bool(data["username"]) == bool(data["email"]):
            raise ValidationError("Give a username or an e-mail address.", "username")


class PageInput(Input):
    """Paging of every list: `limit` rows after `cursor`, or after `offset` rows for old clients."""

    limit = WholeNumber(least=1, most=100, load_default=50)
    cursor = fields.String(load_default=None)
    offset = WholeNumber(least=0, most=1000, load_default=0)


class TransactionListInput(PageInput):
    transaction_type = Choice(TransactionType, load_default=None)


class OrderListInput(PageInput):
    asset_id = AssetId(load_default=None)
    order_type = fields.String(
        load_default=None, validate=validate.OneOf(list(ORDER_TYPES), error="Choose one of: {choices}.")
    )
    status = Choice(OrderStatus, load_default=None)


class InventoryInput(Input):
    active_only = Switch(load_default=False)
    limit = WholeNumber(least=1, most=250, load_default=250)


class DaysInput(Input):
    days = WholeNumber(least=1, most=365, load_default=30)


class StatementInput(Input):
    """A period of whole days in UTC; either end may be left open."""

    first_day = Day(data_key="from", load_default=None)
    last_day = Day(data_key="to", load_default=None)

    @validates_schema
    def first_is_not_after_last(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["first_day"] and data["last_day"] and data["first_day"] > data["last_day"]:
            raise ValidationError("Choose a last day that is not before the first one.", "to")
