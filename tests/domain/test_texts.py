"""No text is normalized that is too long for it: the time grows with the square of the marks in a row."""

from __future__ import annotations

import unicodedata

import pytest
from marshmallow import ValidationError

from app.domain.users import normalize_password
from app.schemas import inputs, order_inputs
from app.schemas.fields import Text

MARKS = "a" + "\u0315\u0300" * 15_900
FIELDS = {
    f"{schema.__name__}.{name}": field
    for schema in (vars(inputs) | vars(order_inputs)).values()
    if isinstance(schema, type) and issubclass(schema, inputs.Input)
    for name, field in schema().fields.items()
    if isinstance(field, Text)
}


@pytest.fixture
def longest(monkeypatch):
    """The lengths of all texts that anything normalizes from now on."""
    lengths = [0]
    original = unicodedata.normalize

    def normalize(form, text):
        lengths.append(len(text))
        return original(form, text)

    monkeypatch.setattr(unicodedata, "normalize", normalize)
    return lambda: max(lengths)


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_a_field_normalizes_no_long_text(field, longest):
    with pytest.raises(ValidationError):
        field.deserialize(MARKS)
    assert longest() <= 4 * 254


def test_a_long_password_is_not_normalized(longest):
    assert normalize_password(MARKS) == MARKS
    assert longest() <= 4 * 128


# Each is one character in NFC; the last has the longest decomposition that there is.
@pytest.mark.parametrize("char", ["\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{HANGUL SYLLABLE GAGG}", "\u1f82"])
def test_a_text_of_full_length_counts_as_it_is_composed(char):
    typed = unicodedata.normalize("NFD", char * 128)
    assert normalize_password(typed) == char * 128
