"""The rules for age and password, at their bounds."""

from __future__ import annotations

from datetime import date

import pytest

from app.domain.users import InvalidDetail, check_age, contains_name, read_new_password

TODAY = date(2030, 6, 15)
OLD_ENOUGH = {
    "13 today": (date(2017, 6, 15), True),
    "13 tomorrow": (date(2017, 6, 16), False),
    "born today": (TODAY, False),
    "born in the future": (date(2999, 1, 1), False),
    "121 tomorrow": (date(1909, 6, 16), True),
    "121 today": (date(1909, 6, 15), False),
}


@pytest.mark.parametrize(("birth", "accepted"), OLD_ENOUGH.values(), ids=OLD_ENOUGH.keys())
def test_an_age(birth, accepted):
    if accepted:
        check_age(birth, today=TODAY)
        return
    with pytest.raises(InvalidDetail) as refused:
        check_age(birth, today=TODAY)
    assert str(refused.value) == "You must be 13 to 120 years old."


LENGTH = "Choose 12 to 128 characters."
COMMON = "This password is easy to guess. Choose another one, such as four words that do not belong together."
LONG = "seven green kettles and " * 6
PASSWORDS = {
    "of 11": ("abcdefghijk", LENGTH),
    "of 12": ("bdgkpvcfjoud", ""),
    "of 128": (LONG[:128], ""),
    "of 129": (LONG[:129], LENGTH),
    "longer once it is normalized": ("\N{LATIN SMALL LIGATURE FFI}" * 43, LENGTH),
    "common": ("qwerty123456", COMMON),
    "common, in capitals": ("QWERTY123456", COMMON),
    "common, in full-width letters": ("ｑｗｅｒｔｙ１２３４５６", COMMON),
    "of 3 letters": ("abcabcabcabc", COMMON),
    "repeated": ("abcdabcdabcd", COMMON),
}


@pytest.mark.parametrize(("typed", "refusal"), PASSWORDS.values(), ids=PASSWORDS.keys())
def test_a_password(typed, refusal):
    if not refusal:
        assert read_new_password(typed) == typed
        return
    with pytest.raises(InvalidDetail) as refused:
        read_new_password(typed)
    assert str(refused.value) == refusal


def test_a_password_is_normalized():
    assert read_new_password("ｆｕｌｌ　ｗｉｄｔｈ　１２") == "full width 12"


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
