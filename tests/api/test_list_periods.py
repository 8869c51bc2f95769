"""Lists of a period: its rows alone, to the microsecond at both ends, read by ranges of keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from tests.support.books import check_books
from tests.support.page_client import Browser
from tests.support.people import Person, fields_named, problem, register
from tests.support.prices import SetPrices
from tests.support.usage import AUTHENTICATION, usage_of

FIRST, LAST = date(2026, 1, 2), date(2026, 1, 6)
DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
# Each list with the name of its rows and of their time.
LISTS = {
    "/balance/transactions?": ("transactions", "created_at"),
    "/balance/transactions?transaction_type=deposit&": ("transactions", "created_at"),
    "/orders?": ("data", "created_at"),
    "/orders?status=pending&": ("data", "created_at"),
    "/orders?asset_id=BTC&status=completed&": ("data", "created_at"),
    "/assets/transactions?": ("data", "timestamp"),
    "/assets/BTC/transactions?": ("data", "timestamp"),
}
PERIODS = [(None, FIRST), (FIRST, FIRST), (DAYS[1], DAYS[3]), (LAST, None), (None, None), (LAST + timedelta(1), None)]
PERIODS += [(None, date(1000, 1, 1)), (date(9999, 12, 31), None), (date(1, 1, 1), date(9999, 12, 31))]


@pytest.fixture(scope="module")
def trader(_market_app: Flask, store: Any) -> Iterator[Person]:
    """In the first and the last microseconds of each day, and at noon: a deposit, a purchase, an order that waits."""
    _market_app.extensions["prices"] = SetPrices(BTC="100.00")
    person = register(_market_app)
    for day in DAYS:
        start, end = clock.start_of(day), clock.end_of(day) - timedelta(microseconds=2)
        for moment in (start, start + timedelta(hours=12), end):
            for number, act in enumerate((_deposit, _buy, _wait)):
                with clock.at(moment + timedelta(microseconds=number)):
                    act(person)
    yield person
    check_books(store, person.username)


def _deposit(person: Person) -> None:
    person.deposit("100")


def _buy(person: Person) -> None:
    person.buy("BTC", "0.01")


def _wait(person: Person) -> None:
    person.place("limit_buy", "BTC", "0.01", price="90")


def read(person: Person, path: str, name: str, limit: int) -> list[Any]:
    """All pages of a list, one after the other."""
    rows: list[Any] = []
    cursor = ""
    while True:
        answer = person.get(f"{path}limit={limit}{cursor}").json
        rows += answer[name]
        if answer["next_cursor"] is None:
            return rows
        cursor = f"&cursor={answer['next_cursor']}"


@pytest.mark.parametrize("path", LISTS)
def test_a_list_of_a_period_has_its_rows_and_no_others(trader: Person, path: str) -> None:
    name, time = LISTS[path]
    whole = read(trader, path, name, 100)
    assert len(whole) >= 3 * len(DAYS)
    for first, last in PERIODS:
        asked = "".join(f"{word}={day}&" for word, day in (("from", first), ("to", last)) if day)
        expected = [
            row for row in whole if (first or date.min) <= clock.from_text(row[time]).date() <= (last or date.max)
        ]
        for limit in (100, 3):
            assert read(trader, path + asked, name, limit) == expected, (asked, limit)


@pytest.mark.parametrize("path", LISTS)
def test_a_period_bounds_what_is_read(trader: Person, path: str) -> None:
    """The transactions of an account of up to 400 are read whole; the others are found by their keys."""
    asked = usage_of(trader.get(f"{path}limit=100&from={LAST + timedelta(days=1)}")) - AUTHENTICATION
    whole = usage_of(trader.get(f"{path}limit=100")) - AUTHENTICATION
    if path.startswith("/balance"):
        assert asked.calls == whole.calls + 1, "it reads the number of the last one"
    else:
        assert (asked.calls, whole.calls, float(asked.read_units)) == (1, 1, 0.5)
        assert whole.read_units > 0.5


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("query", "field"),
    [("from=2026-01-03&to=2026-01-02", "to"), ("from=yesterday", "from"), ("to=2026-01-02T00:00:00Z", "to")],
)
def test_what_is_no_period(trader: Person, path: str, query: str, field: str) -> None:
    refused = problem(trader.get(path + query), 422, "invalid_input")
    assert fields_named(refused) == [field]
    message = refused["errors"][0]["message"]
    assert message.startswith("Choose a last day" if "&" in query else "Write a date as YYYY-MM-DD"), message


@pytest.mark.parametrize(("path", "rows"), [("/orders", 6), ("/activity/trades", 3)])
def test_pages_ask_for_a_period_too(trader: Person, _market_app: Flask, path: str, rows: int) -> None:
    browser = Browser(_market_app)
    browser.log_in(trader.username)
    page = browser.get(f"{path}?from=&to={FIRST}")
    links = {link for link in page.shown.links if "/orders/order_" in link}
    assert len(links) == rows and f'name="to" type="date" value="{FIRST}"' in page.response.text
    refused = browser.get(f"{path}?from={LAST}&to={FIRST}", 422)
    assert refused.error_of("to") == "Choose a last day that is not before the first one."
    assert "Nothing matches this filter." in browser.get(f"{path}?from=2030-01-01").text
