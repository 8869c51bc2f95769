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
SOON = (clock.now().date() + timedelta(days=5)).isoformat()

# A step names a type of order to choose, or has text for a field. BTC costs 100.00, and nothing is held.
Step = str | tuple[str, str]
# Steps on one page, and what then stands in the fields.
WHO_WROTE_IT: dict[str, list[tuple[Step, dict[str, str]]]] = {
    "a suggestion follows the type, and a limit is not suggested": [
        (BUY, {"price": "100.5", "quantity": "", "spend": "", "expires_at": ""}),
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
    "an amount belongs to purchases, and the quantity follows it": [
        (("spend", "201"), {"quantity": "2"}),
        (("price", "201"), {"quantity": "1"}),
        (("price", ""), {"quantity": "", "spend": "201"}),
        (SELL, {"quantity": "", "spend": ""}),
        (LIMIT_BUY, {"quantity": "", "spend": "201"}),
        (("price", "67"), {"quantity": "3"}),
    ],
    "an amount and a quantity replace each other": [
        (("quantity", "7"), {"spend": ""}),
        (("spend", "201"), {"quantity": "2"}),
        (("spend", ""), {"quantity": "7"}),
        (("spend", "201"), {"quantity": "2"}),
        (("quantity", "9"), {"spend": "", "quantity": "9"}),
        (("spend", "201"), {"quantity": "2"}),
        (SELL, {"quantity": "9"}),
        (("quantity", "5"), {"quantity": "5"}),
        (BUY, {"quantity": "5", "spend": ""}),
    ],
    "a last day belongs to limits, and survives a look at another type": [
        (LIMIT_BUY, {"expires_at": ""}),
        (("expires_at", SOON), {"expires_at": SOON}),
        (BUY, {"expires_at": ""}),
        (LIMIT_SELL, {"expires_at": SOON}),
    ],
}


def take(visitor: Visitor, *steps: Step) -> None:
    for step in steps:
        if isinstance(step, str):
            visitor.choose(step)
        else:
            visitor.fill(**dict([step]))


@pytest.mark.parametrize("steps", WHO_WROTE_IT.values(), ids=WHO_WROTE_IT)
def test_suggestions_fill_only_what_nobody_typed(rich: Visitor, steps: list[tuple[Step, dict[str, str]]]) -> None:
    rich.open("/assets/BTC")
    for step, expected in steps:
        take(rich, step)
        assert {field: rich.page.input_value(f"#{field}") for field in expected} == expected, step


def test_a_price_is_typed_over_a_suggestion(rich: Visitor) -> None:
    rich.open("/assets/BTC").page.click("#price", click_count=3)
    rich.page.keyboard.press("Backspace")
    assert rich.page.input_value("#price") == ""
    rich.page.keyboard.type("590.25")
    assert rich.page.input_value("#price") == "590.25"


def test_a_refusal_keeps_what_was_typed_and_suggests_anew(rich: Visitor, market: Any) -> None:
    rich.open("/assets/BTC").fill(quantity="x").press("Place the order").sees("Write digits")
    assert rich.page.input_value("#price") == "100.5"
    market.set("BTC", "110.00")
    rich.press("Place the order").sees("Write digits")
    assert rich.page.input_value("#price") == "110.55"
    rich.choose(SELL)
    assert rich.page.input_value("#price") == "109.45"
    rich.choose(LIMIT_BUY)
    assert rich.page.input_value("#price") == ""
    rich.choose(BUY).fill(price="").press("Place the order").sees("Write digits")
    assert rich.page.input_value("#price") == ""
    rich.fill(price="120").press("Place the order").sees("Write digits")
    assert rich.page.input_value("#price") == "120"


def test_an_old_suggestion_is_not_taken_for_a_typed_price(rich: Visitor, market: Any) -> None:
    rich.open("/assets/BTC").choose(SELL)
    rich.page.get_by_role("link", name="Market").first.click()
    rich.page.wait_for_url("**/assets")
    market.set("BTC", "110.00")
    rich.page.go_back()
    rich.page.wait_for_url("**/assets/BTC")
    rich.choose(BUY)
    assert rich.page.input_value("#price") == "110.55"


def far(days: int) -> str:
    return (clock.now().date() + timedelta(days=days)).isoformat()


# What is typed, the estimate, and the fields beside which the server then puts its errors.
REFUSED: dict[str, tuple[dict[str, str], str, str]] = {
    "nothing yet": ({}, "Write a quantity to see what the order comes to.", "quantity"),
    "a limit is missing": ({"type": "limit_buy", "quantity": "1"}, "Write a limit to see", "price"),
    "both are missing": ({"type": "limit_buy"}, "Write a quantity and a limit to see", "quantity price"),
    "no quantity": ({"quantity": "1.2.3"}, "Quantity: write digits and at most one point", "quantity"),
    "too many decimals": ({"quantity": "0.123456789"}, "Quantity: write digits", "quantity"),
    "an unclear comma": ({"quantity": "1,000"}, "Quantity: write a point before the decimals", "quantity"),
    "zero": ({"quantity": "0"}, "Quantity: choose 0.00000001 to 100000000000000.", "quantity"),
    "more than there can be": ({"quantity": "100000000000001"}, "Quantity: choose 0.00000001", "quantity"),
    "no price": ({"quantity": "1", "price": "x"}, "Do not pay more than: write digits", "price"),
    "a price too high": ({"quantity": "1", "price": "1000000001"}, "Do not pay more than: choose", "price"),
    "an amount too large": ({"spend": "1000000.01"}, "Amount to spend: choose 0.01 to 1000000.", "spend"),
    "worse already": (
        {"quantity": "1", "price": "99"},
        "Do not pay more than: the price is 100 already, so nothing would be placed.",
        "price",
    ),
    "worth too little": ({"quantity": "0.00009999"}, "Quantity: the order is worth less than 0.01.", "quantity"),
    "an amount worth too little": ({"spend": "0.01"}, "Amount to spend: the order is worth less than 0.01.", "spend"),
    "an amount that buys nothing": (
        {"spend": "0.01", "price": "1000000000"},
        "Amount to spend: the order is worth less than 0.01.",
        "spend",
    ),
    "worth too much": ({"quantity": "10001"}, "Quantity: the order is worth 1,000,100.00, more than", "quantity"),
    "a limit worth too much": (
        {"type": "limit_sell", "quantity": "1", "price": "1000001"},
        "Quantity: the order is worth 1,000,001.00, more than 1,000,000.00.",
        "quantity",
    ),
    "too little cash": (
        {"quantity": "11"},
        "Quantity: the order costs 1,100.00, which is 100.00 more than your cash.",
        "quantity",
    ),
    "too little cash for an amount": ({"spend": "2000"}, "Amount to spend: the order costs", "spend"),
    "too little cash to reserve": (
        {"type": "limit_buy", "quantity": "11", "price": "99"},
        "Quantity: the order reserves 1,089.00, which is 89.00 more than your cash.",
        "quantity",
    ),
    "nothing to sell": ({"type": "market_sell", "quantity": "1"}, "Quantity: you have only 0 BTC to sell.", "quantity"),
    "a day that is over": (
        {"type": "limit_buy", "quantity": "1", "price": "9", "expires_at": far(-1)},
        "Open until: choose a day from",
        "expires_at",
    ),
    "a day too far": (
        {"type": "limit_buy", "quantity": "1", "price": "9", "expires_at": far(91)},
        "Open until: choose a day from",
        "expires_at",
    ),
}
ACCEPTED: dict[str, tuple[list[Step], str]] = {
    "a comma": ([("quantity", "0,5")], "Costs about 50.00, at most 50.25. Leaves 950.00 in cash."),
    "without a worst price": ([("quantity", "1"), ("price", "")], "Costs about 100.00, whatever the price"),
}
# Types into the form of the page, and gives the estimate and what would be sent.
TYPE = """({type, ...texts}) => {
  const form = document.querySelector("#trade form");
  const typed = (element) => element.dispatchEvent(new Event("input", {bubbles: true}));
  const chosen = document.getElementById(`order_type-${type}`);
  chosen.checked = true;
  typed(chosen);
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
    empty = {"quantity": "", "spend": "", "price": "", "expires_at": ""}
    for name, (texts, says, fields) in REFUSED.items():
        type_ = texts.get("type", "market_buy")
        suggested = {"market_buy": "100.5", "market_sell": "99.5"}.get(type_, "")
        said, values = rich.page.evaluate(TYPE, {"type": type_, **empty, "price": suggested, **texts})
        answer = client.send(SentForm("/assets/BTC", "post", {**values, "csrf_token": token}))
        refused = [link for link in answer.shown.links if link[1:] in empty]
        if not said.startswith(says) or refused != [f"#{field}" for field in fields.split()]:
            wrong.append(f"{name}: {said} {refused}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("steps", "says"), ACCEPTED.values(), ids=ACCEPTED)
def test_the_estimate_says_what_is_accepted(rich: Visitor, steps: list[Step], says: str) -> None:
    rich.open("/assets/BTC")
    take(rich, *steps)
    assert rich.page.inner_text("#estimate").startswith(says)
    rich.press("Place the order").sees("What happened")


def test_the_script_reads_a_comma_as_the_server_does(rich: Visitor) -> None:
    rich.open("/assets/BTC")
    read = rich.page.evaluate("(texts) => texts.map((text) => text.replace(COMMA, '$1.$2'))", list(COMMAS))
    assert read == list(COMMAS.values())


def test_an_amount_without_a_worst_price_is_reviewed(rich: Visitor) -> None:
    rich.open("/assets/BTC")
    take(rich, ("spend", "201"), ("price", ""))
    rich.sees("An amount to spend needs a worst price: you see one to accept before anything is placed.")
    rich.press("Place the order").sees("Review your order", "At most 201.00").press("Place the order").sees(
        "Bought 2 BTC"
    )


def test_an_amount_of_the_cheapest_asset_is_spent_whole(rich: Visitor, market: Any) -> None:
    market.set("SHIB", "0.00000001")
    rich.open("/assets/SHIB").fill(price="0.00000001", spend="1000")
    assert rich.page.input_value("#quantity") == "100000000000"
    rich.sees("Costs about 1,000.00, at most 1,000.00. Leaves 0.00 in cash.")
    rich.press("Place the order").sees("Bought 100000000000 SHIB for 1,000.00.")


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
    rich.press("Place the order").sees("worse than the 100.25 that you accept")
    rich.fill(price="103.5").press("Change the order")
    rich.page.wait_for_url("**/assets/BTC?**")
    assert rich.page.input_value("#price") == "103.5"
    assert rich.page.input_value("#quantity") == "2"


def test_the_buttons_of_the_review_keep_apart_on_a_phone(new_visitor: NewVisitor, client: Browser) -> None:
    visitor = new_visitor(script=False, width=360).be(client)
    visitor.open("/assets/BTC").fill(quantity="2").press("Review the order")
    first, second = (box.bounding_box() for box in visitor.page.locator("main button").all())
    assert second["y"] - (first["y"] + first["height"]) >= 8
