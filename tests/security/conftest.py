"""Browsers, as for the tests of pages."""

from tests.pages.conftest import ann, new_browser, stranger

__all__ = ["ann", "new_browser", "stranger"]
