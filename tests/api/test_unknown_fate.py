"""A request whose answer was lost may have been applied: what its resend is answered must not have it run again."""

from __future__ import annotations

import pytest

from tests.support.faults import cancel, lose_answer, refuse, truncate
from tests.support.people import problem

RESEND_ANSWERS = {
    "throttled": refuse("ThrottlingException"),
    "conflict": cancel("TransactionConflict", "None"),
    "condition": cancel("ConditionalCheckFailed", "None"),
    "in progress": refuse("TransactionInProgressException"),
}


@pytest.fixture
def person(new_user, faulty_app, faults):
    """Someone with 100.00 whose requests go through `faults`."""
    person = new_user(faulty_app)
    person.deposit("100")
    faults.heal()
    return person


@pytest.mark.parametrize(
    ("lost", "answer"),
    [*((lose_answer, answer) for answer in RESEND_ANSWERS.values()), (truncate, RESEND_ANSWERS["conflict"])],
    ids=[*RESEND_ANSWERS, "cut short, then conflict"],
)
def test_a_deposit_of_unknown_fate_is_not_run_again(person, faults, lost, answer):
    faults.inject("TransactWriteItems", lost, answer, answer, answer)
    problem(person.deposit("30"), 503, "store_unavailable")
    faults.heal()
    assert person.balance() == "130.00"


@pytest.mark.parametrize("answer", RESEND_ANSWERS.values(), ids=RESEND_ANSWERS.keys())
def test_with_a_key_it_is_safe_to_repeat(person, faults, answer):
    faults.inject("TransactWriteItems", lose_answer, answer, answer, answer)
    problem(person.deposit("30", key="k"), 503, "store_unavailable")
    faults.heal()
    repeated = person.deposit("30", key="k")
    assert repeated.status_code == 201 and repeated.headers["Idempotent-Replayed"] == "true"
    assert person.balance() == "130.00"
