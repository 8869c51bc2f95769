"""What is answered, field by field: `order`, `user` and the others in the words of the JSON contract."""

from __future__ import annotations

from marshmallow import Schema, fields

from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus, Side
from app.domain.users import Role, UserStatus
from app.schemas.amounts import Money, Number, Price, Quantity
from app.schemas.fields import LowerCase, OrderTypeName, Output, Timestamp

# Every movement and trade is complete from the moment that it can be seen.
COMPLETED = "COMPLETED"


class FieldErrorOutput(Output):
    field = fields.String(metadata={"description": "Empty when it is about the whole request"})
    message = fields.String()


class ProblemOutput(Schema):
    """An error (RFC 9457). The last fields are there when they say more about the `code`."""

    type = fields.String(required=True, metadata={"description": "Where this code is explained"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True, metadata={"description": "What happened and what to do, for people"})
    code = fields.String(required=True, metadata={"description": "The same word for the same error, for programs"})
    request_id = fields.String(required=True, metadata={"description": "Name this when you ask about the error"})
    errors = fields.List(fields.Nested(FieldErrorOutput))
    available = fields.String()
    required = fields.String()
    asset_id = fields.String()
    price = fields.String()
    worst_price = fields.String()
    order_status = LowerCase(OrderStatus)


class HealthOutput(Output):
    status = fields.String(metadata={"enum": ["healthy"]})
    service = fields.String()
    version = fields.String()


class UserOutput(Output):
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


class BalanceOutput(Output):
    current_balance = Money()
    total_deposits = Money()
    total_withdrawals = Money()
    updated_at = Timestamp()


class TransactionOutput(Output):
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
    asset_id = fields.String()
    asset_name = fields.String()
    quantity = Quantity()
    current_price = Number(allow_none=True)
    total_value = Number(attribute="market_value", allow_none=True)
    created_at = Timestamp(attribute="holding.created_at")
    updated_at = Timestamp(attribute="holding.updated_at")


class ValuedAssetOutput(Output):
    asset_id = fields.String()
    quantity = Quantity()
    current_price = Price(allow_none=True)
    market_value = Money(allow_none=True)
    percentage = Money()


class PortfolioOutput(Output):
    assets = fields.List(fields.Nested(ValuedAssetOutput))
    cash_balance = Money()
    reserved_cash = Money()
    total_value = Money()
    as_of = Timestamp()


class OrderOutput(Output):
    order_id = fields.String()
    order_type = OrderTypeName()
    asset_id = fields.String()
    quantity = Quantity()
    price = Price(attribute="order_price")
    status = LowerCase(OrderStatus)
    total_amount = Money()
    expires_at = Timestamp(allow_none=True)
    executed_at = Timestamp(allow_none=True)
    created_at = Timestamp()
    updated_at = Timestamp()


class AssetTransactionOutput(Output):
    asset_id = fields.String()
    transaction_type = fields.String(metadata={"enum": list(Side)})
    quantity = Quantity()
    price = Price()
    total_amount = Money()
    order_id = fields.String()
    status = fields.String(metadata={"enum": [COMPLETED]})
    timestamp = Timestamp(attribute="traded_at")


class MessageOutput(Output):
    message = fields.String()


class UserMessageOutput(Output):
    success = fields.Boolean()
    message = fields.String()
    user = fields.Nested(UserOutput)


class LoginOutput(Output):
    success = fields.Boolean()
    access_token = fields.String()
    token_type = fields.String()
    expires_in = fields.Integer()
    user = fields.Nested(UserOutput)


class TokenOutput(Output):
    token_id = fields.String()
    name = fields.String()
    scopes = fields.String()
    created_at = Timestamp()
    expires_at = Timestamp()
    last_used_at = Timestamp(allow_none=True)


class TokenListOutput(Output):
    data = fields.List(fields.Nested(TokenOutput))


class NewTokenOutput(Output):
    """`access_token` is the text to send as bearer; it cannot be shown again."""

    access_token = fields.String(attribute="bearer")
    token_type = fields.Constant("bearer", metadata={"type": "string"})
    data = fields.Nested(TokenOutput, attribute="token")


class CashMovementOutput(Output):
    success = fields.Boolean()
    message = fields.String()
    transaction_id = fields.String()
    timestamp = Timestamp()
    transaction = fields.Nested(TransactionOutput)


class PageOutput(Output):
    has_more = fields.Boolean()
    next_cursor = fields.String(allow_none=True)


class TransactionListOutput(PageOutput):
    transactions = fields.List(fields.Nested(TransactionOutput))
    total_count = fields.Integer(metadata={"description": "Rows in this answer"})


class HoldingListOutput(Output):
    data = fields.List(fields.Nested(HoldingOutput))


class OneOrderOutput(Output):
    data = fields.Nested(OrderOutput)


class OrderListOutput(PageOutput):
    data = fields.List(fields.Nested(OrderOutput))


class AssetTransactionListOutput(PageOutput):
    data = fields.List(fields.Nested(AssetTransactionOutput))


class AssetOutput(Output):
    """An asset of the list; what depends on the market is null while there is no price."""

    asset_id = fields.String(attribute="asset.asset_id")
    name = fields.String(attribute="asset.name")
    description = fields.String(attribute="asset.description")
    category = fields.String(attribute="asset.category")
    price_usd = Number(attribute="market.price", dump_default=None, allow_none=True)
    is_active = fields.Boolean(attribute="asset.is_active")
    symbol = fields.String()
    image = fields.Constant(None, allow_none=True, metadata={"type": "string"})
    market_cap_rank = fields.Integer(attribute="asset.market_cap_rank")
    price_change_percentage_24h = Number(
        attribute="market.price_change_percentage_24h", dump_default=None, allow_none=True
    )
    market_cap = Number(attribute="market.market_cap", dump_default=None, allow_none=True)
    total_volume_24h = Number(attribute="market.total_volume_24h", dump_default=None, allow_none=True)


class AssetListOutput(Output):
    data = fields.List(fields.Nested(AssetOutput))
    assets = fields.List(fields.Nested(AssetOutput), metadata={"description": "The same list as data"})
    total_count = fields.Integer()
    active_count = fields.Integer()


class AssetFullOutput(AssetOutput):
    availability_status = fields.String(metadata={"enum": ["available", "unavailable"]})
    price_change_24h = Number(attribute="market.price_change_24h", allow_none=True)
    price_change_percentage_7d = Number(attribute="market.price_change_percentage_7d", allow_none=True)
    price_change_percentage_30d = Number(attribute="market.price_change_percentage_30d", allow_none=True)
    high_24h = Number(attribute="market.high_24h", allow_none=True)
    low_24h = Number(attribute="market.low_24h", allow_none=True)
    circulating_supply = Number(attribute="asset.circulating_supply")
    total_supply = Number(attribute="asset.total_supply", allow_none=True)
    max_supply = Number(attribute="asset.max_supply", allow_none=True)
    ath = Number(attribute="market.ath", allow_none=True)
    ath_change_percentage = Number(attribute="market.ath_change_percentage", allow_none=True)
    ath_date = Timestamp(attribute="market.ath_date", allow_none=True)
    atl = Number(attribute="market.atl", allow_none=True)
    atl_change_percentage = Number(attribute="market.atl_change_percentage", allow_none=True)
    atl_date = Timestamp(attribute="market.atl_date", allow_none=True)
    last_updated = Timestamp(attribute="market.last_updated")


class AssetDetailOutput(AssetFullOutput):
    """The detail at the top level, and again under `data`, as some clients look there."""

    data = fields.Nested(AssetFullOutput, attribute="itself")


class PricePointOutput(Output):
    time = Timestamp()
    price = Price()


class PricesOutput(Output):
    asset_id = fields.String()
    points = fields.List(fields.Nested(PricePointOutput))


class HistoryPointOutput(Output):
    date = fields.Date()
    cash = Money()
    assets = Money()
    total = Money()


class PortfolioHistoryOutput(Output):
    points = fields.List(fields.Nested(HistoryPointOutput))


class UserWithStatusOutput(UserOutput):
    status = LowerCase(UserStatus)


class UserListOutput(Output):
    data = fields.List(fields.Nested(UserWithStatusOutput))


class AccountOutput(Output):
    user = fields.Nested(UserWithStatusOutput)
    balance = fields.Nested(BalanceOutput, attribute="portfolio.balance")
    portfolio = fields.Nested(PortfolioOutput)


class ActedTransactionOutput(TransactionOutput):
    actor = fields.String(allow_none=True)


class AdjustmentOutput(Output):
    data = fields.Nested(ActedTransactionOutput)


class HolderOutput(Output):
    username = fields.String()
    asset_id = fields.String()
    quantity = Quantity()
    created_at = Timestamp()
    updated_at = Timestamp()


class HolderListOutput(PageOutput):
    data = fields.List(fields.Nested(HolderOutput))


class UserAssetTransactionOutput(AssetTransactionOutput):
    username = fields.String()


class UserAssetTransactionListOutput(PageOutput):
    data = fields.List(fields.Nested(UserAssetTransactionOutput))
