"""The account at a glance, and its ETag."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.support.people import Person
from tests.support.prices import SetPrices
from tests.support.usage import usage, usage_of


@pytest.fixture
def trader(new_user: Any, market: SetPrices, market_app: Flask) -> Person:
    """Someone with 710.00, of which 90.00 wait to buy, and 3 BTC at 100.00, of which 1 waits to be sold."""
    person: Person = new_user(market_app)
    market.set("BTC", "100.00")
    person.deposit("1010")
    person.buy("BTC", "3")
    person.place("limit_buy", "BTC", "1", price="90")
    person.place("limit_sell", "BTC", "1", price="110")
    return person


def test_it_says_what_the_balance_and_the_portfolio_say(trader: Person) -> None:
    response = trader.get("/account")
    assert usage_of(response) == usage(2, 2, 0)
    balance, portfolio = trader.get("/balance").json, trader.get("/portfolio").json
    assert response.json == {
        "status": "active",
        **{name: portfolio[name] for name in ("cash_balance", "reserved_cash", "total_value")},
        **{name: balance[name] for name in ("number", "head")},
    }
    assert (response.json["cash_balance"], response.json["total_value"]) == ("620.00", "1010.00")


def known(person: Person, etag: str) -> Any:
    return person.get("/account", headers={"If-None-Match": etag})


def test_what_is_known_is_not_sent_again(trader: Person) -> None:
    first = trader.get("/account")
    etag = first.headers["ETag"]
    assert etag.startswith('"') and trader.get("/account").headers["ETag"] == etag
    for sent in (etag, f'"other", {etag}', "*", f"W/{etag}"):
        again = known(trader, sent)
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
        assert "Content-Type" not in again.headers and again.headers["X-Request-ID"]
    for sent in ('"other"', ""):
        assert known(trader, sent).json == first.json
    head = trader.call("HEAD", "/account")
    assert (head.status_code, head.headers["ETag"]) == (200, etag)


CHANGES = {
    "a deposit": (lambda person, market: person.deposit("1"), 200),
    "a price": (lambda person, market: market.set("BTC", "100.01"), 200),
    "a reserve": (lambda person, market: person.place("limit_buy", "BTC", "1", price="80"), 200),
    "a dry run": (lambda person, market: person.post("/balance/deposit", {"amount": "1", "dry_run": True}), 304),
    "a price of something else": (lambda person, market: market.set("ETH", "1.00"), 304),
}


@pytest.mark.parametrize(("change", "status"), CHANGES.values(), ids=CHANGES)
def test_what_changed_is_sent(trader: Person, market: SetPrices, change: Any, status: int) -> None:
    etag = trader.get("/account").headers["ETag"]
    change(trader, market)
    answer = known(trader, etag)
    assert answer.status_code == status and (answer.headers["ETag"] == etag) is (status == 304)


def test_accounts_of_two_users_are_two(trader: Person, new_user: Any, market_app: Flask) -> None:
    """Even where all that they say were the same, an ETag is asked for with the token of one of them."""
    other = new_user(market_app)
    assert known(other, trader.get("/account").headers["ETag"]).status_code == 200
