"""What holds of every page in a real browser: accessible, narrow, quiet, and light."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.domain.users import Role
from tests.browser.conftest import NewVisitor
from tests.support.page_client import Browser
from tests.support.prices import SetPrices
from tests.support.visitor import WIDTH, Visitor

PUBLIC = [
    *("/", "/login", "/register", "/assets", "/assets/BTC", "/nope", "/api/docs/errors"),
    *("/forgot-password", "/reset-password?token=x", "/confirm-email?token=x"),
]
PRIVATE = [
    "/history?days=30",
    "/dashboard",
    "/assets?mine=true&sort=price",
    "/assets/BTC?days=1&trades=true",
    "/assets/MATIC",
    "/deposit",
    "/withdraw",
    "/orders",
    "/orders?status=expired",
    "/activity",
    "/activity/trades",
    "/activity/gains?method=fifo",
    "/activity/000000000002",
    "/statement",
    "/statement/check",
    "/account",
    "/account/second-factor",
    "/account/close",
    "/account/sessions",
    "/account/events",
    "/account/tokens",
]

OPERATORS = ["/admin", "/admin/users", "/admin/acts", "/admin/approvals"]


@pytest.fixture
def busy(client: Browser) -> Browser:
    """A user with something on every page."""
    client.done("/assets/BTC", quantity="2")
    client.done("/assets/BTC", order_type="market_sell", quantity="1")
    client.done("/assets/ETH", order_type="limit_buy", quantity="1", price="9")
    return client


def refused_form(visitor: Visitor) -> Visitor:
    return visitor.open("/assets/BTC").fill(quantity="x").press("Review the order").sees("Write digits")


def ticket(visitor: Visitor) -> Visitor:
    return visitor.open("/assets/BTC?side=sell").show("at_limit")


def review(visitor: Visitor) -> Visitor:
    return visitor.open("/assets/BTC").fill(quantity="1").press("Review the order").sees("Review your order")


def change_review(visitor: Visitor, order: str) -> str:
    visitor.open(f"{order}/change").fill(price="8").press("Review the change").sees("Review your change")
    return "change review"


def every_page(visitor: Visitor) -> Iterator[str]:
    visitor.open("/orders")
    order = visitor.page.get_attribute("tbody a", "href")
    for path in [*PRIVATE, order, f"{order}/transactions"]:
        visitor.open(path)
        yield path
    visitor.open(f"{order}/change")
    yield "change"
    yield change_review(visitor, order)
    for step in (refused_form, ticket, review):
        step(visitor)
        yield step.__name__
    visitor.context.clear_cookies()
    for path in PUBLIC:
        visitor.open(path)
        yield path


# The contrasts of the borders of all fields to the field itself, and to what surrounds it, where they are below what
# WCAG 1.4.11 asks.
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
  }).filter(([, found]) => found < 3);
}"""


STILL = (
    """[...document.querySelectorAll("*")].every((element) => getComputedStyle(element).transitionDuration === "0s")"""
)


def test_every_page_is_accessible_and_fits_a_small_screen(new_visitor: NewVisitor, busy: Browser) -> None:
    """In the light on a wide screen, and in the dark on a small one: 320 pixels are also 1280 at 400 % zoom."""
    visitor = new_visitor(fresh=True).be(busy)
    check_pages(visitor, every_page(visitor))


def test_so_is_every_page_of_the_operators(new_visitor: NewVisitor, busy: Browser, client: Browser) -> None:
    app = client.client.application
    assert app.test_cli_runner().invoke(args=["audit", "--save"]).exit_code in (0, 1)
    boss = Browser(app).enter(Role.ADMIN)
    visitor = new_visitor(fresh=True).be(boss)

    def pages() -> Iterator[str]:
        path = f"/admin/users/{busy.username}"
        visitor.open(path)
        orders = visitor.page.locator("a[href*='/orders/order_']").first.get_attribute("href")
        for each in (*OPERATORS, path, f"{path}/events", orders):
            visitor.open(each)
            yield each
        visitor.open(f"{path}/adjustment").fill(amount="-1.50", reason="A fee").press("Review the adjustment")
        visitor.sees("Balance after")
        yield "review of an adjustment"

    check_pages(visitor, pages())


def check_pages(visitor: Visitor, pages: Iterator[str]) -> None:
    visitor.bring_axe()
    looks = [("light", WIDTH, 800), ("dark", 320, 640)]
    broken: list[str] = []
    for name in pages:
        for scheme, width, height in looks:
            visitor.look_as(scheme, width, height)
            broken += visitor.breaches(scheme)
            broken += [f"{name} {scheme}: the border of {field}" for field in visitor.page.evaluate(CONTRASTS)]
            broken += [f"{name}: wider than {width}"] if visitor.is_wider_than_screen() else []
        broken += [] if visitor.page.evaluate(STILL) else [f"{name}: moves where no motion is wanted"]
        # The next page is loaded as this one was left: each change is another layout.
        looks.reverse()
    assert not broken, "\n".join(broken)


# A table that is too wide is scrolled in its box, so that the page itself is not wide.
FITTING = "boxes => boxes.every((box) => box.scrollWidth <= box.clientWidth)"


@pytest.mark.parametrize("script", [True, False])
def test_the_figures_of_the_latest_activity_fit_a_phone(new_visitor: NewVisitor, client: Browser, script: bool) -> None:
    client.done("/deposit", amount="63636.02")
    client.done("/withdraw", amount="28636.65")
    visitor = new_visitor(width=360, script=script).be(client)
    assert visitor.open("/dashboard").page.locator(".table").evaluate_all(FITTING)


def test_no_list_is_cut_off_on_a_phone(new_visitor: NewVisitor, client: Browser, market: SetPrices) -> None:
    """With figures as people have them: some thousands of dollars, and prices of many digits."""
    client.done("/deposit", amount="63636.02")
    market.set("BTC", "57841.03")
    client.done("/assets/BTC", quantity="0.422677")
    client.done("/assets/ETH", quantity="10.5")
    client.done("/assets/BTC", order_type="market_sell", quantity="0.1")
    client.done("/assets/BTC", order_type="limit_sell", quantity="0.158901", price="93450.72")
    client.done("/assets/ETH", order_type="limit_buy", quantity="1039", price="0.23")
    visitor = new_visitor(width=360).be(client)
    cut_off = []
    for path in PRIVATE:
        tables = visitor.open(path).page.locator(".table")
        cut_off += [] if tables.evaluate_all(FITTING) else [path]
    assert not cut_off


def test_a_name_of_some_length_is_whole_on_a_phone(new_visitor: NewVisitor, client: Browser) -> None:
    name = new_visitor(width=360).be(client).open("/dashboard").page.locator(".who")
    assert len(client.username) >= 8 and name.evaluate("name => name.scrollWidth <= name.clientWidth")


@pytest.mark.parametrize("path", ["/", "/dashboard", "/assets/BTC"])
def test_the_first_visit_is_light_and_the_next_is_one_request(
    new_visitor: NewVisitor, busy: Browser, path: str
) -> None:
    visitor = new_visitor()
    if path != "/":
        visitor.be(busy)
    session = visitor.context.new_cdp_session(visitor.page)
    session.send("Network.enable")
    sizes: list[float] = []
    asked: list[str] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    session.on("Network.requestWillBeSent", lambda event: asked.append(event["request"]["url"]))
    # What the visitors before have left in the cache is asked for again, and stored again.
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    visitor.page.goto(path, wait_until="networkidle")
    print(f"{path}: {sum(sizes):.0f} bytes in {len(sizes)} requests")
    # The style alone, which is compressed, has some thousands.
    assert 10_000 < sum(sizes) <= 60_000
    asked.clear()
    sizes.clear()
    session.send("Network.setCacheDisabled", {"cacheDisabled": False})
    visitor.page.goto("/assets" if path == "/" else path, wait_until="networkidle")
    session.detach()
    assert len([size for size in sizes if size > 0]) <= 1 + (path == "/dashboard"), asked


def test_a_phone_has_its_main_links_at_the_bottom(new_visitor: NewVisitor, client: Browser) -> None:
    visitor = new_visitor(script=False).be(client).open("/statement")
    shown = visitor.page.locator("header nav a:visible")
    assert len(shown.all()) == 6
    visitor.resize(390, 844)
    assert shown.all_inner_texts() == ["Home", "Market", "Orders", "Account"]
    box = visitor.page.locator("header nav").bounding_box()
    assert round(box["y"] + box["height"]) == 844 and box["width"] == 390
    shown.last.click()
    visitor.page.locator("main").get_by_role("link", name="Statement").click()
    visitor.page.wait_for_url("**/statement")


def test_a_chosen_theme_has_other_colours(new_visitor: NewVisitor, client: Browser) -> None:
    visitor = new_visitor().be(client).open("/account")

    def background() -> str:
        return str(visitor.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    light = background()
    visitor.choose("Dark").press("Use these colours")
    assert background() != light
    visitor.choose("As the device").press("Use these colours")
    assert background() == light
    visitor.page.emulate_media(color_scheme="dark")
    visitor.choose("Light").press("Use these colours")
    assert background() == light
