"""The search for an order: what it must find possible, and what not."""

from __future__ import annotations

import random
from collections import Counter
from math import inf
from typing import Any

import pytest

from tests.proofs.bank.linearizable import Operation, Undecided, linearize
from tests.proofs.bank.sequential import (
    Account,
    Trade,
    ended,
    lacked_cash,
    moved,
    placed,
    saw,
    saw_holdings,
    saw_order,
    traded,
)

BUY = Trade("one", "BUY", "BTC", 5, 80)
START = Account(cash=100)


def operations(*rows: tuple[Any, ...]) -> list[Operation]:
    return [Operation(f"{number}", *row) for number, row in enumerate(rows)]


POSSIBLE = {
    "one after the other": [
        (moved("deposit", 50, 1), 0, 1),
        (moved("withdraw", 30, 2), 2, 3),
        (saw(cash=120, deposits=50), 4, 5),
    ],
    "reads on either side of a deposit that goes on": [
        (moved("deposit", 50), 0, 9),
        (saw(cash=100), 1, 2),
        (saw(cash=150), 3, 4),
    ],
    "the later start was the first": [(moved("withdraw", 120), 0, 9), (moved("deposit", 50), 1, 2)],
    "unknown, and seen later": [(moved("deposit", 50), 0, inf), (saw(cash=100), 1, 2), (saw(cash=150), 8, 9)],
    "unknown, and never": [(moved("deposit", 50), 0, inf, True), (saw(cash=100), 1, 2), (saw(cash=100), 8, 9)],
    "refused while the money was reserved": [
        (placed(BUY), 0, 1),
        (lacked_cash(20, 30), 2, 3),
        (ended(BUY), 4, 5),
        (moved("withdraw", 100), 6, 7),
    ],
    "filled below its limit": [
        (placed(BUY), 0, 1),
        (ended(BUY, filled_for=70), 1, 9),
        (saw_order("one", is_open=True), 2, 3),
        (saw_holdings({"BTC": 5}, cash=30, reserved=0), 4, 5),
    ],
}
IMPOSSIBLE = {
    "lost update": [(moved("deposit", 50), 0, 3), (moved("deposit", 20), 1, 4), (saw(cash=150), 5, 6)],
    "both after the same balance": [
        (moved("deposit", 50, previous=100), 0, 3),
        (moved("deposit", 9, previous=100), 0, 3),
    ],
    "stale read": [(moved("deposit", 50), 0, 1), (saw(cash=100), 2, 3)],
    "double spend": [(moved("withdraw", 80), 0, 3), (moved("withdraw", 80), 1, 4)],
    "spent and withdrawn": [(traded(BUY), 0, 3), (moved("withdraw", 80), 1, 4)],
    "back in time": [(moved("deposit", 50), 0, 9), (saw(cash=150), 1, 2), (saw(cash=100), 3, 4)],
    "back in time, for two that look": [
        (moved("deposit", 50), 0, 9),
        (saw(cash=150), 1, 3),
        (saw(cash=100), 4, 5),
        (saw(cash=150), 6, 7),
    ],
    "refused for no reason": [(moved("deposit", 50), 0, 1), (lacked_cash(100, 120), 2, 3)],
    "refused with enough": [(lacked_cash(100, 100), 0, 1)],
    "a deposit that nobody made": [(saw(cash=150), 0, 1)],
    "done, and never there": [(moved("deposit", 50), 0, 1), (saw(cash=100), 8, 9)],
    "half of a purchase": [(traded(BUY), 0, 9), (saw_holdings({"BTC": 5}, cash=100), 1, 2)],
    "half of a refund": [(placed(BUY), 0, 1), (ended(BUY), 2, 9), (saw_holdings({}, cash=100, reserved=80), 3, 4)],
    "cancelled and filled": [(placed(BUY), 0, 1), (ended(BUY), 2, 5), (ended(BUY, filled_for=80), 2, 5)],
    "refunded in full for a fill": [(placed(BUY), 0, 1), (ended(BUY, filled_for=70), 1, 9), (saw(cash=100), 3, 4)],
    "a place in the ledger that is taken": [(moved("deposit", 50, 1), 0, 3), (moved("deposit", 20, 1), 1, 4)],
    "a place in the ledger before an earlier one": [(moved("deposit", 50, 2), 0, 1), (moved("deposit", 20, 1), 2, 3)],
}


@pytest.mark.parametrize("rows", POSSIBLE.values(), ids=POSSIBLE)
def test_an_order_is_found(rows):
    verdict = linearize(operations(*rows), START)
    assert verdict.is_linearizable, verdict
    state = START
    for operation in verdict.order:
        state = operation.step(state)
        assert state is not None


@pytest.mark.parametrize("rows", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_no_order_is_found(rows):
    verdict = linearize(operations(*rows), START)
    assert not verdict.is_linearizable and verdict.stuck


def test_the_search_agrees_with_trying_every_order():
    """On 1,000 random histories of a register and a counter, half of which are impossible."""
    chance, found = random.Random(7), Counter()
    for _ in range(1000):
        rows = []
        for _ in range(chance.randint(2, 6)):
            start = chance.randint(0, 8)
            step = chance.choice(
                [
                    moved("deposit", chance.randint(1, 2)),
                    moved("withdraw", chance.randint(1, 3)),
                    saw(cash=chance.randint(0, 4)),
                    lacked_cash(chance.randint(0, 2), 3),
                ]
            )
            rows.append((step, start, start + chance.randint(0, 6), chance.random() < 0.1))
        history = operations(*rows)
        found[verdict := linearize(history, Account(cash=1)).is_linearizable] += 1
        assert verdict is tries_every_order(history, Account(cash=1)), rows
    assert min(found.values()) > 100, found


def tries_every_order(left: list[Operation], state: Any) -> bool:
    must = [each for each in left if not each.optional]
    end = min((each.answered for each in must), default=inf)
    return not must or any(
        tries_every_order([other for other in left if other is not each], after)
        for each in left
        if each.started <= end and (after := each.step(state)) is not None
    )


def test_a_long_history_is_searched_in_short_time():
    """1,500 operations of which 8 overlap at any time."""
    chance, cash, rows = random.Random(3), 0, []
    for number in range(1500):
        amount = chance.randint(1, 9)
        cash += amount
        step = chance.choice([moved("deposit", amount), moved("deposit", amount, number + 1, previous=cash - amount)])
        rows.append((step, number - chance.uniform(0, 8), number + chance.uniform(0, 8)))
    verdict = linearize(operations(*rows, (saw(cash=cash), 2000, 2001)), Account())
    assert verdict.is_linearizable and verdict.tried < 150_000
    with pytest.raises(Undecided):
        linearize(operations(*rows), Account(), most_steps=100)
