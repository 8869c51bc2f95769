"""Real browsers on a real server; where there is no Chromium these tests are left out, which one line says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.support.accounts import deposit
from tests.support.books import check_books
from tests.support.chromium import chromium, serving, what_is_missing
from tests.support.page_client import Browser
from tests.support.prices import SetPrices
from tests.support.visitor import WIDTH, Visitor

NewVisitor = Callable[..., Visitor]

MISSING = what_is_missing()
if MISSING and os.environ.get("REQUIRE_BROWSER") == "1":
    raise pytest.UsageError(f"The browser tests cannot run, and REQUIRE_BROWSER=1: there is no {MISSING}.")
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if MISSING:
        terminalreporter.write_line(f"The browser tests were left out: there is no {MISSING}.", yellow=True)


@pytest.fixture(scope="package")
def _chromium() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def _address(_market_app: Flask) -> Iterator[str]:
    with serving(_market_app) as address:
        yield address


@pytest.fixture
def market(_market_app: Flask) -> SetPrices:
    """BTC costs 100.00 and ETH 10.00, until a test says otherwise."""
    _market_app.extensions["prices"] = prices = SetPrices(BTC="100.00", ETH="10.00")
    return prices


@pytest.fixture(scope="package")
def _shared(_chromium: Any, _address: str) -> Iterator[Callable[[bool], Visitor]]:
    """A page with script and one without. Making one takes longer than what most tests do with it."""
    made: dict[bool, Visitor] = {}

    def get(script: bool) -> Visitor:
        if script not in made:
            made[script] = Visitor(_chromium, _address, script=script)
        return made[script]

    yield get
    for visitor in made.values():
        visitor.close()


@pytest.fixture
def new_visitor(
    _shared: Callable[[bool], Visitor], _chromium: Any, _address: str, market: SetPrices, store: Any
) -> Iterator[NewVisitor]:
    """Makes visitors; afterwards none may have met an error of the console, and their books must balance.

    They share a page, without the cookies of the one before. `fresh` makes a page for this one alone, for what stays
    with a page: a cache that is empty, a clock that is set, scripts that are brought.
    """
    made: list[Visitor] = []
    fresh_ones: list[Visitor] = []

    def make(*, script: bool = True, width: int = WIDTH, fresh: bool = False) -> Visitor:
        if fresh:
            fresh_ones.append(visitor := Visitor(_chromium, _address, script=script))
        else:
            visitor = _shared(script)
            assert visitor not in made, "one page is for one visitor: make this one with `fresh`"
        made.append(visitor.begin(width))
        return visitor

    yield make
    for visitor in fresh_ones:
        visitor.close()
    for visitor in made:
        assert not visitor.faults, visitor.faults
        if visitor.username:
            check_books(store, visitor.username)


@pytest.fixture
def client(_market_app: Flask, market: SetPrices) -> Browser:
    """A new user with 1000.00, who is not at a real browser yet."""
    browser = Browser(_market_app).enter()
    with _market_app.app_context():
        deposit(browser.username, "1000.00")
    return browser


@pytest.fixture
def rich(new_visitor: NewVisitor, client: Browser) -> Visitor:
    return new_visitor().be(client)


@pytest.fixture
def scriptless(new_visitor: NewVisitor, client: Browser) -> Visitor:
    return new_visitor(script=False).be(client)
