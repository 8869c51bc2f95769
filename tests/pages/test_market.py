"""The list of assets: what is searched for, how it is sorted, what one holds, and what cannot be traded any more."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from app.domain.assets import CATALOGUE
from app.prices import MarketSummary
from app.prices.simulated import SimulatedMarket
from app.services.market import SORTS, find_assets
from tests.support.page_client import Answer, Browser
from tests.support.usage import usage_of


def listed(answer: Answer) -> list[str]:
    """The assets that can be traded, in their order."""
    return re.findall(r'href="/assets/([A-Z]+)#trade-heading"', answer.response.text)


def headings(answer: Answer) -> dict[str, tuple[str, str]]:
    """Of each column that can be sorted: how it is sorted, and where its heading leads."""
    found = re.findall(r'<th scope="col"[^>]*?(?: aria-sort="(\w+)")?><a href="([^"]+)">([^<]+)', answer.response.text)
    return {name: (order, address.replace("&amp;", "&")) for order, address, name in found}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=bitc", ["BTC"]),
        ("q=%20BNB%20", ["BNB"]),
        ("q=solana", ["SOL"]),
        ("q=zzz", []),
        ("q=.*", []),
        ("q=%3Cb%3E", []),
        ("q=COIN&sort=name", ["BTC", "DOGE", "LTC"]),
    ],
)
def test_a_search_finds_names_and_symbols(stranger: Browser, query: str, found: list[str]) -> None:
    answer = stranger.get(f"/assets?{query}")
    assert [each for each in listed(answer) if each != "BCH"] == found
    assert ("No asset has this in its name" in answer.text) == (not found)
    assert usage_of(answer.response).calls == 0


def test_the_headings_sort_without_a_script(stranger: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each leads to one order and then to the other; numbers begin with the largest, names with A."""

    class Market(SimulatedMarket):
        """Nothing moves, and no two figures are the same."""

        def summaries(self) -> dict[str, MarketSummary]:
            return {
                name: MarketSummary(
                    price=Decimal(place + 1),
                    price_change_percentage_24h=Decimal(place * 7 % 25 - 9),
                    market_cap=None,
                    total_volume_24h=None,
                )
                for place, name in enumerate(CATALOGUE)
            }

    monkeypatch.setitem(stranger.client.application.extensions, "prices", Market())
    for name, first in (("Asset", "ascending"), ("Price", "descending"), ("24 hours", "descending")):
        page = stranger.get("/assets?q=a")
        orders = []
        for _ in range(3):
            page = stranger.get(headings(page)[name][1])
            orders.append((headings(page)[name][0], tuple(listed(page))))
        other = {"ascending": "descending", "descending": "ascending"}[first]
        assert [order for order, _ in orders] == [first, other, first]
        assert orders[0] == orders[2] and orders[0][1] == orders[1][1][::-1] and len(orders[0][1]) > 5
        assert {order for order, _ in headings(page).values()} == {first, ""}
    names = [CATALOGUE[each].name.casefold() for each in listed(stranger.get("/assets?sort=name"))]
    assert names == sorted(names)


@pytest.mark.parametrize("sort", [sign + name for name in SORTS for sign in ("", "-")])
def test_what_is_not_known_comes_last(sort: str) -> None:
    class Market(SimulatedMarket):
        def summaries(self) -> dict[str, MarketSummary]:
            found = super().summaries()
            found["BTC"] = replace(found["BTC"], price_change_percentage_24h=None)
            return {name: each for name, each in found.items() if name != "ETH"}

    found = [each.symbol for each in find_assets(Market(), sort=sort)]
    assert len(found) == len(CATALOGUE)
    if sort.endswith("price"):
        assert found[-1] == "ETH"
    if sort.endswith("change"):
        assert set(found[-2:]) == {"BTC", "ETH"}


def test_an_order_that_there_is_not_is_refused(stranger: Browser) -> None:
    assert "sort" in stranger.get("/assets?sort=colour", 422).text


def test_only_what_one_holds(rich: Browser, stranger: Browser) -> None:
    assert "You hold no asset." in rich.get("/assets?mine=true").text
    rich.done("/assets/ETH", quantity="1")
    rich.done("/assets/BTC", quantity="1")
    rich.done("/assets/BTC", order_type="market_sell", quantity="1")
    answer = rich.get("/assets?mine=true&sort=price")
    assert listed(answer) == ["ETH"]
    assert usage_of(answer.response).calls == 2
    assert "/assets?sort=price" in answer.shown.links and "/assets?sort=price&mine=true" not in answer.shown.links
    assert "You hold no such asset" in rich.get("/assets?mine=true&q=bitcoin").text
    assert len(listed(stranger.get("/assets?mine=true"))) > 20


def test_what_is_not_traded_stands_apart(stranger: Browser) -> None:
    answer = stranger.get("/assets")
    gone = {each.asset_id for each in CATALOGUE.values() if not each.is_active}
    assert gone and not gone & set(listed(answer))
    assert all(f"/assets/{each}" in answer.shown.links for each in gone)
    assert "Not traded any more" in answer.text
    assert "Not traded any more" not in stranger.get("/assets?q=bitcoin").text


def test_a_stale_price_says_so(stranger: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    class Market(SimulatedMarket):
        def summaries(self) -> dict[str, MarketSummary]:
            return {name: replace(each, is_stale=name == "BTC") for name, each in super().summaries().items()}

    monkeypatch.setitem(stranger.client.application.extensions, "prices", Market())
    page = stranger.get("/assets").response.text
    assert page.count("out of date") == 1
    assert 'data-live="BTC price" data-value="" class="stale"' in page
