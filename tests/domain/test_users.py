"""The rules of a user's registration."""

from __future__ import annotations

import pytest

from app.domain.users import contains_name


@pytest.mark.parametrize(
    ("password", "names", "contained"),
    [
        ("my name is Ann", ["ann"], True),
        ("ANN@EXAMPLE.COM!", ["bob", "ann@example.com"], True),
        ("seven green kettles", ["ann", "ann@example.com"], False),
        ("seven", [None, ""], False),
        (None, ["ann"], False),
        ("", ["ann"], False),
        (None, ["xxx"], False),
    ],
)
def test_a_name_in_a_password(password, names, contained):
    assert contains_name(password, *names) is contained
