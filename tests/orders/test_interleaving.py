"""Something else happens between the read and the write of a change: as if it had happened before.

What threads do by luck in `tests/proofs/races`, here each pair does once, and for certain.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain import clock
from app.domain.errors import (
    IdempotencyKeyReused,
    InsufficientFunds,
    InsufficientHolding,
    InvalidInput,
    OrderNotPending,
)
from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.domain.orders import NewOrder, NewTerms, OrderStatus, PriceType, Side
from app.models import order_changes
from app.models.account_events import AccountEvent
from app.models.balance_changes import post_transaction
from app.models.cost_upgrade import upgrade_holding
from app.models.ledger import Balance, Holding, get_balance
from app.models.order_changes import NotDue
from app.models.orders import Order
from app.models.reading import NOTHING, Found, Place, read_together
from tests.support.accounts import forget_cost, open_trader, place, place_limit
from tests.support.books import check_books, read_books
from tests.support.faults import Fault, FaultyStore, conflict, let
from tests.support.usage import metered


class Trader:
    """800.00 to spend and 6 BTC; two orders to buy that reserve 100.00 each, and two to sell 4 and 1 BTC, are open."""

    def __init__(self) -> None:
        self.name = open_trader("1000", BTC="11")
        self.purchase = place_limit(self.name, Side.BUY, "1", "100")
        self.other = place_limit(self.name, Side.BUY, "1", "100")
        self.sale = place_limit(self.name, Side.SELL, "4", "200")
        self.other_sale = place_limit(self.name, Side.SELL, "1", "250")
        # What the next request has read with its authentication.
        self.early = NOTHING

    def read_early(self) -> Found:
        places: list[Place] = [(Balance, Balance.key(self.name)), (Holding, Holding.key(self.name, "BTC"))]
        places += [(Order, Order.key(order.order_id)) for order in (self.purchase, self.sale)]
        return read_together(places, consistent=[])

    def cancel(self, order: Order) -> Any:
        return order_changes.cancel_order(self.name, order.order_id, early=self.early)

    def change(self, order: Order, **terms: Any) -> Any:
        return order_changes.change_order(self.name, order.order_id, NewTerms(**terms), early=self.early)

    def fill(self, order: Order, price: str) -> Any:
        return order_changes.fill_order(order, Decimal(price))

    def move(self, transaction_type: TransactionType, amount: str, *, key: str | None = None) -> Any:
        idempotency = identify(key, transaction_type, amount)
        amount_moved = Decimal(amount)
        return post_transaction(self.name, transaction_type, amount_moved, idempotency=idempotency, early=self.early)

    def order(self, side: Side, quantity: str, limit: str | None = None) -> Any:
        return place(self.name, side, quantity, price="150", limit=limit, early=self.early)

    def trade(self, side: Side, price: str = "150") -> None:
        place(self.name, side, "1", price=price)

    def state(self, store: Any) -> tuple[Any, ...]:
        """Everything that the books say, but for names and times."""
        books = check_books(store, self.name)
        names = ("current_balance", "reserved_cash", "total_deposits", "total_withdrawals", "version")
        return (
            [books.balance[name] for name in names],
            [(row["quantity"], row["reserved_quantity"]) for row in books.holdings],
            len(books.claims),
            sorted((row["order_type"], row["quantity"], row["status"], row["total_amount"]) for row in books.orders),
        )


Act = Callable[[Trader], Any]

CHANGES: dict[str, Act] = {
    "deposit": lambda trader: trader.move(TransactionType.DEPOSIT, "5.00"),
    "withdraw, keyed": lambda trader: trader.move(TransactionType.WITHDRAW, "5.00", key="k"),
    "buy": lambda trader: trader.order(Side.BUY, "1"),
    "sell": lambda trader: trader.order(Side.SELL, "1"),
    "wait to buy": lambda trader: trader.order(Side.BUY, "1", "50"),
    "wait to sell": lambda trader: trader.order(Side.SELL, "1", "300"),
    "cancel a purchase": lambda trader: trader.cancel(trader.purchase),
    "cancel a sale": lambda trader: trader.cancel(trader.sale),
    "change a purchase": lambda trader: trader.change(trader.purchase, limit_price=Decimal(120)),
    "change a sale": lambda trader: trader.change(trader.sale, quantity=Decimal(3)),
    "fill a purchase": lambda trader: trader.fill(trader.purchase, "80"),
    "fill a purchase at its limit": lambda trader: trader.fill(trader.purchase, "100"),
    "fill a sale": lambda trader: trader.fill(trader.sale, "200"),
    "expire a purchase": lambda trader: order_changes.expire_order(trader.purchase),
    "expire a sale": lambda trader: order_changes.expire_order(trader.sale),
}
# The first changes the reserved cash and an event, the second the holding alone, the third of a holding all but the
# quantity. Of the balance, the fourth changes the number of events alone, and the last no event.
BETWEEN: dict[str, Act] = {
    "a fill that returns nothing": lambda trader: trader.fill(trader.other, "100"),
    "a sale that waits": lambda trader: trader.order(Side.SELL, "2", "300"),
    "a fill of a sale": lambda trader: trader.fill(trader.other_sale, "250"),
    "a sale that is cancelled": lambda trader: trader.cancel(trader.other_sale),
    "a deposit": lambda trader: trader.move(TransactionType.DEPOSIT, "7.00"),
}
# All leave the quantity. The first leaves another cost, the second another gain too, and the third another
# reserve alone.
BETWEEN_TWO_EQUALS: dict[str, Act] = {
    "a purchase, and a sale without a gain": lambda trader: (
        trader.trade(Side.BUY, price="13"),
        trader.trade(Side.SELL, price="2"),
    ),
    "a sale and a purchase at its cost": lambda trader: (trader.trade(Side.SELL), trader.trade(Side.BUY, price="1")),
    "a sale that waits, and its quantity bought for what a little had cost": lambda trader: (
        trader.order(Side.SELL, "2", "300"),
        place(trader.name, Side.SELL, "0.5", price="1"),
        place(trader.name, Side.BUY, "2.5", price="0.2"),
    ),
}


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_sees_what_came_between(app, faulty_app, faults, store, change, between):
    with app.app_context():
        trader, twin = Trader(), Trader()
        BETWEEN[between](twin)
        CHANGES[change](twin)
    faults.inject("TransactWriteItems", let(app, lambda: BETWEEN[between](trader)))
    with faulty_app.app_context():
        CHANGES[change](trader)
    assert trader.state(store) == twin.state(store)


def test_a_change_sees_what_an_earlier_version_filled_between(app, faulty_app, faults, store):
    """That wrote no event; where it had nothing to return no transaction either, and `reserved_cash` alone tells."""
    with app.app_context():
        trader = Trader()

    def fill_without_event():
        trader.fill(trader.other, "100")
        balance = get_balance(trader.name)
        AccountEvent.get(*AccountEvent.key(trader.name, "000000000001")).delete()
        balance.update([Balance.event_version.remove()])

    faults.inject("TransactWriteItems", let(app, fill_without_event))
    with faulty_app.app_context():
        CHANGES["deposit"](trader)
    assert read_books(store, trader.name).balance["reserved_cash"] == "100.00"


def test_a_change_of_a_price_sees_what_an_earlier_version_cancelled_between(app, faulty_app, faults):
    """That wrote neither an event nor a transaction: the status of the order alone tells."""
    with app.app_context():
        trader = Trader()

    def cancel_without_event():
        trader.cancel(trader.sale)
        AccountEvent.get(*AccountEvent.key(trader.name, "000000000001")).delete()
        get_balance(trader.name).update([Balance.event_version.remove()])

    faults.inject("TransactWriteItems", let(app, cancel_without_event))
    with faulty_app.app_context(), pytest.raises(OrderNotPending):
        trader.change(trader.sale, limit_price=Decimal(220))
    with app.app_context():
        order = Order.get(*Order.key(trader.sale.order_id))
    assert (order.status, order.limit_price, order.open_book) == (OrderStatus.CANCELLED, Decimal(200), None)


@pytest.mark.parametrize("between", BETWEEN_TWO_EQUALS)
@pytest.mark.parametrize("change", ["wait to sell", "cancel a sale", "expire a sale"])
def test_a_change_of_a_holding_sees_more_than_its_quantity(app, faulty_app, faults, store, change, between):
    """These write no balance, whose version would tell."""
    with app.app_context():
        trader = Trader()
    faults.inject("TransactWriteItems", let(app, lambda: BETWEEN_TWO_EQUALS[between](trader)))
    with faulty_app.app_context():
        CHANGES[change](trader)
    trader.state(store)


@pytest.mark.parametrize("between", BETWEEN_TWO_EQUALS)
def test_an_upgrade_counts_what_came_between(app, faulty_app, faults, store, between):
    """Also what is traded by this version while the cost is not known, and leaves all figures as they were."""
    with app.app_context():
        trader = Trader()
        trader.trade(Side.SELL)
        forget_cost(trader.name)
    faults.inject("TransactWriteItems", let(app, lambda: BETWEEN_TWO_EQUALS[between](trader)))
    with faulty_app.app_context():
        assert upgrade_holding(trader.name, "BTC") and not upgrade_holding(trader.name, "BTC")
    assert not stale_reads(faults)
    [holding] = check_books(store, trader.name).holdings
    assert holding["cost_total"]


# What comes between, and the change that it leaves nothing for.
TOO_LATE: dict[str, tuple[Act, Act, type[Exception]]] = {
    "all is withdrawn": (
        lambda trader: trader.move(TransactionType.WITHDRAW, "800.00"),
        CHANGES["withdraw, keyed"],
        InsufficientFunds,
    ),
    "all waits to be paid": (lambda trader: trader.order(Side.BUY, "8", "100"), CHANGES["buy"], InsufficientFunds),
    "all is sold": (lambda trader: trader.order(Side.SELL, "6"), CHANGES["sell"], InsufficientHolding),
    "all waits to be sold": (
        lambda trader: trader.order(Side.SELL, "6", "300"),
        CHANGES["wait to sell"],
        InsufficientHolding,
    ),
    "filled, then cancelled": (
        lambda trader: trader.fill(trader.purchase, "80"),
        CHANGES["cancel a purchase"],
        OrderNotPending,
    ),
    "cancelled, then filled": (
        CHANGES["cancel a purchase"],
        lambda trader: trader.fill(trader.purchase, "80"),
        OrderNotPending,
    ),
    "filled, then changed": (CHANGES["fill a purchase"], CHANGES["change a purchase"], OrderNotPending),
    # Of a sale whose quantity stays, nothing but the order is written.
    "sold, then changed": (
        CHANGES["fill a sale"],
        lambda trader: trader.change(trader.sale, limit_price=Decimal(300)),
        OrderNotPending,
    ),
    "changed, then filled": (
        lambda trader: trader.change(trader.purchase, limit_price=Decimal(70)),
        CHANGES["fill a purchase"],
        NotDue,
    ),
    "changed, then expired": (
        lambda trader: trader.change(trader.sale, expires_at=trader.sale.expires_at + timedelta(seconds=1)),
        CHANGES["expire a sale"],
        NotDue,
    ),
    "all waits to be paid, then changed": (
        lambda trader: trader.order(Side.BUY, "8", "100"),
        CHANGES["change a purchase"],
        InsufficientFunds,
    ),
    "all is sold, then changed": (
        lambda trader: trader.order(Side.SELL, "6"),
        lambda trader: trader.change(trader.sale, quantity=Decimal(5)),
        InsufficientHolding,
    ),
    "cancelled, then expired": (CHANGES["cancel a sale"], CHANGES["expire a sale"], OrderNotPending),
    "expired, then filled": (CHANGES["expire a purchase"], CHANGES["fill a purchase at its limit"], OrderNotPending),
    "filled, then filled": (
        lambda trader: order_changes.fill_order(Order.get(*Order.key(trader.sale.order_id)), Decimal(200)),
        CHANGES["fill a sale"],
        OrderNotPending,
    ),
}


@pytest.mark.parametrize(("between", "change", "error"), TOO_LATE.values(), ids=TOO_LATE.keys())
def test_a_change_that_comes_too_late_changes_nothing(app, faulty_app, faults, store, between, change, error):
    with app.app_context():
        trader, twin = Trader(), Trader()
        between(twin)
    faults.inject("TransactWriteItems", let(app, lambda: between(trader)))
    with faulty_app.app_context(), pytest.raises(error) as raised:
        change(trader)
    if error is OrderNotPending:
        assert raised.value.details["order_status"] in {"cancelled", "completed", "expired"}
    assert trader.state(store) == twin.state(store)


# What a request does, with the calls that it still makes when what it decides on was read with its authentication.
EARLY = {
    "deposit": 1,
    "withdraw, keyed": 1,
    "buy": 1,
    "sell": 1,
    "wait to buy": 1,
    "wait to sell": 1,
    "change a purchase": 1,
    "change a sale": 2,
    "cancel a purchase": 2,
    "cancel a sale": 2,
}


@pytest.mark.parametrize("change", EARLY)
def test_what_was_read_early_saves_a_call(app, store, change):
    with app.app_context():
        trader, twin = Trader(), Trader()
        CHANGES[change](twin)
        trader.early = trader.read_early()
        with metered() as used:
            CHANGES[change](trader)
    assert used.calls == EARLY[change]
    assert trader.state(store) == twin.state(store)


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("change", EARLY)
def test_what_was_read_early_may_be_old(app, store, change, between):
    with app.app_context():
        trader, twin = Trader(), Trader()
        early = trader.read_early()
        for each in (trader, twin):
            BETWEEN[between](each)
        trader.early = early
        for each in (trader, twin):
            CHANGES[change](each)
    assert trader.state(store) == twin.state(store)


@pytest.mark.parametrize("case", [case for case, (_, change, _) in TOO_LATE.items() if change in CHANGES.values()])
def test_what_was_read_early_is_no_excuse(app, store, case):
    between, change, error = TOO_LATE[case]
    with app.app_context():
        trader = Trader()
        early = trader.read_early()
        between(trader)
        before, trader.early = trader.state(store), early
        with pytest.raises(error):
            change(trader)
    assert trader.state(store) == before


def test_what_was_read_early_refuses_nothing(app, store):
    """The money and the assets came after it was read; then others took them, and the reading serves no second time."""

    def withdraw(trader: Trader) -> Any:
        return trader.move(TransactionType.WITHDRAW, "900.00")

    def sell(trader: Trader) -> Any:
        return trader.order(Side.SELL, "9")

    with app.app_context():
        trader = Trader()
        early = trader.read_early()
        trader.move(TransactionType.DEPOSIT, "100.00")
        trader.cancel(trader.sale)
        trader.early = early
        with metered() as used:
            withdraw(trader)
        assert used.operations == ["GetItem", "TransactWriteItems"]
        with pytest.raises(InsufficientFunds):
            withdraw(trader)
        trader.early = trader.read_early()
        sell(trader)
        with pytest.raises(InsufficientHolding):
            sell(trader)
    trader.state(store)


@pytest.mark.parametrize("change", CHANGES)
def test_each_attempt_begins_with_consistent_reads(app, faulty_app, faults, store, change):
    def deposit(trader: Trader) -> Any:
        return trader.move(TransactionType.DEPOSIT, "1.00")

    with app.app_context():
        trader, twin = Trader(), Trader()
        deposit(twin)
        CHANGES[change](twin)
    faults.inject("TransactWriteItems", conflict, let(app, lambda: deposit(trader)))
    with faulty_app.app_context():
        CHANGES[change](trader)
    attempt = faults.operations[: faults.operations.index("TransactWriteItems") + 1]
    attempts = faults.operations.count("TransactWriteItems")
    assert len(attempt) > 1 and attempts > 1 and faults.operations == attempt * attempts
    assert not stale_reads(faults)
    assert trader.state(store) == twin.state(store)


def test_what_was_read_early_does_not_say_that_nothing_is_to_be_changed(app, store):
    with app.app_context():
        trader = Trader()
        early = trader.read_early()
        trader.change(trader.purchase, limit_price=Decimal(90))
        trader.early = early
        changed = trader.change(trader.purchase, limit_price=Decimal(100)).item
    assert (changed.revision, changed.limit_price) == (3, 100)
    trader.state(store)


# What its owner makes of an order to buy 1 at 100.00, of which the worker has an old copy; the price that the worker
# sees, and what the order then comes to.
OLD_COPIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "more": ({"quantity": Decimal(2)}, "80", "160.00"),
    "a limit that is reached too": ({"limit_price": Decimal(90)}, "90", "90.00"),
    "a later end": ({"expires_at": clock.now() + timedelta(days=3)}, "80", "80.00"),
}


@pytest.mark.parametrize("end", ["fill", "expire"])
@pytest.mark.parametrize(("terms", "price", "total"), OLD_COPIES.values(), ids=OLD_COPIES)
def test_an_old_copy_of_an_order_does_no_harm(app, store, terms, price, total, end):
    """It is decided once more, on the order as it is: the new reserve is spent or given back."""
    with app.app_context():
        trader = Trader()
        changed = trader.change(trader.purchase, **terms).item
        if end == "expire" and "expires_at" in terms:
            with pytest.raises(NotDue):
                order_changes.expire_order(trader.purchase)
            return
        with metered() as used:
            trader.fill(trader.purchase, price) if end == "fill" else order_changes.expire_order(trader.purchase)
    assert used.operations == ["BatchGetItem", "TransactWriteItems"] * 2
    *_, moved = check_books(store, trader.name).transactions
    kept = Decimal(total) if end == "fill" else 0
    assert Decimal(moved["new_balance"]) == Decimal("900.00") - kept
    [row] = [row for row in check_books(store, trader.name).orders if row["order_id"] == changed.order_id]
    assert row["status"] == ("COMPLETED" if end == "fill" else "EXPIRED")
    assert row["total_amount"] == (total if end == "fill" else str(changed.total_amount))


def test_the_end_of_an_order_of_a_version_before_revisions(app, store):
    """Such an order has none, and still changes and ends."""
    with app.app_context():
        trader = Trader()
        for order in (trader.purchase, trader.other, trader.sale):
            Order(*Order.key(order.order_id)).update([Order.revision.remove()])
            order.revision = None
        trader.change(trader.purchase, limit_price=Decimal(90))
        trader.fill(trader.purchase, "90")
        trader.fill(trader.other, "100")
        trader.cancel(trader.sale)
    trader.state(store)


def slow_until(end: datetime, then: Fault | None = None) -> Fault:
    """The fault that answers only when a moment has passed."""

    def wait(forwarder: Any, sent: bytes) -> Any:
        while clock.now() <= end:
            time.sleep(0.01)
        return then(forwarder, sent) if then else None

    return wait


# Where the time goes: with the read, or with an attempt that another change makes in vain.
SLOW: dict[str, tuple[str, Fault | None]] = {
    "a slow read": ("BatchGetItem", None),
    "a second attempt": ("TransactWriteItems", conflict),
}


@pytest.mark.parametrize(("operation", "then"), SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("side", Side)
def test_an_order_is_not_filled_after_its_end(app, faulty_app, faults, store, side, operation, then):
    with app.app_context():
        trader = Trader()
        end = clock.now() + timedelta(seconds=1)
        order = place_limit(trader.name, side, "1", "100", expires_at=end)
        before = trader.state(store)
    faults.inject(operation, slow_until(end, then))
    with faulty_app.app_context(), pytest.raises(NotDue):
        order_changes.fill_order(order, Decimal(100))
    assert trader.state(store) == before


@pytest.mark.parametrize("price", ["90", "110"], ids=["executes at once", "waits"])
def test_an_order_is_not_placed_after_its_end(app, faulty_app, faults, store, price):
    with app.app_context():
        trader = Trader()
        before = trader.state(store)
    end = clock.now() + timedelta(seconds=1)
    faults.inject("BatchGetItem", slow_until(end))
    order = NewOrder(Side.BUY, PriceType.LIMIT, "BTC", Decimal(1), Decimal(100), end)
    with faulty_app.app_context(), pytest.raises(InvalidInput):
        order_changes.place_order(trader.name, order, lambda: Decimal(price))
    assert trader.state(store) == before


def stale_reads(faults: FaultyStore) -> list[Any]:
    """The reads that need not show what was written a moment ago."""
    tables = [table for body in faults.bodies for table in body.get("RequestItems", {"": body}).values()]
    return [
        table
        for table in tables
        if not table.get("ConsistentRead") and not {"TransactItems", "UpdateExpression"} & set(table)
    ]


def test_a_claim_is_read_consistently(app, faulty_app, faults):
    """What a request did a moment ago must be found: a stale read would refuse it, or let it count again."""
    with app.app_context():
        trader = Trader()
        trader.move(TransactionType.WITHDRAW, "5.00", key="replayed")
        trader.move(TransactionType.WITHDRAW, "795.00", key="replayed with nothing left")
    with faulty_app.app_context():
        trader.move(TransactionType.WITHDRAW, "795.00", key="replayed with nothing left")
        with app.app_context():
            trader.move(TransactionType.DEPOSIT, "5.00")
        trader.move(TransactionType.WITHDRAW, "5.00", key="replayed")
        with pytest.raises(IdempotencyKeyReused):
            trader.move(TransactionType.WITHDRAW, "0.01", key="replayed")
    assert faults.operations.count("GetItem") == 3 + 3 + 2 and not stale_reads(faults)
