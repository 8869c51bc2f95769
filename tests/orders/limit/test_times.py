"""When a limit order ends, however that is written, and the order of times within an account."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone

import pytest

from app.domain import clock
from tests.orders.limit.account import DAY, INDIA, NOW, cash, iso
from tests.support.books import check_books, query
from tests.support.people import fields_named, problem


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
