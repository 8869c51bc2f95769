"""How numbers are written for people: on pages, and in sentences for them. Programs get `app.domain.money.plain`.

A number comes as its digits, such as `-1234.5`, so that nothing is rounded here.
"""

from __future__ import annotations

MINUS = "\N{MINUS SIGN}"


def grouped(digits: str, *, decimals: int = 0) -> str:
    """`1,234.50`: with commas between thousands, and at least so many decimals."""
    whole, _, fraction = digits.partition(".")
    fraction = fraction.ljust(decimals, "0")
    return f"{int(whole):,}{'.' if fraction else ''}{fraction}"


def dollars(digits: str, *, decimals: int = 2, plus: bool = False) -> str:
    """`$1,234.50`, with its sign in front: a minus sign, and where `plus` is set a plus too."""
    sign = MINUS if digits.startswith("-") else "+" if plus else ""
    return f"{sign}${grouped(digits.removeprefix('-'), decimals=decimals)}"
