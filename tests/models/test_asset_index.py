"""Who holds an asset, and all its trades: AssetIndex has keys, and the rows are read from the table.

Also in tables that an earlier version made, whose index has whole rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.errors import StoreUnavailable
from app.domain.orders import Side
from app.factory import create_app
from app.models import ledger
from app.models.create_tables import create_tables, tables_answer
from app.models.item import table_schema
from app.models.ledger import Holding, Trade
from app.models.paging import Page, PageRequest
from app.models.upgrade import is_current, upgrade, write_format
from app.models.users import UsersItem
from tests.support.accounts import open_trader, place
from tests.support.applications import config, make_app, tables_named
from tests.support.engine import engine
from tests.support.faults import FaultyStore, drop, leave_unprocessed, let
from tests.support.people import register
from tests.support.prices import SetPrices
from tests.support.usage import metered, usage_of
from tests.support.wire import BareStore

PROJECTIONS = ("KEYS_ONLY", "ALL")
NUMBER = 130
# Of the people who ever held it, every third sold all.
HOLDERS = [f"person_{number:03}" for number in reversed(range(NUMBER)) if number % 3]


def app_on_tables_with(endpoint: str, projection: str, prefix: str) -> Flask:
    """An application on tables whose AssetIndex has this projection."""
    names = tables_named(prefix)
    if projection == "ALL":
        schema = table_schema(UsersItem)
        [index] = [each for each in schema["GlobalSecondaryIndexes"] if each["IndexName"] == "AssetIndex"]
        index["Projection"] = {"ProjectionType": "ALL"}
        with closing(BareStore(endpoint)) as store:
            store.create_table(TableName=names["users"], BillingMode="PAY_PER_REQUEST", **schema)
    return make_app(endpoint, prices=SetPrices(BTC="100"), **names)


@pytest.fixture(scope="module", params=PROJECTIONS)
def app_of_many(request: pytest.FixtureRequest, endpoint: str) -> Flask:
    """People who bought XRP, those who sold all again among them; and as many trades, of which some are of ADA."""
    app = app_on_tables_with(endpoint, request.param, f"many_{request.param}")
    now = clock.now()
    with app.app_context(), UsersItem.batch_write() as batch:
        for number in range(NUMBER):
            name = f"person_{number:03}"
            figures = {
                "quantity": Decimal(number % 3 % 2),
                "reserved_quantity": Decimal(1) if number % 3 == 2 else None,
            }
            times = {"created_at": now, "updated_at": now}
            batch.save(Holding(*Holding.key(name, "XRP"), username=name, asset_id="XRP", **figures, **times))
            for asset_id in ("XRP", "ADA")[: 1 + number % 2]:
                batch.save(unplaced_trade(name, asset_id))
    return app


def unplaced_trade(username: str, asset_id: str) -> Trade:
    now = clock.now()
    return Trade(
        *Trade.key(username, asset_id, now),
        username=username,
        asset_id=asset_id,
        transaction_type="BUY",
        quantity=Decimal(1),
        price=Decimal(1),
        total_amount=Decimal(1),
        order_id="order_of_a_test",
        traded_at=now,
        created_at=now,
    )


@pytest.fixture
def _many(app_of_many: Flask) -> Iterator[None]:
    with app_of_many.app_context():
        yield


def names_of(page: Page[Any]) -> list[str]:
    return [each.username for each in page.items]


def walk(read: Any, limit: int, offset: int = 0) -> list[list[str]]:
    """The names on each page, to the end."""
    request, pages = PageRequest(limit=limit, offset=offset), []
    while True:
        page = read("XRP", request)
        pages.append(names_of(page))
        if page.next_start_key is None:
            return pages
        assert len(pages) <= NUMBER
        request = PageRequest(limit=limit, start_key=page.next_start_key, offset=page.next_offset)


@pytest.mark.usefixtures("_many")
@pytest.mark.parametrize("limit", [1, 7, 50, 100])
def test_each_holder_once_in_the_order_of_the_index(limit: int) -> None:
    """Those who own nothing are left out, those whose units are all in open orders are not."""
    pages = walk(ledger.list_holders, limit)
    assert [name for page in pages for name in page] == HOLDERS
    assert all(len(page) == limit for page in pages[:-1]) and pages[-1]


@pytest.mark.usefixtures("_many")
@pytest.mark.parametrize("limit", [1, 50, 100])
def test_each_trade_once_in_the_order_of_the_index(limit: int) -> None:
    pages = walk(ledger.list_trades_of_asset, limit)
    assert [name for page in pages for name in page] == [f"person_{number:03}" for number in reversed(range(NUMBER))]
    assert all(len(page) == limit for page in pages[:-1]) and pages[-1]


@pytest.mark.usefixtures("_many")
@pytest.mark.parametrize("offset", [0, 1, 49, len(HOLDERS) - 1, len(HOLDERS), 1000])
def test_rows_are_skipped(offset: int) -> None:
    assert names_of(ledger.list_holders("XRP", PageRequest(limit=3, offset=offset))) == HOLDERS[offset : offset + 3]
    trades = ledger.list_trades_of_asset("XRP", PageRequest(limit=3, offset=offset))
    assert names_of(trades) == names_of(ledger.list_trades_of_asset("XRP", PageRequest(limit=100)))[offset:][:3] or (
        offset > 97
    )
    assert len(trades.items) == max(0, min(3, NUMBER - offset))


@pytest.mark.usefixtures("_many")
@pytest.mark.parametrize("offset", [0, 5, 40])
def test_a_skip_that_one_page_does_not_reach_goes_on(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    monkeypatch.setattr("app.models.paging.EXAMINED_ROWS", 3)
    monkeypatch.setattr("app.models.paging.MOST_CALLS", 2)
    for read, names in ((ledger.list_holders, HOLDERS), (ledger.list_trades_of_asset, None)):
        names = names or [f"person_{number:03}" for number in reversed(range(NUMBER))]
        assert [name for page in walk(read, 2, offset) for name in page] == names[offset:]


@pytest.mark.usefixtures("_many")
def test_what_a_page_costs() -> None:
    """A unit for each row, and one more row tells whether there is a next page. Trades that are skipped cost none."""
    once, twice = ["Query", "BatchGetItem"], ["Query", "BatchGetItem", "BatchGetItem"]
    for read, page, operations, rows in (
        (ledger.list_holders, PageRequest(limit=1), twice, 2 + 25),
        (ledger.list_holders, PageRequest(limit=2), twice, 3 + 25),
        (ledger.list_holders, PageRequest(limit=50), twice, 51 + 2 * 17),
        (ledger.list_trades_of_asset, PageRequest(limit=50), once, 51),
        (ledger.list_trades_of_asset, PageRequest(limit=5, offset=100), once, 6),
        (ledger.list_trades_of_asset, PageRequest(limit=5, offset=1000), ["Query"], 0),
    ):
        with metered() as used:
            read("XRP", page)
        assert used.operations == operations
        # The index: keys of 260 rows, or whole ones.
        assert 0 < used.read_units - rows <= 12


@dataclass
class Two:
    """Two people who hold BTC, the first of the list first; in the context of an application behind `faults`."""

    faults: FaultyStore
    app: Flask
    first: str
    second: str


@pytest.fixture(params=PROJECTIONS)
def two(request: pytest.FixtureRequest, endpoint: str, faults: FaultyStore) -> Iterator[Two]:
    names = tables_named(f"two_{request.param}")
    direct = app_on_tables_with(endpoint, request.param, f"two_{request.param}")
    with direct.app_context():
        first, second = sorted((open_trader(BTC="2") for _ in range(2)), reverse=True)
    with make_app(faults.endpoint, **names).app_context():
        faults.heal()
        yield Two(faults, direct, first, second)
    with closing(BareStore(endpoint)) as store:
        for name in names.values():
            store.delete_table(TableName=name)


def test_a_row_that_is_gone_is_left_out(two: Two) -> None:
    """Deleted between the call for keys and that for rows."""
    trade = ledger.list_trades_of_asset("BTC").items[0]
    for read, row in (
        (ledger.list_holders, Holding(*Holding.key(two.first, "BTC"))),
        (ledger.list_trades_of_asset, Trade(trade.PK, trade.SK)),
    ):
        two.faults.inject("BatchGetItem", let(two.app, row.delete))
        page = read("BTC")
        assert (names_of(page), page.next_start_key, two.faults.waiting) == ([two.second], None, 0)


def test_who_sells_all_meanwhile_is_left_out(two: Two) -> None:
    two.faults.inject("BatchGetItem", let(two.app, lambda: place(two.first, Side.SELL, "2", price="100")))
    assert names_of(ledger.list_holders("BTC")) == [two.second] and not two.faults.waiting


def test_keys_that_are_handed_back_are_asked_for_again(two: Two) -> None:
    faults, first, second = two.faults, two.first, two.second
    for read in (ledger.list_holders, ledger.list_trades_of_asset):
        faults.heal()
        faults.inject("BatchGetItem", leave_unprocessed)
        assert names_of(read("BTC")) == [first, second]
        assert faults.operations == ["Query", "BatchGetItem", "BatchGetItem"]
        assert all(part["ConsistentRead"] for body in faults.bodies[1:] for part in body["RequestItems"].values())


def test_a_store_that_does_not_answer(two: Two) -> None:
    faults, first, second = two.faults, two.first, two.second
    faults.inject("BatchGetItem", drop)
    assert names_of(ledger.list_holders("BTC")) == [first, second], "asked again"
    faults.inject("BatchGetItem", *[drop] * 20)
    with pytest.raises(StoreUnavailable):
        ledger.list_holders("BTC")


def test_an_index_that_lags_hides_who_is_new_and_shows_no_old_figures(impatient: None) -> None:
    with engine() as first, engine() as second, FaultyStore(first, replica=second) as store:
        app = make_app(store.endpoint)
        with app.app_context():
            old, sold = open_trader(BTC="2"), open_trader(BTC="2")
            with store.lagging(reads=True, indexes=True):
                new = open_trader(BTC="1")
                place(old, Side.SELL, "0.5", price="100")
                place(sold, Side.SELL, "2", price="100")
                assert [(each.username, str(each.quantity)) for each in ledger.list_holders("BTC").items] == [
                    (old, "1.5")
                ]
                assert set(names_of(ledger.list_trades_of_asset("BTC"))) == {old, sold}
            assert set(names_of(ledger.list_holders("BTC"))) == {old, new}
            assert len(ledger.list_trades_of_asset("BTC").items) == 5


@pytest.mark.parametrize(("projection", "more"), [("KEYS_ONLY", 0), ("ALL", 1)])
def test_a_change_of_a_holding_writes_to_an_index_of_whole_rows_alone(
    endpoint: str, projection: str, more: int
) -> None:
    app = app_on_tables_with(endpoint, projection, f"units_{projection}")
    person = register(app)
    person.deposit("1000")
    for expected, change in (
        (15, lambda: person.order("market_buy", "BTC", "2")),
        (14 + more, lambda: person.order("market_buy", "BTC", "1")),
        (14 + more, lambda: person.order("market_sell", "BTC", "1")),
        (9 + more, lambda: person.order("limit_sell", "BTC", "1", price="200")),
    ):
        assert usage_of(change()).write_units == expected
    with app.app_context(), closing(BareStore(endpoint)) as store:
        rows = store.query(
            TableName=tables_named(f"units_{projection}")["users"],
            IndexName="AssetIndex",
            KeyConditionExpression="asset_id = :asset",
            ExpressionAttributeValues={":asset": {"S": "BTC"}},
        )["Items"]
        assert len(rows) == 4
        assert all((set(row) == {"PK", "SK", "asset_id", "username"}) != bool(more) for row in rows)


def test_tables_of_an_earlier_version_are_taken_as_they_are(endpoint: str) -> None:
    """Nothing makes, misses or changes an index."""
    app = app_on_tables_with(endpoint, "ALL", "older_index")
    with app.app_context():
        write_format(is_new=True)
        assert create_tables() == [] and tables_answer() and is_current()
        assert list(upgrade()) == []
    answer = app.test_cli_runner().invoke(args=["tables", "create"])
    assert (answer.exit_code, answer.output) == (0, "")
    assert create_app(config(endpoint, **{f"{key}_table": name for key, name in tables_named("older_index").items()}))
    with closing(BareStore(endpoint)) as store:
        made = store.describe_table(TableName=tables_named("older_index")["users"])["Table"]
    [index] = [each for each in made["GlobalSecondaryIndexes"] if each["IndexName"] == "AssetIndex"]
    assert index["Projection"] == {"ProjectionType": "ALL"}
