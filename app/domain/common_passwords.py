"""Passwords that are guessed first: common ones, what people make of a common word, and walks over a keyboard.

`common_passwords.bin` has digests of the common passwords and words. common_passwords.LICENSE.txt says where they come
from, and `make passwords` writes the file again.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from app.domain.assets import CATALOGUE

FILE = Path(__file__).with_name("common_passwords.bin")
DIGEST_BYTES = 6
# A date, or a year with some signs. More than this beside a word counts as a part to guess.
_MOST_AROUND_A_WORD = 8
# Fewer letters than this, beside words of this service, are no part to guess.
_LEAST_LETTERS = 4
_LEAST_UNIT = 12

# The rows and columns of the usual keyboards, and what people count with.
_ROWS = (
    *("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"),
    *("qwertzuiop", "yxcvbnm,.-", "azertyuiop", "qsdfghjklm", "wxcvbn", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    *("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "0p;/"),
    *("1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "qawsedrftgyhujikolp"),
)
_WALKS = frozenset(
    walk[start:end]
    for row in _ROWS
    for walk in (row, row[::-1])
    for start in range(len(walk))
    for end in range(start + 1, len(walk) + 1)
)
_WITHOUT_SHIFT = str.maketrans("!@#$%^&*()", "1234567890")
# Signs that people write for letters: `1` for two of them.
_LOOK_ALIKES = tuple(str.maketrans("@4301$57!", f"aaeo{one}ssti") for one in "il")

_SITE_WORDS = (
    *("order", "processor", "crypto", "currency", "cash", "coin", "asset", "wallet", "portfolio", "trader", "trade"),
    *("trading", "exchange", "market", "account", "balance", "deposit", "withdraw", "money", "dollar", "login", "api"),
)


def is_guessable(password: str) -> bool:
    """Whether the password, as it is normalized, is among those that are tried first.

    It is common; or one common word, which may be repeated, have digits and signs around it, or be written with
    `@` for `a` and the like; or it consists of words of this service; or it repeats a short part, or walks over a
    keyboard.
    """
    text = password.casefold()
    return (
        is_listed(text)
        or len(set(text)) < 4
        or len(_unit(text)) < min(_LEAST_UNIT, len(text))
        or _is_walk(text)
        or _is_decorated_word(text)
        or _is_about_the_service(text)
    )


def is_listed(text: str) -> bool:
    """Whether a text in lower case is a common password or word. One in a billion others is taken for one too."""
    digests, digest = _digests(), digest_of(text)
    place = bisect_left(range(len(digests) // DIGEST_BYTES), digest, key=lambda number: _digest_at(digests, number))
    return _digest_at(digests, place) == digest


def digest_of(text: str) -> bytes:
    """What the file has of a common password or word: digests of equal length, sorted."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:DIGEST_BYTES]


@cache
def _digests() -> bytes:
    return FILE.read_bytes()


def _digest_at(digests: bytes, number: int) -> bytes:
    return digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]


def _unit(text: str) -> str:
    """The shortest part of which the text consists, repeated: itself, if none is shorter."""
    return text[: (text + text).find(text, 1)]


def _is_decorated_word(text: str) -> bool:
    parts = re.fullmatch(r"([\W\d_]*)(.*?)([\W\d_]*)", text, re.DOTALL)
    before, word, after = parts.groups() if parts else ("", text, "")
    around = before + after
    return (len(around) <= _MOST_AROUND_A_WORD or _is_walk(around)) and any(map(is_listed, _words(word)))


def _words(word: str) -> Iterator[str]:
    """The words that may be meant, in letters alone and without repetition."""
    for table in _LOOK_ALIKES:
        yield _unit("".join(filter(str.isalpha, word.translate(table))))


def _is_walk(text: str) -> bool:
    """Whether the text, as it is or without the shift key, consists of a few pieces of walks, each key any times."""
    return any(_pieces(each) * 3 <= len(text) for each in (text, text.translate(_WITHOUT_SHIFT)))


def _pieces(text: str) -> int:
    """The least number of pieces of walks that the text consists of, where repeated characters count once."""
    rest, pieces = re.sub(r"(.)\1+", r"\1", text, flags=re.DOTALL), 0
    while rest:
        length = 1
        while length < len(rest) and rest[: length + 1] in _WALKS:
            length += 1
        rest, pieces = rest[length:], pieces + 1
    return pieces


def _is_about_the_service(text: str) -> bool:
    letters = "".join(filter(str.isalpha, text))
    others = _own_words().sub("", letters)
    return len(others) < min(_LEAST_LETTERS, len(letters)) and len(text) - len(letters) <= _MOST_AROUND_A_WORD


@cache
def _own_words() -> re.Pattern[str]:
    names = {word.casefold() for asset in CATALOGUE.values() for word in (asset.asset_id, *asset.name.split())}
    # The longest first, as one may begin with another.
    return re.compile("|".join(sorted(map(re.escape, {*names, *_SITE_WORDS}), key=len, reverse=True)) + "|s$")
