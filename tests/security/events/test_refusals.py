"""What is refused leaves a line and no item, so that nobody fills another's list or costs writes by being refused."""

from __future__ import annotations

from operator import attrgetter

import pytest

from tests.security.events.refusals import FAILED, REFUSALS, TYPED_ADDRESS, TYPED_NAME, WRONG_PASSWORD, Refusal, log_in
from tests.security.events.world import World


@pytest.mark.parametrize("refusal", REFUSALS, ids=attrgetter("name"))
def test_what_is_refused_leaves_a_line_and_no_item(world: World, refusal: Refusal) -> None:
    world.secrets += [WRONG_PASSWORD, TYPED_NAME, TYPED_ADDRESS]
    world.begin()
    refusal.attempt(world)
    lines = world.lines()
    assert [(line["event"], line["outcome"]) for line in lines] == refusal.lines
    for line in lines:
        assert line["subject"] == (world.name if refusal.has_subject else None)
        assert line["actor"] == (world.name if refusal.has_actor else None)
        assert line["address"] and line["request_id"]
    assert len(world.items()) == world.before


def test_a_limit_that_was_reached_is_one_line(world: World) -> None:
    for _ in range(21):
        log_in(world, world.name)
    assert [line["event"] for line in world.lines()] == [FAILED] * 20 + ["rate_limited"]
    assert world.items() == [], "wrong guesses fill nobody's items"
