"""What the service answers, and its operations. Written by `generate.py`: do not edit.

Amounts are `Decimal`, times aware datetimes in UTC. A class has exactly the fields of its schema in the OpenAPI file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

PREFIX = "/api/v1"


@dataclass(frozen=True)
class Operation:
    """`path` follows PREFIX. A keyed one takes an Idempotency-Key."""

    method: str
    path: str
    keyed: bool = False


Availability = Literal["available", "unavailable"]
CostMethod = Literal["average", "fifo"]
OrderStatus = Literal["pending", "completed", "cancelled", "expired"]
OrderType = Literal[
    "market_buy", "market_sell", "limit_buy", "limit_sell", "stop_sell", "stop_limit_buy", "stop_limit_sell"
]
Role = Literal["customer", "admin"]
TimeInForce = Literal["gtc", "day", "ioc", "fok"]
TradeType = Literal["BUY", "SELL"]
TransactionType = Literal["deposit", "withdraw", "order_payment", "order_sale", "order_refund", "system_adjustment"]
UserStatus = Literal["active", "suspended", "closed"]


@dataclass(frozen=True)
class AccountEvent:
    event_number: str
    event_type: Literal[
        "order_filled", "order_expired", "order_cancelled", "order_changed", "adjusted", "suspended", "reinstated"
    ]
    order_id: str | None
    transaction_id: str | None
    created_at: datetime


@dataclass(frozen=True)
class Asset:
    asset_id: str
    name: str
    description: str
    category: str
    price_usd: Decimal | None
    is_active: bool
    symbol: str
    image: str | None
    market_cap_rank: int
    price_change_percentage_24h: Decimal | None
    market_cap: Decimal | None
    total_volume_24h: Decimal | None


@dataclass(frozen=True)
class AssetDetail:
    asset_id: str
    name: str
    description: str
    category: str
    price_usd: Decimal | None
    is_active: bool
    symbol: str
    image: str | None
    market_cap_rank: int
    price_change_percentage_24h: Decimal | None
    market_cap: Decimal | None
    total_volume_24h: Decimal | None
    availability_status: Availability
    price_change_24h: Decimal | None
    price_change_percentage_7d: Decimal | None
    price_change_percentage_30d: Decimal | None
    high_24h: Decimal | None
    low_24h: Decimal | None
    circulating_supply: Decimal
    total_supply: Decimal | None
    max_supply: Decimal | None
    ath: Decimal | None
    ath_change_percentage: Decimal | None
    ath_date: datetime | None
    atl: Decimal | None
    atl_change_percentage: Decimal | None
    atl_date: datetime | None
    last_updated: datetime
    data: AssetFull


@dataclass(frozen=True)
class AssetFull:
    asset_id: str
    name: str
    description: str
    category: str
    price_usd: Decimal | None
    is_active: bool
    symbol: str
    image: str | None
    market_cap_rank: int
    price_change_percentage_24h: Decimal | None
    market_cap: Decimal | None
    total_volume_24h: Decimal | None
    availability_status: Availability
    price_change_24h: Decimal | None
    price_change_percentage_7d: Decimal | None
    price_change_percentage_30d: Decimal | None
    high_24h: Decimal | None
    low_24h: Decimal | None
    circulating_supply: Decimal
    total_supply: Decimal | None
    max_supply: Decimal | None
    ath: Decimal | None
    ath_change_percentage: Decimal | None
    ath_date: datetime | None
    atl: Decimal | None
    atl_change_percentage: Decimal | None
    atl_date: datetime | None
    last_updated: datetime


@dataclass(frozen=True)
class AssetGain:
    proceeds: Decimal
    cost: Decimal | None
    gain: Decimal | None
    asset_id: str


@dataclass(frozen=True)
class AssetList:
    data: list[Asset]
    assets: list[Asset]
    total_count: int
    active_count: int


@dataclass(frozen=True)
class AssetTransaction:
    asset_id: str
    transaction_type: TradeType
    quantity: Decimal
    price: Decimal
    total_amount: Decimal
    cost_total: Decimal | None
    gain: Decimal | None
    order_id: str
    status: Literal["COMPLETED"]
    timestamp: datetime


@dataclass(frozen=True)
class AssetTransactionList:
    has_more: bool
    next_cursor: str | None
    data: list[AssetTransaction]


@dataclass(frozen=True)
class Balance:
    current_balance: Decimal
    total_deposits: Decimal
    total_withdrawals: Decimal
    number: int
    head: str | None
    updated_at: datetime


@dataclass(frozen=True)
class CashMovement:
    success: bool
    message: str
    transaction_id: str
    timestamp: datetime
    transaction: Transaction


@dataclass(frozen=True)
class DryRun:
    dry_run: Literal[True]
    data: Effects


@dataclass(frozen=True)
class Effects:
    entries: list[Entry]
    cash_before: Decimal | None
    cash_after: Decimal | None
    holding_before: Decimal | None
    holding_after: Decimal | None
    cost_total: Decimal | None
    gain: Decimal | None
    order: TriedOrder | None


@dataclass(frozen=True)
class EndedOrder:
    order_id: str
    outcome: Literal["completed", "cancelled", "expired"]


@dataclass(frozen=True)
class EndedOrders:
    data: list[EndedOrder]
    has_more: bool


@dataclass(frozen=True)
class Entry:
    transaction_type: TransactionType
    amount: Decimal
    previous_balance: Decimal
    new_balance: Decimal
    description: str | None


@dataclass(frozen=True)
class Feed:
    data: list[AccountEvent]
    next_after: str


@dataclass(frozen=True)
class GainLine:
    proceeds: Decimal
    cost: Decimal | None
    gain: Decimal | None
    asset_id: str
    sold_at: datetime
    quantity: Decimal
    acquired_at: datetime | None
    days_held: int | None
    order_id: str


@dataclass(frozen=True)
class GainReport:
    year: int
    method: CostMethod
    data: list[GainLine]
    has_more: bool
    assets: list[AssetGain]
    total: GainSum


@dataclass(frozen=True)
class GainSum:
    proceeds: Decimal
    cost: Decimal | None
    gain: Decimal | None


@dataclass(frozen=True)
class HistoryPoint:
    date: date
    cash: Decimal
    assets: Decimal
    total: Decimal
    net_deposits: Decimal | None
    gain: Decimal | None
    return_percent: Decimal | None


@dataclass(frozen=True)
class Holding:
    cost_total: Decimal | None
    unrealised_gain: Decimal | None
    unrealised_gain_percent: Decimal | None
    realised_gain: Decimal | None
    asset_id: str
    asset_name: str
    quantity: Decimal
    reserved_quantity: Decimal
    current_price: Decimal | None
    total_value: Decimal | None
    average_price: Decimal | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class HoldingList:
    data: list[Holding]


@dataclass(frozen=True)
class Login:
    success: bool
    access_token: str
    token_type: str
    expires_in: int
    device: str
    user: User


@dataclass(frozen=True)
class Message:
    message: str


@dataclass(frozen=True)
class NewToken:
    access_token: str
    token_type: str
    data: Token


@dataclass(frozen=True)
class OneOrder:
    data: Order


@dataclass(frozen=True)
class Order:
    order_id: str
    client_order_id: str | None
    order_type: OrderType
    asset_id: str
    quantity: Decimal
    price: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    executed_price: Decimal | None
    reserved_amount: Decimal | None
    reserved_quantity: Decimal | None
    time_in_force: TimeInForce | None
    status: OrderStatus
    revision: int
    total_amount: Decimal
    expires_at: datetime | None
    triggered_at: datetime | None
    executed_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class OrderChange:
    revision: int
    quantity_before: Decimal
    quantity_after: Decimal
    price_before: Decimal
    price_after: Decimal
    expires_at_before: datetime
    expires_at_after: datetime
    created_at: datetime


@dataclass(frozen=True)
class OrderChangeList:
    has_more: bool
    next_cursor: str | None
    data: list[OrderChange]


@dataclass(frozen=True)
class OrderList:
    has_more: bool
    next_cursor: str | None
    data: list[Order]


@dataclass(frozen=True)
class OwnAccount:
    status: UserStatus
    cash_balance: Decimal
    reserved_cash: Decimal
    total_value: Decimal
    number: int
    head: str | None


@dataclass(frozen=True)
class Portfolio:
    cost_total: Decimal | None
    unrealised_gain: Decimal | None
    unrealised_gain_percent: Decimal | None
    realised_gain: Decimal | None
    assets: list[ValuedAsset]
    cash_balance: Decimal
    reserved_cash: Decimal
    total_value: Decimal
    net_deposits: Decimal | None
    total_gain: Decimal | None
    as_of: datetime


@dataclass(frozen=True)
class PortfolioHistory:
    points: list[HistoryPoint]
    without_prices: list[str]


@dataclass(frozen=True)
class Preview:
    dry_run: Literal[True]
    data: TriedPlacing


@dataclass(frozen=True)
class PricePoint:
    time: datetime
    price: Decimal


@dataclass(frozen=True)
class Prices:
    asset_id: str
    points: list[PricePoint]


@dataclass(frozen=True)
class Token:
    token_id: str
    name: str
    scopes: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True)
class TokenList:
    data: list[Token]


@dataclass(frozen=True)
class Transaction:
    transaction_id: str
    transaction_type: TransactionType
    amount: Decimal
    previous_balance: Decimal
    new_balance: Decimal
    status: Literal["completed"]
    description: str | None
    order_id: str | None
    actor: str | None
    hash: str | None
    created_at: datetime


@dataclass(frozen=True)
class TransactionList:
    has_more: bool
    next_cursor: str | None
    transactions: list[Transaction]
    total_count: int


@dataclass(frozen=True)
class TriedOrder:
    order_id: str | None
    client_order_id: str | None
    order_type: OrderType
    asset_id: str
    quantity: Decimal
    price: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    executed_price: Decimal | None
    reserved_amount: Decimal | None
    reserved_quantity: Decimal | None
    time_in_force: TimeInForce | None
    status: OrderStatus
    revision: int
    total_amount: Decimal
    expires_at: datetime | None
    triggered_at: datetime | None


@dataclass(frozen=True)
class TriedPlacing:
    entries: list[Entry]
    cash_before: Decimal | None
    cash_after: Decimal | None
    holding_before: Decimal | None
    holding_after: Decimal | None
    cost_total: Decimal | None
    gain: Decimal | None
    order: TriedOrder | None
    outcome: Literal["executes", "waits"]
    price: Decimal | None
    total: Decimal
    worst_price: Decimal | None
    worst_total: Decimal | None


@dataclass(frozen=True)
class User:
    username: str
    email: str
    first_name: str
    last_name: str
    phone: str | None
    date_of_birth: str | None
    marketing_emails_consent: bool
    role: Role
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class ValuedAsset:
    cost_total: Decimal | None
    unrealised_gain: Decimal | None
    unrealised_gain_percent: Decimal | None
    realised_gain: Decimal | None
    asset_id: str
    quantity: Decimal
    reserved_quantity: Decimal
    current_price: Decimal | None
    priced_at: datetime | None
    market_value: Decimal | None
    average_price: Decimal | None
    percentage: Decimal


OPERATIONS = {
    "login": Operation("POST", "/auth/login"),
    "logout": Operation("POST", "/auth/logout"),
    "get_profile": Operation("GET", "/auth/profile"),
    "give_proof": Operation("POST", "/auth/proof"),
    "list_tokens": Operation("GET", "/auth/tokens"),
    "create_token": Operation("POST", "/auth/tokens"),
    "revoke_token": Operation("DELETE", "/auth/tokens/{token_id}"),
    "get_balance": Operation("GET", "/balance"),
    "deposit": Operation("POST", "/balance/deposit", keyed=True),
    "withdraw": Operation("POST", "/balance/withdraw", keyed=True),
    "list_transactions": Operation("GET", "/balance/transactions"),
    "get_transaction": Operation("GET", "/balance/transactions/{transaction_id}"),
    "download_statement": Operation("GET", "/balance/transactions.csv"),
    "get_portfolio": Operation("GET", "/portfolio"),
    "get_portfolio_history": Operation("GET", "/portfolio/history"),
    "get_gains": Operation("GET", "/portfolio/gains"),
    "list_holdings": Operation("GET", "/balance/assets"),
    "get_holding": Operation("GET", "/balance/asset/{asset_id}"),
    "get_account": Operation("GET", "/account"),
    "list_account_events": Operation("GET", "/events"),
    "preview_order": Operation("POST", "/orders/preview"),
    "change_order": Operation("PATCH", "/orders/{order_id}", keyed=True),
    "list_changes": Operation("GET", "/orders/{order_id}/changes"),
    "place_order": Operation("POST", "/orders", keyed=True),
    "list_orders": Operation("GET", "/orders"),
    "get_order": Operation("GET", "/orders/{order_id}"),
    "get_order_by_client_id": Operation("GET", "/orders/by-client-id/{client_order_id}"),
    "cancel_order": Operation("POST", "/orders/{order_id}/cancel", keyed=True),
    "cancel_orders": Operation("POST", "/orders/cancel", keyed=True),
    "list_trades": Operation("GET", "/assets/transactions"),
    "list_trades_of_asset": Operation("GET", "/assets/{asset_id}/transactions"),
    "list_assets": Operation("GET", "/inventory/assets"),
    "get_asset": Operation("GET", "/inventory/assets/{asset_id}"),
    "list_prices": Operation("GET", "/inventory/assets/{asset_id}/prices"),
}
