"""Prices that stay up to date while a page is in sight, on a clock that the tests set."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import NewVisitor
from tests.support.page_client import Browser
from tests.support.prices import SetPrices
from tests.support.visitor import Visitor

PRICE = "[data-live='BTC price']"


@pytest.fixture
def watcher(new_visitor: NewVisitor, client: Browser) -> Visitor:
    """At the page of an asset, on a clock that stands still."""
    visitor = new_visitor(fresh=True).be(client)
    visitor.page.clock.install()
    visitor.open("/assets/BTC")
    return visitor


def shows(visitor: Visitor, selector: str, text: str) -> None:
    visitor.page.locator(selector, has_text=text).wait_for()


def asked(visitor: Visitor) -> list[Any]:
    """What is asked for the prices from now on."""
    found: list[Any] = []
    visitor.page.on("request", lambda request: found.append(request) if request.url.endswith("/assets") else None)
    return found


def test_a_price_follows_the_market_and_the_estimate_follows_it(watcher: Visitor, market: SetPrices) -> None:
    watcher.fill(quantity="2").sees("about $200.00")
    found = asked(watcher)
    market.set("BTC", "100.25")
    watcher.page.clock.run_for(13_000)
    shows(watcher, PRICE, "100.25")
    shows(watcher, "#live", "$100.25")
    shows(watcher, "#estimate", "about $200.50")
    assert watcher.page.get_attribute("#live", "role") == "status"
    assert [request.all_headers().get("cookie") for request in found] == [None], (
        "a watched page must not keep a session alive"
    )


def test_every_asset_of_the_market_follows(watcher: Visitor, market: SetPrices) -> None:
    watcher.open("/assets?q=ethereum")
    market.set("ETH", "12.34")
    watcher.page.clock.run_for(13_000)
    shows(watcher, "[data-live='ETH price']", "12.34")


@pytest.mark.parametrize(("status", "wait"), [(429, 300), (503, 90), (500, 60)])
def test_a_refusal_is_waited_out(watcher: Visitor, market: SetPrices, status: int, wait: int) -> None:
    market.set("BTC", "100.25")
    headers = {"Retry-After": str(wait)} if status != 500 else {}
    watcher.page.route("**/assets", lambda route: route.fulfill(status=status, headers=headers, body=""))
    watcher.page.clock.run_for(13_000)
    shows(watcher, "#live", "not up to date")
    shows(watcher, f"{PRICE}.stale", "100.00")
    watcher.page.unroute("**/assets")
    found = asked(watcher)
    watcher.page.clock.run_for(1000 * wait - 2000)
    assert not found
    watcher.page.clock.run_for(4000)
    shows(watcher, f"{PRICE}:not(.stale)", "100.25")
    watcher.faults.clear()  # the refusal itself


def test_a_page_out_of_sight_asks_for_nothing(watcher: Visitor, market: SetPrices) -> None:
    see = """(hidden) => {
      Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
      document.dispatchEvent(new Event("visibilitychange", {bubbles: true}));
    }"""
    found = asked(watcher)
    watcher.page.evaluate(see, True)
    market.set("BTC", "100.25")
    watcher.page.clock.run_for(120_000)
    assert not found
    watcher.page.evaluate(see, False)
    watcher.page.clock.run_for(100)
    shows(watcher, PRICE, "100.25")
