"""A cursor leads on only in the list that gave it: the same user, path and filters. Every list, JSON and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask

from app.audit.totals import Sums, save_totals
from app.domain import clock
from app.domain.events import EventKind
from app.domain.users import Role
from app.models.adjustments import adjust
from app.models.events import record
from app.models.users import set_role
from tests.support.books import check_books
from tests.support.page_client import Browser
from tests.support.people import Person, problem, register
from tests.support.prices import SetPrices

TODAY = clock.now().date()
DAYS = {"from": (TODAY - timedelta(days=9), TODAY - timedelta(days=8)), "to": (TODAY, TODAY + timedelta(days=1))}
ORDERS = {"asset_id": ("BTC", "ETH"), "status": ("completed", "pending"), "order_type": ("market_buy", "limit_buy")}
MONTHS = {"month": (f"{TODAY:%Y-%m}", "2020-01")}
# The month in which most users of tests joined. Without one of these, it is no list.
JOINED = "/api/v1/admin/users?month=2020-01"
SEARCH = {"month", "username", "email"}

# Each list with its filters: for each a value that leaves more than one page, and another one. {} is a user.
LISTS: dict[str, dict[str, tuple[object, object]]] = {
    "/api/v1/balance/transactions": {"transaction_type": ("deposit", "withdraw"), **DAYS},
    "/api/v1/orders": ORDERS | DAYS,
    "/api/v1/assets/transactions": DAYS,
    "/api/v1/assets/BTC/transactions": DAYS,
    "/api/v1/auth/events": {},
    "/api/v1/admin/users/{}/events": {},
    "/api/v1/admin/users/{}/transactions": {},
    "/api/v1/admin/users/{}/orders": {},
    "/api/v1/admin/acts": MONTHS,
    "/api/v1/admin/totals": {},
    JOINED: {},
    "/api/v1/admin/approvals": {"status": ("waiting", "approved")},
    "/api/v1/admin/assets/BTC/balances": {},
    "/api/v1/admin/assets/BTC/transactions": {},
    "/activity": {"transaction_type": ("deposit", "withdraw"), **DAYS},
    "/activity/trades": {"asset_id": ("BTC", "ETH"), **DAYS},
    "/orders": ORDERS | DAYS,
    "/account/events": {},
    "/admin/users/{}/events": {},
    "/admin/acts": MONTHS,
    "/admin/approvals": {"status": ("waiting", "approved")},
    "/admin/users/{}/transactions": {},
    "/admin/users/{}/orders": {},
    "/admin/assets/BTC/trades": {},
}
# Lists that here have only one page: they give no cursor, and take none of another list.
SHORT = ["/orders/{order_id}/transactions", "/api/v1/orders/{order_id}/changes", "/admin/assets/BTC"]

Get = Callable[[str], Any]


class Reader:
    """One user, who reads lists with a token and in a browser."""

    def __init__(self, app: Flask) -> None:
        self.person = register(app)
        with app.app_context():
            set_role(self.person.username, Role.ADMIN, now=clock.now())
        self.person.log_in()
        self.browser = Browser(app)
        self.browser.log_in(self.person.username)

    def get(self, address: str, **query: object) -> Any:
        path, _, before = address.partition("?")
        address = f"{path}?{urlencode({**{name: texts[0] for name, texts in parse_qs(before).items()}, **query})}"
        if path.startswith("/api/"):
            return self.person.get(address.removeprefix("/api/v1"))
        return self.browser.client.get(address)

    def cursor_of(self, address: str) -> str:
        if address.startswith("/api/"):
            cursor = self.get(address, limit=1).json["next_cursor"]
        else:
            links = self.browser.get(address).shown.links
            older = next(link for link in links if "cursor=" in link)
            cursor = parse_qs(urlsplit(older).query)["cursor"][0]
        assert cursor
        return str(cursor)


@pytest.fixture(scope="module")
def reader(_market_app: Flask, store: Any) -> Iterator[Reader]:
    """An administrator with 27 deposits and 27 purchases, while someone else holds an asset too."""
    _market_app.extensions["prices"] = SetPrices()
    other = register(_market_app)
    other.deposit("100")
    other.buy("BTC", "0.001")
    made = Reader(_market_app)
    for _ in range(27):
        made.person.deposit("100")
        made.person.buy("BTC", "0.001")
        with _market_app.app_context():
            record(made.person.username, EventKind.LOG_IN)
            adjust(other.username, Decimal(1), reason="x", actor=made.person.username, waits=True)
            save_totals(Sums(), taken_at=clock.now(), seconds=1, items=0, violations=0)
    yield made
    for person in (made.person, other):
        check_books(store, person.username)


@pytest.fixture(scope="module")
def other_reader(reader: Reader, _market_app: Flask) -> Reader:
    return Reader(_market_app)


def addresses(person: Person) -> dict[str, list[str]]:
    """Of each list and filter that gives a cursor, the addresses that differ from it in one filter."""
    found = {}
    for pattern, filters in LISTS.items():
        path = pattern.format(person.username)
        found[path] = [f"{path}?{name}={value}" for name, values in filters.items() for value in values]
        for name, (value, other) in filters.items():
            found[f"{path}?{name}={value}"] = [path, f"{path}?{name}={other}"]
    return found


def refuse(reader: Reader, address: str, cursor: str) -> None:
    response = reader.get(address, cursor=cursor)
    if address.startswith("/api/"):
        problem(response, 400, "invalid_cursor")
    else:
        assert response.status_code == 400 and "This cursor does not belong to this list" in response.text, address


def test_a_cursor_belongs_to_its_user_list_and_filters(reader: Reader, other_reader: Reader) -> None:
    order_id = reader.person.get("/orders?limit=1").json["data"][0]["order_id"]
    places = addresses(reader.person)
    bare = [address for address in places if "?" not in address] + [path.format(order_id=order_id) for path in SHORT]
    for number, (own, others) in enumerate(places.items()):
        cursor = reader.cursor_of(own)
        assert reader.get(own, cursor=cursor).status_code == 200, own
        refuse(other_reader, own, cursor)
        # Every third of the other lists, from another one on for each.
        for address in {*others, *bare[number % 3 :: 3]} - {own}:
            refuse(reader, address, cursor)


def test_a_path_in_another_case_is_the_same_list(reader: Reader) -> None:
    for address in ("/api/v1/assets/BTC/transactions", "/admin/assets/BTC/trades"):
        cursor = reader.cursor_of(address)
        assert reader.get(address.replace("BTC", "btc"), cursor=cursor).status_code == 200


def test_no_list_or_filter_of_the_api_is_left_out(reader: Reader) -> None:
    listed = {}
    for path, operations in reader.person.client.get("/api/v1/openapi.json").json["paths"].items():
        names = {each["name"] for each in operations.get("get", {}).get("parameters", ()) if each.get("in") == "query"}
        if "cursor" in names:
            listed[path.replace("{asset_id}", "BTC").replace("{username}", "{}")] = names - {
                "cursor",
                "limit",
                "offset",
            }
    assert listed.pop(JOINED.partition("?")[0]) == SEARCH
    expected = {path: set(filters) for path, filters in LISTS.items() if path.startswith("/api/") and path != JOINED}
    assert listed == expected | {path: set() for path in SHORT if path.startswith("/api/")}


def test_a_cursor_of_a_month_is_for_this_month(reader: Reader) -> None:
    cursor = reader.cursor_of(JOINED)
    problem(reader.get("/api/v1/admin/users?month=2020-02", cursor=cursor), 400, "invalid_cursor")
