"""Lists in pages: each row once, newest first, whatever is added meanwhile; and cursors that nobody can change."""

from __future__ import annotations

import pytest

from tests.support.books import check_books
from tests.support.people import problem, register
from tests.support.prices import SetPrices
from tests.support.usage import usage, usage_of

LISTS = {
    "transactions": ("/balance/transactions", "transactions", "transaction_id", 15),
    "deposits": ("/balance/transactions?transaction_type=deposit", "transactions", "transaction_id", 5),
    "payments": ("/balance/transactions?transaction_type=order_payment", "transactions", "transaction_id", 8),
    "orders": ("/orders", "data", "order_id", 10),
    "orders of an asset": ("/orders?asset_id=eth", "data", "order_id", 4),
    "purchases of an asset": ("/orders?asset_id=btc&order_type=market_buy", "data", "order_id", 4),
    "completed orders": ("/orders?status=completed", "data", "order_id", 10),
    "trades": ("/assets/transactions", "data", "order_id", 10),
    "trades of an asset": ("/assets/ETH/transactions", "data", "order_id", 4),
}


@pytest.fixture(scope="module")
def _apps(_market_app):
    return _market_app


@pytest.fixture(scope="module")
def trader(_apps, store):
    """5 deposits, 8 purchases in turns of BTC and ETH, 2 sales of BTC: 15 transactions, 10 orders."""
    _apps.extensions["prices"] = SetPrices()
    person = register(_apps)
    for amount in range(1, 6):
        person.deposit(f"{amount * 100}")
    for number in range(8):
        person.buy(("BTC", "ETH")[number % 2], "0.001")
    for _ in range(2):
        person.sell("BTC", "0.0005")
    yield person
    check_books(store, person.username)


def pages(person, path, name, limit):
    """Every page of a list, until the end."""
    found, cursor = [], None
    while True:
        mark = "&" if "?" in path else "?"
        response = person.get(f"{path}{mark}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        assert response.status_code == 200, response.text
        assert usage_of(response).calls == 2, "one call beyond authentication"
        body = response.json
        found.append(body[name])
        assert body["has_more"] == (body["next_cursor"] is not None)
        cursor = body["next_cursor"]
        if cursor is None:
            return found
        assert len(found) < 50


@pytest.mark.parametrize(("path", "name", "row_id", "count"), LISTS.values(), ids=LISTS.keys())
@pytest.mark.parametrize("limit", [3, 5, 100])
def test_each_row_once_newest_first(trader, path, name, row_id, count, limit):
    found = pages(trader, path, name, limit)
    rows = [row for page in found for row in page]
    assert rows == trader.get(path).json[name]
    assert len({row[row_id] for row in rows}) == len(rows) == count
    times = [row.get("created_at") or row["timestamp"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert 0 < len(found[-1]) <= limit, "no empty page at the end"


def test_rows_added_meanwhile_move_nothing(person):
    """Of each list a page, then two more rows, then the next page of each, to the end."""
    for _ in range(5):
        person.deposit("100")
        person.buy("BTC", "0.0001")
        person.buy("ETH", "0.001")
    before = {path: [row[row_id] for row in person.get(path).json[name]] for path, name, row_id, _ in LISTS.values()}
    seen = {path: [] for path in before}
    cursors = dict.fromkeys(before, "")
    while any(cursor is not None for cursor in cursors.values()):
        for path, name, row_id, _ in LISTS.values():
            if (cursor := cursors[path]) is not None:
                mark = "&" if "?" in path else "?"
                body = person.get(f"{path}{mark}limit=2" + (f"&cursor={cursor}" if cursor else "")).json
                seen[path] += [row[row_id] for row in body[name]]
                cursors[path] = body["next_cursor"]
        person.deposit("100")
        person.buy("BTC", "0.0001")
        person.buy("ETH", "0.001")
    assert seen == before


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, name, _, _ in LISTS.values()], ids=LISTS.keys())
def test_offset(trader, path, name):
    mark = "&" if "?" in path else "?"
    whole = trader.get(path).json[name]
    for offset in (0, 1, 3, len(whole), 1000):
        assert trader.get(f"{path}{mark}offset={offset}&limit=2").json[name] == whole[offset : offset + 2]


@pytest.mark.parametrize("offset", range(6))
def test_an_offset_that_one_page_does_not_reach_is_kept_by_the_cursor(trader, monkeypatch, offset):
    """A page gives up after some rows; the next one skips the rest before it shows any."""
    monkeypatch.setattr("app.models.paging.EXAMINED_ROWS", 3)
    monkeypatch.setattr("app.models.paging.MOST_CALLS", 2)
    path = "/balance/transactions?transaction_type=deposit&limit=1"
    body = trader.get(f"{path}&offset={offset}").json
    amounts = [row["amount"] for row in body["transactions"]]
    while body["has_more"]:
        body = trader.get(f"{path}&cursor={body['next_cursor']}").json
        amounts += [row["amount"] for row in body["transactions"]]
    assert amounts == ["500.00", "400.00", "300.00", "200.00", "100.00"][offset:]


def test_the_end_is_known_on_a_full_page(trader):
    body = trader.get("/balance/transactions?limit=15").json
    assert (len(body["transactions"]), body["has_more"], body["next_cursor"]) == (15, False, None)
    body = trader.get("/balance/transactions?limit=14").json
    assert (len(body["transactions"]), body["has_more"]) == (14, True)


def test_fifty_rows_unless_asked(person):
    for _ in range(51):
        person.deposit("0.01")
    body = person.get("/balance/transactions").json
    assert (len(body["transactions"]), body["total_count"], body["has_more"]) == (50, 50, True)


def cursor_of(person, path):
    mark = "&" if "?" in path else "?"
    cursor = person.get(f"{path}{mark}limit=1").json["next_cursor"]
    assert cursor
    return cursor


def test_a_cursor_belongs_to_its_list_and_filters(trader):
    """Read with any other list or filter it is refused; with its own it is good again and again."""
    paths = [
        "/balance/transactions",
        "/balance/transactions?transaction_type=deposit",
        "/balance/transactions?transaction_type=order_payment",
        "/orders",
        "/orders?asset_id=BTC",
        "/orders?asset_id=ETH",
        "/orders?status=completed",
        "/orders?order_type=market_buy",
        "/assets/transactions",
        "/assets/BTC/transactions",
        "/assets/ETH/transactions",
    ]
    # Every list with every other: `test_cursor_bindings.py`.
    for own, other in zip(paths, [*paths[1:], paths[0]], strict=True):
        cursor = cursor_of(trader, own)
        for path in (own, other, own):
            response = trader.get(f"{path}{'&' if '?' in path else '?'}cursor={cursor}&limit=1")
            if path == own:
                assert response.status_code == 200
            else:
                problem(response, 400, "invalid_cursor")
                assert usage_of(response).calls == 1


def test_a_cursor_is_good_with_another_limit_and_case_of_its_filter(trader):
    cursor = cursor_of(trader, "/orders?asset_id=BTC")
    response = trader.get(f"/orders?asset_id=btc&limit=3&cursor={cursor}")
    assert response.status_code == 200 and len(response.json["data"]) == 3


@pytest.mark.parametrize(
    "path", ["/balance/transactions", "/orders", "/assets/transactions", "/assets/BTC/transactions"]
)
def test_a_cursor_belongs_to_its_user(trader, new_user, path):
    problem(new_user().get(f"{path}?cursor={cursor_of(trader, path)}"), 400, "invalid_cursor")


CHANGES = {
    "shorter": lambda cursor: cursor[:-1],
    "longer": lambda cursor: cursor + "A",
    "first letter": lambda cursor: chr(ord(cursor[0]) ^ 1) + cursor[1:],
    "middle": lambda cursor: cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:],
    "signature only": lambda cursor: cursor.rpartition(".")[2],
    "no signature": lambda cursor: cursor.rpartition(".")[0],
    "signed by nobody": lambda cursor: cursor.rpartition(".")[0] + ".",
    "a key in the clear": lambda cursor: '{"PK":{"S":"x"}}',
    "a word": lambda cursor: "x",
    "points": lambda cursor: "...",
    "not ASCII": lambda cursor: "é€😀",
    "a null byte": lambda cursor: "%00",
    "twice": lambda cursor: cursor + cursor,
    "5000 letters": lambda cursor: "A" * 5000,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_cursor(trader, change):
    for path in ("/balance/transactions", "/orders"):
        response = trader.get(f"{path}?cursor={change(cursor_of(trader, path))}")
        problem(response, 400, "invalid_cursor")
        assert usage_of(response) == usage(1, 1, 0)


def test_a_cursor_tells_nothing_of_others(trader):
    """It may be read, but holds no more than the place of a row that its owner saw."""
    assert "kettles" not in cursor_of(trader, "/orders") and len(cursor_of(trader, "/orders")) < 600
