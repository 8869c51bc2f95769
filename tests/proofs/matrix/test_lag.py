"""Reads that are not consistent, and indexes, that do not show the newest writes: what AWS does without any fault.

Every use case that changes state does its work all the same, and does it once. `make test` lets both lag at once
for one variant of each, MATRIX=full also each alone, and for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.domain.orders import Side
from app.models.create_tables import create_tables
from tests.proofs.matrix.matrix import BEFORE, IS_FULL, ONCE, Arena, matrix_app
from tests.proofs.matrix.use_cases import USE_CASES, UseCase, json, limit, work
from tests.support.engine import engine
from tests.support.faults import FaultyStore, lose_answer
from tests.support.wire import BareStore

BY_NAME = {use_case.name: use_case for use_case in USE_CASES}
LAGS = {
    "both": {"reads": True, "indexes": True},
    **({"reads": {"reads": True}, "indexes": {"indexes": True}} if IS_FULL else {}),
}
# With a key where there is a choice, at the limit, and not as a form.
LAGGING = USE_CASES if IS_FULL else list({each.subject: each for each in reversed(USE_CASES)}.values())[::-1]
all_lags = pytest.mark.parametrize("lag", LAGS.values(), ids=LAGS)
# What finds nothing in an index that lags: the worker comes back, and one can log in by username at once.
LATER = {"nothing", "invalid_credentials"}


@pytest.fixture(scope="module")
def arena(impatient: None) -> Iterator[Arena]:
    """An arena on two engines: everything is written through the store that can lag."""
    with engine() as first, engine() as second, FaultyStore(first, replica=second) as store:
        app = matrix_app(store.endpoint)
        with app.app_context():
            create_tables()
        with closing(BareStore(first)) as seen, closing(BareStore(store.endpoint)) as written:
            yield Arena(seen, written, store, app, matrix_app(store.endpoint))


@all_lags
@pytest.mark.parametrize("use_case", LAGGING, ids=lambda use_case: use_case.name)
def test_what_was_there_is_changed_once(arena, use_case, lag):
    """What the use case itself writes is not seen."""
    arena.dry_run(use_case)
    actor = arena.new_actor(use_case)
    with arena.faults.lagging(**lag):
        answer = use_case.act(actor)
        assert answer.is_done, answer
        assert arena.state_of(use_case, actor) == ONCE
        check_again_while_lagging(arena, use_case, actor)
    arena.check_rest(use_case, actor, ONCE)


@all_lags
@pytest.mark.parametrize("use_case", LAGGING, ids=lambda use_case: use_case.name)
def test_what_is_new_is_found_and_changed_once(arena, use_case, lag):
    """Nothing of the account is seen: it, its token and its orders have just been made."""
    arena.dry_run(use_case)
    with arena.faults.lagging(**lag):
        actor = arena.new_actor(use_case)
        answer = use_case.act(actor)
        state = arena.state_of(use_case, actor)
        if use_case.lags and "indexes" in lag:
            assert answer.code in LATER and state == BEFORE, answer
        else:
            assert answer.is_done and state == ONCE, answer
            check_again_while_lagging(arena, use_case, actor)
    arena.check_rest(use_case, actor, state)


def check_again_while_lagging(arena, use_case, actor):
    # That a token has ended may be seen late: `test_what_has_ended_ends_everywhere_in_the_end`.
    if use_case.again != "not_authenticated":
        arena.check_again(use_case, actor)


@all_lags
@pytest.mark.parametrize("name", [name for name in BY_NAME if name.endswith((", keyed", ", form"))])
def test_an_unknown_fate_is_cleared_up(arena, name, lag):
    """The answer is lost, and the request sent again with its key while nothing of the first one is seen."""
    use_case = BY_NAME[name]
    arena.dry_run(use_case)
    actor = arena.new_actor(use_case)
    with arena.faults.lagging(**lag):
        arena.faults.inject("TransactWriteItems", *[lose_answer] * 3)
        assert use_case.act(actor).code == "store_unavailable"
        arena.faults.heal()
        assert arena.state_of(use_case, actor) == ONCE
        arena.check_again(use_case, actor)
    arena.check_rest(use_case, actor, ONCE)


CANCEL = json("POST", "/orders/{order_id}/cancel")
OPEN = {side: limit(side, price) for side, price in ((Side.BUY, "50"), (Side.SELL, "200"))}
PAST = {side: limit(side, price, expired=True) for side, price in ((Side.BUY, "50"), (Side.SELL, "200"))}
REACHED = {Side.BUY: work("50"), Side.SELL: work("200")}
# How the order stands before, the end that the index does not show, and what then finds the order in the index.
ENDED = {
    "cancelled, not filled": (OPEN, lambda side: CANCEL, lambda side: REACHED[side]),
    "filled, not filled again": (OPEN, lambda side: REACHED[side], lambda side: REACHED[side]),
    "cancelled, not expired": (PAST, lambda side: CANCEL, lambda side: work("100")),
    "expired, not expired again": (PAST, lambda side: work("100"), lambda side: work("100")),
    "expired, not filled": (PAST, lambda side: work("100"), lambda side: REACHED[side]),
}


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(("orders", "end", "find"), ENDED.values(), ids=ENDED)
def test_an_order_that_has_ended_but_is_still_in_the_index(arena, side, orders, end, find):
    """The worker finds it, and lets it be."""
    use_case = UseCase(f"{side} {list(ENDED.values()).index((orders, end, find))}", end(side), prepare=orders[side])
    arena.dry_run(use_case)
    actor = arena.new_actor(use_case)
    with arena.faults.lagging(indexes=True):
        assert use_case.act(actor).is_done
        arena.faults.heal()
        found = find(side)(actor)
        assert found.code == "nothing" and "lost=1" in found.text, found
        assert arena.state_of(use_case, actor) == ONCE
    arena.check_rest(use_case, actor, ONCE)


ENDS_SESSIONS = ["log out", "change password", "reset password", "suspend"]


@pytest.mark.parametrize("name", ENDS_SESSIONS)
def test_what_has_ended_ends_everywhere_in_the_end(arena, name):
    """A cheap read may still know an ended token, for as long as it lags; then nothing knows it any more."""
    actor = arena.new_actor(BY_NAME[name])
    with arena.faults.lagging(reads=True):
        assert BY_NAME[name].act(actor).is_done
        assert actor.person.get("/balance").status_code in {200, 401}
    assert actor.person.get("/balance").status_code in {401, 403}
