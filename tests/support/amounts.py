"""Texts that are not an amount of any kind: not money, not a quantity, not a price; and texts with commas.

The rule is tested with all of them, in `tests/domain/test_money.py`. JSON and forms hand their texts to that rule:
their tests take `SAMPLE`, and add what only JSON or only a form can send.
"""

from __future__ import annotations

NO_AMOUNT = {
    "empty": "",
    "space": " ",
    "leading space": " 1",
    "trailing space": "1 ",
    "trailing newline": "1\n",
    "word": "ten",
    "NaN": "NaN",
    "sNaN": "sNaN",
    "infinity": "Infinity",
    "inf": "inf",
    "exponent": "1e3",
    "overflow": "1e309",
    "huge exponent": "1e400",
    "negative exponent": "1E-2",
    "plus": "+1",
    "minus": "-1",
    "minus zero": "-0",
    "no digit after the point": "1.",
    "no digit before the point": ".5",
    "only a point": ".",
    "two points": "1.2.3",
    "comma": "1,5",
    "thousands": "1,000",
    "underscore": "1_000",
    "hexadecimal": "0x10",
    "full-width digits": "１２",
    "arabic digits": "١٢",
    "superscript": "1²",
    "fraction": "1/2",
    "half": "½",
    "null byte": "1\0",
    "currency": "$1",
    "41 characters": "0" * 40 + "1",
    "5000 digits": "1" * 5000,
    "41 characters with a point": "0" * 38 + "1.5",
    "zero": "0",
    "zero with decimals": "0.00",
}
IN_SAMPLE = ("word", "zero with decimals", "minus", "exponent", "full-width digits", "5000 digits")
SAMPLE = {name: NO_AMOUNT[name] for name in IN_SAMPLE}

# What a person types, and what is read: a point where the comma can only be one.
COMMAS = {
    "12,50": "12.50",
    "0,5": "0.5",
    "0,125": "0.125",
    "00,125": "00.125",
    "1234,567": "1234.567",
    "1,0000": "1.0000",
    "12,3": "12.3",
    "-12,50": "-12.50",
    "12.50": "12.50",
    # Three digits after one to three may be thousands.
    "1,000": "1,000",
    "12,345": "12,345",
    "-999,999": "-999,999",
    # More than one mark is never only a decimal comma.
    "1,234,567": "1,234,567",
    "1.234,50": "1.234,50",
    "1,234.50": "1,234.50",
    "1,,5": "1,,5",
    ",5": ",5",
    "5,": "5,",
    ",": ",",
    "+1,5": "+1,5",
    "1,5 ": "1,5 ",
    "x": "x",
}
