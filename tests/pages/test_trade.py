"""Trading by way of a review, for an amount of money, and when the market moves; and an order's transactions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.cli.orders import SECONDS_BETWEEN_ROUNDS
from app.domain import clock
from app.prices import MarketStats, MarketSummary
from app.prices.simulated import SimulatedMarket
from app.schemas.order_inputs import OrderInput
from tests.support.page_client import Answer, Browser
from tests.support.usage import usage_of

LAST_DAY = (clock.now().date() + timedelta(days=10)).isoformat()


def review(browser: Browser, **values: str) -> Answer:
    form = browser.get("/assets/BTC").form()
    form.action = "/assets/BTC/review"
    return browser.send(form, **values)


def ticket(values: dict[str, str]) -> dict[str, str]:
    """What stands in the fields of an asset's page for these values of an order."""
    shown = {"order_type": "market_buy", **values}
    *waits_for, side = shown["order_type"].split("_")
    shown |= {"order_type": f"market_{side}"} | {f"at_{each}": "yes" for each in waits_for if each != "market"}
    if spend := shown.pop("spend", ""):
        shown |= {"quantity": spend, "unit": "usd"}
    return shown


REVIEWS = {
    "buy now": (
        {"quantity": "2"},
        "Costs now $200.00 Price now $100.00 At most $201.00 What you have, now and after it You have Now After it "
        "Cash $10,000.00 $9,800.00 BTC to sell 0 2",
        "100.5",
    ),
    "buy for an amount": (
        {"spend": "201"},
        "Costs now $200.00 Price now $100.00 At most $201.00 What you have, now and after it You have Now After it "
        "Cash $10,000.00 $9,800.00 BTC to sell 0 2",
        "100.5",
    ),
    "own worst price": ({"quantity": "2", "price": "100"}, "At most $200.00", "100"),
    "buy at a limit": (
        {"quantity": "2", "order_type": "limit_buy", "price": "90"},
        "Reserved until then $180.00 Price now $100.00 "
        "What you have, now and after it You have Now After it Cash $10,000.00 $9,820.00 BTC to sell 0 0 "
        "The price has not reached your limit, so the order waits for it, until ",
        "90",
    ),
    "limit for an amount": (
        {"spend": "180", "order_type": "limit_buy", "price": "90"},
        "Buy 2 BTC at $90.00 or less.",
        "90",
    ),
    "commas": ({"quantity": "2,0", "price": "100,5"}, "At most $201.00", "100.5"),
    "stop with a limit": (
        {"quantity": "2", "order_type": "stop_limit_buy", "price": "120", "stop_price": "110"},
        "Buy 2 BTC once the price rises to $110.00, at $120.00 or less. Reserved until then $240.00 Price now $100.00 "
        "What you have, now and after it You have Now After it Cash $10,000.00 $9,760.00 BTC to sell 0 0 "
        "Nothing is bought before the price rises to your stop. The order waits for that until ",
        "120",
    ),
    "limit that is reached": (
        {"quantity": "2", "order_type": "limit_buy", "price": "110"},
        "Costs now $200.00 Price now $100.00 What you have, now and after it You have Now After it "
        "Cash $10,000.00 $9,800.00 BTC to sell 0 2 The price is already as good as your limit",
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


def test_how_often_the_price_is_looked_at_is_said_where_a_stop_is_placed(rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="2")
    often = f"about every {SECONDS_BETWEEN_ROUNDS:g} seconds"
    answer = review(rich, order_type="market_sell", at_stop="on", stop_price="50", quantity="1")
    described = rich.client.get("/api/v1/openapi.json").json["paths"]["/api/v1/orders"]["post"]
    for text in (answer.text, rich.get("/assets/BTC").text, described["description"]):
        assert often in " ".join(text.split())


def test_a_review_of_a_sale(rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="2")
    assert rich.get("/assets/BTC?side=sell&all=yes").form().values["quantity"] == "2"
    answer = review(rich, quantity="2", order_type="market_sell")
    assert (
        "Brings now $200.00 Price now $100.00 At least $199.00 What you have, now and after it You have Now After it"
        in answer.text
    )
    assert "Cash $9,800.00 $10,000.00 BTC to sell 2 0" in answer.text
    assert "Against the average cost of your BTC: $0.00 no gain." in answer.text
    assert answer.form().values["price"] == "99.5"
    answer = review(rich, quantity="1", order_type="limit_sell", price="150")
    assert "Against the average cost of your BTC: +$50.00 gain." in answer.text
    assert (
        "Brings at the limit $150.00 Price now $100.00 What you have, now and after it You have Now After it"
        in answer.text
    )
    assert "Cash $9,800.00 $9,800.00 BTC to sell 2 1" in answer.text
    rich.send(answer.form())
    assert "Cash $9,800.00 $9,600.00 BTC to sell 1 3" in review(rich, quantity="2").text
    assert "You have 1 BTC to sell, and this needs 2." in review(rich, quantity="2", order_type="market_sell").text


def test_a_review_of_stops_to_sell(rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="2")
    answer = review(rich, quantity="1", order_type="stop_sell", stop_price="80")
    for words in (
        "Sell 1 BTC once the price falls to $80.00, at the price of that moment.",
        "Brings at the stop $80.00 Price now $100.00",
        "BTC to sell 2 1",
        "your BTC: −$20.00 loss.",
        "Then everything is sold at the price of that moment. Where the price falls fast, that may be far below ",
        "The 1 BTC are set aside now",
    ):
        assert words in answer.text, answer.text
    path = rich.send(answer.form()).location
    story = rich.get(path).text
    assert "Change the order" not in story
    assert (
        "An order with a stop cannot be changed. Cancel it, and place another one."
        in rich.get(f"{path}/change", 409).text
    )
    for words in (
        "Total at the stop $80.00 Stop $80.00 Price now $100.00 Must still fall $20.00 20.00%",
        "you asked to sell 1 BTC once the price falls to $80.00, until ",
        "It waits for the price to fall to $80.00, until ",
        "Then it is executed at the price of that moment. You can cancel it before.",
        "Waiting for BTC at $80.00 or below. Then it sells at the price of that moment",
    ):
        assert words in story, story
    answer = review(rich, quantity="1", order_type="stop_limit_sell", stop_price="80", price="75")
    assert "Sell 1 BTC once the price falls to $80.00, at $75.00 or more. Brings at the limit $75.00" in answer.text
    assert "From then on it waits for $75.00 or more, whatever the price does next." in answer.text
    assert "Then it sells at $75.00 or more." in rich.get(rich.send(answer.form()).location).text


REFUSED = {
    "nothing": ({}, "quantity", "Fill this in."),
    "a stop that is reached": (
        {"quantity": "1", "order_type": "stop_limit_buy", "price": "90", "stop_price": "100"},
        "stop_price",
        "The price is $100.00, so the stop of $100.00 is reached already. Choose one above the price, or ",
    ),
    "no stop": ({"quantity": "1", "order_type": "stop_sell"}, "stop_price", "Fill this in."),
    "a stop without a tick": ({"quantity": "1", "stop_price": "110"}, "stop_price", "Only a stop order has a stop."),
    "amount to sell": ({"spend": "1", "order_type": "market_sell"}, "quantity", "An amount in USD is for buying."),
    "not held": (
        {"quantity": "1", "order_type": "market_sell"},
        "quantity",
        "You have 0 BTC to sell, and this needs 1.",
    ),
    "thousands not held": (
        {"quantity": "1234.5", "order_type": "market_sell"},
        "quantity",
        "You have 0 BTC to sell, and this needs 1,234.5.",
    ),
    "no money": ({"quantity": "101"}, "quantity", "The balance is $10,000.00, and this needs $10,100.00."),
    "amount above the cash": ({"spend": "20000"}, "quantity", "The balance is $10,000.00,"),
    "amount that buys nothing": (
        {"spend": "0.01", "price": "1000000000"},
        "quantity",
        "The order is worth less than $0.01.",
    ),
    "a day that is over": (
        {"quantity": "1", "order_type": "limit_buy", "price": "90", "expires_at": "2020-01-01"},
        "expires_at",
        "Choose a time in the future, at most 90 days ahead. Days end at midnight UTC, where it is now ",
    ),
    "worse already": ({"quantity": "1", "price": "99"}, "price", "The price is now $100.00, worse than the $99.00"),
}


@pytest.mark.parametrize(("values", "field", "message"), REFUSED.values(), ids=REFUSED)
def test_a_review_refuses_what_placing_would(rich: Browser, values: dict[str, str], field: str, message: str) -> None:
    answer = review(rich, **values)
    assert answer.error_of(field).startswith(message)
    assert ticket(values).items() <= answer.form().values.items()


# What a person does in the one field of the page and its two switches, and what the review is then of.
WRITTEN_THERE = {
    "an amount of the asset": ({"quantity": "2", "unit": "asset"}, "Buy 2 BTC now"),
    "an amount in dollars": ({"quantity": "201", "unit": "usd"}, "Buy 2 BTC now"),
    "a limit": ({"quantity": "2", "at_limit": "yes", "price": "90"}, "Buy 2 BTC at $90.00 or less."),
    "a stop to buy, which has a limit": (
        {"quantity": "2", "at_stop": "yes", "stop_price": "110", "price": "120"},
        "Buy 2 BTC once the price rises to $110.00, at $120.00 or less.",
    ),
    "a limit for dollars": (
        {"quantity": "180", "unit": "usd", "at_limit": "yes", "price": "90"},
        "Buy 2 BTC at $90.00 or less.",
    ),
}


@pytest.mark.parametrize(("values", "says"), WRITTEN_THERE.values(), ids=WRITTEN_THERE)
def test_the_switches_of_the_page_make_the_order(rich: Browser, values: dict[str, str], says: str) -> None:
    answer = review(rich, **values)
    assert says in answer.text
    form = answer.form()
    back = rich.get(rich.send(replace(form, action="/assets/BTC/change")).location).form().values
    assert values.items() <= back.items()
    assert "2 BTC" in rich.get(rich.send(form).location).text


def test_dollars_without_an_amount_stay_dollars(rich: Browser) -> None:
    answer = review(rich, unit="usd")
    assert answer.error_of("quantity") == "Fill this in." and answer.form().values["unit"] == "usd"
    answer = review(rich, unit="usd", quantity="5", order_type="market_sell")
    assert answer.error_of("quantity").startswith("An amount in USD is for buying.")


def test_all_the_cash_and_all_of_a_holding_are_a_link_away(rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="2")
    links = [link for link in rich.get("/assets/BTC").shown.links if "all=yes" in link]
    amounts = [rich.get(link).form().values for link in links]
    assert [(each["order_type"], each["quantity"], each["unit"]) for each in amounts] == [
        ("market_buy", "9800.00", "usd"),
        ("market_sell", "2", "asset"),
        ("market_sell", "2", "asset"),  # "Sell all", beside the holding
    ]
    assert "Buy 97.51243781 BTC now" in review(rich, **amounts[0]).text


def test_a_suggestion_of_an_earlier_moment_is_made_anew(rich: Browser, market: Any) -> None:
    market.set("BTC", "110.00")
    answer = review(rich, quantity="2", price="100.5", suggested_price="100.5")
    assert answer.status == 200 and answer.form().values["price"] == "110.55"


def test_an_amount_is_placed_only_after_a_review(rich: Browser) -> None:
    answer = rich.submit("/assets/BTC", spend="201")
    assert answer.status == 200 and "Costs now $200.00" in answer.text


@pytest.mark.parametrize(
    ("price", "says"), [("201", "Buy 1 BTC now"), ("", "Buy 2 BTC now"), ("100.50000001", "Buy 1.99999999 BTC now")]
)
def test_another_worst_price_on_the_review_keeps_the_amount(rich: Browser, price: str, says: str) -> None:
    answer = rich.send(review(rich, spend="201").form(), price=price)
    assert answer.status == 200 and says in answer.text and "At most $201.00" in answer.text
    placed = rich.send(answer.form())
    assert says.replace("Buy", "Bought").removesuffix(" now") in rich.get(placed.location).text


def test_a_better_worst_price_on_the_review_is_taken_at_once(rich: Browser) -> None:
    sent = rich.send(review(rich, spend="201").form(), price="100.25")
    assert "Bought 2 BTC for $200.00." in rich.get(sent.location).text


def test_a_price_that_moved_brings_a_new_quote(rich: Browser, market: Any) -> None:
    form = review(rich, spend="201").form()
    market.set("BTC", "101.00")
    answer = rich.send(form)
    assert answer.status == 409 and answer.error_of("price").startswith(
        "The price is now $101.00, worse than the $100.50"
    )
    assert "Buy 1.98010048 BTC now" in answer.text and "At most $201.00" in answer.text
    placed = rich.send(answer.form())
    assert "Bought 1.98010048 BTC for $200.00." in rich.get(placed.location).text


def test_a_price_that_moved_out_of_reach_leads_back_to_the_form(rich: Browser, market: Any) -> None:
    form = review(rich, quantity="99").form()
    market.set("BTC", "500.00")
    answer = rich.send(form)
    assert answer.status == 409 and "worse than the $100.50 that you accept" in answer.error_of("price")
    assert answer.form().values["price"] == "" and answer.form().values["quantity"] == "99"
    assert "Review the order" in answer.text


def test_a_review_sent_twice_places_one_order(rich: Browser) -> None:
    form = review(rich, spend="100").form()
    assert rich.send(form).location == rich.send(form).location


def test_going_back_to_a_review_and_confirming_again_places_one_order(rich: Browser) -> None:
    """A browser sends the form of the review again, with its key."""
    form = replace(rich.get("/assets/BTC").form(), action="/assets/BTC/review")
    first, second = (rich.send(rich.send(form, quantity="2").form()) for _ in range(2))
    assert first.location == second.location
    assert "This was done already" in rich.get(second.location).text


def test_logging_in_during_a_review_leads_to_the_asset(rich: Browser) -> None:
    assert rich.get("/assets/btc/review", 303).location == "/assets/BTC"


def test_the_address_fills_in_the_form(rich: Browser) -> None:
    values = rich.get("/assets/BTC?order_type=limit_sell&quantity=3&price=5").form().values
    assert ticket({"order_type": "limit_sell", "quantity": "3", "price": "5"}).items() <= values.items()
    assert rich.get("/assets/BTC?order_type=x&quantity=%22%3E").form().values["order_type"] == "market_buy"


def test_a_refused_review_still_leads_to_other_periods(rich: Browser) -> None:
    answer = review(rich, quantity="x")
    assert answer.status == 422
    periods = [link for link in answer.shown.links if "?days=" in link and "trades" not in link]
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
    assert ticket(values).items() <= answer.form().values.items() and "applied" not in answer.text


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
    assert "Currency $100.50 not known" in text and "Smart contracts no price not known" in text
    text = rich.get("/assets/BTC").text
    assert "$100.50 change in 24 hours not known" in text and "no price" not in text
    assert "High, 24 hours not known" in text


CHANGED = {
    "a market order": ({"quantity": "2"}, {"order_type": "market_buy", "quantity": "2", "price": ""}),
    "its worst price": ({"quantity": "2", "price": "100,25"}, {"quantity": "2", "price": "100.25"}),
    "an amount": ({"spend": "201"}, {"spend": "201", "price": ""}),
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
    assert ticket(kept).items() <= rich.get(there.location).form().values.items()


def test_a_worst_price_typed_into_the_review_goes_back_too(rich: Browser) -> None:
    form = review(rich, quantity="2").form()
    form.action = "/assets/BTC/change"
    assert rich.get(rich.send(form, price="104").location).form().values["price"] == "104"


# What a person writes for a field of an order, and what makes it another order.
WRITTEN = {
    "order_type": ("stop_limit_buy", "stop_limit_sell"),
    "quantity": ("2", "3"),
    "price": ("90", "91"),
    "stop_price": ("110", "111"),
    "expires_at": (LAST_DAY, ""),
}


def test_every_field_of_an_order_gets_from_its_page_through_the_review_into_the_order(rich: Browser) -> None:
    """A field that is not named here is written as its example, and left out of another order."""
    schema = OrderInput()
    fields = {field.data_key or name: field.metadata.get("example") for name, field in schema.fields.items()}
    del fields["asset_id"], fields["client_order_id"]  # forms have a key of their own
    del fields["dry_run"], fields["spend"]  # forms have a review, which makes a quantity of an amount
    del fields["time_in_force"]  # it excludes another field: see below
    cases = {name: WRITTEN.get(name, (str(example), "")) for name, example in fields.items()}
    written = {name: text for name, (text, _) in cases.items()}
    assert written.keys() <= rich.get("/assets/BTC").form().values.keys()
    form = review(rich, **written).form()
    assert written.items() <= form.values.items()
    back = rich.send(replace(form, action="/assets/BTC/change"))
    assert ticket(written).items() <= rich.get(back.location).form().values.items()
    placed = rich.send(form)
    order = rich.person.get(f"/orders/{placed.location.rpartition('/')[2]}").json["data"]
    assert {name: str(order[name])[: len(text)] for name, text in written.items()} == written
    for name, (_, other) in cases.items():
        again = rich.send(form, **{name: other})
        assert again.status == 422 and "with other values" in again.text, f"{name} makes it no other order"


def test_a_limit_order_for_today_alone(rich: Browser) -> None:
    shown = review(rich, order_type="limit_buy", quantity="1", price="90", time_in_force="day")
    assert "so the order waits for it, until " in shown.text and ", 23:59 UTC." in shown.text
    placed = rich.send(shown.form())
    order = rich.person.get(f"/orders/{placed.location.rpartition('/')[2]}").json["data"]
    assert (order["time_in_force"], order["status"]) == ("day", "pending")
    assert order["expires_at"][:10] == order["created_at"][:10]


def test_a_limit_order_at_once_or_not_at_all(rich: Browser, market: Any) -> None:
    """What cannot be reached is refused on the way to the review, and after it where the price moved meanwhile."""
    wanted = {"order_type": "limit_buy", "quantity": "1", "time_in_force": "ioc"}
    refused = review(rich, **wanted, price="90")
    assert refused.status == 409 and refused.form().values["price"] == "90"
    form = review(rich, **wanted, price="100").form()
    market.set("BTC", "101")
    moved = rich.send(form)
    assert moved.status == 409 and moved.form().values["price"] == "100", "the limit is the person's own"
    assert rich.person.get("/orders").json["data"] == []
    market.set("BTC", "99")
    assert rich.send(form).status == 303
    [order] = rich.person.get("/orders").json["data"]
    assert (order["time_in_force"], order["executed_price"], order["expires_at"]) == ("ioc", "99", None)


@pytest.mark.parametrize("days", ["1", "7", "30", "365"])
def test_the_price_history(stranger: Browser, days: str) -> None:
    answer = stranger.get(f"/assets/BTC?days={days}")
    assert usage_of(answer.response).calls == 0
    assert answer.shown.attributes["price-chart-text"] is not None
    stranger.get("/assets/BTC?days=366", 422)


def test_the_value_over_time(rich: Browser) -> None:
    assert "value-chart" in rich.get("/history?days=7").shown.attributes
    assert "$10,000.00" in rich.get("/history?days=365").text
    assert "Total value, 1 day<" in rich.get("/history?days=1").response.text
    assert rich.get("/history?days=x", 422)


def test_what_open_sells_reserve_is_counted(rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="2")
    rich.done("/assets/BTC", order_type="limit_sell", quantity="2", price="150")
    text = rich.get("/dashboard").text
    assert "Total value $10,000.00" in text
    assert "Bitcoin 2 BTC, 2 of it in open orders $200.00 at $100.00 " in text
    assert " in 24 hours $0.00 no gain 2.00%" in text


def test_an_order_leads_to_its_transactions(rich: Browser, market: Any) -> None:
    order = rich.done("/assets/BTC", order_type="limit_buy", quantity="1", price="90")
    rich.done("/deposit", amount="5")
    path = order.response.request.path
    rich.send(order.form())
    assert f"{path}/transactions" in rich.get(path).shown.links
    found = rich.get(f"{path}/transactions")
    assert usage_of(found.response).calls == 2
    assert (
        "Returned: cancelled" in found.text
        and "Reserved to buy 1 BTC at $90.00 or less" in found.text
        and "Deposit" not in found.text
    )


def test_nobody_sees_the_transactions_of_someone_elses_order(rich: Browser, ann: Browser) -> None:
    path = rich.done("/assets/BTC", quantity="1").response.request.path
    ann.get(f"{path}/transactions", 404)
    ann.get("/orders/short/transactions", 404)
