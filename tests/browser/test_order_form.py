"""What the script of the order form suggests, what it leaves alone, and what it says before the server would."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.domain import clock
from tests.browser.conftest import NewVisitor
from tests.support.amounts import COMMAS
from tests.support.page_client import Browser, SentForm
from tests.support.visitor import Visitor

BUY, SELL, LIMIT_BUY, LIMIT_SELL = "Buy now", "Sell now", "Buy at a limit", "Sell at a limit"
STOP_BUY, STOP_SELL = "Buy at a stop", "Sell at a stop"
# The side to choose, and whether to wait for a limit, and for a stop.
TYPES = {
    BUY: ("Buy", False, False),
    SELL: ("Sell", False, False),
    LIMIT_BUY: ("Buy", True, False),
    LIMIT_SELL: ("Sell", True, False),
    STOP_BUY: ("Buy", False, True),
    STOP_SELL: ("Sell", False, True),
}
IN_DOLLARS, IN_BTC, MOST = "USD", "BTC", "the most"
SOON = (clock.now().date() + timedelta(days=5)).isoformat()

# A step names a type of order or a unit to choose, is `MOST`, or has text for a field. BTC costs 100.00, and nothing is
# held.
Step = str | tuple[str, str]
# Steps on one page, and what then stands in the fields.
WHO_WROTE_IT: dict[str, list[tuple[Step, dict[str, str]]]] = {
    "a suggestion follows the type, and a limit is not suggested": [
        (BUY, {"price": "100.5", "quantity": "", "expires_at": ""}),
        (SELL, {"price": "99.5"}),
        (LIMIT_SELL, {"price": ""}),
        (BUY, {"price": "100.5"}),
    ],
    "what is emptied stays empty": [
        (("price", ""), {"price": ""}),
        (("quantity", "1"), {"price": "", "quantity": "1"}),
        (SELL, {"price": "99.5"}),
        (BUY, {"price": ""}),
    ],
    "a price belongs to its type, and comes back with it": [
        (("price", "101"), {"price": "101"}),
        (("quantity", "1"), {"price": "101"}),
        (LIMIT_BUY, {"price": ""}),
        (("price", "30"), {"price": "30"}),
        (LIMIT_SELL, {"price": ""}),
        (SELL, {"price": "99.5"}),
        (BUY, {"price": "101"}),
        (LIMIT_BUY, {"price": "30"}),
    ],
    "a quantity means the same for every type": [
        (("quantity", "2"), {"quantity": "2"}),
        (SELL, {"quantity": "2"}),
        (LIMIT_BUY, {"quantity": "2"}),
    ],
    "an amount in dollars belongs to purchases": [
        (IN_DOLLARS, {"quantity": ""}),
        (("quantity", "201"), {"quantity": "201"}),
        (SELL, {"quantity": ""}),
        (("quantity", "5"), {"quantity": "5"}),
        (LIMIT_BUY, {"quantity": "201"}),
        (BUY, {"quantity": "201"}),
    ],
    "an amount is turned into the other unit at the worst price": [
        (("quantity", "2"), {"quantity": "2"}),
        (IN_DOLLARS, {"quantity": "201.00"}),
        (("price", "201"), {"quantity": "201.00"}),
        (IN_BTC, {"quantity": "1"}),
        (("price", ""), {"quantity": "1"}),
        (IN_DOLLARS, {"quantity": ""}),
    ],
    "the most is all the cash": [(MOST, {"quantity": "1000.00"}), (IN_BTC, {"quantity": "9.95024875"})],
    "a stop belongs to stops, and comes back with them": [
        (STOP_BUY, {"stop_price": "", "price": ""}),
        (("stop_price", "110"), {"stop_price": "110", "price": ""}),
        (BUY, {"stop_price": "", "price": "100.5"}),
        (STOP_SELL, {"stop_price": "110", "price": ""}),
    ],
    "a last day belongs to limits, and survives a look at another type": [
        (LIMIT_BUY, {"expires_at": ""}),
        (("expires_at", SOON), {"expires_at": SOON}),
        (BUY, {"expires_at": ""}),
        (LIMIT_SELL, {"expires_at": SOON}),
    ],
}


def choose(visitor: Visitor, type_: str) -> Visitor:
    side, at_limit, at_stop = TYPES[type_]
    visitor.choose(side).show("at_limit").page.set_checked("#at_limit", at_limit)
    visitor.page.set_checked("#at_stop", at_stop)
    return visitor


def take(visitor: Visitor, *steps: Step) -> None:
    for step in steps:
        if not isinstance(step, str):
            visitor.fill(**dict([step]))
        elif step in TYPES:
            choose(visitor, step)
        elif step == MOST:
            visitor.page.click(".max a:visible")
        else:
            visitor.choose(step)


@pytest.mark.parametrize("steps", WHO_WROTE_IT.values(), ids=WHO_WROTE_IT)
def test_suggestions_fill_only_what_nobody_typed(rich: Visitor, steps: list[tuple[Step, dict[str, str]]]) -> None:
    rich.open("/assets/BTC")
    for step, expected in steps:
        take(rich, step)
        assert {field: rich.page.input_value(f"#{field}") for field in expected} == expected, step


def test_a_price_is_typed_over_a_suggestion(rich: Visitor) -> None:
    rich.open("/assets/BTC").show("price").page.click("#price", click_count=3)
    rich.page.keyboard.press("Backspace")
    assert rich.page.input_value("#price") == ""
    rich.page.keyboard.type("590.25")
    assert rich.page.input_value("#price") == "590.25"


def test_a_refusal_keeps_what_was_typed_and_suggests_anew(rich: Visitor, market: Any) -> None:
    rich.open("/assets/BTC").fill(quantity="x").press("Review the order").sees("Write digits")
    assert rich.page.input_value("#price") == "100.5"
    market.set("BTC", "110.00")
    rich.press("Review the order").sees("Write digits")
    assert rich.page.input_value("#price") == "110.55"
    choose(rich, SELL)
    assert rich.page.input_value("#price") == "109.45"
    choose(rich, LIMIT_BUY)
    assert rich.page.input_value("#price") == ""
    choose(rich, BUY).fill(price="").press("Review the order").sees("Write digits")
    assert rich.page.input_value("#price") == ""
    rich.fill(price="120").press("Review the order").sees("Write digits")
    assert rich.page.input_value("#price") == "120"


def test_an_old_suggestion_is_not_taken_for_a_typed_price(rich: Visitor, market: Any) -> None:
    choose(rich.open("/assets/BTC"), SELL)
    rich.page.get_by_role("link", name="Market", exact=True).first.click()
    rich.page.wait_for_url("**/assets")
    market.set("BTC", "110.00")
    rich.page.go_back()
    rich.page.wait_for_url("**/assets/BTC")
    choose(rich, BUY)
    assert rich.page.input_value("#price") == "110.55"


def far(days: int) -> str:
    return (clock.now().date() + timedelta(days=days)).isoformat()


# What is typed, the estimate, and the fields beside which the server then puts its errors.
REFUSED: dict[str, tuple[dict[str, str], str, str]] = {
    "nothing yet": ({}, "Write an amount to see what the order comes to.", "quantity"),
    "a limit is missing": ({"type": "limit_buy", "quantity": "1"}, "Write a limit to see", "price"),
    "both are missing": ({"type": "limit_buy"}, "Write an amount and a limit to see", "quantity price"),
    "a stop is missing": ({"type": "stop_limit_buy", "quantity": "1", "price": "120"}, "Write a stop to", "stop_price"),
    "all are missing": (
        {"type": "stop_limit_buy"},
        "Write an amount, a stop and a limit to see",
        "quantity stop_price price",
    ),
    "a stop that is reached": (
        {"type": "stop_limit_buy", "quantity": "1", "price": "120", "stop_price": "100"},
        "Stop (USD): the price is $100.00 already. Choose a stop above it.",
        "stop_price",
    ),
    "a stop that is no price": (
        {"type": "stop_sell", "quantity": "1", "stop_price": "x"},
        "Stop (USD): write digits",
        "stop_price",
    ),
    "nothing to sell at a stop": (
        {"type": "stop_sell", "quantity": "1", "stop_price": "90"},
        "Amount: you have only 0 BTC to sell.",
        "quantity",
    ),
    "too little cash for the limit of a stop": (
        {"type": "stop_limit_buy", "quantity": "9", "stop_price": "110", "price": "112"},
        "Amount: the order reserves $1,008.00, which is $8.00 more than your cash.",
        "quantity",
    ),
    "no quantity": ({"quantity": "1.2.3"}, "Amount: write digits and at most one point", "quantity"),
    "too many decimals": ({"quantity": "0.123456789"}, "Amount: write digits", "quantity"),
    "an unclear comma": ({"quantity": "1,000"}, "Amount: write a point before the decimals", "quantity"),
    "zero": ({"quantity": "0"}, "Amount: choose 0.00000001 to 100,000,000,000,000.", "quantity"),
    "more than there can be": ({"quantity": "100000000000001"}, "Amount: choose 0.00000001", "quantity"),
    "no price": ({"quantity": "1", "price": "x"}, "Do not pay more than (USD): write digits", "price"),
    "a price too high": ({"quantity": "1", "price": "1000000001"}, "Do not pay more than (USD): choose", "price"),
    "an amount too large": (
        {"unit": "usd", "quantity": "1000000.01"},
        "Amount: choose $0.01 to $1,000,000.00.",
        "quantity",
    ),
    "worse already": (
        {"quantity": "1", "price": "99"},
        "Do not pay more than (USD): the price is $100.00 already, so nothing would be placed.",
        "price",
    ),
    "worth too little": ({"quantity": "0.00009999"}, "Amount: the order is worth less than $0.01.", "quantity"),
    "an amount worth too little": (
        {"unit": "usd", "quantity": "0.01"},
        "Amount: the order is worth less than $0.01.",
        "quantity",
    ),
    "an amount that buys nothing": (
        {"unit": "usd", "quantity": "0.01", "price": "1000000000"},
        "Amount: the order is worth less than $0.01.",
        "quantity",
    ),
    "worth too much": ({"quantity": "10001"}, "Amount: the order is worth $1,000,100.00, more than", "quantity"),
    "a limit worth too much": (
        {"type": "limit_sell", "quantity": "1", "price": "1000001"},
        "Amount: the order is worth $1,000,001.00, more than $1,000,000.00.",
        "quantity",
    ),
    "too little cash": (
        {"quantity": "11"},
        "Amount: the order costs $1,100.00, which is $100.00 more than your cash.",
        "quantity",
    ),
    "too little cash for an amount": ({"unit": "usd", "quantity": "2000"}, "Amount: the order costs", "quantity"),
    "too little cash to reserve": (
        {"type": "limit_buy", "quantity": "11", "price": "99"},
        "Amount: the order reserves $1,089.00, which is $89.00 more than your cash.",
        "quantity",
    ),
    "nothing to sell": ({"type": "market_sell", "quantity": "1"}, "Amount: you have only 0 BTC to sell.", "quantity"),
    "a day that is over": (
        {"type": "limit_buy", "quantity": "1", "price": "9", "expires_at": far(-1)},
        "Open until: choose a day from",
        "expires_at",
    ),
    "a day too far": (
        {"type": "limit_buy", "quantity": "1", "price": "9", "expires_at": far(92)},
        "Open until: choose a day from",
        "expires_at",
    ),
}
ACCEPTED: dict[str, tuple[list[Step], str]] = {
    "a comma": ([("quantity", "0,5")], "Costs about $50.00, at most $50.25. Leaves $950.00 in cash."),
    "a stop to buy, whose limit is not ticked": (
        [STOP_BUY, ("quantity", "2"), ("stop_price", "110"), ("price", "120")],
        "Reserves $240.00 until the price is there. Leaves $760.00 in cash.",
    ),
    "without a worst price": ([("quantity", "1"), ("price", "")], "Costs about $100.00, whatever the price"),
}
# Types into the form of the page, and gives the estimate and what would be sent.
TYPE = """({type, unit, ...texts}) => {
  const form = document.querySelector("#trade form");
  const typed = (element) => element.dispatchEvent(new Event("input", {bubbles: true}));
  const check = (id, checked) => { document.getElementById(id).checked = checked; typed(document.getElementById(id)); };
  check(`order_type-market_${type.split("_").pop()}`, true);
  check("at_limit", type.includes("limit"));
  check("at_stop", type.startsWith("stop"));
  check(`unit-${unit ?? "asset"}`, true);
  for (const [name, text] of Object.entries(texts)) {
    form.elements[name].value = text;
    typed(form.elements[name]);
  }
  return [document.getElementById("estimate").textContent, Object.fromEntries(new FormData(form))];
}"""


def test_the_estimate_says_what_would_be_refused(rich: Visitor, client: Browser) -> None:
    wrong = []
    token = client.get("/assets/BTC").form().values["csrf_token"]
    rich.open("/assets/BTC")
    empty = {"quantity": "", "price": "", "stop_price": "", "expires_at": ""}
    for name, (texts, says, fields) in REFUSED.items():
        type_ = texts.get("type", "market_buy")
        suggested = {"market_buy": "100.5", "market_sell": "99.5"}.get(type_, "")
        said, values = rich.page.evaluate(TYPE, {"type": type_, **empty, "price": suggested, **texts})
        answer = client.send(SentForm("/assets/BTC/review", "post", {**values, "csrf_token": token}))
        refused = [link for link in answer.shown.links if link[1:] in empty]
        if not said.startswith(says) or refused != [f"#{field}" for field in fields.split()]:
            wrong.append(f"{name}: {said} {refused}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("steps", "says"), ACCEPTED.values(), ids=ACCEPTED)
def test_the_estimate_says_what_is_accepted(rich: Visitor, steps: list[Step], says: str) -> None:
    rich.open("/assets/BTC")
    take(rich, *steps)
    assert rich.page.inner_text("#estimate").startswith(says)
    rich.press("Review the order").press("Confirm").sees("What happened")


def test_the_form_shows_what_belongs_to_a_stop(rich: Visitor, client: Browser, market: Any) -> None:
    client.done("/assets/BTC", quantity="2")
    shown = rich.open("/assets/BTC").show("at_stop").page.is_visible
    assert not shown("#stop_price") and not shown("#expires_at")
    choose(rich, LIMIT_SELL).choose("At once, or not at all")
    choose(rich, STOP_SELL).fill(quantity="1", stop_price="80")
    assert (shown("#stop_price"), shown("#price"), shown("#expires_at")) == (True, False, True)
    assert not shown("#time_in_force-ioc") and rich.page.is_checked("#time_in_force-")
    rich.sees(
        "Without a limit, everything is then sold",
        "Brings about $80.00 when the price falls to the stop",
        "to sell. A loss of $20.00.",
    )
    choose(rich, STOP_BUY)
    assert shown("#price") and "Without a limit, everything is then sold" not in rich.text
    rich.sees("Nothing is bought until the price rises to it.")
    choose(rich, STOP_SELL).press("Review the order").press("Confirm").sees("Waiting for BTC at $80.00 or below.")


def test_the_script_reads_a_comma_as_the_server_does(rich: Visitor) -> None:
    rich.open("/assets/BTC")
    read = rich.page.evaluate("(texts) => texts.map((text) => text.replace(COMMA, '$1.$2'))", list(COMMAS))
    assert read == list(COMMAS.values())


def test_the_review_fills_in_the_worst_price_for_an_amount(rich: Visitor) -> None:
    rich.open("/assets/BTC")
    take(rich, IN_DOLLARS, ("quantity", "201"), ("price", ""))
    rich.sees("An amount in USD needs a worst price: the review fills one in.")
    rich.press("Review the order").sees("Review your order", "At most $201.00").press("Confirm").sees("Bought 2 BTC")


# What is sold at which price, of 0.3 BTC that cost 10.01 and of which 0.1 wait to be sold; what the script says.
GAINS = {
    "a third": ("0.1", "50", "A gain of $1.67."),
    "all that can be sold": ("0.2", "50", "A gain of $3.33."),
    "next to nothing": ("0.001", "50", "A gain of $0.02."),
    "with a loss": ("0.1", "30", "A loss of $0.33."),
    "at cost": ("0.1", "33.3", "No gain and no loss."),
}


@pytest.mark.parametrize(("quantity", "price", "says"), GAINS.values(), ids=GAINS)
def test_the_estimate_of_a_sale_says_what_it_gains(
    rich: Visitor, client: Browser, market: Any, quantity: str, price: str, says: str
) -> None:
    """As the review says, which the server reckons."""
    market.set("BTC", "33.337")
    client.done("/assets/BTC", quantity="0.3")
    client.done("/assets/BTC", order_type="limit_sell", quantity="0.1", price="1000")
    market.set("BTC", price)
    rich.open("/assets/BTC?side=sell").fill(quantity=quantity).sees(f"to sell. {says}")
    form = client.get("/assets/BTC").form()
    form.action = "/assets/BTC/review"
    review = client.send(form, order_type="market_sell", quantity=quantity)
    amount = says.removeprefix("A gain of ").removeprefix("A loss of ").rstrip(".")
    words = {"A g": f"+{amount} gain", "A l": f"\N{MINUS SIGN}{amount} loss", "No ": "$0.00 no gain"}
    assert words[says[:3]] in review.text


def test_an_amount_of_the_cheapest_asset_is_spent_whole(rich: Visitor, market: Any) -> None:
    market.set("SHIB", "0.00000001")
    rich.open("/assets/SHIB").choose("USD").fill(price="0.00000001", quantity="1000")
    rich.sees("Buys 100,000,000,000 SHIB. Costs about $1,000.00, at most $1,000.00. Leaves $0.00 in cash.")
    rich.press("Review the order").press("Confirm").sees("Bought 100,000,000,000 SHIB for $1,000.00.")


def test_without_a_price_the_form_says_so(rich: Visitor, market: Any) -> None:
    market.missing.add("BTC")
    rich.open("/assets/BTC").fill(quantity="2").sees(
        "There is no current price", "There is no price of Bitcoin just now"
    )
    market.missing.clear()
    market.stale.add("BTC")
    rich.open("/assets/BTC").fill(quantity="2").sees("There is no current price", "This price is out of date")


def test_the_review_leads_back_with_all_that_was_typed(rich: Visitor, market: Any) -> None:
    rich.open("/assets/BTC").fill(quantity="2", price="100.25")
    market.set("BTC", "101.00")
    rich.press("Review the order").sees("worse than the $100.25 that you accept").fill(price="102")
    rich.press("Review the order").fill(price="103.5").press("Change the order")
    rich.page.wait_for_url("**/assets/BTC?**")
    assert rich.page.input_value("#price") == "103.5"
    assert rich.page.input_value("#quantity") == "2"


def test_the_buttons_of_the_review_keep_apart_on_a_phone(new_visitor: NewVisitor, client: Browser) -> None:
    visitor = new_visitor(script=False, width=360).be(client)
    visitor.open("/assets/BTC").fill(quantity="2").press("Review the order").sees("Review your order")
    first, second = (box.bounding_box() for box in visitor.page.locator("main button").all())
    below, beside = (second[at] - (first[at] + first[size]) for at, size in (("y", "height"), ("x", "width")))
    assert max(below, beside) >= 8
