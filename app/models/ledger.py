"""Table `users`: the items of money and holdings, and every way to read them. Changing them is `account.py`'s.

| item | PK | SK |
|---|---|---|
| Balance | `{username}` | `BALANCE` |
| BalanceTransaction | `{username}` | `TRANS#{transaction_id}` |
| Holding | `{username}` | `ASSET#{asset_id}` |
| Trade | `TRANS#{username}#{asset_id}` | `{traded_at}` |
| IdempotencyClaim | `{username}` | `REQUEST#{idempotency key}` |

| access pattern | operation |
|---|---|
| balance | GetItem Balance |
| one transaction | GetItem BalanceTransaction |
| transactions, newest first, also by type | Query PK, SK begins with `TRANS#` |
| one holding | GetItem Holding |
| all holdings; with the balance: the portfolio | Query PK, SK from `ASSET#` to `BALANCE` |
| all holders of an asset | Query AssetIndex |
| one asset transaction | GetItem Trade |
| asset transactions of a user and asset | Query PK |
| asset transactions of a user | Query UserTransactionsIndex |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from app.domain import clock, ledger
from app.domain.errors import HoldingNotFound, TransactionNotFound
from app.domain.identifiers import TRANSACTION_ID, matches
from app.domain.ledger import TransactionType
from app.domain.orders import Side
from app.models.attributes import MoneyAttribute, QuantityAttribute, TimeAttribute
from app.models.item import Key
from app.models.paging import FIRST_PAGE, Page, PageRequest, list_page
from app.models.users import UsersItem, UserTransactionsIndex


class Balance(UsersItem, discriminator="BALANCE"):
    """What a user can spend now, and what open orders to buy hold back (`reserved_cash`).

    `version` counts the transactions; every change is conditional on it.
    """

    username = UnicodeAttribute()
    current_balance = MoneyAttribute()
    total_deposits = MoneyAttribute()
    total_withdrawals = MoneyAttribute()
    reserved_cash = MoneyAttribute()
    version = NumberAttribute()
    created_at = TimeAttribute()
    updated_at = TimeAttribute()

    @staticmethod
    def key(username: str) -> Key:
        return username, "BALANCE"

    @property
    def cash_account(self) -> ledger.CashAccount:
        """The balance as the rules see it."""
        return ledger.CashAccount(
            self.current_balance, self.total_deposits, self.total_withdrawals, self.reserved_cash, int(self.version)
        )


class BalanceTransaction(UsersItem, discriminator="TRANSACTION"):
    """One change of a balance; never changed or deleted."""

    username = UnicodeAttribute()
    transaction_id = UnicodeAttribute()
    transaction_type = UnicodeAttribute()
    amount = MoneyAttribute()
    previous_balance = MoneyAttribute()
    new_balance = MoneyAttribute()
    status = UnicodeAttribute(default="COMPLETED")
    description = UnicodeAttribute(null=True)
    order_id = UnicodeAttribute(null=True)
    actor = UnicodeAttribute(null=True)
    created_at = TimeAttribute()

    @staticmethod
    def key(username: str, transaction_id: str) -> Key:
        return username, f"TRANS#{transaction_id}"

    @property
    def reference(self) -> str:
        """The id by which an idempotency claim finds it again."""
        return str(self.transaction_id)

    @property
    def effect(self) -> Decimal:
        """What it added to the balance: above zero for money in, below zero for money out."""
        return ledger.effect_of(TransactionType(self.transaction_type), self.amount)


class Holding(UsersItem, discriminator="ASSET"):
    """A holding: what a user owns of one asset and can sell now. It stays, with quantity 0, when all is sold."""

    username = UnicodeAttribute()
    asset_id = UnicodeAttribute()
    quantity = QuantityAttribute()
    created_at = TimeAttribute()
    updated_at = TimeAttribute()

    @staticmethod
    def key(username: str, asset_id: str) -> Key:
        return username, f"ASSET#{asset_id}"


class Trade(UsersItem, discriminator="ASSET_TRANSACTION"):
    """One purchase or sale of an asset; never changed or deleted."""

    username = UnicodeAttribute()
    asset_id = UnicodeAttribute()
    transaction_type = UnicodeAttribute()
    quantity = QuantityAttribute()
    price = QuantityAttribute()
    total_amount = MoneyAttribute()
    order_id = UnicodeAttribute()
    status = UnicodeAttribute(default="COMPLETED")
    traded_at = TimeAttribute()
    created_at = TimeAttribute()

    @staticmethod
    def partition(username: str, asset_id: str) -> str:
        return f"TRANS#{username}#{asset_id}"

    @staticmethod
    def key(username: str, asset_id: str, traded_at: datetime) -> Key:
        return Trade.partition(username, asset_id), clock.to_text(traded_at)

    @property
    def effect(self) -> Decimal:
        """What it added to what the user owns of the asset, negative for a sale."""
        return self.quantity if self.transaction_type == Side.BUY else -self.quantity


@dataclass(frozen=True)
class Portfolio:
    """The balance and all holdings of one user, read in one call."""

    balance: Balance
    holdings: list[Holding]


def get_balance(username: str) -> Balance:
    """The balance of an existing user; every user has one from registration on."""
    return Balance.get(*Balance.key(username), consistent_read=True)


def get_transaction(username: str, transaction_id: str) -> BalanceTransaction:
    """Raises TransactionNotFound, also for what is no transaction id at all."""
    well_formed = matches(TRANSACTION_ID, transaction_id)
    transaction = BalanceTransaction.find(BalanceTransaction.key(username, transaction_id)) if well_formed else None
    if transaction is None:
        raise TransactionNotFound()
    return transaction


def list_transactions_of_order(
    username: str, order_id: str, page: PageRequest = FIRST_PAGE
) -> Page[BalanceTransaction]:
    """What an order moved of the balance, newest first; a page may be short (see `list_page`)."""
    return list_page(
        BalanceTransaction,
        username,
        page,
        keys=BalanceTransaction.SK.startswith("TRANS#"),
        filters=BalanceTransaction.order_id == order_id,
    )


def list_transactions(
    username: str, page: PageRequest = FIRST_PAGE, *, transaction_type: TransactionType | None = None
) -> Page[BalanceTransaction]:
    """Newest first; of one type if given."""
    return list_page(
        BalanceTransaction,
        username,
        page,
        keys=BalanceTransaction.SK.startswith("TRANS#"),
        filters=BalanceTransaction.transaction_type == transaction_type.value if transaction_type else None,
    )


def iterate_transactions(username: str, first: int, last: int) -> Iterator[BalanceTransaction]:
    """The transactions of these numbers, oldest first, read page by page; none when `last` is before `first`."""
    if last < first:
        return iter(())
    first_key, last_key = (BalanceTransaction.key(username, ledger.transaction_id(n))[1] for n in (first, last))
    numbers = BalanceTransaction.SK.between(first_key, last_key)
    # A page of 1 MB, DynamoDB's own bound, would be some 15 MB of Python objects.
    return BalanceTransaction.query(username, numbers, consistent_read=True, page_size=500)


def find_holding(username: str, asset_id: str) -> Holding | None:
    return Holding.find(Holding.key(username, asset_id))


def get_holding(username: str, asset_id: str) -> Holding:
    """Raises HoldingNotFound when the user never held the asset."""
    holding = find_holding(username, asset_id)
    if holding is None:
        raise HoldingNotFound()
    return holding


def list_holdings(username: str) -> list[Holding]:
    """All holdings by asset id, those of quantity zero included. One call."""
    return list(Holding.query(username, Holding.SK.startswith("ASSET#"), consistent_read=True))


def get_portfolio(username: str) -> Portfolio:
    """The sort keys from `ASSET#` to `BALANCE` are the holdings and the balance, and leave all history out."""
    items = list(UsersItem.query(username, UsersItem.SK.between("ASSET#", "BALANCE"), consistent_read=True))
    balance = next(item for item in items if isinstance(item, Balance))
    return Portfolio(balance, [item for item in items if isinstance(item, Holding)])


def list_holders(asset_id: str, page: PageRequest = FIRST_PAGE) -> Page[Holding]:
    """Who holds or held an asset, by username from z to a; for the operator, a page may be short (see `list_page`)."""
    index = Holding.asset_index
    return list_page(Holding, asset_id, page, index=index, filters=Holding.SK.startswith("ASSET#"))


def list_trades_of_asset(asset_id: str, page: PageRequest = FIRST_PAGE) -> Page[Trade]:
    """All purchases and sales of an asset by all users, by username from z to a; a page may be short."""
    index = Trade.asset_index
    return list_page(Trade, asset_id, page, index=index, filters=Trade.PK.startswith("TRANS#"))


def get_trade(username: str, asset_id: str, traded_at: datetime) -> Trade:
    """Raises TransactionNotFound."""
    transaction = Trade.find(Trade.key(username, asset_id, traded_at))
    if transaction is None:
        raise TransactionNotFound()
    return transaction


def iterate_trades_since(username: str, time: datetime) -> Iterator[Trade]:
    """Purchases and sales of a user from this time on, oldest first, read page by page."""
    since = UserTransactionsIndex.traded_at >= time
    return Trade.query(username, since, index_name=UserTransactionsIndex.Meta.index_name)


def list_trades(username: str, page: PageRequest = FIRST_PAGE, *, asset_id: str | None = None) -> Page[Trade]:
    """Purchases and sales of a user, newest first; of one asset if given."""
    if asset_id:
        return list_page(Trade, Trade.partition(username, asset_id), page)
    return list_page(Trade, username, page, index=Trade.user_transactions_index)
