"""What can be sent: one schema for each action, the same for JSON and for forms.

Unknown fields of a body are ignored, except those that `foreign_fields` names, and where `Meta.unknown` says RAISE.
Unknown parameters of a query are refused for programs and ignored on pages (`JsonBlueprint`).

Everything arrives as text, except booleans of JSON, and amounts, which may be JSON numbers. What a schema loads is
typed: amounts are `Decimal` (USD, prices and quantities as `app.schemas.amounts` says), times are UTC, enumerations
are their members. A field that was left out loads as None, unless the schema has another default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate, validates_schema

from app.domain import clock
from app.domain.approvals import ApprovalStatus
from app.domain.gains import CostMethod
from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus
from app.domain.users import MAX_TOKEN_LIFETIME, NAME_ADVICE, READ, UserStatus, contains_name
from app.schemas.amounts import Adjustment, Money
from app.schemas.fields import (
    ORDER_TYPES,
    AssetId,
    Choice,
    DateOfBirth,
    Day,
    EmailAddress,
    EndTime,
    EventNumber,
    Hash,
    LoginName,
    Month,
    NewPassword,
    PastTime,
    PersonName,
    Phone,
    Scopes,
    StrictBoolean,
    Switch,
    Text,
    TransactionId,
    Username,
    WholeNumber,
)
from app.schemas.foreign_fields import FOREIGN_DRY_RUN_FIELDS, WITHOUT_DRY_RUN


def _one_of(choices: Iterable[str], error: str = "Choose one of: {choices}.") -> validate.OneOf:
    return validate.OneOf(list(choices), error=error)


class Input(Schema):
    """A request body, query or form; alone, one without fields."""

    foreign_fields: ClassVar[Mapping[str, str]] = {}
    """Fields that mean something at other services, and what to use here instead; a JSON body may not have them."""

    has_optional_body: ClassVar[bool] = False
    """Whether a request without a body counts as one without fields."""

    class Meta:
        unknown = EXCLUDE

    @classmethod
    @cache
    def names(cls) -> tuple[str, ...]:
        """What its fields are called in a request."""
        return tuple(field.data_key or name for name, field in cls().fields.items())


def _code() -> fields.String:
    """Any text, since one that cannot be right is simply wrong."""
    return fields.String(load_default=None, metadata={"example": "123456"})


def _current_password(**kwargs: Any) -> fields.String:
    """Any text too. Required, or None where it is left out."""
    return fields.String(metadata={"example": "seven green kettles"}, **kwargs)


class ProvenInput(Input):
    """A change that may ask again who is there; alone, the answer to that."""

    current_password = _current_password(load_default=None)
    code = _code()


# Users


class RegistrationInput(Input):
    """A new user."""

    username = Username(
        required=True,
        metadata={
            "example": "ann_smith",
            "description": "On every record, also of a closed account: do not use your real name",
        },
    )
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


class PasswordLoginInput(Input):
    """A username or e-mail address, and a password: any text, since one that cannot be right is simply wrong."""

    username = LoginName(required=True, metadata={"example": "ann_smith"})
    password = fields.String(required=True, metadata={"example": "seven green kettles"})


class LoginInput(PasswordLoginInput):
    """The same, with a code of the second factor where there is one."""

    code = _code()


class ProfileInput(ProvenInput):
    """Changes of a profile: only what is given changes, and null clears an optional field.

    Another e-mail address or phone number needs `current_password`.
    """

    first_name = PersonName(metadata={"example": "Ann"})
    last_name = PersonName(metadata={"example": "Smith"})
    email = EmailAddress(metadata={"example": "ann@example.com"})
    phone = Phone(allow_none=True, metadata={"example": "+442079460000"})
    date_of_birth = DateOfBirth(allow_none=True, metadata={"example": "1990-12-31"})
    marketing_emails_consent = StrictBoolean()


class ProfileForm(ProfileInput):
    """A profile as its page sends it: every field, so that an empty one clears what is optional."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        if field_name in ProvenInput.names():
            return
        if field_obj.allow_none:
            field_obj.load_default = None
        else:
            field_obj.required = True


class PasswordInput(Input):
    """A new password, and the current one as proof."""

    current_password = _current_password(required=True)
    code = _code()
    new_password = NewPassword(required=True, metadata={"example": "nine yellow saucers"})
    keep_tokens = StrictBoolean(load_default=False)


class SetupInput(Input):
    """A second factor to set up: what began it, the code that the app shows, and the password where it is asked."""

    setup = fields.String(required=True, metadata={"example": "what POST /auth/second-factor answered"})
    code = fields.String(required=True, metadata={"example": "123456"})
    current_password = _current_password(load_default=None)


class PasskeyInput(ProvenInput):
    """A passkey to add: its name, and what the browser made, as the text of its JSON."""

    name = Text(max_length=50, required=True, metadata={"example": "phone"})
    credential = fields.String(required=True, metadata={"example": "what navigator.credentials.create made"})


class TicketInput(Input):
    """What says that the password of a log-in was right."""

    ticket = fields.String(required=True)


class SecondStepInput(TicketInput):
    """The code of a log-in whose password was right, and what says so."""

    code = fields.String(required=True)


class CloseInput(Input):
    """The current password as proof, and a code where the account has a second factor."""

    foreign_fields = WITHOUT_DRY_RUN

    current_password = _current_password(required=True)
    code = _code()


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


class TokenInput(ProvenInput):
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


class DryRunInput(Input):
    """A change that may be tried first."""

    foreign_fields = FOREIGN_DRY_RUN_FIELDS

    dry_run = StrictBoolean(
        load_default=False,
        allow_none=True,
        metadata={
            "description": "True answers 200 with what this would do, or with its refusal, and does nothing. It leaves "
            "no trace of an Idempotency-Key"
        },
    )


class CashInput(DryRunInput):
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


class CashForm(CashInput):
    """The same, as its page sends it."""

    class Meta(Input.Meta):
        exclude = ("dry_run",)


class WithdrawalInput(CashInput, ProvenInput):
    """A withdrawal; a large one may need `current_password`."""


class WithdrawalForm(WithdrawalInput):
    """The same, as its page sends it."""

    class Meta(Input.Meta):
        exclude = ("dry_run",)


# Administration


class ApprovalInput(Input):
    """The approval of an adjustment. Its body may be left out."""

    has_optional_body = True
    foreign_fields = WITHOUT_DRY_RUN


class AdjustmentInput(DryRunInput, ProvenInput):
    """A signed amount to add to a balance, and why."""

    amount = Adjustment(required=True, metadata={"example": "-12.50"})
    reason = Text(max_length=200, required=True, metadata={"example": "Correction of a double deposit"})


class AdjustmentForm(AdjustmentInput):
    """The same, as its page sends it."""

    class Meta(Input.Meta):
        exclude = ("dry_run",)


class EndUserSessionsForm(EndSessionsForm, ProvenInput):
    """The same for the sessions of a user, by an administrator."""


class StatusInput(ProvenInput):
    """The new status of a user."""

    # Only its owner closes an account.
    status = Choice(UserStatus, but=[UserStatus.CLOSED], required=True)


class UserSearchForm(Input):
    """A username or an e-mail address, in one field."""

    user = LoginName(required=True)


# Lists and periods


class PageInput(Input):
    """A page of any list: `limit` rows after `cursor`, or after `offset` rows for old clients."""

    limit = WholeNumber(1, 100, load_default=50)
    cursor = fields.String(load_default=None)
    offset = WholeNumber(0, 1000, load_default=0)


class FeedInput(Input):
    """Account events after one that was read, or from the oldest that is kept."""

    after = EventNumber(load_default=None, metadata={"example": "000000000041"})
    limit = WholeNumber(1, 100, load_default=100)


class UserSearchInput(PageInput):
    """A username, an e-mail address, or a page of the users who joined in a month."""

    username = Username(load_default=None)
    email = EmailAddress(load_default=None)
    month = Month(load_default=None)

    @validates_schema
    def check_one_is_given(self, data: dict[str, Any], **kwargs: Any) -> None:
        if sum(bool(data[name]) for name in ("username", "email", "month")) != 1:
            raise ValidationError("Give a username, an e-mail address or a month.", "username")


class MonthListInput(PageInput):
    """A page of what happened in a month, by default in this one."""

    month = Month(load_default=None)


class StatementInput(Input):
    """A period of whole days in UTC; either end may be left open."""

    first_day = Day(data_key="from", load_default=None)
    last_day = Day(data_key="to", load_default=None)

    @validates_schema
    def check_day_order(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["first_day"] and data["last_day"] and data["first_day"] > data["last_day"]:
            raise ValidationError("Choose a last day that is not before the first one.", "to")


class TransactionListInput(PageInput, StatementInput):
    """A page of balance transactions of a type, a period, both or neither."""

    transaction_type = Choice(TransactionType, load_default=None)


class TradePageInput(PageInput, StatementInput):
    """A page of trades of one asset, of all times or of a period."""


class TradeListInput(TradePageInput):
    """A page of trades, of all assets or of one."""

    asset_id = AssetId(load_default=None)


class OrderListInput(PageInput, StatementInput):
    """A page of orders, of all assets, types, statuses and times or of one each. An order is of when it was placed."""

    asset_id = AssetId(load_default=None)
    order_type = fields.String(load_default=None, validate=_one_of(ORDER_TYPES))
    status = Choice(OrderStatus, load_default=None)


class OrderPageInput(OrderListInput):
    """The same for people, who may ask for all that have ended."""

    ended = Switch(load_default=None)


class ApprovalListInput(PageInput):
    """A page of adjustments that were asked for, of all statuses or of one."""

    status = Choice(ApprovalStatus, load_default=None)


class WindowInput(Input):
    """Which part of a list that is read whole: `limit` rows after `offset` rows; all of it unless asked."""

    limit = WholeNumber(1, 250, load_default=250)
    offset = WholeNumber(0, 1000, load_default=0)


class InventoryInput(WindowInput):
    """Which part of the list of assets to show."""

    active_only = Switch(load_default=False)


class ThemeInput(Input):
    """The colours of the pages in this browser."""

    theme = fields.String(required=True, validate=_one_of(("device", "light", "dark")))


MARKET_SORTS = ("size", "name", "-name", "price", "-price", "change", "-change")


class MarketInput(Input):
    """Which assets the market's page shows, and in which order."""

    q = fields.String(load_default="")
    sort = fields.String(load_default="size", validate=_one_of(MARKET_SORTS))
    mine = Switch(load_default=False)


class DaysInput(Input):
    """How many days a chart goes back."""

    days = WholeNumber(1, 365, load_default=30)


class ChartInput(DaysInput):
    """How many days the chart of an asset goes back, and whether it marks one's own trades."""

    trades = Switch(load_default=False)


class PortfolioInput(Input):
    """Which moment a portfolio is of: now, unless given."""

    as_of = PastTime(load_default=None)


class KeptHashInput(Input):
    """The hash of a transaction as somebody has kept it."""

    transaction_id = TransactionId(required=True)
    hash = Hash(required=True)


class TradeExportInput(StatementInput):
    """The trades of a period, of all assets or of one."""

    asset_id = AssetId(load_default=None)


class GainsInput(Input):
    """A year in UTC, this one unless given, and how the cost of sales is counted: by average unless given."""

    year = WholeNumber(1970, 9999, load_default=None)
    method = Choice(CostMethod, load_default=None)

    @post_load
    def fill_in(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {"year": data["year"] or clock.now().year, "method": data["method"] or CostMethod.AVERAGE}
