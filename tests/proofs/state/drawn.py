"""What the stories draw from: amounts, prices, assets, times, credentials, and changes of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st

from tests.proofs.state.people import TRADEABLE
from tests.proofs.state.words import Request

# A divisor of all that there is, and a number of smallest steps to add: see `part_of`.
PARTS = [(1, 0), (1, 0), (1, 1), (1, -1), (2, 0)]


CASH = st.sampled_from(
    [
        "0.01",
        "1",
        "33.33",
        "100",
        "1000.00",
        "250000",
        "1000000",
        *PARTS,
        "1000000.01",
        "0.005",
        "0",
        "-1",
        "1e3",
        "NaN",
        "１",
    ]
)


# Up to 1000.00 is booked at once.
ADJUSTMENTS = st.sampled_from(["0.01", "100", "1000.00", "1000.01", "1000.01", "1000000", *PARTS, "1000000.01", "0"])


QUANTITIES = st.sampled_from(
    [
        "0.00000001",
        "0.00012345",
        "0.1",
        "0.33333333",
        "1",
        "1.5",
        "7.77777777",
        "20000",
        *PARTS,
        "100000000000001",
        "0.000000001",
        "0",
        " 1",
    ]
)


PRICES = st.sampled_from(["100", "99.99", "100.01", "99.995", "33.33333333", "3", "250.5", "0.07"])


ASSETS = st.sampled_from(TRADEABLE)


ASKED_ASSETS = st.sampled_from(TRADEABLE * 8 + ("MATIC", "NONE"))


SIDES = st.sampled_from(["buy", "sell"])


STOPS = st.sampled_from(["stop_sell", "stop_limit_sell", "stop_limit_buy"])


LIFETIMES = st.sampled_from(
    [
        None,
        None,
        timedelta(hours=1),
        timedelta(hours=1),
        timedelta(days=5),
        timedelta(days=90),
        timedelta(),
        timedelta(days=90, microseconds=1),
    ]
)


CREDENTIALS = st.sampled_from(["script"] * 8 + ["login"] * 3 + ["reader"])


SOMETIMES = st.sampled_from([False] * 7 + [True])


MOSTLY = st.sampled_from([True] * 7 + [False])


IS_KEYED = st.booleans()


OPERATORS = st.sampled_from(["oper"] * 4 + ["chief"] * 3 + ["anna"])


IS_READY = {"is_proved": MOSTLY, "is_login": MOSTLY}
"""Of someone who operates: whether the password was just given, and whether it is by a log in."""


# Than an end.
EARLY = st.sampled_from([timedelta(), timedelta(), timedelta(seconds=1)])


WAITS = st.sampled_from([timedelta(minutes=10), timedelta(hours=1), timedelta(days=1), timedelta(days=3)])


BACK = st.integers(0, 5)


Part = tuple[int, int]


def part_of(amount: Decimal, part: str | Part, smallest: str) -> str:
    """The whole amount, a part of it, or a neighbour, as text; it may not be a valid amount."""
    if isinstance(part, str):
        return part
    steps = int(amount / Decimal(smallest) / part[0]) + part[1]
    return format(steps * Decimal(smallest), "f")


def other_amount(request: Request) -> Request:
    name = next((name for name in ("amount", "quantity") if name in request.body), None)
    if name is None:
        return request
    return replace(request, body={**request.body, name: "1.01" if request.body[name] == "1" else "1"})


def other_spelling(request: Request) -> Request:
    """The same values, some with a leading zero."""
    names = {"amount", "quantity", "price", "stop_price"} & set(request.body)
    leading = {name: f"0{text}" for name in names if (text := request.body[name])[:1].isdecimal() and text.isascii()}
    return replace(request, body={**request.body, **leading})


OTHER_ACTION = {"deposit": "withdraw", "withdraw": "deposit"}


CHANGED: dict[str, Callable[[Request], Request]] = {
    "spelling": other_spelling,
    "amount": other_amount,
    "action": lambda request: replace(request, action=OTHER_ACTION.get(request.action, request.action)),
    "credential": lambda request: replace(request, credential="login" if request.credential == "script" else "script"),
}
