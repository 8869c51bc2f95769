"""Browsers on the shared application; after each test the books of every user in one must balance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from tests.support.accounts import deposit
from tests.support.books import check_books
from tests.support.page_client import Browser
from tests.support.people import LONG_AGO

NewBrowser = Callable[..., Browser]


@pytest.fixture
def new_browser(app: Flask, store: Any) -> Iterator[NewBrowser]:
    made: list[Browser] = []

    def make(app: Flask = app) -> Browser:
        made.append(Browser(app))
        return made[-1]

    yield make
    for browser in made:
        if browser.username:
            check_books(store, browser.username)


@pytest.fixture
def stranger(new_browser: NewBrowser) -> Browser:
    """A browser that nobody has logged in with."""
    return new_browser()


@pytest.fixture
def ann(new_browser: NewBrowser) -> Browser:
    """A new user, logged in, without money."""
    return new_browser().enter()


@pytest.fixture
def rich(new_browser: NewBrowser, market_app: Flask, market: Any) -> Browser:
    """A user with 10000.00, where BTC costs 100.00 and ETH 10.00."""
    market.set("BTC", "100.00")
    market.set("ETH", "10.00")
    browser = new_browser(market_app).enter()
    with market_app.app_context(), clock.at(LONG_AGO):
        deposit(browser.username, "10000.00")
    return browser
