"""Unicode normalization of texts that are not too long for it."""

from __future__ import annotations

import unicodedata
from typing import Literal

# As many characters may become one: no character that is composed has a longer decomposition.
_COMPOSED = 4


def is_short(text: str, max_length: int) -> bool:
    """Whether a text may have at most `max_length` characters when it is composed.

    Ask this first: the time of normalization grows with the square of the number of marks in a row.
    """
    return len(text) <= _COMPOSED * max_length


def normalize(form: Literal["NFC", "NFKC"], text: str) -> str:
    """The one form of a text for which `is_short` holds."""
    return unicodedata.normalize(form, text)
