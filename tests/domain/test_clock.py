"""Time: what stands still, where a day begins and ends, and how a moment is written."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from app.domain import clock

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 1, UTC)


def test_now_is_aware_and_stands_still_only_where_it_is_told_to():
    before = datetime.now(UTC)
    with clock.at(MOMENT):
        assert clock.now() == MOMENT
    assert clock.now() >= before and clock.now().utcoffset() == timedelta(0)


def test_the_first_and_the_last_moment_of_a_day():
    day = date(2026, 1, 31)
    assert clock.start_of(day) == datetime(2026, 1, 31, tzinfo=UTC)
    assert clock.end_of(day) + timedelta(microseconds=1) == clock.start_of(day + timedelta(days=1))


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=12))], ids=str
)
def test_a_moment_is_written_in_utc_and_read_back(zone):
    text = clock.to_text(MOMENT.astimezone(zone))
    assert text == "2026-01-31T12:00:00.000001Z"
    assert clock.from_text(text) == MOMENT


def test_the_machine_s_own_zone_does_not_count(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "IST-5:30")
        time.tzset()
        assert clock.to_text(MOMENT) == "2026-01-31T12:00:00.000001Z" and clock.now().utcoffset() == timedelta(0)
    time.tzset()


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], ids=str)
def test_the_first_and_the_last_moment_of_all_have_their_four_digits_too(moment):
    text = clock.to_text(moment)
    assert len(text) == len("2026-01-31T12:00:00.000001Z") and clock.from_text(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.000Z",
        "2026-01-31T12:00:00.0000001Z",
        "2026-01-31T12:00:00,000001Z",
        "2026-01-31T12:00:00.000001",
        "2026-01-31T12:00:00.000001z",
        "2026-01-31T12:00:00.000001+00:00",
        "2026-01-31T12:00:00.000001+01:00",
        "2026-01-31t12:00:00.000001Z",
        "2026-01-31 12:00:00.000001Z",
        "2026-01-31\ud80012:00:00.000001Z",
        "20260131T120000.000001Z",
        "2026-W05-6T12:00:00.000001Z",
        "2026-01-32T12:00:00.000001Z",
        "2026-1-31T12:00:00.000001Z",
        "２026-01-31T12:00:00.000001Z",
        " 2026-01-31T12:00:00.000001Z",
        "2026-01-31T12:00:00.000001Z\n",
        "2026-01-31",
        "",
    ],
)
def test_nothing_else_is_a_moment(text):
    with pytest.raises(ValueError):
        clock.from_text(text)
