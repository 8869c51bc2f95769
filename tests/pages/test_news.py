"""The dashboard says once what happened since it was last seen, whatever the device."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.account_events import KEPT_FOR, AccountEventType
from app.domain.orders import Side
from app.models import adjustments, order_changes
from app.models.account_events import new_event
from app.models.ledger import Balance, get_balance
from app.services.news import MOST_COUNTED
from tests.support.accounts import place, place_limit
from tests.support.faults import conflict
from tests.support.page_client import Browser
from tests.support.usage import usage, usage_of

SINCE = "Since you were last here: "


def fill(username: str, times: int = 1) -> list[str]:
    orders = [place_limit(username, Side.BUY, "0.1", "50") for _ in range(times)]
    return [order_changes.fill_order(order, Decimal(50)).order_id for order in orders]


def expire(username: str) -> list[str]:
    return [order_changes.expire_order(place_limit(username, Side.BUY, "0.1", "50")).order_id]


def adjust(username: str) -> list[str]:
    made = adjustments.adjust(username, Decimal(5), reason="A prize", actor="boss", waits=False)
    return [made.item.transaction_id]


def cancel(username: str) -> list[str]:
    place(username, Side.BUY, "1", price="50")
    order = place_limit(username, Side.SELL, "1", "200")
    return [order_changes.cancel_order(username, order.order_id).item.order_id]


# What happens, what the dashboard says, and where it leads.
NEWS: dict[str, tuple[Callable[[str], list[str]], str, str]] = {
    "a fill": (fill, "1 order filled", "/orders/{}"),
    "two fills": (lambda name: fill(name, 2), "2 orders filled", "/orders?status=completed"),
    "an end": (expire, "1 order expired", "/orders/{}"),
    "two ends": (lambda name: expire(name) + expire(name), "2 orders expired", "/orders?status=expired"),
    "an adjustment": (adjust, "1 adjustment of your cash", "/activity/{}"),
    "two adjustments": (
        lambda name: adjust(name) + adjust(name),
        "2 adjustments of your cash",
        "/activity?transaction_type=system_adjustment",
    ),
    "all of it": (
        lambda name: fill(name, 2) + expire(name) + adjust(name),
        "2 orders filled, 1 order expired, 1 adjustment of your cash",
        "/orders?status=completed",
    ),
}


@pytest.mark.parametrize(("act", "says", "leads_to"), NEWS.values(), ids=NEWS)
def test_what_happened_is_told_with_links(
    rich: Browser, market_app: Flask, act: Callable[[str], list[str]], says: str, leads_to: str
) -> None:
    with market_app.app_context():
        ids = act(rich.username)
    shown = rich.get("/dashboard")
    assert f"{SINCE}{says}." in shown.text
    address = leads_to.format(ids[0])
    assert address in shown.shown.links
    assert rich.get(address).response.status_code == 200


def test_it_is_told_once_on_any_device_and_costs_nothing_otherwise(
    rich: Browser, new_browser: Callable[..., Browser], market_app: Flask
) -> None:
    """No call while nothing happens; two, and one write unit, for the first view after something did."""
    quiet = usage_of(rich.get("/dashboard").response)
    assert (quiet.calls, quiet.write_units) == (4, 0)
    with market_app.app_context():
        fill(rich.username)
    other = new_browser(market_app)
    other.log_in(rich.username)
    told = other.get("/dashboard")
    assert SINCE in told.text
    used = usage_of(told.response)
    assert (used.calls, used.write_units) == (6, 1)
    for browser in (rich, other):
        again = browser.get("/dashboard")
        assert SINCE not in again.text
        assert usage_of(again.response) - quiet == usage(0, used.read_units - 1 - quiet.read_units, 0)


def test_a_cancellation_was_asked_for_and_is_looked_at_once(rich: Browser, market_app: Flask) -> None:
    with market_app.app_context():
        cancel(rich.username)
    for calls in (6, 4):
        shown = rich.get("/dashboard")
        assert SINCE not in shown.text and usage_of(shown.response).calls == calls


def test_what_is_past_its_time_is_not_told(rich: Browser, market_app: Flask) -> None:
    with market_app.app_context(), clock.at(clock.now() - KEPT_FOR - timedelta(seconds=1)):
        fill(rich.username)
    assert SINCE not in rich.get("/dashboard").text


def test_where_it_cannot_be_noted_it_is_told_again(
    new_browser: Callable[..., Browser], faulty_app: Flask, app: Flask, faults: Any
) -> None:
    browser = new_browser(faulty_app).enter()
    with app.app_context():
        adjust(browser.username)
    faults.inject("UpdateItem", *[conflict] * 9)
    assert SINCE in browser.get("/dashboard").text
    faults.heal()
    assert SINCE in browser.get("/dashboard").text
    assert SINCE not in browser.get("/dashboard").text


def test_of_very_many_the_last_are_counted(ann: Browser, app: Flask) -> None:
    with app.app_context():
        balance = get_balance(ann.username)
        with Balance.batch_write() as batch:
            for _ in range(MOST_COUNTED + 1):
                batch.save(new_event(balance, AccountEventType.SUSPENDED, clock.now()))
                balance.event_version = balance.events + 1
        balance.update([Balance.event_version.set(balance.event_version), Balance.updated_at.set(clock.now())])
    shown = ann.get("/dashboard")
    assert "Since you were last here, at least: account suspended." in shown.text
    assert usage_of(shown.response).calls == 6
