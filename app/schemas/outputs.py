"""Response schemas of the JSON API, in the words of its contract: a trade is an asset transaction there.

Amounts are text: money in USD with 2 decimals (`"1000.00"`), prices and quantities with at most 8. Where the contract
wants numbers they are exact JSON numbers. Times are ISO 8601 in UTC. Every key is always present, except in errors.
"""

from __future__ import annotations

from marshmallow import Schema, fields

from app.domain.account_events import AccountEventType
from app.domain.events import DONE, REFUSED, WAITS, EventKind, Means
from app.domain.gains import CostMethod
from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus, Side, TimeInForce
from app.domain.users import Role, UserStatus
from app.schemas.amounts import Money, Number, Price, Quantity
from app.schemas.fields import LowerCase, OrderTypeName, Output, Timestamp

# Transactions and trades are complete as soon as they can be seen.
COMPLETED = "COMPLETED"
STORED_EVENTS = [each.value for each in EventKind if each not in REFUSED]


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


class PasskeyOutput(Output):
    """A passkey. `last_used_at` is null until it is used."""

    passkey_id = fields.String()
    name = fields.String()
    created_at = Timestamp()
    last_used_at = Timestamp(allow_none=True)


class PasskeyOptionsOutput(Output):
    """What to hand to `navigator.credentials`, once its base64url is decoded. It counts for five minutes, once."""

    public_key = fields.Dict(keys=fields.String())


class SecondFactorOutput(Output):
    """Whether there is a second factor. `falls_at` is from when on a log-in without a code removes it, if ever."""

    is_on = fields.Boolean()
    since = Timestamp(allow_none=True)
    recovery_codes_left = fields.Integer()
    falls_at = Timestamp(allow_none=True)
    passkeys = fields.List(fields.Nested(PasskeyOutput))


class SetupOutput(Output):
    """A second factor to set up: `secret` in Base32 and `otpauth_uri` are for the app, `setup` for the confirmation."""

    setup = fields.String()
    secret = fields.String()
    otpauth_uri = fields.String()


class RecoveryCodesOutput(Output):
    """Recovery codes, each of which works once. They cannot be shown again."""

    recovery_codes = fields.List(fields.String())


class BalanceOutput(Output):
    """A user's cash, and the sums of all deposits and of all withdrawals."""

    current_balance = Money()
    total_deposits = Money()
    total_withdrawals = Money()
    number = fields.Integer(attribute="version", metadata={"description": "Of the last transaction; 0 before it"})
    head = fields.String(allow_none=True, metadata={"description": "The hash of that transaction; null on an old one"})
    updated_at = Timestamp()


class OwnAccountOutput(Output):
    """An account at a glance: what can be spent, what open orders to buy reserve, and what all is worth now.

    `number` and `head` are of the last transaction, as in the balance.
    """

    status = LowerCase(UserStatus, attribute="user.status")
    cash_balance = Money(attribute="portfolio.cash_balance")
    reserved_cash = Money(attribute="portfolio.reserved_cash")
    total_value = Money(attribute="portfolio.total_value")
    number = fields.Integer(attribute="portfolio.balance.version")
    head = fields.String(attribute="portfolio.balance.head", allow_none=True)


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
    actor = fields.String(allow_none=True, metadata={"description": "The administrator who made it, if one did"})
    hash = fields.String(allow_none=True, metadata={"description": "It and all before it; null on old ones"})
    created_at = Timestamp()


class GainFields(Output):
    """What is owned, by average cost: its cost and what it gained. A gain is signed, and null while it is not known.

    `unrealised_gain` is the value beyond the cost, also in percent of it. `realised_gain` is that of all sales since
    the account began. No fees are counted.
    """

    cost_total = Money(allow_none=True)
    unrealised_gain = Money(allow_none=True)
    unrealised_gain_percent = Money(allow_none=True)
    realised_gain = Money(allow_none=True)


class HoldingOutput(GainFields):
    """What a user owns of one asset, its value at the market's price, and its cost.

    `quantity` can be sold now, `reserved_quantity` is in open orders to sell; `total_value` and `cost_total` are those
    of both. `average_price` is the cost of one unit, rounded as prices of the asset are. A gain is signed, by
    average cost, and null while it is not known.
    """

    asset_id = fields.String()
    asset_name = fields.String()
    quantity = Quantity()
    reserved_quantity = Quantity()
    current_price = Number(allow_none=True)
    total_value = Number(attribute="market_value", allow_none=True)
    average_price = Price(allow_none=True)
    created_at = Timestamp(attribute="holding.created_at")
    updated_at = Timestamp(attribute="holding.updated_at")


class ValuedAssetOutput(GainFields):
    """One asset of a portfolio.

    `quantity` can be sold now, `reserved_quantity` is in open orders to sell; `market_value` and `cost_total` are those
    of both, and `percentage` is the part of the total value, with 2 decimals. `average_price` is the cost of one unit,
    rounded as prices of the asset are. A gain is signed, by average cost, and null while it is not known. The price is
    of `priced_at`: for a past moment, the newest one known of the time before.
    """

    asset_id = fields.String()
    quantity = Quantity()
    reserved_quantity = Quantity()
    current_price = Price(allow_none=True)
    priced_at = Timestamp(allow_none=True)
    market_value = Money(allow_none=True)
    average_price = Price(allow_none=True)
    percentage = Money()


class PortfolioOutput(GainFields):
    """Everything that a user owns, its value, and the sums of what it cost and gained.

    `realised_gain` counts all sales since the account began, also of assets that are all sold; `total_gain` is realised
    and unrealised. `net_deposits` are deposits less withdrawals, with adjustments; with `total_gain` they are
    `total_value`.
    """

    assets = fields.List(fields.Nested(ValuedAssetOutput))
    cash_balance = Money()
    reserved_cash = Money()
    total_value = Money()
    net_deposits = Money(allow_none=True)
    total_gain = Money(allow_none=True)
    as_of = Timestamp()


class OrderOutput(Output):
    """An order; `price` is `executed_price`, or else `limit_price`, or else `stop_price`.

    An order with a `stop_price` waits until the price has reached it, at `triggered_at`.

    `reserved_amount` (cash of an order to buy) or `reserved_quantity` (of an order to sell) is what it reserved when it
    had to wait; it stays on record when the order has ended. `revision` is 1, and 1 more after each change.
    """

    order_id = fields.String()
    client_order_id = fields.String(allow_none=True)
    order_type = OrderTypeName()
    asset_id = fields.String()
    quantity = Quantity()
    price = Price(attribute="order_price")
    limit_price = Price(allow_none=True)
    stop_price = Price(allow_none=True)
    executed_price = Price(allow_none=True)
    reserved_amount = Money(allow_none=True)
    reserved_quantity = Quantity(allow_none=True)
    time_in_force = LowerCase(TimeInForce, allow_none=True)
    status = LowerCase(OrderStatus)
    revision = fields.Integer(attribute="revision_number")
    total_amount = Money()
    expires_at = Timestamp(allow_none=True)
    triggered_at = Timestamp(allow_none=True)
    executed_at = Timestamp(allow_none=True)
    created_at = Timestamp()
    updated_at = Timestamp()


class OrderChangeOutput(Output):
    """What changed of an order while it waited; `revision` is the one that this ended."""

    revision = fields.Integer()
    quantity_before = Quantity()
    quantity_after = Quantity()
    price_before = Price(attribute="limit_before")
    price_after = Price(attribute="limit_after")
    expires_at_before = Timestamp(attribute="end_before")
    expires_at_after = Timestamp(attribute="end_after")
    created_at = Timestamp()


class AssetTransactionOutput(Output):
    """A trade. A sale has what its units had cost, by average, and its `gain`, which is signed; a purchase has null."""

    asset_id = fields.String()
    transaction_type = fields.String(metadata={"enum": list(Side)})
    quantity = Quantity()
    price = Price()
    total_amount = Money()
    cost_total = Money(allow_none=True)
    gain = Money(allow_none=True)
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
    """A login token, which expires in `expires_in` seconds, and the mark of a device that has logged in."""

    success = fields.Boolean()
    access_token = fields.String()
    token_type = fields.String()
    expires_in = fields.Integer()
    device = fields.String()
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


class EventOutput(Output):
    """What was done to an account, when and from where. For its owner, not from where an administrator did it."""

    event = fields.String(attribute="kind", metadata={"enum": STORED_EVENTS})
    outcome = fields.String(metadata={"enum": [DONE, WAITS]})
    by_administrator = fields.Boolean(attribute="is_by_another")
    via = LowerCase(Means, allow_none=True)
    address = fields.String(allow_none=True)
    agent = fields.String(allow_none=True)
    device = fields.String(allow_none=True, metadata={"description": "Equal for equal agents"})
    request_id = fields.String(allow_none=True)
    created_at = Timestamp()


class EventListOutput(PageOutput):
    """A page of the security events of an account."""

    data = fields.List(fields.Nested(EventOutput))


class AccountEventOutput(Output):
    """What happened to an order, or to the account. `transaction_id` is that of an adjustment.

    Other types may be added: ignore what you do not know.
    """

    event_number = fields.String()
    event_type = fields.String(metadata={"enum": [each.value for each in AccountEventType]})
    order_id = fields.String(allow_none=True)
    transaction_id = fields.String(allow_none=True)
    created_at = Timestamp()


class FeedOutput(Output):
    """Account events, oldest first. `next_after` is the `after` of the next request."""

    data = fields.List(fields.Nested(AccountEventOutput))
    next_after = fields.String(metadata={"example": "000000000042"})


class HoldingListOutput(Output):
    """All holdings of a user."""

    data = fields.List(fields.Nested(HoldingOutput))


class OneOrderOutput(Output):
    """One order."""

    data = fields.Nested(OrderOutput)


class EndedOrderOutput(Output):
    """How an order ended that was to be cancelled: something else may have come first."""

    order_id = fields.String()
    outcome = LowerCase([status for status in OrderStatus if status is not OrderStatus.PENDING])


class EndedOrdersOutput(Output):
    """The orders that were ended. While `has_more` is true, others are open."""

    data = fields.List(fields.Nested(EndedOrderOutput))
    has_more = fields.Boolean()


class OrderListOutput(PageOutput):
    """A page of orders."""

    data = fields.List(fields.Nested(OrderOutput))


class OrderChangeListOutput(PageOutput):
    """A page of changes of one order."""

    data = fields.List(fields.Nested(OrderChangeOutput))


class AssetTransactionListOutput(PageOutput):
    """A page of trades."""

    data = fields.List(fields.Nested(AssetTransactionOutput))


class HistoryPointOutput(Output):
    """The value of a portfolio at the end of a day (UTC), or now for the last point.

    `net_deposits` are deposits less withdrawals, with adjustments, and `gain` is what the total is beyond them.
    `return_percent` is the return since the first point, whatever was paid in or out meanwhile. It multiplies the
    returns of days: each is the gain as a part of the value before and of what was paid in. They are null while they
    are not known.
    """

    date = fields.Date()
    cash = Money()
    assets = Money()
    total = Money()
    net_deposits = Money(allow_none=True)
    gain = Money(allow_none=True)
    return_percent = Money(allow_none=True)


class PortfolioHistoryOutput(Output):
    """The value of a portfolio day by day, oldest first.

    `without_prices` names the assets that were owned, but have no past prices at the moment: before today they count
    as 0.00.
    """

    points = fields.List(fields.Nested(HistoryPointOutput))
    without_prices = fields.List(fields.String())


class GainSumOutput(Output):
    """What sales brought, what their units had cost, and the gain, which is signed; null while it is not known."""

    proceeds = Money()
    cost = Money(allow_none=True)
    gain = Money(allow_none=True)


class GainLineOutput(GainSumOutput):
    """One sale; by `fifo` the part of a sale that is counted against one purchase, of `acquired_at`."""

    asset_id = fields.String()
    sold_at = Timestamp()
    quantity = Quantity()
    acquired_at = Timestamp(allow_none=True)
    days_held = fields.Integer(allow_none=True)
    order_id = fields.String()


class AssetGainOutput(GainSumOutput):
    """The sum of the sales of one asset in a year."""

    asset_id = fields.String()


class GainReportOutput(Output):
    """The gains of a year (UTC) in US dollars, without fees, by the time of sale.

    `data` has the first lines. `has_more` says that there are others: the sums count them, and the CSV has them.
    """

    year = fields.Integer()
    method = LowerCase(CostMethod)
    data = fields.List(fields.Nested(GainLineOutput))
    has_more = fields.Boolean()
    assets = fields.List(fields.Nested(AssetGainOutput))
    total = fields.Nested(GainSumOutput)


class UserWithStatusOutput(UserOutput):
    """A user, as an admin sees them. A closed account has no address and no names."""

    email = fields.String(allow_none=True)
    first_name = fields.String(allow_none=True)
    last_name = fields.String(allow_none=True)
    status = LowerCase(UserStatus)
