"""The whole story as a person lives it, with and without JavaScript, and sent twice wherever money moves."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain import clock
from app.views.pages.formatters import write_short_time
from tests.browser.conftest import NewVisitor
from tests.support.page_client import Browser
from tests.support.visitor import Visitor


def test_the_story_with_javascript(new_visitor: NewVisitor) -> None:
    rich = new_visitor().register()
    rich.open("/deposit").fill(amount="1000").press("Deposit").sees(
        "Deposited $1,000.00. Your balance is now $1,000.00."
    )
    rich.open("/assets/BTC").fill(quantity="2")
    rich.sees("Costs about $200.00, at most $201.00. Leaves $800.00 in cash.")
    rich.press("Review the order").sees("Costs now $200.00", "Cash $1,000.00 $800.00", "BTC to sell 0 2")
    rich.press("Confirm").sees("Bought 2 BTC for $200.00.", "Placed", "Filled")
    rich.page.get_by_role("button", name="Its transactions").click()
    rich.sees("Bought 2 BTC", "−$200.00")
    rich.open("/dashboard").sees("Total value $1,000.00", "Bitcoin 2 BTC", "20.00%")
    rich.page.wait_for_selector("#value-chart")
    rich.open("/assets/BTC").press("Sell all").sees("Brings about $200.00, at least $199.00. Leaves 0 BTC to sell.")
    rich.press("Review the order").sees("BTC: $0.00 no gain.").press("Confirm").sees("Sold 2 BTC for $200.00.")
    rich.open("/withdraw").fill(amount="1000").press("Withdraw").sees("Your balance is now $0.00.")
    rich.page.get_by_role("button", name="Log out").click()
    rich.sees("You are logged out.")


def test_the_story_without_javascript(new_visitor: NewVisitor) -> None:
    scriptless = new_visitor(script=False).register()
    scriptless.open("/deposit").fill(amount="1000").press("Deposit").sees("Deposited $1,000.00.")
    scriptless.open("/assets/BTC").fill(quantity="2").press("Review the order")
    scriptless.sees("Costs now $200.00", "At most $201.00", "Cash $1,000.00 $800.00", "BTC to sell 0 2")
    scriptless.press("Confirm").sees("Bought 2 BTC for $200.00.")
    scriptless.open("/dashboard").sees("Total value $1,000.00", "See how the total value changed")
    scriptless.page.get_by_role("link", name="See how the total value changed").click()
    scriptless.sees("The same as a table")
    scriptless.open("/assets/BTC").press("Sell all").press("Review the order")
    scriptless.sees("Brings now $200.00", "At least $199.00", "BTC to sell 2 0")
    scriptless.press("Confirm").sees("Sold 2 BTC for $200.00.")


def test_buying_for_an_amount(rich: Visitor) -> None:
    rich.open("/assets/BTC").choose("USD").fill(quantity="250")
    rich.sees("Buys 2.48756218 BTC. Costs about $248.76, at most $250.00. Leaves $751.24 in cash.")
    rich.press("Review the order").press("Confirm").sees("Bought 2.48756218 BTC for $248.76.")


def test_a_limit_order_from_its_reserve_to_its_refund(rich: Visitor) -> None:
    soon = (clock.now().date() + timedelta(days=5)).isoformat()
    rich.open("/assets/BTC").show("at_limit").choose("Wait for a limit").fill(quantity="2", price="90", expires_at=soon)
    rich.sees("Reserves $180.00 until the price is there. Leaves $820.00 in cash.")
    rich.press("Review the order").sees("Reserved until then $180.00", "Cash $1,000.00 $820.00").press("Confirm")
    rich.sees("is open and waits for its price", "Reserved", "Waiting")
    order = rich.path
    rich.open("/dashboard").sees("Open orders", "Buy 2 BTC", "Cash in open orders $180.00", "Total value $1,000.00")
    rich.open(order).press("Cancel the order").sees("Cancelled", "what was reserved came back to you")
    rich.page.get_by_role("button", name="Its transactions").click()
    rich.sees("Reserved to buy 2 BTC", "Returned: cancelled")


def test_a_sale_at_a_limit(rich: Visitor, client: Browser) -> None:
    client.done("/assets/BTC", quantity="2")
    rich.open("/assets/BTC").choose("Sell").show("at_limit").choose("Wait for a limit").fill(quantity="2", price="150")
    rich.sees("Brings $300.00 when the price is there. Leaves 0 BTC to sell. A gain of $100.00.")
    rich.press("Review the order").sees("BTC: +$100.00 gain.").press("Confirm").sees("waits for its price")


def test_a_market_that_moved_shows_a_new_quote(rich: Visitor, market: Any) -> None:
    rich.open("/assets/BTC").fill(quantity="2")
    market.set("BTC", "101.00")
    rich.press("Review the order").sees("Costs now $202.00")
    market.set("BTC", "102.00")
    rich.press("Confirm").sees("The price is now $102.00, worse than the $101.51 that you accept.")
    rich.sees("Costs now $204.00")
    assert rich.page.input_value("#price") == "102.51"
    rich.press("Confirm").sees("Bought 2 BTC for $204.00.")


def test_an_amount_stays_the_most_when_the_market_moved(rich: Visitor, market: Any) -> None:
    rich.open("/assets/BTC").choose("USD").fill(quantity="1000").press("Review the order")
    market.set("BTC", "200.00")
    rich.press("Confirm").sees("The price is now $200.00", "At most $1,000.00")
    rich.press("Confirm").sees("Bought 4.9")


def test_a_double_click_and_a_reload_confirm_an_order_once(rich: Visitor) -> None:
    rich.open("/assets/BTC").fill(quantity="1").press("Review the order")
    rich.page.get_by_role("button", name="Confirm").dblclick()
    rich.page.wait_for_url("**/orders/*")
    rich.page.reload()
    rich.open("/orders")
    assert rich.page.locator("tbody tr").count() == 1


@pytest.mark.parametrize(
    ("path", "fields", "button"),
    [("/deposit", {"amount": "10"}, "Deposit"), ("/withdraw", {"amount": "10"}, "Withdraw")],
)
def test_a_double_click_and_a_reload_apply_a_form_once(
    rich: Visitor, path: str, fields: dict[str, str], button: str
) -> None:
    rich.open(path).fill(**fields)
    # Both at once, before the script of the page can disable the button.
    rich.page.eval_on_selector_all(
        "main button:not([hidden])",
        """(buttons, name) => buttons.filter((button) => button.textContent === name)
            .forEach((button) => { const form = button.form; form.submit(); form.submit(); })""",
        button,
    )
    rich.page.wait_for_url("**/dashboard")
    rich.page.reload()
    rich.page.go_back()
    rich.open("/activity")
    assert rich.page.locator("tbody tr").count() == 2


def test_a_form_of_an_ended_session_comes_back(rich: Visitor) -> None:
    rich.open("/assets/BTC").fill(quantity="1").press("Review the order")
    rich.context.clear_cookies()
    rich.press("Confirm").sees("Your session had ended, so nothing was applied")
    assert "/login?next=" in rich.page.url


def test_errors_take_the_focus_and_lead_to_the_field(rich: Visitor) -> None:
    rich.open("/assets/BTC").fill(quantity="x").press("Review the order").sees("Write digits and at most one point")
    # The browser moves the focus with its next picture.
    rich.page.locator(".errors:focus").wait_for()
    rich.page.get_by_role("link", name="Amount").click()
    rich.page.locator("#quantity:focus").wait_for()
    assert rich.page.input_value("#quantity") == "x"


def test_a_chart_is_read_off(rich: Visitor) -> None:
    rich.open("/assets/BTC?days=7")
    rich.page.hover("#price-chart .plot")
    rich.page.locator(".reading", has_text=" · ").wait_for()
    rich.page.get_by_text("The same as a table").click()
    assert rich.page.locator("#price-chart tbody tr").count() == 25


def test_the_chart_and_the_page_write_a_month_alike(rich: Visitor) -> None:
    times = [datetime(2026, month, 5, 14, 40, tzinfo=UTC) for month in range(1, 13)]
    rich.open("/assets/BTC")
    written = [rich.page.evaluate("writtenTime", time.timestamp()) for time in times]
    assert written == [write_short_time(time) for time in times]


def test_a_form_whose_load_is_stopped_can_be_sent_again(new_visitor: NewVisitor, client: Browser) -> None:
    rich = new_visitor(fresh=True).be(client)
    rich.page.clock.install()
    rich.open("/deposit").fill(amount="10")
    # For the script the same as a load that the person stops: nothing follows.
    rich.page.evaluate("addEventListener('submit', (event) => event.preventDefault(), {once: true})")
    button = rich.page.locator("main").get_by_role("button", name="Deposit")
    button.click()
    assert button.is_disabled()
    rich.page.clock.run_for(6000)
    assert not button.is_disabled()
    button.click()
    rich.page.wait_for_url("**/dashboard")


def tab_to(visitor: Visitor, selector: str) -> None:
    """Press Tab until the focus is there, and visible."""
    for _ in range(60):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            outline = visitor.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            shadow = visitor.page.evaluate("getComputedStyle(document.activeElement).boxShadow")
            assert outline != "none" or shadow != "none", f"the focus on {selector} is not to be seen"
            return
    raise AssertionError(f"{selector} cannot be reached by Tab")


def test_by_keyboard_alone(rich: Visitor) -> None:
    keyboard = rich.page.keyboard
    rich.open("/dashboard")
    keyboard.press("Tab")
    keyboard.press("Enter")
    rich.page.locator("#main:focus").wait_for()
    tab_to(rich, "main a[href='/assets']")
    keyboard.press("Enter")
    rich.page.wait_for_url("**/assets")
    tab_to(rich, "a[href='/assets/BTC']")
    keyboard.press("Enter")
    rich.page.wait_for_url("**/assets/BTC")
    tab_to(rich, "#order_type-market_buy")
    keyboard.press("ArrowDown")
    keyboard.press("ArrowUp")
    tab_to(rich, "#quantity")
    keyboard.type("1")
    keyboard.press("Enter")
    rich.page.wait_for_url("**/assets/BTC/review")
    tab_to(rich, "main form button")
    keyboard.press("Enter")
    rich.page.wait_for_url("**/orders/*")
    rich.sees("Bought 1 BTC for $100.00.")
    tab_to(rich, "header button")
    keyboard.press("Enter")
    rich.page.wait_for_url(re.compile("/$"))
