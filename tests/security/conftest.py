"""Browsers, as for the tests of pages; an administrator; and limits of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.domain.limits import Limits
from app.services import limits
from tests.admin.conftest import admin
from tests.pages.conftest import ann, new_browser, stranger
from tests.support.applications import LIMITS

__all__ = ["admin", "ann", "new_browser", "stranger"]

SetLimits = Callable[[Limits], None]


@pytest.fixture
def set_limits() -> Iterator[SetLimits]:
    """Sets the limits of this process until the test is over."""
    yield limits.configure
    limits.configure(LIMITS)
