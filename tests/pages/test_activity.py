"""Activity: its filters by type and period, and the ways from it to orders, statements and CSV."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest
from flask import Flask

from app.domain import clock
from app.domain.ledger import TransactionType
from app.domain.periods import period_of
from app.models.ledger import list_transactions
from app.models.paging import Page, PageRequest
from app.services import cash
from tests.support.books import check_books
from tests.support.page_client import Browser
from tests.support.usage import usage_of


def live(app: Flask, username: str) -> None:
    """A deposit of 1.00 and a withdrawal of 0.50 on each of the first 30 days of 2026."""
    with app.app_context():
        for day in range(30):
            with clock.at(datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)):
                cash.deposit(username, Decimal("1.00"))
                cash.withdraw(username, Decimal("0.50"))


@pytest.fixture(scope="module")
def veteran(app: Flask, store: Any) -> Iterator[Browser]:
    """A user with that history, for the tests that change nothing."""
    browser = Browser(app).enter()
    live(app, browser.username)
    yield browser
    check_books(store, browser.username)


def amounts(browser: Browser, address: str) -> list[str]:
    """The transactions of a list, page by page from the newest, by their links."""
    found = []
    while address:
        links = browser.get(address).shown.links
        found += [link for link in links if link.startswith("/activity/0")]
        address = next((link for link in links if "cursor=" in link), "")
    return found


FILTERS = {
    "": 60,
    "transaction_type=deposit": 30,
    "from=2026-01-11": 40,
    "to=2026-01-10": 20,
    "from=2026-01-05&to=2026-01-05": 2,
    "from=2026-01-02&to=2026-01-29": 56,
    "from=2026-01-02&to=2026-01-29&transaction_type=withdraw": 28,
    "from=2026-02-01&to=2026-02-28": 0,
    "from=2025-02-01&to=2025-02-28&transaction_type=deposit": 0,
    "transaction_type=order_sale": 0,
}


@pytest.mark.parametrize(("query", "count"), FILTERS.items())
def test_a_filter_shows_its_transactions_each_once_newest_first(veteran: Browser, query: str, count: int) -> None:
    found = amounts(veteran, f"/activity?{query}")
    assert len(found) == len(set(found)) == count
    assert found == sorted(found, reverse=True)
    if not count:
        assert "Nothing matches this filter." in veteran.get(f"/activity?{query}").text


@pytest.mark.parametrize(("query", "count"), FILTERS.items())
@pytest.mark.parametrize("limit", [7, 50])
def test_a_period_that_must_be_looked_for_has_the_same_transactions(
    veteran: Browser, app: Flask, query: str, count: int, limit: int
) -> None:
    """As in accounts of hundreds of transactions; each page looks for the period again."""
    values = {name: text for name, [text] in parse_qs(query).items()}
    wanted = TransactionType(values["transaction_type"].upper()) if "transaction_type" in values else None
    first_day, last_day = (date.fromisoformat(values[end]) if end in values else None for end in ("from", "to"))
    period, found, page = period_of(first_day, last_day), [], Page([], {})
    with app.app_context():
        while page.next_start_key is not None:
            request = PageRequest(limit=limit, start_key=page.next_start_key or None)
            page = list_transactions(veteran.username, request, transaction_type=wanted, period=period, slack=2)
            found += [transaction.transaction_id for transaction in page.items]
    assert len(found) == len(set(found)) == count
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        ("", 1),
        ("?transaction_type=deposit", 1),
        ("?from=2026-01-05", 2),
        ("?from=2026-01-05&transaction_type=deposit", 2),
        ("?from=&to=", 1),
    ],
)
def test_what_it_costs(veteran: Browser, query: str, calls: int) -> None:
    assert usage_of(veteran.get(f"/activity{query}").response).calls == 1 + calls


def test_the_filter_is_kept_in_the_form_and_the_addresses(veteran: Browser) -> None:
    answer = veteran.get("/activity?from=2026-01-02&to=2026-01-29&transaction_type=deposit")
    assert answer.shown.attributes["from"]["value"] == "2026-01-02"
    assert answer.shown.attributes["to"]["value"] == "2026-01-29"
    assert '<option value="deposit" selected>' in answer.response.text
    [older] = [link for link in answer.shown.links if "cursor=" in link]
    assert "from=2026-01-02&to=2026-01-29" in older and "transaction_type=deposit" in older
    for path in ("/statement", "/statement.csv"):
        assert f"{path}?from=2026-01-02&to=2026-01-29" in answer.shown.links


def test_a_cursor_belongs_to_its_filter_and_user(veteran: Browser, rich: Browser) -> None:
    [older] = [link for link in veteran.get("/activity?from=2026-01-01").shown.links if "cursor=" in link]
    veteran.get(older)
    veteran.get(older.replace("from=2026-01-01", "from=2026-01-02"), 400)
    veteran.get(older.replace("from=", "to="), 400)
    rich.get(older, 400)


def test_new_rows_do_not_move_older_pages(app: Flask, ann: Browser) -> None:
    live(app, ann.username)
    [older] = [link for link in ann.get("/activity?from=2026-01-01").shown.links if "cursor=" in link]
    before = ann.get(older).shown.links
    ann.done("/deposit", amount="1")
    assert [link for link in ann.get(older).shown.links if link.startswith("/activity/0")] == [
        link for link in before if link.startswith("/activity/0")
    ]


def test_the_order_behind_a_transaction_is_one_click_away(rich: Browser) -> None:
    order = rich.submit("/assets/BTC", quantity="1").location
    assert order in rich.get("/activity").shown.links
    assert order in rich.get("/activity/000000000002").shown.links


def test_without_a_filter_the_csv_is_everything(ann: Browser) -> None:
    ann.done("/deposit", amount="1")
    answer = ann.get("/activity")
    assert "/statement.csv" in answer.shown.links and "/statement" in answer.shown.links
    assert "Everything as CSV" in answer.text


def test_each_row_says_what_was_done_with_which_asset(rich: Browser, market: Any) -> None:
    rich.done("/assets/BTC", quantity="2")
    rich.done("/assets/BTC", quantity="0.5", order_type="market_sell")
    waiting = rich.done("/assets/ETH", quantity="1500", order_type="limit_buy", price="5")
    rich.send(waiting.form())
    rich.done("/withdraw", amount="1")
    rich.done("/deposit", amount="3", description="Bought 1 BTC at 5")
    answer = rich.get("/activity")
    for says in (
        "Bought 2 BTC at $100.00 · ",
        "Sold 0.5 BTC at $100.00 · ",
        "Reserved to buy 1,500 ETH at $5.00 or less · ",
        "Returned: cancelled ",
        "Withdrawn ",
        "Deposited Bought 1 BTC at 5 ",
    ):
        assert says in answer.text, says
    assert answer.shown.links.count("/assets/BTC") == 2 and answer.shown.links.count("/assets/ETH") == 1
    assert usage_of(answer.response).calls == 2
