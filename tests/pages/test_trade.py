"""Trading by way of a review, for an amount of money, and when the market moves; and an order's transactions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.domain import clock
from app.prices import MarketStats, MarketSummary
from app.prices.simulated import SimulatedMarket
from app.schemas.inputs import OrderInput
from tests.support.page_client import Answer, Browser
from tests.support.usage import usage_of

LAST_DAY = (clock.now().date() + timedelta(days=10)).isoformat()


def review(browser: Browser, **values: str) -> Answer:
    form = browser.get("/assets/BTC").form()
    form.action = "/assets/BTC/review"
    return browser.send(form, **values)


REVIEWS = {
    "buy now": (
        {"quantity": "2"},
        "Costs now 200.00 Price now 100.00 At most 201.00 Cash after 9,800.00 BTC to sell after 2",
        "100.5",
    ),
    "buy for an amount": (
        {"spend": "201"},
        "Costs now 200.00 Price now 100.00 At most 201.00 Cash after 9,800.00 BTC to sell after 2",
        "100.5",
    ),
    "own worst price": ({"quantity": "2", "price": "100"}, "At most 200.00", "100"),
    "buy at a limit": (
        {"quantity": "2", "order_type": "limit_buy", "price": "90"},
        "Reserved until then 180.00 Price now 100.00 "
        "Cash after 9,820.00 BTC to sell after 0 The price has not reached your limit, so the order waits for it.",
        "90",
    ),
    "limit for an amount": (
        {"spend": "180", "order_type": "limit_buy", "price": "90"},
        "Buy 2 BTC at 90.00 or less.",
        "90",
    ),
    "commas": ({"quantity": "2,0", "price": "100,5"}, "At most 201.00", "100.5"),
    "limit that is reached": (
        {"quantity": "2", "order_type": "limit_buy", "price": "110"},
        "Costs now 200.00 Price now 100.00 "
        "Cash after 9,800.00 BTC to sell after 2 The price is already as good as your limit",
        "110",
    ),
}


@pytest.mark.parametrize(("values", "says", "price"), REVIEWS.values(), ids=REVIEWS)
def test_a_review_says_what_the_order_does_and_places_nothing(
    rich: Browser, values: dict[str, str], says: str, price: str
) -> None:
    answer = review(rich, **values)
    assert answer.status == 200 and says in answer.text, answer.text
    assert usage_of(answer.response).calls == 2
    form = answer.form()
    assert form.action == "/assets/BTC" and form.values["quantity"] == "2" and form.values["price"] == price
    assert "not placed an order yet" in rich.get("/orders").text
    placed = rich.send(form)
    assert placed.status == 303 and "Buy 2 BTC" in rich.get(placed.location).text


def test_a_review_of_a_sale(rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="2")
    assert rich.get("/assets/BTC?side=sell&all=yes").form().values["quantity"] == "2"
    answer = review(rich, quantity="2", order_type="market_sell")
    assert "Brings now 200.00 Price now 100.00 At least 199.00 Cash after 10,000.00 BTC to sell after 0" in answer.text
    assert answer.form().values["price"] == "99.5"
    answer = review(rich, quantity="1", order_type="limit_sell", price="150")
    assert "Brings at the limit 150.00 Price now 100.00 Cash after 9,800.00 BTC to sell after 1" in answer.text
    rich.send(answer.form())
    assert "Cash after 9,600.00 BTC to sell after 3" in review(rich, quantity="2").text
    assert "You have 1 BTC to sell, and this needs 2." in review(rich, quantity="2", order_type="market_sell").text


REFUSED = {
    "nothing": ({}, "quantity", "Fill this in."),
    "both": ({"quantity": "1", "spend": "1"}, "spend", "Write a quantity or an amount, and leave the other empty."),
    "amount to sell": ({"spend": "1", "order_type": "market_sell"}, "spend", "An amount is for buying."),
    "not held": (
        {"quantity": "1", "order_type": "market_sell"},
        "quantity",
        "You have 0 BTC to sell, and this needs 1.",
    ),
    "no money": ({"quantity": "101"}, "quantity", "The balance is 10000.00, and this needs 10100.00."),
    "amount above the cash": ({"spend": "20000"}, "spend", "The balance is 10000.00,"),
    "amount that buys nothing": (
        {"spend": "0.01", "price": "1000000000"},
        "spend",
        "The order is worth less than 0.01.",
    ),
    "a day that is over": (
        {"quantity": "1", "order_type": "limit_buy", "price": "90", "expires_at": "2020-01-01"},
        "expires_at",
        "Choose a time in the future, at most 90 days ahead. Days end at midnight UTC, where it is now ",
    ),
    "worse already": ({"quantity": "1", "price": "99"}, "price", "The price is now 100, worse than the 99"),
}


@pytest.mark.parametrize(("values", "field", "message"), REFUSED.values(), ids=REFUSED)
def test_a_review_refuses_what_placing_would(rich: Browser, values: dict[str, str], field: str, message: str) -> None:
    answer = review(rich, **values)
    assert answer.error_of(field).startswith(message)
    assert values.items() <= {**answer.form().values, "order_type": values.get("order_type")}.items()


def test_an_amount_is_placed_only_after_a_review(rich: Browser) -> None:
    answer = rich.submit("/assets/BTC", spend="201")
    assert answer.status == 200 and "Costs now 200.00" in answer.text


@pytest.mark.parametrize(
    ("price", "says"), [("201", "Buy 1 BTC now"), ("", "Buy 2 BTC now"), ("100.50000001", "Buy 1.99999999 BTC now")]
)
def test_another_worst_price_on_the_review_keeps_the_amount(rich: Browser, price: str, says: str) -> None:
    answer = rich.send(review(rich, spend="201").form(), price=price)
    assert answer.status == 200 and says in answer.text and "At most 201.00" in answer.text
    placed = rich.send(answer.form())
    assert says.replace("Buy", "Bought").removesuffix(" now") in rich.get(placed.location).text


def test_a_better_worst_price_on_the_review_is_taken_at_once(rich: Browser) -> None:
    sent = rich.send(review(rich, spend="201").form(), price="100.25")
    assert "Bought 2 BTC for 200.00." in rich.get(sent.location).text


def test_a_price_that_moved_brings_a_new_quote(rich: Browser, market: Any) -> None:
    form = review(rich, spend="201").form()
    market.set("BTC", "101.00")
    answer = rich.send(form)
    assert answer.status == 409 and answer.error_of("price").startswith("The price is now 101, worse than the 100.5")
    assert "Buy 1.98010048 BTC now" in answer.text and "At most 201.00" in answer.text
    placed = rich.send(answer.form())
    assert "Bought 1.98010048 BTC for 200.00." in rich.get(placed.location).text


def test_a_price_that_moved_out_of_reach_leads_back_to_the_form(rich: Browser, market: Any) -> None:
    form = review(rich, quantity="99").form()
    market.set("BTC", "500.00")
    answer = rich.send(form)
    assert answer.status == 409 and "worse than the 100.5 that you accept" in answer.error_of("price")
    assert answer.form().values["price"] == "" and answer.form().values["quantity"] == "99"
    assert "Review the order" in answer.text


def test_a_review_sent_twice_places_one_order(rich: Browser) -> None:
    form = review(rich, spend="100").form()
    assert rich.send(form).location == rich.send(form).location


def test_logging_in_during_a_review_leads_to_the_asset(rich: Browser) -> None:
    assert rich.get("/assets/btc/review", 303).location == "/assets/BTC"


def test_the_address_fills_in_the_form(rich: Browser) -> None:
    values = rich.get("/assets/BTC?order_type=limit_sell&quantity=3&price=5").form().values
    assert (values["order_type"], values["quantity"], values["price"]) == ("limit_sell", "3", "5")
    assert rich.get("/assets/BTC?order_type=x&quantity=%22%3E").form().values["order_type"] == "market_buy"


def test_a_refused_review_still_leads_to_other_periods(rich: Browser) -> None:
    answer = review(rich, quantity="x")
    assert answer.status == 422
    periods = [link for link in answer.shown.links if "?days=" in link]
    assert len(periods) == 4
    for link in periods:
        rich.get(link)


@pytest.mark.parametrize("query", ["", "?days=7&side=sell", "?quantity=2&order_type=limit_buy&price=90"])
def test_logging_in_leads_back_to_the_asset_as_it_was(rich: Browser, stranger: Browser, query: str) -> None:
    path = f"/assets/BTC{query}"
    ways = [link for link in stranger.get(path).shown.links if link.startswith(("/login?", "/register?"))]
    assert [parse_qs(urlsplit(way).query)["next"] for way in ways[-2:]] == [[path], [path]]
    assert stranger.log_in(rich.username, page=ways[-2]).location == path


@pytest.mark.parametrize("path", ["/assets/BTC", "/assets/BTC/review"])
def test_without_a_price_a_form_keeps_what_was_typed(rich: Browser, market: Any, path: str) -> None:
    form = rich.get("/assets/BTC").form()
    form.action = path
    market.missing.add("BTC")
    values = {"quantity": "2", "order_type": "limit_buy", "price": "90", "expires_at": LAST_DAY}
    answer = rich.send(form, **values)
    assert answer.status == 503 and answer.response.headers["Retry-After"] == "1"
    assert "There is no current price for this asset. Try again in a minute." in answer.text
    assert values.items() <= answer.form().values.items() and "applied" not in answer.text


def test_the_page_of_an_asset_stands_without_a_price(rich: Browser, stranger: Browser, market: Any) -> None:
    rich.done("/assets/BTC", quantity="2")
    market.missing.add("BTC")
    text = rich.get("/assets/BTC").text
    assert "There is no price of Bitcoin just now" in text and "2 BTC" in text and "Category Currency" in text
    assert "no price" not in stranger.get("/assets/ETH").text


def test_what_is_not_known_of_a_market_is_not_called_no_price(rich: Browser) -> None:
    class Market(SimulatedMarket):
        def summaries(self) -> dict[str, MarketSummary]:
            found = super().summaries()
            found["BTC"] = replace(found["BTC"], price=Decimal("100.50"), price_change_percentage_24h=None)
            return {name: each for name, each in found.items() if name != "ETH"}

        def stats(self, asset_id: str) -> MarketStats:
            unknown = {"price_change_percentage_24h": None, "price_change_percentage_7d": None, "high_24h": None}
            return replace(super().stats(asset_id), price=Decimal("100.50"), **unknown)

    rich.client.application.extensions["prices"] = Market()
    text = rich.get("/assets").text
    assert "Currency 100.50 not known" in text and "Smart contracts no price not known" in text
    text = rich.get("/assets/BTC").text
    assert "100.50 change in 24 hours not known" in text and "no price" not in text
    assert "High, 24 hours not known" in text


CHANGED = {
    "a market order": ({"quantity": "2"}, {"order_type": "market_buy", "quantity": "2", "price": ""}),
    "its worst price": ({"quantity": "2", "price": "100,25"}, {"quantity": "2", "price": "100.25"}),
    "an amount": ({"spend": "201"}, {"spend": "201", "quantity": "", "price": ""}),
    "a limit": (
        {"quantity": "2", "order_type": "limit_buy", "price": "90", "expires_at": LAST_DAY},
        {"order_type": "limit_buy", "price": "90", "expires_at": LAST_DAY},
    ),
}


@pytest.mark.parametrize(("values", "kept"), CHANGED.values(), ids=CHANGED)
def test_changing_a_reviewed_order_keeps_what_was_typed(
    rich: Browser, values: dict[str, str], kept: dict[str, str]
) -> None:
    form = review(rich, **values).form()
    form.action = "/assets/BTC/change"
    there = rich.send(form)
    assert there.status == 303
    assert kept.items() <= rich.get(there.location).form().values.items()


def test_a_worst_price_typed_into_the_review_goes_back_too(rich: Browser) -> None:
    form = review(rich, quantity="2").form()
    form.action = "/assets/BTC/change"
    assert rich.get(rich.send(form, price="104").location).form().values["price"] == "104"


# What a person writes for a field of an order, and what makes it another order.
WRITTEN = {
    "order_type": ("limit_buy", "limit_sell"),
    "quantity": ("2", "3"),
    "price": ("90", "91"),
    "expires_at": (LAST_DAY, ""),
}


def test_every_field_of_an_order_gets_from_its_page_through_the_review_into_the_order(rich: Browser) -> None:
    """A field that is not named here is written as its example, and left out of another order."""
    schema = OrderInput()
    fields = {field.data_key or name: field.metadata.get("example") for name, field in schema.fields.items()}
    del fields["asset_id"]
    cases = {name: WRITTEN.get(name, (str(example), "")) for name, example in fields.items()}
    written = {name: text for name, (text, _) in cases.items()}
    assert written.keys() <= rich.get("/assets/BTC").form().values.keys()
    form = review(rich, **written).form()
    assert written.items() <= form.values.items()
    back = rich.send(replace(form, action="/assets/BTC/change"))
    assert written.items() <= rich.get(back.location).form().values.items()
    placed = rich.send(form)
    order = rich.person.get(f"/orders/{placed.location.rpartition('/')[2]}").json["data"]
    assert {name: str(order[name])[: len(text)] for name, text in written.items()} == written
    for name, (_, other) in cases.items():
        again = rich.send(form, **{name: other})
        assert again.status == 422 and "with other values" in again.text, f"{name} makes it no other order"


@pytest.mark.parametrize("days", ["1", "7", "30", "365"])
def test_the_price_history(stranger: Browser, days: str) -> None:
    answer = stranger.get(f"/assets/BTC?days={days}")
    assert usage_of(answer.response).calls == 0
    assert answer.shown.attributes["price-chart-text"] is not None
    stranger.get("/assets/BTC?days=366", 422)


def test_the_value_over_time(rich: Browser) -> None:
    assert "value-chart" in rich.get("/history?days=7").shown.attributes
    assert "10,000.00" in rich.get("/history?days=365").text
    assert "Total value, 1 day<" in rich.get("/history?days=1").response.text
    assert rich.get("/history?days=x", 422)


def test_what_open_sells_reserve_is_counted(rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="2")
    rich.done("/assets/BTC", order_type="limit_sell", quantity="2", price="150")
    text = rich.get("/dashboard").text
    assert "Total value 10,000.00" in text
    assert "Bitcoin 2 BTC, 2 of it in open orders 200.00 at 100.00 2.00%" in text


def test_an_order_leads_to_its_transactions(rich: Browser, market: Any) -> None:
    order = rich.done("/assets/BTC", order_type="limit_buy", quantity="1", price="90")
    rich.done("/deposit", amount="5")
    path = order.response.request.path
    rich.send(order.form())
    assert f"{path}/transactions" in rich.get(path).shown.links
    found = rich.get(f"{path}/transactions")
    assert usage_of(found.response).calls == 2
    assert "Order refund" in found.text and "Order payment" in found.text and "Deposit" not in found.text


def test_nobody_sees_the_transactions_of_someone_elses_order(rich: Browser, ann: Browser) -> None:
    path = rich.done("/assets/BTC", quantity="1").response.request.path
    assert "No transaction belongs to this order." in ann.get(f"{path}/transactions").text
    ann.get("/orders/short/transactions", 404)
