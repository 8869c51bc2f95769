"""What the dashboard of a new account shows: the first steps, until something was ordered."""

from __future__ import annotations

import re

from tests.support.page_client import NOTHING_YET, Answer, Browser


def button_of(answer: Answer) -> list[str]:
    """Where the buttons of the steps lead."""
    steps = re.findall(r'<ol class="steps">.*?</ol>', answer.response.text, re.DOTALL)
    return re.findall(r'role="button" href="([^"]+)"', "".join(steps))


def test_the_next_step_is_the_button(rich: Browser, ann: Browser) -> None:
    empty = ann.get("/dashboard")
    assert button_of(empty) == ["/deposit"]
    assert NOTHING_YET in empty.text and "0.00" not in empty.text and "Latest activity" not in empty.text
    paid_in = rich.get("/dashboard")
    assert button_of(paid_in) == ["/assets"]
    assert "Deposit cash Done." in paid_in.text and "Total value $10,000.00" in paid_in.text
    rich.done("/assets/BTC", quantity="1")
    bought = rich.get("/dashboard")
    assert not button_of(bought) and "First steps" not in bought.text and "Bitcoin" in bought.text
    rich.done("/assets/BTC", order_type="market_sell", quantity="1")
    assert "First steps" not in rich.get("/dashboard").text


def test_a_limit_order_is_an_order_too(rich: Browser) -> None:
    rich.done("/assets/BTC", order_type="limit_buy", quantity="1", price="90")
    assert "First steps" not in rich.get("/dashboard").text


def test_after_a_refusal_the_form_stands_before_the_chart(rich: Browser) -> None:
    def places(answer: Answer) -> list[str]:
        return re.findall(r'<h2 id="(trade-heading|history-heading)"', answer.response.text)

    assert places(rich.get("/assets/BTC")) == ["history-heading", "trade-heading"]
    assert places(rich.submit("/assets/BTC", quantity="x")) == ["trade-heading", "history-heading"]
