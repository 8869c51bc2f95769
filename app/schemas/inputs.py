"""What can be sent: one schema for each action, the same for JSON and for forms.

Unknown fields of a body are ignored, except those that `foreign_fields` names. Unknown parameters of a query are
refused for programs and ignored on pages (`JsonBlueprint`).

Everything arrives as text, except booleans of JSON, and amounts, which may be JSON numbers. What a schema loads is
typed: amounts are `Decimal` (USD, prices and quantities as `app.schemas.amounts` says), times are UTC, enumerations
are their members. A field that was left out loads as None, unless the schema has another default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate, validates_schema

from app.domain.ledger import TransactionType
from app.domain.orders import MAX_LIFETIME, OrderStatus, PriceType, Side
from app.domain.users import MAX_TOKEN_LIFETIME, NAME_ADVICE, READ, UserStatus, contains_name
from app.schemas.amounts import Adjustment, Money, Price, Quantity
from app.schemas.fields import (
    ORDER_TYPES,
    AssetId,
    Choice,
    DateOfBirth,
    Day,
    EmailAddress,
    EndTime,
    LoginName,
    NewPassword,
    PersonName,
    Phone,
    Scopes,
    StrictBoolean,
    Switch,
    Text,
    Username,
    WholeNumber,
)
from app.schemas.order_fields import FOREIGN_ORDER_FIELDS


def _one_of(choices: Iterable[str], error: str = "Choose one of: {choices}.") -> validate.OneOf:
    return validate.OneOf(list(choices), error=error)


class Input(Schema):
    """A request body, query or form; alone, one without fields."""

    foreign_fields: ClassVar[Mapping[str, str]] = {}
    """Fields that mean something at other services, and what to use here instead; a JSON body may not have them."""

    class Meta:
        unknown = EXCLUDE

    @classmethod
    @cache
    def names(cls) -> tuple[str, ...]:
        """What its fields are called in a request."""
        return tuple(field.data_key or name for name, field in cls().fields.items())


# Users


class RegistrationInput(Input):
    """A new user."""

    username = Username(required=True, metadata={"example": "ann_smith"})
    email = EmailAddress(required=True, metadata={"example": "ann@example.com"})
    password = NewPassword(required=True, metadata={"example": "seven green kettles"})
    first_name = PersonName(required=True, metadata={"example": "Ann"})
    last_name = PersonName(required=True, metadata={"example": "Smith"})
    phone = Phone(load_default=None, allow_none=True, metadata={"example": "+442079460000"})
    date_of_birth = DateOfBirth(load_default=None, allow_none=True, metadata={"example": "1990-12-31"})
    marketing_emails_consent = StrictBoolean(load_default=False)

    @validates_schema(skip_on_field_errors=False)
    def check_password_without_names(self, data: dict[str, Any], **kwargs: Any) -> None:
        names = (data.get("first_name"), data.get("last_name"))
        if contains_name(data.get("password"), data.get("username"), data.get("email"), names=names):
            raise ValidationError(NAME_ADVICE, "password")


class LoginInput(Input):
    """A username or e-mail address, and a password: any text, since one that cannot be right is simply wrong."""

    username = LoginName(required=True, metadata={"example": "ann_smith"})
    password = fields.String(required=True, metadata={"example": "seven green kettles"})


class ProfileInput(Input):
    """Changes of a profile: only what is given changes, and null clears an optional field."""

    first_name = PersonName(metadata={"example": "Ann"})
    last_name = PersonName(metadata={"example": "Smith"})
    email = EmailAddress(metadata={"example": "ann@example.com"})
    phone = Phone(allow_none=True, metadata={"example": "+442079460000"})
    date_of_birth = DateOfBirth(allow_none=True, metadata={"example": "1990-12-31"})
    marketing_emails_consent = StrictBoolean()


class ProfileForm(ProfileInput):
    """A profile as its page sends it: every field, so that an empty one clears what is optional."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        if field_obj.allow_none:
            field_obj.load_default = None
        else:
            field_obj.required = True


class PasswordInput(Input):
    """A new password, and the current one as proof."""

    current_password = fields.String(required=True, metadata={"example": "seven green kettles"})
    new_password = NewPassword(required=True, metadata={"example": "nine yellow saucers"})
    keep_tokens = StrictBoolean(load_default=False)


class EndSessionsInput(Input):
    """Whether personal tokens outlive the end of all sessions."""

    keep_tokens = Switch(load_default=False)


class EndSessionsForm(Input):
    """The same, as its page sends it."""

    keep_tokens = StrictBoolean(load_default=False)


class ForgottenInput(Input):
    """The e-mail address of an account whose password is forgotten."""

    email = EmailAddress(required=True, metadata={"example": "ann@example.com"})


class LinkInput(Input):
    """The token of a link: any text, since one that cannot be right is simply not valid."""

    token = fields.String(required=True, metadata={"example": f"ann_smith.{'A' * 43}"})


class ResetInput(LinkInput):
    """A new password, and the token of a link as proof."""

    new_password = NewPassword(required=True, metadata={"example": "nine yellow saucers"})


class TokenInput(Input):
    """A personal token to create."""

    name = Text(max_length=50, required=True, metadata={"example": "nightly report"})
    scopes = Scopes(load_default=READ, metadata={"example": "read trade"})
    expires_at = EndTime(max_ahead=MAX_TOKEN_LIFETIME, load_default=None, allow_none=True)


class TokenForm(TokenInput):
    """A personal token as its page sends it: with its scopes, and with a last day instead of an end."""

    class Meta(Input.Meta):
        exclude = ("expires_at",)

    scopes = Scopes(required=True)
    ends_on = EndTime(max_ahead=MAX_TOKEN_LIFETIME, attribute="expires_at", load_default=None)


# Cash and orders


class CashInput(Input):
    """A deposit or withdrawal."""

    amount = Money(required=True)
    description = Text(
        max_length=200,
        load_default=None,
        allow_none=True,
        metadata={
            "example": "Savings",
            "minLength": 0,
            "pattern": f"^( *|{Text.pattern})$",
            "description": "Empty means none",
        },
    )

    @pre_load
    def drop_empty_description(self, data: Any, **kwargs: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("description"), str) and not data["description"].strip():
            return {**data, "description": None}
        return data


class OrderInput(Input):
    """An order. `limit_price` is the worst price that it accepts; a limit order has one. JSON calls it `price`."""

    foreign_fields = FOREIGN_ORDER_FIELDS

    order_type = fields.String(required=True, validate=_one_of(ORDER_TYPES))
    asset_id = AssetId(required=True, metadata={"example": "BTC"})
    quantity = Quantity(required=True, metadata={"example": "0.005"})
    limit_price = Price(data_key="price", load_default=None, allow_none=True, metadata={"example": None})
    expires_at = EndTime(max_ahead=MAX_LIFETIME, past_allowed=True, load_default=None, allow_none=True)

    @validates_schema
    def check_limit_fields(self, data: dict[str, Any], **kwargs: Any) -> None:
        _, price_type = ORDER_TYPES[data["order_type"]]
        if price_type is PriceType.LIMIT and data["limit_price"] is None:
            raise ValidationError("Write the limit: the highest price to buy at, or the lowest to sell at.", "price")
        if price_type is PriceType.MARKET and data["expires_at"] is not None:
            raise ValidationError("A market order is executed at once. Leave this out.", "expires_at")

    @post_load
    def split_type(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        side, price_type = ORDER_TYPES[data.pop("order_type")]
        return {**data, "side": side, "price_type": price_type}


class TradeInput(OrderInput):
    """An order by quantity or, to buy, by the amount to spend; with both, the quantity was computed for the amount."""

    quantity = Quantity(load_default=None)
    spend = Money(load_default=None)

    @validates_schema
    def check_quantity_or_spend(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["quantity"] is None and data["spend"] is None:
            raise ValidationError("Fill this in.", "quantity")
        if data["quantity"] is None and ORDER_TYPES[data["order_type"]][0] is Side.SELL:
            raise ValidationError("An amount is for buying. Write the quantity to sell instead.", "spend")


class ReviewInput(TradeInput):
    """An order to review, as a person typed it: by quantity or by amount, not both."""

    @validates_schema
    def check_not_both(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["quantity"] is not None and data["spend"] is not None:
            raise ValidationError("Write a quantity or an amount, and leave the other empty.", "spend")


# Administration


class AdjustmentInput(Input):
    """A signed amount to add to a balance, and why."""

    amount = Adjustment(required=True, metadata={"example": "-12.50"})
    reason = Text(max_length=200, required=True, metadata={"example": "Correction of a double deposit"})


class StatusInput(Input):
    """The new status of a user."""

    status = Choice(UserStatus, required=True)


class UserSearchInput(Input):
    """Either a username or an e-mail address."""

    username = Username(load_default=None)
    email = EmailAddress(load_default=None)

    @validates_schema
    def check_one_is_given(self, data: dict[str, Any], **kwargs: Any) -> None:
        if bool(data["username"]) == bool(data["email"]):
            raise ValidationError("Give a username or an e-mail address.", "username")


class UserSearchForm(Input):
    """A username or an e-mail address, in one field."""

    user = LoginName(required=True)


# Lists and periods


class PageInput(Input):
    """A page of any list: `limit` rows after `cursor`, or after `offset` rows for old clients."""

    limit = WholeNumber(1, 100, load_default=50)
    cursor = fields.String(load_default=None)
    offset = WholeNumber(0, 1000, load_default=0)


class TransactionListInput(PageInput):
    """A page of balance transactions, of all types or of one."""

    transaction_type = Choice(TransactionType, load_default=None)


class TradeListInput(PageInput):
    """A page of trades, of all assets or of one."""

    asset_id = AssetId(load_default=None)


class OrderListInput(PageInput):
    """A page of orders, of all assets, types and statuses or of one each."""

    asset_id = AssetId(load_default=None)
    order_type = fields.String(load_default=None, validate=_one_of(ORDER_TYPES))
    status = Choice(OrderStatus, load_default=None)


class WindowInput(Input):
    """Which part of a list that is read whole: `limit` rows after `offset` rows; all of it unless asked."""

    limit = WholeNumber(1, 250, load_default=250)
    offset = WholeNumber(0, 1000, load_default=0)


class InventoryInput(WindowInput):
    """Which part of the list of assets to show."""

    active_only = Switch(load_default=False)


class DaysInput(Input):
    """How many days a chart goes back."""

    days = WholeNumber(1, 365, load_default=30)


class StatementInput(Input):
    """A period of whole days in UTC; either end may be left open."""

    first_day = Day(data_key="from", load_default=None)
    last_day = Day(data_key="to", load_default=None)

    @validates_schema
    def check_day_order(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["first_day"] and data["last_day"] and data["first_day"] > data["last_day"]:
            raise ValidationError("Choose a last day that is not before the first one.", "to")


class TradeExportInput(StatementInput):
    """The trades of a period, of all assets or of one."""

    asset_id = AssetId(load_default=None)


class ActivityInput(TransactionListInput, StatementInput):
    """A page of balance transactions of a type, a period, both or neither."""
