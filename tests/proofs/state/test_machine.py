"""Random people at the product and at a model of it: after each step both hold the same, to the cent.

Bounded, and the same every time, in `make test`. MODEL_EXAMPLES makes it long and random: that many stories of
MODEL_STEPS steps each.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from app.factory import create_app
from app.models.create_tables import create_tables
from tests.proofs.state.drivers import Driver, Http, Services
from tests.proofs.state.model import APPROVAL_OVER, PROOF_OVER
from tests.proofs.state.story import TABLES, Story
from tests.proofs.state.words import Answer, Request
from tests.support.applications import config

EXAMPLES = os.environ.get("MODEL_EXAMPLES")


SEED = 26  # of the bounded run


STEPS = int(os.environ.get("MODEL_STEPS") or 40)


RUN = settings(
    max_examples=int(EXAMPLES or 9),
    stateful_step_count=STEPS,
    print_blob=bool(EXAMPLES),
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    # The bounded run tells a story that fails as it is: finding the shortest one takes minutes.
    phases=[Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
)


@pytest.fixture(scope="module")
def state_app(endpoint: str) -> Flask:
    tables = {"users_table": TABLES["users"], "orders_table": TABLES["orders"]}
    return create_app(config(endpoint, **tables, adjustment_approval_over=APPROVAL_OVER, proof_over=PROOF_OVER))


def play(driver: Callable[[Flask], Driver], app: Flask, store: Any, *, run: settings = RUN) -> Counter[str]:
    """Play stories, each on empty tables; what was seen in all of them."""
    seen: Counter[str] = Counter()

    def begin() -> Story:
        for name in set(store.list_tables()["TableNames"]) & set(TABLES.values()):
            store.delete_table(TableName=name)
        with app.app_context():
            create_tables()
        seen["stories"] += 1
        return Story(driver(app), store, seen)

    run_state_machine_as_test(begin if EXAMPLES else seed(SEED)(begin), settings=run)
    return seen


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "app")


# A story through HTTP takes thrice as long, and is the same: some of them do.
@pytest.mark.parametrize(
    ("driver", "run"), [(Services, RUN), (Http, RUN if EXAMPLES else settings(RUN, max_examples=3))]
)
def test_product_and_model_agree(state_app, store, driver, run):
    seen = play(driver, state_app, store, run=run)
    print(f"{driver.__name__}: " + ", ".join(f"{count} {name}" for name, count in sorted(seen.items())))
    if run is not RUN:
        return
    usual = {"order done", "change done", "cancel done", "filled", "triggered", "expired", "deposit replay"}
    usual |= {"adjust done", "approve done", "reject done", "close done"}
    assert usual <= set(+seen), "these stories show little: play others, with another SEED"


def without_key(request: Request) -> Request:
    return replace(request, key=None)


def a_cent_more(request: Request) -> Request:
    body = {name: "3000.01" if text == "3000.00" else text for name, text in request.body.items()}
    return replace(request, body=body)


def as_if_it_may(request: Request) -> Request:
    return replace(request, credential="script")


def by_the_other_admin(request: Request) -> Request:
    return replace(request, actor="chief") if request.action == "approve" else request


@pytest.mark.parametrize("fault", [without_key, a_cent_more, as_if_it_may, by_the_other_admin])
def test_the_model_notices_a_product_that_does_something_else(state_app, store, fault):
    class Faulty(Services):
        def send(self, request: Request) -> Answer:
            return super().send(fault(request))

    with pytest.raises(AssertionError):
        play(Faulty, state_app, store, run=settings(RUN, max_examples=50, phases=[Phase.generate]))
