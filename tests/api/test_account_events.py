"""The feed of account events: each change once, in order, with none left out, and told when some are gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.account_events import KEPT_FOR, event_number
from app.domain.errors import EventsExpired
from app.domain.orders import Side
from app.models import order_changes
from app.models.account_events import AccountEvent, follow_events
from app.models.ledger import Balance, get_balance
from app.models.orders import get_order
from app.models.reading import Found
from tests.support.accounts import open_trader, place_limit
from tests.support.people import NOON, Person, fields_named, problem
from tests.support.usage import metered, usage, usage_of

DAY = timedelta(days=1)


def events_of(person: Person, query: str = "") -> list[dict[str, Any]]:
    answer = person.get(f"/events{query}")
    assert answer.status_code == 200, answer.text
    return answer.json["data"]


@pytest.fixture
def trader(new_user: Callable[..., Person], market: Any, market_app: Flask) -> Person:
    """Someone who owns 1000.00 and 2 ETH, where BTC costs 100 and ETH 50."""
    person = new_user(market_app)
    market.set("BTC", "100")
    market.set("ETH", "50")
    person.deposit("1100")
    person.buy("ETH", "2")
    return person


def cancel(person: Person, placed: dict[str, Any]) -> None:
    assert person.post(f"/orders/{placed['order_id']}/cancel").status_code == 200


def fill_at(price: str) -> Callable[[Person, dict[str, Any]], None]:
    def fill(person: Person, placed: dict[str, Any]) -> None:
        with person.client.application.app_context():
            order_changes.fill_order(get_order(person.username, placed["order_id"]), Decimal(price))

    return fill


def expire(person: Person, placed: dict[str, Any]) -> None:
    with person.client.application.app_context():
        order_changes.expire_order(get_order(person.username, placed["order_id"]))


BUY, SELL = ("limit_buy", "BTC", "90"), ("limit_sell", "ETH", "90")
# What is placed, how it ends, and what is told.
ENDS = {
    "filled buy": (BUY, fill_at("90"), "order_filled"),
    "filled buy with a refund": (BUY, fill_at("80"), "order_filled"),
    "filled sell": (SELL, fill_at("95"), "order_filled"),
    "cancelled buy": (BUY, cancel, "order_cancelled"),
    "cancelled sell": (SELL, cancel, "order_cancelled"),
    "expired buy": (BUY, expire, "order_expired"),
    "expired sell": (SELL, expire, "order_expired"),
}


def test_each_end_of_an_order_that_waited_is_told_once_and_in_order(trader: Person) -> None:
    expected = []
    for (order_type, asset_id, price), end, event_type in ENDS.values():
        placed = trader.place(order_type, asset_id, "1", price=price)
        end(trader, placed)
        ended = trader.get(f"/orders/{placed['order_id']}").json["data"]
        about = {"order_id": placed["order_id"], "transaction_id": None, "created_at": ended["updated_at"]}
        expected.append({"event_number": event_number(len(expected) + 1), "event_type": event_type, **about})
    assert events_of(trader) == expected
    assert events_of(trader, "?after=000000000005") == events_of(trader, "?after=5") == expected[5:]


def test_what_an_administrator_does_is_told(trader: Person, new_user: Callable[..., Person], market_app: Flask) -> None:
    admin = new_user(market_app, role="ADMIN")
    made = admin.post(f"/admin/users/{trader.username}/adjustments", {"amount": "-1", "reason": "x"})
    for status in ("suspended", "active"):
        assert admin.call("PATCH", f"/admin/users/{trader.username}", json={"status": status}).status_code == 200
    trader.log_in()
    adjusted, suspended, reinstated = events_of(trader)
    assert [each["event_type"] for each in (adjusted, suspended, reinstated)] == ["adjusted", "suspended", "reinstated"]
    assert adjusted["transaction_id"] == made.json["data"]["transaction_id"]
    assert adjusted["created_at"] == made.json["data"]["created_at"]
    for event in (suspended, reinstated):
        assert (event["order_id"], event["transaction_id"]) == (None, None)


def test_what_a_script_does_at_once_and_what_is_refused_is_not_told(trader: Person) -> None:
    trader.deposit("5")
    trader.withdraw("5")
    trader.buy("BTC", "1")
    trader.place("limit_sell", "ETH", "1", price="40")
    placed = trader.place("limit_sell", "ETH", "1", price="90")
    assert events_of(trader) == []
    first = trader.post(f"/orders/{placed['order_id']}/cancel", key="once")
    again = trader.post(f"/orders/{placed['order_id']}/cancel", key="once")
    problem(trader.post(f"/orders/{placed['order_id']}/cancel"), 409, "order_not_pending")
    assert again.json == first.json and [each["event_number"] for each in events_of(trader)] == ["000000000001"]


def test_a_reader_walks_to_the_end_and_is_then_told_to_wait(trader: Person) -> None:
    assert trader.get("/events").json == {"data": [], "next_after": "000000000000"}
    for _ in range(3):
        cancel(trader, trader.place("limit_sell", "ETH", "1", price="90"))
    steps, after = [], ""
    for _ in range(3):
        answer = trader.get(f"/events?limit=2{after}")
        numbers = [int(event["event_number"]) for event in answer.json["data"]]
        steps.append((numbers, answer.json["next_after"], answer.headers.get("Retry-After")))
        after = f"&after={answer.json['next_after']}"
    assert steps == [([1, 2], "000000000002", None), ([3], "000000000003", "5"), ([], "000000000003", "5")]


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=0000000000001", "limit=0", "limit=101", "after="])
def test_what_is_no_number(person: Person, query: str) -> None:
    name = query.partition("=")[0]
    assert fields_named(problem(person.get(f"/events?{query}"), 422, "invalid_input")) == [name]


def test_a_reader_of_an_account_that_was_restored_does_not_miss_its_new_events(trader: Person) -> None:
    cancel(trader, trader.place("limit_sell", "ETH", "1", price="90"))
    refused = problem(trader.get("/events?after=2"), 409, "events_ahead")
    assert refused["newest_event_number"] == "000000000001"
    assert events_of(trader, f"?after={refused['newest_event_number']}") == []


def test_what_following_costs(trader: Person) -> None:
    """Where nothing is new, half a unit and no call beside those that authenticate. Else one call and what is read."""
    for query in ("", "?after=0"):
        assert usage_of(trader.get(f"/events{query}")) == usage(1, 1.5, 0)
    cancel(trader, trader.place("limit_sell", "ETH", "1", price="90"))
    for query in ("", "?after=0"):
        assert usage_of(trader.get(f"/events{query}")) == usage(2, 2.5, 0)
    assert usage_of(trader.get("/events?after=1")) == usage(1, 1.5, 0)
    assert usage_of(trader.get("/events?after=2")) == usage(2, 2.5, 0), "a refusal looks again"


def test_a_personal_token_needs_the_scope_read_alone(trader: Person) -> None:
    made = trader.post("/auth/tokens", {"name": "reader"})
    assert trader.get("/events", headers={"Authorization": f"Bearer {made.json['access_token']}"}).status_code == 200


def three_events(*, apart: timedelta) -> tuple[str, datetime]:
    """An account with three events, each some time after the one before, and the time of the first."""
    username = open_trader(BTC="3")
    for number in range(3):
        with clock.at(NOON + number * apart):
            order = place_limit(username, Side.SELL, "1", "200")
            order_changes.cancel_order(username, order.order_id)
    with clock.at(NOON):
        return username, follow_events(username, 0, limit=1).events[0].created_at


# How long after the first of three events, which came a day apart; after which; what is read, or the oldest then.
KEPT = {
    "all, to their last second": (KEPT_FOR - timedelta(seconds=1), 0, [1, 2, 3]),
    "the first is gone": (KEPT_FOR, 0, EventsExpired("000000000002")),
    "the first was read": (KEPT_FOR, 1, [2, 3]),
    "without a number": (KEPT_FOR, None, [2, 3]),
    "two are gone, and one was read": (KEPT_FOR + DAY, 1, EventsExpired("000000000003")),
    "all are gone": (KEPT_FOR + 3 * DAY, 1, EventsExpired("000000000004")),
    "all are gone, and were read": (KEPT_FOR + 3 * DAY, 3, []),
    "all are gone, without a number": (KEPT_FOR + 3 * DAY, None, []),
}


@pytest.mark.parametrize(("later", "after", "expected"), KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("deletes", [False, True], ids=["late", "deleted"])
def test_what_is_gone_is_told_and_never_skipped(
    in_app: None, later: timedelta, after: int | None, expected: Any, deletes: bool
) -> None:
    """Whether the database has deleted what is past its time makes no difference."""
    username, first = three_events(apart=DAY)
    with clock.at(first + later):
        if deletes:
            for number in range(1, 4):
                event = AccountEvent.get(*AccountEvent.key(username, event_number(number)))
                if event.ttl <= clock.now():
                    event.delete()
        if isinstance(expected, EventsExpired):
            with pytest.raises(EventsExpired) as refusal:
                follow_events(username, after, limit=100)
            assert refusal.value.details == expected.details
        else:
            feed = follow_events(username, after, limit=100)
            assert [event.number for event in feed.events] == expected
            assert (feed.last, feed.is_all) == (3, True)


def test_where_one_is_gone_in_between_it_is_not_passed_over(in_app: None) -> None:
    username, first = three_events(apart=DAY)
    AccountEvent.get(*AccountEvent.key(username, event_number(2))).delete()
    with clock.at(first):
        feed = follow_events(username, 0, limit=100)
        assert ([event.number for event in feed.events], feed.last) == ([1], 1)
        with pytest.raises(EventsExpired) as refusal:
            follow_events(username, feed.last, limit=100)
    assert refusal.value.details == {"oldest_event_number": "000000000003"}


def test_numbers_go_on_when_all_are_gone(in_app: None) -> None:
    username, first = three_events(apart=DAY)
    for number in range(1, 4):
        AccountEvent.get(*AccountEvent.key(username, event_number(number))).delete()
    with clock.at(first + KEPT_FOR + 3 * DAY):
        order_changes.cancel_order(username, place_limit(username, Side.SELL, "1", "200").order_id)
        assert [event.number for event in follow_events(username, 3, limit=100).events] == [4]


def test_what_is_past_its_time_and_not_deleted_yet_costs_one_call(in_app: None) -> None:
    username, first = three_events(apart=timedelta(seconds=2))
    with clock.at(first + KEPT_FOR + timedelta(seconds=3)), metered() as used:
        assert [event.number for event in follow_events(username, None, limit=1).events] == [3]
    assert used.operations == ["GetItem", "Query", "Query"]


def test_a_balance_that_was_read_cheaply_makes_an_event_late_and_loses_none(in_app: None) -> None:
    """A read may be as old as it likes: it shows less, and the next one goes on where it ended."""
    username = open_trader(BTC="3")
    old = [Found({(Balance, Balance.key(username)): get_balance(username)})]
    with clock.at(NOON):
        for _ in range(3):
            order_changes.cancel_order(username, place_limit(username, Side.SELL, "1", "200").order_id)
            old.append(Found({(Balance, Balance.key(username)): get_balance(username)}))
        read, after = [], None
        for found in (old[0], old[1], old[0], old[2], old[1], old[3], old[0]):
            feed = follow_events(username, after, limit=1, found=found)
            read += [event.number for event in feed.events]
            after = feed.last
    assert read == [1, 2, 3]
