"""Limit orders by JSON: placing, waiting, filling, cancelling and ending, what each reserves, gives back and costs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.orders import Side
from app.models import order_changes
from app.models.orders import Order, iterate_fillable_orders
from tests.support.books import check_books, query
from tests.support.people import LONG_AGO, NOON, TIME, Person, fields_named, problem
from tests.support.prices import SetPrices
from tests.support.usage import AUTHENTICATION, metered, usage, usage_of

Fill = Callable[[dict[str, Any], str], Order]


@pytest.fixture
def trader(new_user, market: SetPrices, market_app: Flask) -> Person:
    """Someone with 1000.00 and 2 ETH, where BTC costs 100.00 and ETH 50.00."""
    person = new_user(market_app)
    market.set("BTC", "100.00")
    market.set("ETH", "50.00")
    with clock.at(LONG_AGO):
        person.deposit("1100")
        person.buy("ETH", "2")
    return person


@pytest.fixture
def fill(market_app: Flask) -> Fill:
    """Fills a waiting order at a price, as the worker does."""

    def fill(placed: dict[str, Any], price: str) -> Order:
        with market_app.app_context():
            return order_changes.fill_order(Order.get(*Order.key(placed["order_id"])), Decimal(price))

    return fill


@pytest.fixture
def expire(market_app: Flask) -> Callable[[dict[str, Any]], Order]:
    def expire(placed: dict[str, Any]) -> Order:
        with market_app.app_context():
            return order_changes.expire_order(Order.get(*Order.key(placed["order_id"])))

    return expire


def cancel(person: Person, placed: dict[str, Any], **more: Any) -> Any:
    return person.post(f"/orders/{placed['order_id']}/cancel", **more)


def holding(person: Person, asset_id: str) -> str | None:
    response = person.get(f"/balance/asset/{asset_id}")
    return response.json["quantity"] if response.status_code == 200 else None


def cash(person: Person) -> tuple[str, str]:
    """What can be spent, and what open orders reserve."""
    body = person.get("/portfolio").json
    return body["cash_balance"], body["reserved_cash"]


def transactions(person: Person) -> list[tuple[str, str, str | None]]:
    """Type, amount and order of each change of the balance since the fixture's own two, oldest first."""
    rows = person.get("/balance/transactions").json["transactions"]
    return [(row["transaction_type"], row["amount"], row["order_id"]) for row in reversed(rows)][2:]


def test_an_order_to_buy_waits_and_reserves_its_cost_at_the_limit(trader):
    with clock.at(NOW):
        order = trader.place("limit_buy", "btc", "1.5", price="90.001")
    assert {
        name: order[name]
        for name in ("order_type", "asset_id", "quantity", "price", "status", "total_amount", "executed_at")
    } == {
        "order_type": "limit_buy",
        "asset_id": "BTC",
        "quantity": "1.5",
        "price": "90.001",
        "status": "pending",
        "total_amount": "135.01",
        "executed_at": None,
    }
    assert re.fullmatch(TIME, order["expires_at"]) and order["created_at"] == order["updated_at"]
    assert clock.from_text(order["expires_at"]) == NOW + 30 * DAY
    assert cash(trader) == ("864.99", "135.01")
    assert trader.get("/portfolio").json["total_value"] == "1100.00", "what is reserved is still the owner's"
    assert transactions(trader) == [("order_payment", "135.01", order["order_id"])]
    assert holding(trader, "BTC") is None and trader.get("/assets/BTC/transactions").json["data"] == []
    assert trader.get(f"/orders/{order['order_id']}").json == {"data": order}


def described(person: Person) -> list[str]:
    """What the transactions say, oldest first, without the deposit and the purchase of `trader`."""
    rows = person.get("/balance/transactions").json["transactions"]
    return [row["description"] for row in reversed(rows)][2:]


def test_what_the_transactions_of_an_order_say(trader, market, fill, expire):
    """Each says what was done, how much, and at which price."""
    market.set("BTC", "58950.08")
    market.set("SHIB", "0.00000042")
    trader.buy("BTC", "0.01")
    trader.sell("BTC", "0.005")
    trader.buy("SHIB", "100000")
    fill(trader.place("limit_buy", "BTC", "0.001", price="30000"), "29000.5")
    fill(trader.place("limit_buy", "BTC", "0.001", price="30000"), "30000")
    fill(trader.place("limit_sell", "BTC", "0.001", price="60000"), "61000.1")
    cancel(trader, trader.place("limit_buy", "ETH", "1.5", price="49.995"))
    cancel(trader, trader.place("limit_sell", "ETH", "1", price="60"))
    expire(trader.place("limit_buy", "ETH", "1", price="40"))
    assert described(trader) == [
        "Bought 0.01 BTC at 58,950.08",
        "Sold 0.005 BTC at 58,950.08",
        "Bought 100000 SHIB at 0.00000042",
        "Reserved to buy 0.001 BTC at 30,000.00 or less",
        "Returned: bought below the limit",
        "Reserved to buy 0.001 BTC at 30,000.00 or less",
        "Sold 0.001 BTC at 61,000.10",
        "Reserved to buy 1.5 ETH at 49.995 or less",
        "Returned: cancelled",
        "Reserved to buy 1 ETH at 40.00 or less",
        "Returned: expired",
    ]


def test_an_order_tells_its_limit_its_execution_and_its_reserve(trader, fill, expire):
    names = ("price", "limit_price", "executed_price", "reserved_amount", "reserved_quantity")

    def told(order_id: str) -> tuple[str | None, ...]:
        order = trader.get(f"/orders/{order_id}").json["data"]
        return tuple(order[name] for name in names)

    now = trader.buy("BTC", "1", price="101")
    at_once = trader.place("limit_buy", "BTC", "1", price="101")
    buy = trader.place("limit_buy", "BTC", "2", price="90")
    sell = trader.place("limit_sell", "ETH", "1.25", price="60")
    assert told(now["order_id"]) == ("100", None, "100", None, None)
    assert told(at_once["order_id"]) == ("100", "101", "100", None, None)
    assert told(buy["order_id"]) == ("90", "90", None, "180.00", None)
    assert told(sell["order_id"]) == ("60", "60", None, None, "1.25")
    fill(buy, "80.5")
    expire(sell)
    assert told(buy["order_id"]) == ("80.5", "90", "80.5", "180.00", None)
    assert told(sell["order_id"]) == ("60", "60", None, None, "1.25")


def test_time_never_goes_back_in_an_account(trader, market_app, fill, expire, store):
    """Also where another machine's clock is ahead: nothing happens before what happened before it."""
    with clock.at(clock.now() + timedelta(minutes=5)):
        trader.buy("ETH", "1")
    filled, expired = (
        trader.place("limit_buy", "BTC", "1", price="90"),
        trader.place("limit_sell", "ETH", "1", price="60"),
    )
    trader.deposit("1")
    trader.sell("ETH", "1")
    ended = [fill(filled, "80"), expire(expired)]
    assert all(order.updated_at > order.created_at > clock.now() for order in ended)
    trades = query(store, "users", "username", trader.username, index="UserTransactionsIndex")
    times = [row["traded_at"] for row in trades]
    assert times == sorted(set(times)) and len(times) == 4
    check_books(store, trader.username)


def test_an_open_order_is_found_behind_any_number_of_newer_ones(trader, market_app, monkeypatch):
    """It is counted and listed everywhere, in one call, however many orders came after it."""
    monkeypatch.setattr("app.models.paging.EXAMINED_ROWS", 3)
    first = trader.place("limit_sell", "ETH", "1", price="60")
    second = trader.place("limit_buy", "BTC", "1", price="90")
    for _ in range(12):
        cancel(trader, trader.place("limit_sell", "ETH", "0.5", price="60"))
    listed = trader.get("/orders?status=pending&limit=1")
    assert usage_of(listed).calls == 1 + AUTHENTICATION.calls
    assert [row["order_id"] for row in listed.json["data"]] == [second["order_id"]]
    rest = trader.get(f"/orders?status=pending&cursor={listed.json['next_cursor']}").json
    assert ([row["order_id"] for row in rest["data"]], rest["has_more"]) == ([first["order_id"]], False)
    assert trader.get("/portfolio").json["total_value"] == "1100.00"


def test_an_order_that_waits_is_found_by_its_asset_its_side_and_a_price_that_reaches_it(trader, market_app):
    buy, sell = trader.place("limit_buy", "BTC", "1", price="90"), trader.place("limit_sell", "ETH", "1", price="60")
    with market_app.app_context():

        def found(asset_id: str, side: Side, price: str) -> set[str]:
            return {order.order_id for order in iterate_fillable_orders(asset_id, side, Decimal(price))}

        assert buy["order_id"] in found("BTC", Side.BUY, "90") and sell["order_id"] in found("ETH", Side.SELL, "60")
        assert buy["order_id"] not in found("BTC", Side.BUY, "90.01") | found("BTC", Side.SELL, "90")
        assert sell["order_id"] not in found("ETH", Side.SELL, "59.99") | found("ETH", Side.BUY, "60")


def test_an_order_to_sell_waits_and_reserves_its_quantity(trader):
    order = trader.place("limit_sell", "ETH", "1.25", price="60")
    assert (order["status"], order["price"], order["total_amount"]) == ("pending", "60", "75.00")
    assert cash(trader) == ("1000.00", "0.00") and holding(trader, "ETH") == "0.75"
    assert transactions(trader) == []
    assert trader.get("/balance/asset/ETH").json["updated_at"] == order["created_at"]
    for refused in (trader.order("market_sell", "ETH", "1"), trader.order("limit_sell", "ETH", "1", price="60")):
        assert problem(refused, 422, "insufficient_holding")["asset_id"] == "ETH"


# side, limit, market price; the price that the order is executed at, and what it comes to.
AT_ONCE = {
    "buy at exactly the price": ("limit_buy", "50.00", "50.00"),
    "buy above the price": ("limit_buy", "70", "50.00"),
    "sell at exactly the price": ("limit_sell", "50", "50.00"),
    "sell below the price": ("limit_sell", "0.01", "50.00"),
}


@pytest.mark.parametrize(("order_type", "limit", "total"), AT_ONCE.values(), ids=AT_ONCE.keys())
def test_a_limit_that_the_price_reaches_already_is_executed_at_once_at_the_price(trader, order_type, limit, total):
    order = trader.place(order_type, "ETH", "1", price=limit)
    assert (order["status"], order["price"], order["total_amount"]) == ("completed", "50", total)
    assert re.fullmatch(TIME, order["executed_at"]) and order["order_type"] == order_type
    buying = order_type == "limit_buy"
    assert cash(trader) == ("950.00" if buying else "1050.00", "0.00")
    assert holding(trader, "ETH") == ("3" if buying else "1")
    assert [row["order_id"] for row in trader.get("/assets/ETH/transactions?limit=1").json["data"]] == [
        order["order_id"]
    ]
    problem(cancel(trader, order), 409, "order_not_pending")


# order type, quantity, limit, fill price; then total, refund if any, cash after.
FILLS = {
    "buy at exactly the limit": ("limit_buy", "BTC", "2", "90", "90", "180.00", None, "820.00"),
    "buy below the limit": ("limit_buy", "BTC", "2", "90", "80.5", "161.00", "19.00", "839.00"),
    "buy by less than a cent": ("limit_buy", "BTC", "1", "90", "89.99999999", "90.00", None, "910.00"),
    "buy by a cent": ("limit_buy", "BTC", "1", "90", "89.99", "89.99", "0.01", "910.01"),
    "buy for almost nothing": ("limit_buy", "BTC", "1", "90", "0.00000001", "0.01", "89.99", "999.99"),
    "sell at exactly the limit": ("limit_sell", "ETH", "2", "60.005", "60.005", "120.01", None, "1120.01"),
    "sell above the limit": ("limit_sell", "ETH", "1.5", "60", "61.999", "92.99", None, "1092.99"),
}


@pytest.mark.parametrize("case", FILLS.values(), ids=FILLS.keys())
def test_a_fill(trader, fill, case):
    order_type, asset_id, quantity, limit, price, total, refund, left = case
    order = trader.place(order_type, asset_id, quantity, price=limit)
    fill(order, price)
    filled = trader.get(f"/orders/{order['order_id']}").json["data"]
    assert (filled["status"], Decimal(filled["price"]), filled["total_amount"]) == ("completed", Decimal(price), total)
    assert filled["executed_at"] == filled["updated_at"] > order["created_at"] == filled["created_at"]
    assert filled["expires_at"] == order["expires_at"]
    assert cash(trader) == (left, "0.00")
    reserve = [("order_payment", order["total_amount"])] if order_type == "limit_buy" else [("order_sale", total)]
    assert transactions(trader) == [
        (*row, order["order_id"]) for row in reserve + ([("order_refund", refund)] if refund else [])
    ]
    [trade] = trader.get(f"/assets/{asset_id}/transactions?limit=1").json["data"]
    assert (trade["order_id"], trade["quantity"], trade["total_amount"]) == (order["order_id"], quantity, total)
    assert trade["timestamp"] == filled["executed_at"]
    assert trader.get("/balance").json["updated_at"] == filled["executed_at"]
    problem(cancel(trader, order), 409, "order_not_pending")


@pytest.mark.parametrize(
    ("order_type", "asset_id", "status"),
    [
        ("limit_buy", "BTC", "cancelled"),
        ("limit_sell", "ETH", "cancelled"),
        ("limit_buy", "BTC", "expired"),
        ("limit_sell", "ETH", "expired"),
    ],
)
def test_an_order_that_ends_unfilled_gives_everything_back(trader, expire, order_type, asset_id, status):
    order = trader.place(order_type, asset_id, "1.1", price="90.009")
    if status == "cancelled":
        response = cancel(trader, order)
        assert response.status_code == 200
        ended = response.json["data"]
    else:
        expire(order)
        ended = trader.get(f"/orders/{order['order_id']}").json["data"]
    assert ended["status"] == status and ended["executed_at"] is None and ended["updated_at"] > order["updated_at"]
    assert {name: ended[name] for name in order if name not in {"status", "updated_at"}} == {
        name: order[name] for name in order if name not in {"status", "updated_at"}
    }
    assert cash(trader) == ("1000.00", "0.00") and holding(trader, "ETH") == "2"
    assert trader.get(f"/orders/{order['order_id']}").json["data"] == ended
    changed = "/balance" if order_type == "limit_buy" else "/balance/asset/ETH"
    assert trader.get(changed).json["updated_at"] == ended["updated_at"]
    assert [row[:2] for row in transactions(trader)] == (
        [("order_payment", "99.01"), ("order_refund", "99.01")] if order_type == "limit_buy" else []
    )
    body = problem(cancel(trader, order), 409, "order_not_pending")
    assert body["order_status"] == status
    assert cash(trader) == ("1000.00", "0.00")


def test_cancelling_what_is_not_there_or_not_ones_own(trader, new_user, market_app):
    order = trader.place("limit_buy", "BTC", "1", price="90")
    other = new_user(market_app)
    answers = [
        problem(cancel(other, {"order_id": order_id}), 404, "order_not_found")
        for order_id in (order["order_id"], f"order_{'0' * 26}", order["order_id"].lower())
    ]
    assert len({answer["detail"] for answer in answers}) == 1
    for order_id in ("short", "x" * 51, "order-0123456789"):
        problem(cancel(trader, {"order_id": order_id}), 422, "invalid_input")
    assert cash(trader) == ("910.00", "90.00")


REFUSED = {
    "no limit": ({"price": None}, "price"),
    "a limit of zero": ({"price": "0"}, "price"),
    "a negative limit": ({"price": "-1"}, "price"),
    "a limit of 9 decimals": ({"price": "1.123456789"}, "price"),
    "a limit with an exponent": ({"price": "1e2"}, "price"),
    "a tiny number with an exponent": ({"price": 1e-9}, "price"),
    "a limit too high": ({"price": "1000000000.01"}, "price"),
    "a market order with an end": ({"order_type": "market_buy", "expires_at": "2099-01-01"}, "expires_at"),
    "stop orders": ({"order_type": "stop_buy"}, "order_type"),
    "an order type in capitals": ({"order_type": "LIMIT_BUY"}, "order_type"),
    "no quantity": ({"quantity": None}, "quantity"),
}


def test_a_limit_that_python_writes_with_an_exponent(trader):
    """As `json.dumps` writes the prices of small coins."""
    body = {"order_type": "limit_buy", "asset_id": "SHIB", "quantity": 1e5, "price": 1e-05}
    assert "1e-05" in json.dumps(body)
    order = trader.post("/orders", body).json["data"]
    assert (order["quantity"], order["price"]) == ("100000", "0.00001")


@pytest.mark.parametrize(("changes", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_orders(trader, changes, field):
    if "expires_at" in changes:
        changes = {**changes, "expires_at": (clock.now() + timedelta(days=1)).isoformat()}
    body = {"order_type": "limit_buy", "asset_id": "BTC", "quantity": "1", "price": "90", **changes}
    assert fields_named(problem(trader.post("/orders", body), 422, "invalid_input")) == [field]
    assert cash(trader) == ("1000.00", "0.00")


# order type, asset, quantity, limit, code
UNAFFORDABLE = {
    "a cent more than the balance": ("limit_buy", "BTC", "1", "99.99", "insufficient_funds"),
    "more than is held": ("limit_sell", "ETH", "2.00000001", "60", "insufficient_holding"),
    "never held": ("limit_sell", "BTC", "1", "200", "insufficient_holding"),
    "worth less than a cent": ("limit_buy", "BTC", "0.0001", "99.99", "order_too_small"),
    "worth more than a million": ("limit_sell", "ETH", "2", "500000.01", "order_too_large"),
    "of no asset": ("limit_buy", "NOSUCH", "1", "1", "asset_not_tradeable"),
    "of an inactive asset": ("limit_buy", "MATIC", "1", "0.01", "asset_not_tradeable"),
}


@pytest.mark.parametrize("case", UNAFFORDABLE.values(), ids=UNAFFORDABLE.keys())
def test_what_cannot_be_reserved_is_refused(trader, case):
    order_type, asset_id, quantity, limit, code = case
    trader.withdraw("900.02")  # leaves 99.98
    quantity = "0.00001" if code == "order_too_small" else quantity
    problem(trader.order(order_type, asset_id, quantity, price=limit), 422, code)
    assert cash(trader) == ("99.98", "0.00") and holding(trader, "ETH") == "2"
    assert [order["order_type"] for order in trader.get("/orders").json["data"]] == ["market_buy"]


def test_a_stale_price_places_nothing(trader, market):
    market.stale.add("BTC")
    problem(trader.order("limit_buy", "BTC", "1", price="90"), 503, "price_unavailable")
    assert cash(trader) == ("1000.00", "0.00")


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


NOW = NOON.replace(minute=34, second=56)
DAY = timedelta(days=1)
INDIA = timezone(timedelta(hours=5, minutes=30))
NEWFOUNDLAND = timezone(-timedelta(hours=3, minutes=30))

ENDS = {
    "in UTC": (iso(NOW + DAY).replace("+00:00", "Z"), NOW + DAY),
    "offset of zero": (iso(NOW + DAY), NOW + DAY),
    "east of Greenwich": (iso((NOW + DAY).astimezone(INDIA)), NOW + DAY),
    "west of Greenwich": (iso((NOW + DAY).astimezone(NEWFOUNDLAND)), NOW + DAY),
    "offset without colon": (f"{(NOW + DAY):%Y-%m-%dT%H:%M:%S}+0000", NOW + DAY),
    "a space for T": (f"{(NOW + DAY):%Y-%m-%d %H:%M:%S}Z", NOW + DAY),
    "without seconds": (f"{(NOW + DAY):%Y-%m-%dT%H:%M}Z", (NOW + DAY).replace(second=0)),
    "with microseconds": (f"{(NOW + DAY):%Y-%m-%dT%H:%M:%S}.123456Z", NOW + DAY + timedelta(microseconds=123456)),
    "with nanoseconds": (f"{(NOW + DAY):%Y-%m-%dT%H:%M:%S}.123456789Z", NOW + DAY + timedelta(microseconds=123456)),
    "with one decimal": (f"{(NOW + DAY):%Y-%m-%dT%H:%M:%S}.5+00:00", NOW + DAY + timedelta(milliseconds=500)),
    "with as many decimals as fit": (f"{(NOW + DAY):%Y-%m-%dT%H:%M:%S}.{'0' * 18}1Z", NOW + DAY),
    "in small letters": (f"{(NOW + DAY):%Y-%m-%dt%H:%M:%S}z", NOW + DAY),
    "an unknown local offset": (f"{(NOW + DAY):%Y-%m-%dT%H:%M:%S}-00:00", NOW + DAY),
    "a leap second": ("2026-02-01T00:29:60+00:30", datetime(2026, 2, 1, tzinfo=UTC)),
    "a leap second and a half": ("2026-01-31T23:59:60.5Z", datetime(2026, 2, 1, 0, 0, 0, 500_000, UTC)),
    "90 days, as a date": (f"{(NOW + 90 * DAY):%Y-%m-%d}", datetime.combine((NOW + 90 * DAY).date(), time.max, UTC)),
    "a date": (f"{(NOW + DAY):%Y-%m-%d}", datetime.combine((NOW + DAY).date(), time.max, UTC)),
    "today": (f"{NOW:%Y-%m-%d}", datetime.combine(NOW.date(), time.max, UTC)),
    "a second": (iso(NOW + timedelta(seconds=1)), NOW + timedelta(seconds=1)),
    "90 days": (iso(NOW + 90 * DAY), NOW + 90 * DAY),
    "null": (None, None),
}


@pytest.mark.parametrize(("sent", "stored"), ENDS.values(), ids=ENDS.keys())
def test_the_end_of_an_order(trader, sent, stored):
    with clock.at(NOW):
        order = trader.place("limit_buy", "BTC", "1", price="90", expires_at=sent)
    assert stored is None or order["expires_at"] == clock.to_text(stored)


NO_ENDS = {
    "now": iso(NOW),
    "the past": iso(NOW - timedelta(seconds=1)),
    "the past, by its offset": iso((NOW - timedelta(minutes=1)).astimezone(INDIA)),
    "yesterday": f"{(NOW - DAY):%Y-%m-%d}",
    "no offset": f"{(NOW + DAY):%Y-%m-%dT%H:%M:%S}",
    "a named zone": f"{(NOW + DAY):%Y-%m-%dT%H:%M:%S} Europe/Berlin",
    "more than 90 days": iso(NOW + 90 * DAY + timedelta(seconds=1)),
    "91 days, as a date": f"{(NOW + 91 * DAY):%Y-%m-%d}",
    "61 seconds": f"{(NOW + DAY):%Y-%m-%d}T10:00:61Z",
    "a comma for the point": f"{(NOW + DAY):%Y-%m-%d}T10:00:00,5Z",
    "no decimals after the point": f"{(NOW + DAY):%Y-%m-%d}T10:00:00.Z",
    "only hours": f"{(NOW + DAY):%Y-%m-%d}T10Z",
    "seconds of an offset": f"{(NOW + DAY):%Y-%m-%d}T10:00:00+00:00:30",
    "the end of time": "9999-12-31T23:59:59-14:00",
    "no such day": "2026-02-30",
    "no such hour": f"{(NOW + DAY):%Y-%m-%d}T25:00:00Z",
    "an impossible offset": f"{(NOW + DAY):%Y-%m-%d}T10:00:00+99:00",
    "a basic date": f"{(NOW + DAY):%Y%m%d}",
    "a week": "2026-W05-4",
    "seconds since 1970": 2_000_000_000,
    "other digits": "２０２６-02-01",
    "words": "tomorrow",
    "nothing": "",
    "a list": ["2026-02-01"],
    "true": True,
}


@pytest.mark.parametrize("sent", [f"{(NOW - DAY):%Y-%m-%d}", f"{(NOW + 91 * DAY):%Y-%m-%d}", iso(NOW)])
def test_the_sentence_says_which_day_it_is_where_days_end(trader, sent):
    """West of Greenwich an evening's date is over in UTC already."""
    with clock.at(NOW):
        [error] = trader.order("limit_buy", "BTC", "1", price="90", expires_at=sent).json["errors"]
    assert error["message"] == (
        "Choose a time in the future, at most 90 days ahead. "
        "Days end at midnight UTC, where it is now 2026-01-15 12:34."
    )


@pytest.mark.parametrize("sent", NO_ENDS.values(), ids=NO_ENDS.keys())
def test_what_is_no_end_of_an_order(trader, sent):
    with clock.at(NOW):
        response = trader.order("limit_buy", "BTC", "1", price="90", expires_at=sent)
    assert fields_named(problem(response, 422, "invalid_input")) == ["expires_at"]
    assert cash(trader) == ("1000.00", "0.00")


@pytest.mark.parametrize("what_happened", ["nothing", "filled", "cancelled", "expired"])
def test_a_replay_answers_with_the_order_as_it_was_placed(trader, fill, expire, what_happened):
    first = trader.order("limit_buy", "BTC", "1", price="90", key="once")
    placed = first.json["data"]
    if what_happened != "nothing":
        {
            "filled": lambda: fill(placed, "85"),
            "cancelled": lambda: cancel(trader, placed),
            "expired": lambda: expire(placed),
        }[what_happened]()
    before = cash(trader)
    again = trader.order("limit_buy", "BTC", "1.0", price="90.00", key="once")
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (201, first.json, "true")
    assert "Idempotent-Replayed" not in first.headers
    assert cash(trader) == before and len(trader.get("/orders").json["data"]) == 2


def test_a_replay_after_the_end_of_the_order(trader):
    """As a new order it would be refused by then."""
    ends = clock.now() + timedelta(minutes=10)
    order = ("limit_buy", "BTC", "1")
    first = trader.order(*order, price="90", expires_at=iso(ends), key="once")
    with clock.at(ends + timedelta(seconds=1)):
        again = trader.order(*order, price="90", expires_at=iso(ends), key="once")
        refused = trader.order(*order, price="90", expires_at=iso(ends), key="another")
    assert (again.status_code, again.json) == (201, first.json)
    assert fields_named(problem(refused, 422, "invalid_input")) == ["expires_at"]


def test_a_replay_of_an_order_that_was_executed_at_once(trader, market):
    """Also where the price, or what is left, would now refuse or reserve it."""
    first = trader.order("limit_buy", "BTC", "9", price="100", key="once")
    market.set("BTC", "150")
    again = trader.order("limit_buy", "BTC", "9", price="100", key="once")
    assert (again.status_code, again.json) == (201, first.json) and first.json["data"]["status"] == "completed"


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "91"},
        {"quantity": "2"},
        {"asset_id": "ETH", "price": "40"},
        {"order_type": "limit_sell"},
        {"order_type": "market_buy", "price": "100"},
        {"expires_at": iso(NOW + DAY)},
    ],
    ids=lambda changes: " and ".join(changes),
)
def test_a_key_belongs_to_one_request(trader, changes):
    body = {"order_type": "limit_buy", "asset_id": "BTC", "quantity": "1", "price": "90"}
    with clock.at(NOW):
        assert trader.post("/orders", body, key="once").status_code == 201
        problem(trader.post("/orders", {**body, **changes}, key="once"), 422, "idempotency_key_reused")
    assert cash(trader) == ("910.00", "90.00")


def test_the_same_end_in_another_zone_is_the_same_request(trader):
    ends = NOW + DAY
    with clock.at(NOW):
        first, again = (
            trader.order("limit_buy", "BTC", "1", price="90", expires_at=iso(ends.astimezone(zone)), key="once")
            for zone in (UTC, INDIA)
        )
    assert again.json == first.json and again.headers["Idempotent-Replayed"] == "true"


def test_a_replayed_cancel_answers_with_the_first_result(trader):
    order = trader.place("limit_buy", "BTC", "1", price="90")
    other = trader.place("limit_buy", "BTC", "1", price="80")
    first = cancel(trader, order, key="stop")
    again = cancel(trader, order, key="stop")
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (200, first.json, "true")
    problem(cancel(trader, other, key="stop"), 422, "idempotency_key_reused")
    problem(cancel(trader, order, key="another"), 409, "order_not_pending")
    problem(trader.deposit("1", key="stop"), 422, "idempotency_key_reused")
    assert cash(trader) == ("920.00", "80.00")


@pytest.fixture
def all_kinds(trader, fill, expire) -> Person:
    """An order in each state, and each type among the pending ones."""
    fill(trader.place("limit_buy", "BTC", "1", price="90"), "90")
    cancel(trader, trader.place("limit_buy", "BTC", "1", price="90"))
    expire(trader.place("limit_sell", "ETH", "1", price="90"))
    trader.place("limit_sell", "ETH", "1", price="90")
    trader.place("limit_buy", "BTC", "1", price="90")
    return trader


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (
            "",
            [
                "limit_buy pending",
                "limit_sell pending",
                "limit_sell expired",
                "limit_buy cancelled",
                "limit_buy completed",
                "market_buy completed",
            ],
        ),
        ("status=pending", ["limit_buy pending", "limit_sell pending"]),
        ("status=PENDING&asset_id=eth", ["limit_sell pending"]),
        ("status=completed", ["limit_buy completed", "market_buy completed"]),
        ("status=cancelled", ["limit_buy cancelled"]),
        ("status=expired", ["limit_sell expired"]),
        ("order_type=limit_sell", ["limit_sell pending", "limit_sell expired"]),
        ("order_type=market_buy", ["market_buy completed"]),
        ("order_type=market_sell", []),
        ("order_type=limit_buy&status=pending&asset_id=BTC", ["limit_buy pending"]),
        ("order_type=limit_buy&status=pending&asset_id=ETH", []),
    ],
)
def test_orders_filtered(all_kinds, query, found):
    listed = all_kinds.get(f"/orders?{query}").json["data"]
    assert [f"{order['order_type']} {order['status']}" for order in listed] == found


def test_a_filtered_list_pages_through_everything(all_kinds):
    seen, cursor = [], ""
    while cursor is not None:
        body = all_kinds.get(f"/orders?status=pending&limit=1{cursor and '&cursor=' + cursor}").json
        seen += [order["order_type"] for order in body["data"]]
        cursor = body["next_cursor"]
    assert seen == ["limit_buy", "limit_sell"]


# Read: user, token, and for a cancel the order, or else balance and holding, half a unit each, in the first call. A
# cancel then reads the balance and the holding, a unit each. Write: an order is 7
# (2, and 5 indexes), a balance 2, a transaction 2, a holding 3 (AssetIndex), a trade 4 (2 indexes), a claim 2.
COSTS = {
    "place a buy": (lambda trader, placed: trader.order("limit_buy", "BTC", "1", price="90"), None, (2, 2, 11)),
    "place a sell": (lambda trader, placed: trader.order("limit_sell", "ETH", "1", price="90"), None, (2, 2, 10)),
    "place with a key": (
        lambda trader, placed: trader.order("limit_buy", "BTC", "1", price="90", key="k"),
        None,
        (2, 2, 13),
    ),
    "cancel a buy": (lambda trader, placed: cancel(trader, placed), "limit_buy", (3, 3.5, 11)),
    "cancel a sell": (lambda trader, placed: cancel(trader, placed), "limit_sell", (3, 3.5, 10)),
}


@pytest.mark.parametrize(("do", "placed", "expected"), COSTS.values(), ids=COSTS.keys())
def test_what_requests_cost(trader, do, placed, expected):
    order = placed and trader.place(placed, "BTC" if placed == "limit_buy" else "ETH", "1", price="90")
    response = do(trader, order)
    assert response.status_code in {200, 201}
    assert usage_of(response) == usage(*expected)


FILL_COSTS = {
    "buy at the limit": ("limit_buy", "BTC", "90", (2, 2, 16)),
    "buy below the limit": ("limit_buy", "BTC", "80", (2, 2, 18)),
    "sell": ("limit_sell", "ETH", "90", (2, 2, 18)),
    "expire a buy": ("limit_buy", "BTC", None, (2, 2, 11)),
    "expire a sell": ("limit_sell", "ETH", None, (2, 2, 10)),
}


@pytest.mark.parametrize(("order_type", "asset_id", "price", "expected"), FILL_COSTS.values(), ids=FILL_COSTS.keys())
def test_what_the_worker_pays_for_an_order(trader, market_app, order_type, asset_id, price, expected):
    placed = trader.place(order_type, asset_id, "1", price="90")
    with market_app.app_context():
        order = Order.get(*Order.key(placed["order_id"]))
        with metered() as meter:
            order_changes.fill_order(order, Decimal(price)) if price else order_changes.expire_order(order)
        assert usage(meter.calls, meter.read_units, meter.write_units) == usage(*expected)
