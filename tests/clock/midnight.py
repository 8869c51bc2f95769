"""Lets midnight pass within each test (`pytest -p midnight`), after MIDNIGHT_AFTER readings of the clock.

A run that begins shortly before midnight passes it in one test, whichever that is. Here the product's clock, in this
process, stands in the last seconds of the day when a test begins, and only its readings move it on: however busy the
machine is, the same tests fail.
"""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain import clock

MIDNIGHT = clock.start_of((datetime.now(UTC) + timedelta(days=1)).date())


class Moment(datetime):
    """A datetime whose `now` is the product's."""

    readings, last_of_the_day = 0, math.inf

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        cls.readings += 1
        early = timedelta(seconds=2 if cls.readings <= cls.last_of_the_day else 0)
        return (MIDNIGHT - early + cls.readings * timedelta(milliseconds=1)).astimezone(tz)


clock.datetime = Moment  # type: ignore[attr-defined]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    Moment.readings, Moment.last_of_the_day = 0, math.inf


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    Moment.last_of_the_day = Moment.readings + int(os.environ["MIDNIGHT_AFTER"])
