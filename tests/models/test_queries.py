"""Every query pattern of the database design: what it finds, what it leaves out, and how many calls it takes.

Two users with a history stand in tables of their own, so that a row too many is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from app.domain.errors import HoldingNotFound, OrderNotFound, TransactionNotFound
from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus, PriceType, Side
from app.models import ledger, orders, users
from app.models.paging import PageRequest
from app.models.reading import read_together
from tests.support.applications import make_app, tables_named
from tests.support.books import check_books
from tests.support.people import register
from tests.support.prices import SetPrices
from tests.support.usage import metered

TABLES = tables_named("query")


@pytest.fixture(scope="module")
def history(endpoint, store):
    """Ann and Ben. Ann's ledger: +10000, -5.50, BTC -5000, ETH -2000, BTC +2000, +1. Ben's: +10000, BTC -10000."""
    app = make_app(endpoint, prices=SetPrices(BTC="50000.00", ETH="2000.00"), **TABLES)
    ann = register(app, username="ann", email="ann@example.com")
    ben = register(app, username="ben", email="ben@example.com")
    ann.deposit("10000", key="first")
    ann.withdraw("5.50")
    ben.deposit("10000")
    placed = [ann.buy("BTC", "0.1", key="second"), ann.buy("ETH", "1"), ann.sell("BTC", "0.04")]
    ann.deposit("1")
    bens = ben.buy("BTC", "0.2")
    yield app, [order["order_id"] for order in placed], bens["order_id"]
    for person in (ann, ben):
        check_books(store, person.username, **TABLES)


@pytest.fixture
def ids(history) -> Iterator[list[str]]:
    """Ann's three orders, oldest first, then Ben's; inside the application's context."""
    app, placed, bens = history
    with app.app_context():
        yield [*placed, bens]


@pytest.fixture(autouse=True)
def _context(ids):
    """Every test here reads through the models."""


def test_user_by_username():
    with metered() as used:
        user = users.find_user("ann")
    assert isinstance(user, users.User) and (user.username, user.email) == ("ann", "ann@example.com")
    assert (used.calls, used.operations) == (1, ["GetItem"])


@pytest.mark.parametrize("username", ["nobody", "an", "annn", "Ann", "ANN"])
def test_no_such_user(username):
    assert users.find_user(username) is None


def test_user_by_email():
    with metered() as used:
        user = users.find_user_by_email("ben@example.com")
    assert user.username == "ben" and user.password_hash
    assert (used.operations, used.read_units) == (["GetItem", "GetItem"], 2)


@pytest.mark.parametrize("email", ["nobody@example.com", "ann@example", "ann@example.comm"])
def test_no_such_email(email):
    with metered() as used:
        assert users.find_user_by_email(email) is None
    assert (used.operations, used.read_units) == (["GetItem", "GetItem"], 2), "as for an address that is known"


def test_user_and_token_in_one_call():
    [token] = list(users.Token.query("ben", users.Token.SK.startswith("TOKEN#")))
    for name, is_theirs in (("ben", True), ("ann", False)):
        user, credential = (users.User, users.User.key(name)), (users.Token, users.Token.key(name, token.token_id))
        with metered() as used:
            found = read_together([user, credential])
        assert found.get(*user).username == name and (found.get(*credential) is not None) == is_theirs
        assert (used.operations, used.read_units) == (["BatchGetItem"], 2)


def test_items_of_both_tables_in_one_call_each_table_as_it_is_asked_for():
    order_id = orders.list_orders("ann").items[0].order_id
    user, order = (users.User, users.User.key("ann")), (orders.Order, orders.Order.key(order_id))
    missing = (orders.Order, orders.Order.key("order_none"))
    with metered() as used:
        found = read_together([user, order, missing], consistent=[order])
    assert found.get(*user).username == "ann" and found.get(*order).order_id == order_id
    assert found.has_read(*missing) and found.get(*missing) is None and not found.has_read(users.User, ("ben", "USER"))
    assert (used.operations, used.read_units) == (["BatchGetItem"], Decimal("2.5"))


def test_balance():
    with metered() as used:
        balance = ledger.get_balance("ann")
    assert balance.current_balance == Decimal("4995.50")
    assert (balance.total_deposits, balance.total_withdrawals) == (Decimal("10001.00"), Decimal("5.50"))
    assert balance.version == 6
    assert (used.operations, used.read_units) == (["GetItem"], 1)


def test_one_transaction():
    with metered() as used:
        transaction = ledger.get_transaction("ann", "000000000002")
    assert (transaction.transaction_type, transaction.amount) == ("WITHDRAW", Decimal("5.50"))
    assert used.operations == ["GetItem"]


@pytest.mark.parametrize(
    "transaction_id",
    ["000000000007", "000000000000", "2", "", "BALANCE", "00000000000x", "０００００００００００２", "000000000002\n"],
)
def test_no_such_transaction(transaction_id):
    with pytest.raises(TransactionNotFound):
        ledger.get_transaction("ann", transaction_id)


def test_transactions_newest_first():
    with metered() as used:
        page = ledger.list_transactions("ann")
    assert [(each.transaction_type, str(each.amount)) for each in page.items] == [
        ("DEPOSIT", "1.00"),
        ("ORDER_SALE", "2000.00"),
        ("ORDER_PAYMENT", "2000.00"),
        ("ORDER_PAYMENT", "5000.00"),
        ("WITHDRAW", "5.50"),
        ("DEPOSIT", "10000.00"),
    ]
    assert all(isinstance(each, ledger.BalanceTransaction) for each in page.items)
    assert page.next_start_key is None
    assert used.operations == ["Query"]
    assert len(ledger.list_transactions("ben").items) == 2
    assert ledger.list_transactions("nobody").items == []


@pytest.mark.parametrize(
    ("transaction_type", "expected"),
    [
        ("DEPOSIT", ["000000000006", "000000000001"]),
        ("WITHDRAW", ["000000000002"]),
        ("ORDER_PAYMENT", ["000000000004", "000000000003"]),
        ("ORDER_SALE", ["000000000005"]),
        ("ORDER_REFUND", []),
        ("SYSTEM_ADJUSTMENT", []),
    ],
)
def test_transactions_by_type(transaction_type, expected):
    with metered() as used:
        page = ledger.list_transactions("ann", transaction_type=TransactionType(transaction_type))
    assert [each.transaction_id for each in page.items] == expected
    assert page.next_start_key is None
    assert used.operations == ["Query"]


def test_one_holding():
    with metered() as used:
        holding = ledger.get_holding("ann", "BTC")
    assert (holding.asset_id, str(holding.quantity)) == ("BTC", "0.06")
    assert used.operations == ["GetItem"]
    with pytest.raises(HoldingNotFound):
        ledger.get_holding("ben", "ETH")


def test_all_holdings():
    with metered() as used:
        holdings = ledger.list_holdings("ann")
    assert [(each.asset_id, str(each.quantity)) for each in holdings] == [("BTC", "0.06"), ("ETH", "1")]
    assert used.operations == ["Query"]
    assert ledger.list_holdings("nobody") == []


def test_portfolio():
    with metered() as used:
        portfolio = ledger.get_portfolio("ann")
    assert portfolio.balance.current_balance == Decimal("4995.50")
    assert [each.asset_id for each in portfolio.holdings] == ["BTC", "ETH"]
    assert used.operations == ["Query"]


def test_all_holders_of_an_asset():
    with metered() as used:
        page = ledger.list_holders("BTC")
    assert [(each.username, str(each.quantity)) for each in page.items] == [("ben", "0.2"), ("ann", "0.06")]
    assert all(isinstance(each, ledger.Holding) for each in page.items)
    assert (used.operations, used.read_units) == (["Query", "BatchGetItem"], Decimal("2.5"))
    assert [each.username for each in ledger.list_holders("ETH").items] == ["ann"]
    with metered() as used:
        assert ledger.list_holders("SOL").items == []
    assert used.operations == ["Query"]


def test_all_trades_of_an_asset(ids):
    with metered() as used:
        page = ledger.list_trades_of_asset("BTC")
    assert [each.username for each in page.items] == ["ben", "ann", "ann"]
    assert {each.order_id for each in page.items} == {ids[0], ids[2], ids[3]}
    assert all(isinstance(each, ledger.Trade) for each in page.items)
    assert (used.operations, used.read_units) == (["Query", "BatchGetItem"], Decimal("3.5"))


def test_one_trade():
    newest = ledger.list_trades("ann", asset_id="BTC").items[0]
    with metered() as used:
        found = ledger.get_trade("ann", "BTC", newest.traded_at)
    assert (found.order_id, found.transaction_type) == (newest.order_id, "SELL")
    assert used.operations == ["GetItem"]
    for username, asset_id, instant in (
        ("ann", "ETH", newest.traded_at),
        ("ben", "BTC", newest.traded_at),
        ("ann", "BTC", newest.traded_at + timedelta(microseconds=1)),
    ):
        with pytest.raises(TransactionNotFound):
            ledger.get_trade(username, asset_id, instant)


def test_asset_transactions_of_a_user_and_asset(ids):
    with metered() as used:
        page = ledger.list_trades("ann", asset_id="BTC")
    assert [each.order_id for each in page.items] == [ids[2], ids[0]]
    assert [each.transaction_type for each in page.items] == ["SELL", "BUY"]
    assert used.operations == ["Query"]
    assert ledger.list_trades("ben", asset_id="ETH").items == []


def test_asset_transactions_of_a_user(ids):
    with metered() as used:
        page = ledger.list_trades("ann")
    assert [each.order_id for each in page.items] == [ids[2], ids[1], ids[0]]
    assert all(isinstance(each, ledger.Trade) for each in page.items)
    assert used.operations == ["Query"]
    assert [each.order_id for each in ledger.list_trades("ben").items] == [ids[3]]


def test_one_order(ids):
    with metered() as used:
        order = orders.get_order("ann", ids[1])
    assert (order.asset_id, str(order.quantity), str(order.total_amount)) == ("ETH", "1", "2000.00")
    assert (used.operations, used.read_units) == (["GetItem"], 1)


@pytest.mark.parametrize("place", [3, None], ids=["of somebody else", "missing"])
def test_no_such_order(ids, place):
    with pytest.raises(OrderNotFound) as refused:
        orders.get_order("ann", "order_of_nobody" if place is None else ids[place])
    assert refused.value.details == {}


def test_orders_of_a_user(ids):
    with metered() as used:
        page = orders.list_orders("ann")
    assert [each.order_id for each in page.items] == [ids[2], ids[1], ids[0]]
    assert used.operations == ["Query"]
    assert [each.order_id for each in orders.list_orders("ben").items] == [ids[3]]


def test_orders_of_a_user_and_asset(ids):
    with metered() as used:
        page = orders.list_orders_of_asset("ann", "BTC")
    assert {each.order_id for each in page.items} == {ids[0], ids[2]}
    assert used.operations == ["Query"]
    assert orders.list_orders_of_asset("ben", "ETH").items == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"asset_id": "BTC"}, [2, 0]),
        ({"asset_id": "SOL"}, []),
        ({"side": Side.BUY}, [1, 0]),
        ({"side": Side.SELL, "price_type": PriceType.MARKET}, [2]),
        ({"price_type": PriceType.LIMIT}, []),
        ({"status": OrderStatus.COMPLETED}, [2, 1, 0]),
        ({"status": OrderStatus.PENDING}, []),
        ({"asset_id": "BTC", "side": Side.BUY, "status": OrderStatus.COMPLETED}, [0]),
    ],
)
def test_orders_of_a_user_filtered_newest_first(ids, filters, expected):
    with metered() as used:
        page = orders.list_orders("ann", **filters)
    assert [each.order_id for each in page.items] == [ids[place] for place in expected]
    assert used.operations == ["Query"]


@pytest.mark.parametrize(
    ("read", "calls"),
    [
        (lambda page: ledger.list_transactions("ann", page), 1),
        (lambda page: ledger.list_transactions("ann", page, transaction_type=TransactionType.DEPOSIT), 1),
        (lambda page: ledger.list_holders("BTC", page), 2),
        (lambda page: ledger.list_trades_of_asset("BTC", page), 2),
        (lambda page: ledger.list_trades("ann", page), 1),
        (lambda page: ledger.list_trades("ann", page, asset_id="BTC"), 1),
        (lambda page: orders.list_orders("ann", page), 1),
        (lambda page: orders.list_orders("ann", page, asset_id="BTC"), 1),
        (lambda page: orders.list_orders_of_asset("ann", "BTC", page), 1),
    ],
    ids=[
        "transactions",
        "transactions by type",
        "holders",
        "trades of all users in an asset",
        "trades",
        "trades of an asset",
        "orders",
        "orders filtered",
        "orders of an asset",
    ],
)
def test_one_row_a_page_gives_each_row_once_in_as_many_calls_each(read, calls):
    """Also over keys of every index."""
    whole = [(row.PK, row.SK) for row in read(PageRequest(limit=100)).items]
    request, seen = PageRequest(limit=1), []
    while True:
        with metered() as used:
            page = read(request)
        assert used.calls == calls and len(page.items) == 1
        seen += [(row.PK, row.SK) for row in page.items]
        if page.next_start_key is None:
            break
        request = PageRequest(limit=1, start_key=page.next_start_key)
    assert seen == whole and len(whole) > 1
