"""Changing an open order: what it reserves, what it keeps, what is refused, and what is remembered."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain import clock
from app.domain.orders import MAX_LIFETIME, Direction
from app.factory import create_app
from app.models.orders import Order, expiry_days, open_books, shard_of
from app.models.upgrade import write_alone
from app.services.worker import Worker
from tests.orders.limit.account import DAY, cancel, cash, described, holding, iso, transactions
from tests.support.applications import config
from tests.support.books import check_books
from tests.support.people import Person, caller, fields_named, problem
from tests.support.usage import usage, usage_of


def change(person: Person, placed: dict[str, Any], *, key: str | None = None, **values: Any) -> Any:
    return person.call("PATCH", f"/orders/{placed['order_id']}", json=values, key=key)


def changed(person: Person, placed: dict[str, Any], **values: Any) -> dict[str, Any]:
    answer = change(person, placed, **values)
    assert answer.status_code == 200, answer.text
    return answer.json["data"]


# Of an order to buy 2 BTC at 90.00 with 1000.00: what changes, the reserve after it, and the transaction.
PURCHASES: dict[str, tuple[dict[str, str], str, tuple[str, str] | None]] = {
    "a lower limit": ({"price": "80"}, "160.00", ("order_refund", "20.00")),
    "a higher limit": ({"price": "95.5"}, "191.00", ("order_payment", "11.00")),
    "a smaller quantity": ({"quantity": "0.5"}, "45.00", ("order_refund", "135.00")),
    "a larger quantity": ({"quantity": "11"}, "990.00", ("order_payment", "810.00")),
    "all that there is": ({"quantity": "11.11111111"}, "1000.00", ("order_payment", "820.00")),
    "both, at the same cost": ({"price": "45", "quantity": "4"}, "180.00", None),
    "both": ({"price": "50", "quantity": "4.00000001"}, "200.01", ("order_payment", "20.01")),
    "by less than a cent": ({"quantity": "1.99999999"}, "180.00", None),
    "the end": ({"expires_at": "2099-01-01"}, "180.00", None),
}


@pytest.mark.parametrize(("values", "reserve", "moved"), PURCHASES.values(), ids=PURCHASES)
def test_a_purchase_pays_or_gets_back_the_difference(trader, values, reserve, moved):
    placed = trader.place("limit_buy", "BTC", "2", price="90", client_order_id="mine")
    if "expires_at" in values:
        values = {"expires_at": iso(clock.now() + 3 * DAY)}
    order = changed(trader, placed, **values)
    assert cash(trader) == (str(Decimal("1000.00") - Decimal(reserve)), reserve)
    assert transactions(trader)[1:] == ([(*moved, placed["order_id"])] if moved else [])
    words = {"order_refund": "Returned: order changed", "order_payment": "Reserved: order changed"}
    assert described(trader)[1:] == ([words[moved[0]]] if moved else [])
    same = ("order_id", "client_order_id", "order_type", "asset_id", "status", "created_at", "time_in_force")
    assert [order[name] for name in same] == [placed[name] for name in same]
    assert (order["reserved_amount"], order["total_amount"]) == (reserve, reserve)
    assert order["price"] == order["limit_price"] == values.get("price", "90")
    assert (order["quantity"], order["revision"]) == (values.get("quantity", "2"), 2)
    assert order["updated_at"] > placed["updated_at"]
    assert trader.get(f"/orders/{placed['order_id']}").json["data"] == order
    assert cancel(trader, placed).status_code == 200
    assert cash(trader) == ("1000.00", "0.00")


SALES = {
    "a higher limit": ({"price": "80"}, "1"),
    "a smaller quantity": ({"quantity": "0.25"}, "0.25"),
    "all that there is": ({"quantity": "2", "price": "70.01"}, "2"),
}


@pytest.mark.parametrize(("values", "reserve"), SALES.values(), ids=SALES)
def test_a_sale_sets_aside_the_difference(trader, values, reserve):
    placed = trader.place("limit_sell", "ETH", "1", price="60")
    order = changed(trader, placed, **values)
    assert (order["reserved_quantity"], order["reserved_amount"]) == (reserve, None)
    assert holding(trader, "ETH") == str(Decimal(2) - Decimal(reserve))
    assert len(transactions(trader)) == 0
    cancel(trader, placed)
    assert holding(trader, "ETH") == "2"


def test_a_smaller_reserve_needs_no_cash(trader):
    placed = trader.place("limit_buy", "BTC", "10", price="95")
    trader.withdraw("50")
    assert cash(trader) == ("0.00", "950.00")
    changed(trader, placed, price="94.99")
    assert cash(trader) == ("0.10", "949.90")


def test_what_changed_is_remembered(trader):
    placed = trader.place("limit_buy", "BTC", "2", price="90")
    for values in ({"price": "80"}, {"quantity": "3"}, {"price": "85", "quantity": "1"}):
        order = changed(trader, placed, **values)
    answer = trader.get(f"/orders/{placed['order_id']}/changes?limit=2").json
    rows = (
        answer["data"] + trader.get(f"/orders/{placed['order_id']}/changes?cursor={answer['next_cursor']}").json["data"]
    )
    assert [(row["revision"], row["price_before"], row["price_after"]) for row in rows] == [
        (3, "80", "85"),
        (2, "80", "80"),
        (1, "90", "80"),
    ]
    assert [(row["quantity_before"], row["quantity_after"]) for row in rows] == [("3", "1"), ("2", "3"), ("2", "2")]
    assert rows[0]["created_at"] == order["updated_at"]
    assert (
        {row["expires_at_before"] for row in rows} == {row["expires_at_after"] for row in rows} == {order["expires_at"]}
    )


def test_the_indexes_follow(trader, market_app):
    placed = trader.place("limit_buy", "BTC", "2", price="90")
    end = clock.now() + 3 * DAY
    changed(trader, placed, price="80", expires_at=iso(end))
    with market_app.app_context():
        order = Order.get(*Order.key(placed["order_id"]))
        assert order.open_book == shard_of(open_books("BTC", Direction.DOWN), order.order_id)
        assert order.expiry_day == shard_of(expiry_days(end.date()), order.order_id)


# What is refused, of an order to buy 2 BTC at 90.00 with 1000.00, and the field that is named.
REFUSED = {
    "nothing": ({}, "invalid_input", ["price"]),
    "nulls": ({"price": None, "quantity": None}, "invalid_input", ["price"]),
    "another field": ({"price": "80", "limit_price": "70"}, "invalid_input", ["limit_price"]),
    "another side": ({"order_type": "limit_sell"}, "invalid_input", ["order_type"]),
    "a past end": ({"expires_at": "2020-01-01"}, "invalid_input", ["expires_at"]),
    "an end too far away": ({"expires_at": "2999-01-01"}, "invalid_input", ["expires_at"]),
    "no quantity": ({"quantity": "0"}, "invalid_input", ["quantity"]),
    "a word": ({"price": "much"}, "invalid_input", ["price"]),
    "less than a cent": ({"price": "0.001"}, "order_too_small", None),
    "more than a million": ({"price": "999999999"}, "order_too_large", None),
    "more than there is": ({"quantity": "11.2"}, "insufficient_funds", None),
}


@pytest.mark.parametrize(("values", "code", "fields"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(trader, store, values, code, fields):
    placed = trader.place("limit_buy", "BTC", "2", price="90")
    if code == "order_too_small":
        values = {**values, "quantity": "1"}
    before = check_books(store, trader.username, **trader.tables)
    body = problem(change(trader, placed, key="k", **values), 422, code)
    assert fields is None or fields_named(body) == fields
    assert check_books(store, trader.username, **trader.tables) == before


def test_a_sale_cannot_offer_more_than_there_is(trader):
    placed = trader.place("limit_sell", "ETH", "1", price="60")
    body = problem(change(trader, placed, quantity="2.00000001"), 422, "insufficient_holding")
    assert (body["available"], body["required"]) == ("1", "1.00000001"), "only the difference"


def test_an_order_waits_at_most_90_days_however_often_it_is_changed(trader):
    placed = trader.place("limit_buy", "BTC", "2", price="90")
    begun = datetime.fromisoformat(placed["created_at"])
    with clock.at(begun + 20 * DAY):
        trader.log_in()
        changed(trader, placed, expires_at=(begun + MAX_LIFETIME).date().isoformat())
        body = problem(change(trader, placed, expires_at=iso(begun + MAX_LIFETIME + DAY)), 422, "invalid_input")
    assert fields_named(body) == ["expires_at"] and "from when it was placed" in str(body["errors"])


def test_an_order_of_a_day_keeps_its_end(trader):
    with clock.at(clock.now()):
        placed = trader.place("limit_buy", "BTC", "2", price="90", time_in_force="day")
        body = problem(change(trader, placed, expires_at=iso(clock.now() + DAY)), 422, "invalid_input")
        assert fields_named(body) == ["expires_at"]
        assert changed(trader, placed, price="80")["expires_at"] == placed["expires_at"]


def test_only_an_open_order_of_ones_own_changes(trader, new_user, market_app, fill):
    other = new_user(market_app)
    placed = trader.place("limit_buy", "BTC", "2", price="90")
    problem(change(other, placed, price="80"), 404, "order_not_found")
    problem(other.get(f"/orders/{placed['order_id']}/changes"), 404, "order_not_found")
    with clock.at(datetime.fromisoformat(placed["expires_at"])):
        trader.log_in()
        late = problem(change(trader, placed, expires_at=iso(clock.now() + DAY)), 409, "order_not_pending")
        trader.log_in()
    assert late["order_status"] == "expired", "though no worker has seen that yet"
    trader.log_in()
    fill(placed, "85")
    assert problem(change(trader, placed, price="80"), 409, "order_not_pending")["order_status"] == "completed"


def test_what_changes_nothing_writes_nothing(trader, store):
    placed = trader.place("limit_buy", "BTC", "2", price="90")
    before = check_books(store, trader.username, **trader.tables)
    answer = change(trader, placed, price="90.00", quantity="2")
    assert answer.status_code == 200 and answer.json["data"] == placed
    assert check_books(store, trader.username, **trader.tables) == before


def test_a_repeated_change_answers_as_at_first(trader, fill):
    placed = trader.place("limit_buy", "BTC", "2", price="90", key="placed", client_order_id="mine")
    first = change(trader, placed, key="first", price="80")
    nothing = change(trader, placed, key="nothing", price="80")
    change(trader, placed, key="second", price="85", quantity="1")
    fill(placed, "84")
    assert nothing.json == first.json
    for answer in (change(trader, placed, key="first", price="80"), change(trader, placed, key="nothing", price="80")):
        assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (200, "true")
        assert answer.json == first.json, "of its revision, though it was changed and filled since"
    placing = {"price": "90", "client_order_id": "mine"}
    for key in ("placed", None):
        again = trader.order("limit_buy", "BTC", "2", **placing, key=key)
        assert again.json["data"] == placed, "as it was placed"
    problem(change(trader, placed, key="first", price="81"), 422, "idempotency_key_reused")
    assert cash(trader) == ("916.00", "0.00")


def test_a_stale_repetition_changes_nothing(trader):
    """It found the order as wanted at first. That must not be made true again, after a later change."""
    placed = trader.place("limit_buy", "BTC", "2", price="90")
    change(trader, placed, key="late", price="90")
    changed(trader, placed, price="80")
    again = change(trader, placed, key="late", price="90")
    assert again.headers["Idempotent-Replayed"] == "true" and again.json["data"] == placed
    assert trader.get(f"/orders/{placed['order_id']}").json["data"]["price"] == "80"


def test_a_limit_that_is_reached_is_for_the_worker(trader, market, market_app):
    placed = trader.place("limit_buy", "BTC", "2", price="90")
    assert changed(trader, placed, price="110")["status"] == "pending"
    with market_app.app_context():
        Worker(market).run_round()
    filled = trader.get(f"/orders/{placed['order_id']}").json["data"]
    assert (filled["status"], filled["executed_price"], filled["total_amount"]) == ("completed", "100", "200.00")
    assert described(trader)[1:] == ["Reserved: order changed", "Returned: bought below the limit"]
    assert cash(trader) == ("800.00", "0.00")


def test_a_past_moment_knows_what_was_reserved_then(trader):
    placed = trader.place("limit_sell", "ETH", "1", price="60")
    moments = []
    for quantity in ("0.5", "1.5"):
        moments.append(clock.to_text(clock.now()))
        changed(trader, placed, quantity=quantity)
    shown = [trader.get(f"/portfolio?as_of={moment}").json["assets"] for moment in moments]
    assert [(eth["quantity"], eth["reserved_quantity"]) for [eth] in shown] == [("1", "1"), ("1.5", "0.5")]


@pytest.fixture
def beside_older_copies(market_app, endpoint, store):
    """The same application, started anew on a store on which copies of an older version run."""
    tables = market_app.extensions["database"].table_names
    key = {"PK": {"S": "STORE#FORMAT"}, "SK": {"S": "FORMAT"}}
    at = {"TableName": tables["users"], "Key": key}
    store.update_item(**at, UpdateExpression="REMOVE oldest_running")
    app = create_app(config(endpoint, users_table=tables["users"], orders_table=tables["orders"]))
    app.extensions["prices"] = market_app.extensions["prices"]
    yield app
    with app.app_context():
        write_alone()


def test_nothing_is_changed_while_an_older_version_may_run(trader, beside_older_copies):
    """It would end the order with the reserve that it had at first."""
    placed = trader.place("limit_buy", "BTC", "2", price="90")
    trader.client = caller(beside_older_copies)
    answer = change(trader, placed, price="80")
    problem(answer, 503, "upgrade_unfinished")
    assert answer.headers["Retry-After"] and cash(trader) == ("820.00", "180.00")
    with beside_older_copies.app_context():
        write_alone()
    assert changed(trader, placed, price="80")["price"] == "80"


COSTS = {
    "a buy, new price": ("limit_buy", "BTC", "90", {"price": "80"}, usage(2, 2, 15)),
    "a buy, new end": ("limit_buy", "BTC", "90", {"expires_at": None}, usage(2, 2, 14)),
    "a buy, new price and end": ("limit_buy", "BTC", "90", {"price": "80", "expires_at": None}, usage(2, 2, 17)),
    "a buy, new price, with a key": ("limit_buy", "BTC", "90", {"price": "80", "key": "k"}, usage(2, 2, 17)),
    "a buy, new quantity": ("limit_buy", "BTC", "90", {"quantity": "2"}, usage(2, 2, 14)),
    "a sale, new price": ("limit_sell", "ETH", "60", {"price": "70"}, usage(2, 2, 13)),
    "a sale, new quantity": ("limit_sell", "ETH", "60", {"quantity": "2"}, usage(3, 3, 14)),
    "nothing": ("limit_sell", "ETH", "60", {"price": "60"}, usage(2, 4, 0)),
    "nothing, with a key": ("limit_sell", "ETH", "60", {"price": "60", "key": "k"}, usage(3, 4, 2)),
}


@pytest.mark.parametrize(("order_type", "asset_id", "price", "values", "budget"), COSTS.values(), ids=COSTS)
def test_what_a_change_costs(trader, order_type, asset_id, price, values, budget):
    placed = trader.place(order_type, asset_id, "1", price=price)
    changed(trader, placed, price="61"), changed(trader, placed, price=price)
    if "expires_at" in values:
        values = {**values, "expires_at": iso(clock.now() + timedelta(days=5))}
    assert usage_of(change(trader, placed, **values)) == budget
