"""Response schemas of the JSON API, in the words of its contract: a trade is an asset transaction there.

Amounts are text: money in USD with 2 decimals (`"1000.00"`), prices and quantities with at most 8. Where the contract
wants numbers they are exact JSON numbers. Times are ISO 8601 in UTC. Every key is always present, except in errors.
"""

from __future__ import annotations

from marshmallow import Schema, fields

from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus, Side
from app.domain.users import Role, UserStatus
from app.schemas.amounts import Money, Number, Price, Quantity
from app.schemas.fields import LowerCase, OrderTypeName, Output, Timestamp

# Transactions and trades are complete as soon as they can be seen.
COMPLETED = "COMPLETED"


class FieldErrorOutput(Output):
    """What is wrong with one field."""

    field = fields.String(metadata={"description": "Empty when it is about the whole request"})
    message = fields.String()


class ProblemOutput(Schema):
    """An error (RFC 9457); some have `errors`, or details of their own (`app.domain.errors`)."""

    type = fields.String(required=True, metadata={"description": "Where this code is explained"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True, metadata={"description": "What happened and what to do, for people"})
    code = fields.String(required=True, metadata={"description": "The same word for the same error, for programs"})
    request_id = fields.String(required=True, metadata={"description": "Name this when you ask about the error"})
    errors = fields.List(fields.Nested(FieldErrorOutput))


class HealthOutput(Output):
    """That the service works."""

    status = fields.String(metadata={"enum": ["healthy"]})
    service = fields.String()
    version = fields.String()


class UserOutput(Output):
    """A user, as they see themselves."""

    username = fields.String()
    email = fields.String()
    first_name = fields.String()
    last_name = fields.String()
    phone = fields.String(allow_none=True)
    date_of_birth = fields.String(allow_none=True)
    marketing_emails_consent = fields.Boolean()
    role = LowerCase(Role)
    created_at = Timestamp()
    updated_at = Timestamp()


class ResetLinkOutput(Output):
    """A link for a new password. It is as good as the password until it is used or ends."""

    reset_link = fields.String()
    expires_at = Timestamp()


class BalanceOutput(Output):
    """A user's cash, and the sums of all deposits and of all withdrawals."""

    current_balance = Money()
    total_deposits = Money()
    total_withdrawals = Money()
    updated_at = Timestamp()


class TransactionOutput(Output):
    """A balance transaction: its type gives the direction of the amount, except that adjustments are signed."""

    transaction_id = fields.String()
    transaction_type = LowerCase(TransactionType)
    amount = Money()
    previous_balance = Money()
    new_balance = Money()
    status = LowerCase([COMPLETED])
    description = fields.String(allow_none=True)
    order_id = fields.String(allow_none=True)
    created_at = Timestamp()


class HoldingOutput(Output):
    """What a user owns of one asset, and its value at the market's price.

    `quantity` can be sold now, `reserved_quantity` is in open orders to sell; `total_value` is that of both.
    """

    asset_id = fields.String()
    asset_name = fields.String()
    quantity = Quantity()
    reserved_quantity = Quantity()
    current_price = Number(allow_none=True)
    total_value = Number(attribute="market_value", allow_none=True)
    created_at = Timestamp(attribute="holding.created_at")
    updated_at = Timestamp(attribute="holding.updated_at")


class ValuedAssetOutput(Output):
    """One asset of a portfolio.

    `quantity` can be sold now, `reserved_quantity` is in open orders to sell; `market_value` is that of both, and
    `percentage` its part of the total value, with 2 decimals.
    """

    asset_id = fields.String()
    quantity = Quantity()
    reserved_quantity = Quantity()
    current_price = Price(allow_none=True)
    market_value = Money(allow_none=True)
    percentage = Money()


class PortfolioOutput(Output):
    """Everything that a user owns, and its value."""

    assets = fields.List(fields.Nested(ValuedAssetOutput))
    cash_balance = Money()
    reserved_cash = Money()
    total_value = Money()
    as_of = Timestamp()


class OrderOutput(Output):
    """An order; `price` is `executed_price`, or else `limit_price`.

    `reserved_amount` (cash of an order to buy) or `reserved_quantity` (of an order to sell) is what it reserved when it
    had to wait; it stays on record when the order has ended.
    """

    order_id = fields.String()
    order_type = OrderTypeName()
    asset_id = fields.String()
    quantity = Quantity()
    price = Price(attribute="order_price")
    limit_price = Price(allow_none=True)
    executed_price = Price(allow_none=True)
    reserved_amount = Money(allow_none=True)
    reserved_quantity = Quantity(allow_none=True)
    status = LowerCase(OrderStatus)
    total_amount = Money()
    expires_at = Timestamp(allow_none=True)
    executed_at = Timestamp(allow_none=True)
    created_at = Timestamp()
    updated_at = Timestamp()


class AssetTransactionOutput(Output):
    """A trade."""

    asset_id = fields.String()
    transaction_type = fields.String(metadata={"enum": list(Side)})
    quantity = Quantity()
    price = Price()
    total_amount = Money()
    order_id = fields.String()
    status = fields.String(metadata={"enum": [COMPLETED]})
    timestamp = Timestamp(attribute="traded_at")


class MessageOutput(Output):
    """A sentence that says what was done."""

    message = fields.String()


class UserMessageOutput(Output):
    """What was done, and the user after it."""

    success = fields.Boolean()
    message = fields.String()
    user = fields.Nested(UserOutput)


class LoginOutput(Output):
    """A login token, which expires in `expires_in` seconds."""

    success = fields.Boolean()
    access_token = fields.String()
    token_type = fields.String()
    expires_in = fields.Integer()
    user = fields.Nested(UserOutput)


class TokenOutput(Output):
    """A personal token, without its secret."""

    token_id = fields.String()
    name = fields.String()
    scopes = fields.String(attribute="scope_words")
    created_at = Timestamp()
    expires_at = Timestamp()
    last_used_at = Timestamp(allow_none=True)


class SessionOutput(Output):
    """A browser session or a login token, and from where it was begun, where that is known."""

    session_id = fields.String(attribute="token_id")
    kind = fields.String(metadata={"enum": ["session", "login"]})
    address = fields.String(allow_none=True)
    agent = fields.String(allow_none=True)
    created_at = Timestamp()
    expires_at = Timestamp()
    last_used_at = Timestamp(allow_none=True)


class SessionListOutput(Output):
    """All browser sessions and login tokens of a user, and which of them asked."""

    current_session_id = fields.String()
    data = fields.List(fields.Nested(SessionOutput))


class TokenListOutput(Output):
    """All personal tokens of a user."""

    data = fields.List(fields.Nested(TokenOutput))


class NewTokenOutput(Output):
    """`access_token` is the text to send as bearer; it cannot be shown again."""

    access_token = fields.String(attribute="bearer")
    token_type = fields.Constant("bearer", metadata={"type": "string"})
    data = fields.Nested(TokenOutput, attribute="token")


class CashMovementOutput(Output):
    """A deposit or withdrawal that was made."""

    success = fields.Boolean()
    message = fields.String()
    transaction_id = fields.String()
    timestamp = Timestamp()
    transaction = fields.Nested(TransactionOutput)


class PageOutput(Output):
    """A page of a list; `next_cursor` is null on the last one."""

    has_more = fields.Boolean()
    next_cursor = fields.String(allow_none=True)


class TransactionListOutput(PageOutput):
    """A page of balance transactions."""

    transactions = fields.List(fields.Nested(TransactionOutput))
    total_count = fields.Integer(metadata={"description": "Rows in this answer"})


class HoldingListOutput(Output):
    """All holdings of a user."""

    data = fields.List(fields.Nested(HoldingOutput))


class OneOrderOutput(Output):
    """One order."""

    data = fields.Nested(OrderOutput)


class OrderListOutput(PageOutput):
    """A page of orders."""

    data = fields.List(fields.Nested(OrderOutput))


class AssetTransactionListOutput(PageOutput):
    """A page of trades."""

    data = fields.List(fields.Nested(AssetTransactionOutput))


class HistoryPointOutput(Output):
    """The value of a portfolio at the end of a day (UTC), or now for the last point."""

    date = fields.Date()
    cash = Money()
    assets = Money()
    total = Money()


class PortfolioHistoryOutput(Output):
    """The value of a portfolio day by day, oldest first.

    `without_prices` names the assets that were owned, but have no past prices at the moment: before today they count
    as 0.00.
    """

    points = fields.List(fields.Nested(HistoryPointOutput))
    without_prices = fields.List(fields.String())


class UserWithStatusOutput(UserOutput):
    """A user, as an admin sees them."""

    status = LowerCase(UserStatus)


class UserListOutput(Output):
    """The users that a search found."""

    data = fields.List(fields.Nested(UserWithStatusOutput))


class AccountOutput(Output):
    """A user with balance and portfolio, for an admin."""

    user = fields.Nested(UserWithStatusOutput)
    balance = fields.Nested(BalanceOutput, attribute="portfolio.balance")
    portfolio = fields.Nested(PortfolioOutput)


class ActedTransactionOutput(TransactionOutput):
    """A balance transaction with the admin who made it, if one did."""

    actor = fields.String(allow_none=True)


class AdjustmentOutput(Output):
    """An adjustment that was made."""

    data = fields.Nested(ActedTransactionOutput)


class HolderOutput(Output):
    """What one user owns of an asset, for an admin."""

    username = fields.String()
    asset_id = fields.String()
    quantity = Quantity()
    reserved_quantity = Quantity(attribute="asset_account.reserved_quantity")
    created_at = Timestamp()
    updated_at = Timestamp()


class HolderListOutput(PageOutput):
    """A page of the holders of an asset."""

    data = fields.List(fields.Nested(HolderOutput))


class UserAssetTransactionOutput(AssetTransactionOutput):
    """A trade with the user who made it, for an admin."""

    username = fields.String()


class UserAssetTransactionListOutput(PageOutput):
    """A page of the trades of an asset."""

    data = fields.List(fields.Nested(UserAssetTransactionOutput))
