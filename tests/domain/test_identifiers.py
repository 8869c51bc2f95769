"""Identifiers are ASCII and matched whole."""

from __future__ import annotations

import pytest

from app.domain import identifiers
from app.domain.identifiers import matches

GRAMMARS = {
    identifiers.USERNAME: ("ann_smith", 3, 30, "ANN_SMITH ann-smith straße ann١٢٣"),
    identifiers.TYPED_USERNAME: ("Ann_Smith", 3, 30, "ann-smith straße \u212aelvin ann#smith"),
    identifiers.ASSET_ID: ("BTC", 1, 10, "B-C ＢＴＣ ß B#C"),
    identifiers.ORDER_ID: ("order_01JD0QZ5M4X8W3T7K2V9N6B1CF", 10, 50, "order-01JD0QZ5M4 order#01JD0QZ5M4"),
    identifiers.TRANSACTION_ID: ("000000000001", 12, 12, "00000000000a ０００００００００００１ -00000000001"),
    identifiers.TOKEN_ID: ("0123456789abcdef", 16, 16, "0123456789ABCDEF 0123456789abcdeg"),
    identifiers.IDEMPOTENCY_KEY: ("7f1f0c1e-2b6d", 1, 255, "schlüssel a\x7fb a\tb"),
    identifiers.REQUEST_ID: ("9f86d081-884c_7D65", 1, 64, "a.b a/b ä"),
}


@pytest.mark.parametrize(("grammar", "case"), GRAMMARS.items())
def test_a_grammar(grammar, case):
    example, shortest, longest, others = case
    assert matches(grammar, example)
    for length, fits in ((shortest - 1, False), (shortest, True), (longest, True), (longest + 1, False)):
        assert matches(grammar, "0" * length) is fits, length
    for text in (*others.split(" "), f"{example}\n", f"\n{example}", f" {example}", f"{example}\0"):
        assert not matches(grammar, text), text
