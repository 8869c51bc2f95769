"""What holds of every page in a real browser: accessible, narrow, quiet, and light."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import NewVisitor
from tests.browser.visitor import Visitor

PUBLIC = ["/", "/login", "/register", "/assets", "/assets/BTC", "/nope", "/api/docs/errors"]
PRIVATE = [
    "/dashboard", "/history?days=30", "/assets", "/assets/BTC?days=1", "/assets/MATIC", "/deposit", "/withdraw", "/orders",
    "/orders?status=expired", "/activity", "/activity/trades", "/activity/000000000002", "/statement", "/account",
]


@pytest.fixture
def busy(new_visitor: NewVisitor) -> Visitor:
    """A user with something on every page."""
    visitor = new_visitor().register().deposit("1000")
    visitor.open("/assets/BTC").fill(quantity="2").press("Place the order").sees("Bought")
    visitor.open("/assets/ETH").choose("Buy at a limit").fill(quantity="1", price="9").press("Place the order").sees("waits")
    return visitor


def refused_form(visitor: Visitor) -> Visitor:
    return visitor.open("/assets/BTC").fill(quantity="x").press("Place the order").sees("Write digits")


def review(visitor: Visitor) -> Visitor:
    """By a worst price that is refused: with a script, the only way to a review."""
    return visitor.open("/assets/BTC").fill(quantity="1", price="1").press("Place the order").sees("Review your order")


def every_page(visitor: Visitor, order: str) -> Any:
    for path in [*PRIVATE, order, f"{order}/transactions"]:
        visitor.open(path)
        yield path
    for step in (refused_form, review):
        step(visitor)
        yield step.__name__
    visitor.context.clear_cookies()
    for path in PUBLIC:
        visitor.open(path)
        yield path


def test_no_page_breaks_a_rule_of_accessibility(busy: Visitor) -> None:
    broken = [
        breach for _ in every_page(busy, busy.path) for scheme in ("light", "dark") for breach in busy.breaches(scheme)
    ]
    assert not broken, "\n".join(broken)


# 320 pixels are also what is left of 1280 at 400 % zoom.
def test_no_page_is_wider_than_a_small_screen(busy: Visitor) -> None:
    busy.page.set_viewport_size({"width": 320, "height": 640})
    assert [path for path in every_page(busy, busy.path) if busy.is_wider_than_screen()] == []


@pytest.mark.parametrize("path", ["/", "/dashboard", "/assets/BTC", "/history", "/orders"])
def test_the_first_visit_is_light_and_the_next_is_one_request(busy: Visitor, new_visitor: NewVisitor, path: str) -> None:
    fresh = new_visitor()
    if path != "/":
        fresh.context.add_cookies(busy.context.cookies())
    session = fresh.context.new_cdp_session(fresh.page)
    session.send("Network.enable")
    sizes: list[float] = []
    asked: list[str] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    fresh.page.on("request", lambda request: asked.append(request.url))
    fresh.page.goto(path, wait_until="networkidle")
    print(f"{path}: {sum(sizes):.0f} bytes in {len(sizes)} requests")
    assert 0 < sum(sizes) <= 60_000
    asked.clear()
    sizes.clear()
    fresh.page.goto("/assets" if path == "/" else path, wait_until="networkidle")
    assert len([size for size in sizes if size > 0]) <= 1 + (path == "/dashboard"), asked


def test_without_motion(new_visitor: NewVisitor) -> None:
    visitor = new_visitor().open("/")
    visitor.page.emulate_media(reduced_motion="reduce")
    moving = "[...document.querySelectorAll('*')].filter((e) => parseFloat(getComputedStyle(e).transitionDuration) > 0).length"
    assert visitor.page.evaluate(moving) == 0
