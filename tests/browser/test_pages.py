"""What holds of every page in a real browser: accessible, narrow, quiet, and light."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.conftest import NewVisitor
from tests.support.page_client import Browser
from tests.support.visitor import Visitor

PUBLIC = ["/", "/login", "/register", "/assets", "/assets/BTC", "/nope", "/api/docs/errors"]
PRIVATE = [
    "/history?days=30",
    "/dashboard",
    "/assets",
    "/assets/BTC?days=1",
    "/assets/MATIC",
    "/deposit",
    "/withdraw",
    "/orders",
    "/orders?status=expired",
    "/activity",
    "/activity/trades",
    "/activity/000000000002",
    "/statement",
    "/account",
]


@pytest.fixture
def busy(rich: Visitor, client: Browser) -> Visitor:
    """A user with something on every page."""
    client.done("/assets/BTC", quantity="2")
    client.done("/assets/ETH", order_type="limit_buy", quantity="1", price="9")
    return rich


def refused_form(visitor: Visitor) -> Visitor:
    return visitor.open("/assets/BTC").fill(quantity="x").press("Place the order").sees("Write digits")


def review(visitor: Visitor) -> Visitor:
    """By a worst price that is refused: with a script, the only way to a review."""
    return visitor.open("/assets/BTC").fill(quantity="1", price="1").press("Place the order").sees("Review your order")


def every_page(visitor: Visitor) -> Iterator[str]:
    visitor.open("/orders")
    order = visitor.page.get_attribute("tbody a", "href")
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


def test_every_page_is_accessible_and_fits_a_small_screen(busy: Visitor) -> None:
    busy.bring_axe()
    broken, wide = [], []
    for name in every_page(busy):
        broken += [breach for scheme in ("light", "dark") for breach in busy.breaches(scheme)]
        # 320 pixels are also what is left of 1280 at 400 % zoom.
        busy.page.set_viewport_size({"width": 320, "height": 640})
        wide += [name] if busy.is_wider_than_screen() else []
        busy.page.set_viewport_size({"width": 1280, "height": 800})
    assert not broken, "\n".join(broken)
    assert not wide


@pytest.mark.parametrize("script", [True, False])
def test_the_figures_of_the_latest_activity_fit_a_phone(new_visitor: NewVisitor, script: bool) -> None:
    visitor = new_visitor(width=360, script=script).register()
    visitor.open("/deposit").fill(amount="63636.02").press("Deposit")
    visitor.open("/withdraw").fill(amount="28636.65").press("Withdraw")
    # A table that is too wide is scrolled in its box, so that the page itself is not wide.
    boxes = visitor.open("/dashboard").page.locator(".table")
    assert boxes.evaluate_all("boxes => boxes.every((box) => box.scrollWidth <= box.clientWidth)")


# The contrasts of the borders of all fields to the field itself, and to what surrounds it.
CONTRASTS = """() => {
  const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const around = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return (numbers(colour)[3] ?? 1) > 0 || !element.parentElement ? colour : around(element.parentElement);
  };
  return [...document.querySelectorAll("main :is(input:not([type=hidden]), select)")].flatMap((field) => {
    const {borderTopColor, backgroundColor} = getComputedStyle(field);
    return [backgroundColor, around(field.parentElement)].map((side) => [field.id, contrast(borderTopColor, side)]);
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_borders_of_fields_can_be_seen(busy: Visitor, scheme: str) -> None:
    """As WCAG 1.4.11 asks."""
    busy.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for show in (lambda: busy.open("/account/tokens"), lambda: busy.open("/orders"), lambda: refused_form(busy)):
        show()
        found = busy.page.evaluate(CONTRASTS)
        assert found and all(contrast >= 3 for _, contrast in found), found


@pytest.mark.parametrize("path", ["/", "/dashboard", "/assets/BTC"])
def test_the_first_visit_is_light_and_the_next_is_one_request(
    busy: Visitor, new_visitor: NewVisitor, path: str
) -> None:
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
    assert visitor.page.evaluate("""[...document.querySelectorAll("*")].every(
        (element) => getComputedStyle(element).transitionDuration === "0s")""")
