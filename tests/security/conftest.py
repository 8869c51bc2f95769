"""Browsers, as for the tests of pages; an administrator; and limits of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest
from flask import Flask

from app.domain.limits import Limits
from tests.admin.conftest import admin
from tests.pages.conftest import ann, new_browser, stranger
from tests.support.applications import change_settings

__all__ = ["admin", "ann", "new_browser", "stranger"]


class SetLimits(Protocol):
    def __call__(self, limits: Limits, app: Flask = ...) -> None: ...


@pytest.fixture
def set_limits(app: Flask) -> Iterator[SetLimits]:
    """Sets the limits of an application until the test is over."""
    before: list[tuple[Flask, Limits]] = []

    def set_them(limits: Limits, app: Flask = app) -> None:
        before.append((app, app.extensions["services"].limits))
        change_settings(app, limits=limits)

    yield set_them
    for changed, limits in reversed(before):
        change_settings(changed, limits=limits)
