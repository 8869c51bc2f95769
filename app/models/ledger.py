"""Table `users`: the items of cash and holdings, and every way to read them. `balance_changes.py` changes them.

Money is USD with 2 decimals, quantities have up to 8. Lists are newest first, in pages; see `paging.list_page`.

| item | PK | SK |
|---|---|---|
| Balance | `{username}` | `BALANCE` |
| BalanceTransaction | `{username}` | `TRANS#{transaction_id}` |
| Holding | `{username}` | `ASSET#{asset_id}` |
| Trade | `TRANS#{username}#{asset_id}` | `{traded_at}` |

| access pattern | operation |
|---|---|
| balance | GetItem Balance |
| one transaction | GetItem BalanceTransaction |
| transactions, newest first, also by type or order | Query PK, SK begins with `TRANS#` |
| between which numbers a period lies | GetItem Balance; BatchGetItem of more than SLACK transactions |
| transactions of a period | Query PK, SK between two numbers |
| one holding | GetItem Holding |
| all holdings; with the balance: the portfolio | Query PK, SK from `ASSET#` to `BALANCE` |
| all holders of an asset | Query AssetIndex, BatchGetItem |
| all trades of an asset | Query AssetIndex, BatchGetItem |
| one trade | GetItem Trade |
| trades of a user in one asset | Query PK |
| trades of a user | Query UserTransactionsIndex |
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from pynamodb.expressions.condition import Condition

from app.domain import chain, clock, ledger
from app.domain.account_events import event_number
from app.domain.errors import HoldingNotFound, TransactionNotFound
from app.domain.gains import Basis
from app.domain.holdings import AssetAccount
from app.domain.identifiers import TRANSACTION_ID, matches
from app.domain.ledger import TransactionType
from app.domain.orders import Side
from app.domain.periods import ALWAYS, SLACK, Bounds, Period, find_bounds
from app.models.attributes import MoneyAttribute, NumberAttribute, QuantityAttribute, TimeAttribute, UnicodeAttribute
from app.models.item import Key
from app.models.paging import FIRST_PAGE, Page, PageRequest, StartKey, list_page, list_page_by_keys
from app.models.reading import NOTHING, Found
from app.models.users import UsersItem, UserTransactionsIndex

as_money = MoneyAttribute().serialize
"""Money as it is stored."""


class Balance(UsersItem, discriminator="BALANCE"):
    """What a user can spend now (`current_balance`), and the reserves of the open orders to buy (`reserved_cash`).

    `version` is the number of transactions; every change is conditional on it. No figure is below zero.
    """

    username = UnicodeAttribute()
    current_balance = MoneyAttribute()
    total_deposits = MoneyAttribute()
    total_withdrawals = MoneyAttribute()
    reserved_cash = MoneyAttribute()
    version = NumberAttribute()
    # The hash of transaction `head_number`. An older version wrote the transactions since, if `version` is another.
    head_hash = UnicodeAttribute(null=True)
    head_number = NumberAttribute(null=True)
    # The number of the last account event. Absent until there is one.
    event_version = NumberAttribute(null=True)
    # When the account was closed. Every change is conditional on its absence.
    closed_at = TimeAttribute(null=True)
    created_at = TimeAttribute()
    updated_at = TimeAttribute()

    @staticmethod
    def key(username: str) -> Key:
        return username, "BALANCE"

    @property
    def head(self) -> str | None:
        """The hash of the last transaction; None where there is none, or it has none."""
        return self.head_hash if self.head_number == self.version else None

    @property
    def hash_before_next(self) -> str:
        """What the next transaction follows in the chain (`app.domain.chain`)."""
        if not self.version:
            return chain.first_hash(self.username, self.created_at)
        return self.head or chain.hash_of_state(
            self.username, ledger.transaction_id(int(self.version)), as_money(self.current_balance)
        )

    @property
    def events(self) -> int:
        """How many account events there were: the number of the last one."""
        return int(self.event_version or 0)

    @property
    def next_event_number(self) -> str:
        """The number of the account event after that, as text."""
        return event_number(self.events + 1)

    @property
    def cash_account(self) -> ledger.CashAccount:
        """The balance as the rules see it."""
        return ledger.CashAccount(
            self.current_balance, self.total_deposits, self.total_withdrawals, self.reserved_cash, int(self.version)
        )


class BalanceTransaction(UsersItem, discriminator="TRANSACTION"):
    """One change of a balance; never changed or deleted.

    `amount` is above zero, except that of an adjustment, which carries its own sign.
    """

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
    # Who approved an adjustment that waited for a second administrator.
    approved_by = UnicodeAttribute(null=True)
    # The account event of an adjustment. Absent on one of an older version, which told nobody.
    event_number = UnicodeAttribute(null=True)
    # Absent on what an older version wrote.
    hash = UnicodeAttribute(null=True)
    created_at = TimeAttribute()

    @staticmethod
    def key(username: str, transaction_id: str) -> Key:
        return username, f"TRANS#{transaction_id}"

    def hash_after(self, previous: str) -> str:
        """The hash of this transaction where it follows another hash (`app.domain.chain`)."""
        amounts = map(as_money, (self.amount, self.previous_balance, self.new_balance))
        names = self.order_id, self.actor, self.description
        values = self.username, self.transaction_id, self.transaction_type, *amounts, *names
        return chain.hash_of_transaction(previous, [*values, clock.to_text(self.created_at)])

    @property
    def hash_before_next(self) -> str:
        """What the transaction after this one follows in the chain."""
        return self.hash or chain.hash_of_state(self.username, self.transaction_id, as_money(self.new_balance))

    @property
    def reference(self) -> str:
        """The id by which an idempotency claim finds it again."""
        return str(self.transaction_id)

    @property
    def effect(self) -> Decimal:
        """What it added to the balance: negative when it took money out."""
        return ledger.effect_of(TransactionType(self.transaction_type), self.amount)


class Holding(UsersItem, discriminator="ASSET"):
    """What a user owns of one asset: `quantity` can be sold now, open orders to sell have `reserved_quantity`.

    `cost_total` is what both together cost, and `realised_gain` what all sales gained (`app.domain.gains`). It stays,
    with quantity 0, when everything is sold. Every change is conditional on all four figures.
    """

    username = UnicodeAttribute()
    asset_id = UnicodeAttribute()
    quantity = QuantityAttribute()
    # Absent on a holding that was last written before this attribute existed.
    reserved_quantity = QuantityAttribute(null=True)
    # Both absent on a holding that an older version made, until the store is upgraded.
    cost_total = MoneyAttribute(null=True)
    realised_gain = MoneyAttribute(null=True)
    created_at = TimeAttribute()
    updated_at = TimeAttribute()

    @staticmethod
    def key(username: str, asset_id: str) -> Key:
        return username, f"ASSET#{asset_id}"

    @property
    def is_owned(self) -> bool:
        """Whether there is any of it, what is reserved included."""
        return bool(self.quantity or self.reserved_quantity)

    @property
    def asset_account(self) -> AssetAccount:
        """The holding as the rules see it."""
        basis = None if self.cost_total is None else Basis(self.cost_total, self.realised_gain)
        return AssetAccount(self.asset_id, self.quantity, self.reserved_quantity or Decimal(0), basis)


class Trade(UsersItem, discriminator="ASSET_TRANSACTION"):
    """One purchase or sale of an asset; never deleted. `price` is for one unit.

    A sale has what its units had cost by average, and its `gain`, which alone is signed. Both are absent on one that an
    older version wrote, until the upgrade, which changes nothing else, adds them.
    """

    username = UnicodeAttribute()
    asset_id = UnicodeAttribute()
    transaction_type = UnicodeAttribute()
    quantity = QuantityAttribute()
    price = QuantityAttribute()
    total_amount = MoneyAttribute()
    cost_total = MoneyAttribute(null=True)
    gain = MoneyAttribute(null=True)
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
        """What it added to the quantity that the user owns: negative for a sale."""
        return self.quantity if self.transaction_type == Side.BUY else -self.quantity

    @property
    def cash_effect(self) -> Decimal:
        """What it added to the cash that the user owns, reserves included: negative for a purchase."""
        return -self.total_amount if self.transaction_type == Side.BUY else self.total_amount

    @property
    def cost_effect(self) -> Decimal | None:
        """What it added to the cost of what the user owns: negative for a sale, None where that is not known."""
        if self.transaction_type == Side.BUY:
            return self.total_amount
        return None if self.cost_total is None else -self.cost_total


def read_until(holding: Holding, balance: Balance) -> datetime:
    """When the last trade that a holding counts was made, at the latest. It was read together with the balance.

    What is traded after the reading is later than both. One alone may be too early where an older version wrote it.
    """
    return max(holding.updated_at, balance.updated_at)


@dataclass(frozen=True)
class Portfolio:
    """The balance and all holdings of one user, those of quantity 0 included."""

    balance: Balance
    holdings: list[Holding]


def get_balance(username: str, found: Found = NOTHING) -> Balance:
    """The balance of an existing user. Every user has one from registration on. One call, unless it is in `found`."""
    key = Balance.key(username)
    return found.get(Balance, key) or Balance.get(*key, consistent_read=True)


def get_transaction(username: str, transaction_id: str, found: Found = NOTHING) -> BalanceTransaction:
    """One call, unless it is in `found`. Raises TransactionNotFound, also for text that is not a transaction id."""
    transaction = None
    if matches(TRANSACTION_ID, transaction_id):
        transaction = found.find(BalanceTransaction, BalanceTransaction.key(username, transaction_id))
    if transaction is None:
        raise TransactionNotFound()
    return transaction


def list_transactions(
    username: str,
    page: PageRequest = FIRST_PAGE,
    *,
    transaction_type: TransactionType | None = None,
    period: Period = ALWAYS,
    slack: int = SLACK,
) -> Page[BalanceTransaction]:
    """Newest first; of one type, and of one period, if given. With a period also the calls of `find_bounds_of`.

    A page may be short (see `list_page`).
    """
    filters = BalanceTransaction.transaction_type == transaction_type.value if transaction_type else None
    if period == ALWAYS:
        every = BalanceTransaction.SK.startswith("TRANS#")
        return list_page(BalanceTransaction, username, page, keys=every, filters=filters)
    span = find_bounds_of(username, period, slack=slack).span
    # A start key must lie between the keys of its query, but this page's span may differ from the one before it.
    last = min(span.high, _number_of(page.start_key) - 1) if page.start_key else span.high
    if last <= span.low:
        return Page([], None)
    within = BalanceTransaction.created_at.between(period.start, period.end)
    keys, rest = _numbers(span.low + 1, last), replace(page, start_key=None)
    return list_page(BalanceTransaction, username, rest, keys=keys, filters=filters & within)


def list_transactions_of_order(
    username: str, order_id: str, page: PageRequest = FIRST_PAGE
) -> Page[BalanceTransaction]:
    """What an order added to the balance or took from it, newest first. One call; a page may be short."""
    keys, filters = BalanceTransaction.SK.startswith("TRANS#"), BalanceTransaction.order_id == order_id
    return list_page(BalanceTransaction, username, page, keys=keys, filters=filters)


def find_bounds_of(username: str, period: Period, *, slack: int = SLACK) -> Bounds:
    """Between which numbers a period of a user begins and ends, each to `slack` transactions.

    One call for an account of up to `slack` transactions, and for a period that is open at both ends. Two calls for a
    longer account, and one more for each further factor of 50.
    """

    def read_times(numbers: Collection[int]) -> dict[int, datetime]:
        keys = [BalanceTransaction.key(username, ledger.transaction_id(number)) for number in numbers]
        found = BalanceTransaction.batch_get(keys, consistent_read=True)
        return {int(transaction.transaction_id): transaction.created_at for transaction in found}

    return find_bounds(int(get_balance(username).version), period, read_times, slack=slack)


def iterate_newest_transactions(username: str, last: int) -> Iterator[BalanceTransaction]:
    """The transactions up to number `last`, newest first, 500 in a call; none when `last` is 0."""
    if not last:
        return iter(())
    return BalanceTransaction.query(
        username, _numbers(1, last), consistent_read=True, scan_index_forward=False, page_size=500
    )


def iterate_transactions(username: str, first: int, last: int) -> Iterator[BalanceTransaction]:
    """The transactions with these numbers, oldest first, 500 in a call; none when `last` is below `first`."""
    if last < first:
        return iter(())
    # A page of 1 MB, DynamoDB's own bound, would take about 15 MB of Python objects.
    return BalanceTransaction.query(username, _numbers(first, last), consistent_read=True, page_size=500)


def _numbers(first: int, last: int) -> Condition:
    low, high = (BalanceTransaction.key("", ledger.transaction_id(number))[1] for number in (first, last))
    return BalanceTransaction.SK.between(low, high)


def _number_of(key: StartKey) -> int:
    return int(key["SK"]["S"].removeprefix("TRANS#"))


def find_holding(username: str, asset_id: str, found: Found = NOTHING) -> Holding | None:
    """None when the user never held the asset. One call, unless it is in `found`."""
    return found.find(Holding, Holding.key(username, asset_id))


def get_holding(username: str, asset_id: str, found: Found = NOTHING) -> Holding:
    """One call, unless it is in `found`. Raises HoldingNotFound when the user never held the asset."""
    holding = find_holding(username, asset_id, found)
    if holding is None:
        raise HoldingNotFound()
    return holding


def list_holdings(username: str) -> list[Holding]:
    """All holdings by asset id, those of quantity 0 included. One call."""
    return list(Holding.query(username, Holding.SK.startswith("ASSET#"), consistent_read=True))


def get_portfolio(username: str) -> Portfolio:
    """The balance and all holdings by asset id. One call."""
    # Between these sort keys lie the holdings and the balance, and nothing of the history.
    items = list(UsersItem.query(username, UsersItem.SK.between("ASSET#", "BALANCE"), consistent_read=True))
    balance = next(item for item in items if isinstance(item, Balance))
    return Portfolio(balance, [item for item in items if isinstance(item, Holding)])


def list_holders(asset_id: str, page: PageRequest = FIRST_PAGE) -> Page[Holding]:
    """What users own of an asset, by username from z to a, nothing aside. Two calls, and more where people sold all.

    Only who has just come may be missing; the figures are those of now. A page may be short.
    """
    holdings = Holding.SK.startswith("ASSET#")
    return list_page_by_keys(
        Holding, asset_id, page, index=Holding.asset_index, keys_like=holdings, is_listed=lambda each: each.is_owned
    )


def list_trades_of_asset(asset_id: str, page: PageRequest = FIRST_PAGE) -> Page[Trade]:
    """The trades of all users in an asset, by username from z to a. Two calls; a page may be short."""
    trades = Trade.PK.startswith("TRANS#")
    return list_page_by_keys(Trade, asset_id, page, index=Trade.asset_index, keys_like=trades)


def get_trade(username: str, asset_id: str, traded_at: datetime) -> Trade:
    """One call. Raises TransactionNotFound."""
    trade = find_trade(username, asset_id, traded_at)
    if trade is None:
        raise TransactionNotFound()
    return trade


def find_trade(username: str, asset_id: str, traded_at: datetime) -> Trade | None:
    """One call."""
    return Trade.find(Trade.key(username, asset_id, traded_at))


def iterate_trades_between(username: str, first: datetime, last: datetime) -> Iterator[Trade]:
    """The trades of a user between two times, both included, oldest first, up to 1 MB in a call."""
    since = UserTransactionsIndex.traded_at.between(first, last)
    return Trade.query(username, since, index_name=UserTransactionsIndex.Meta.index_name)


def iterate_trades(username: str, period: Period, *, asset_id: str | None = None) -> Iterator[Trade]:
    """The trades of a user in a period, in one asset if given; oldest first, 500 in a call."""
    if asset_id:
        times = Trade.SK.between(clock.to_text(period.start), clock.to_text(period.end))
        return Trade.query(Trade.partition(username, asset_id), times, consistent_read=True, page_size=500)
    within = UserTransactionsIndex.traded_at.between(period.start, period.end)
    return Trade.query(username, within, index_name=UserTransactionsIndex.Meta.index_name, page_size=500)


def list_trades(
    username: str, page: PageRequest = FIRST_PAGE, *, asset_id: str | None = None, period: Period = ALWAYS
) -> Page[Trade]:
    """The trades of a user, newest first; in one asset and of one period, if given. One call."""
    if asset_id:
        times = Trade.SK.between(clock.to_text(period.start), clock.to_text(period.end))
        return list_page(Trade, Trade.partition(username, asset_id), page, keys=times)
    within = UserTransactionsIndex.traded_at.between(period.start, period.end)
    return list_page(Trade, username, page, index=Trade.user_transactions_index, keys=within)
