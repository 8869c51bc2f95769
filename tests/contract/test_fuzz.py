"""schemathesis over the whole specification: a bounded run in `make test`, as long as you like in `make fuzz`."""

from __future__ import annotations

import os
from collections.abc import Callable

from flask import Flask

from tests.contract.fuzzing import fuzz
from tests.support.people import Person

# Of each operation, in each random phase. The cases of the others follow from the specification alone.
MAX_EXAMPLES = int(os.environ.get("SCHEMATHESIS_MAX_EXAMPLES") or 2)
# The bounded run sends the same every time; a long one is for finding what nobody has sent yet.
SEED = None if os.environ.get("SCHEMATHESIS_MAX_EXAMPLES") else 1
# What they need stands in a mail.
NEED_A_MAIL = {"POST /api/v1/auth/email/confirm", "POST /api/v1/auth/password/reset"}


def test_no_request_gets_an_answer_that_is_not_documented(
    contract_app: Flask, new_person: Callable[..., Person]
) -> None:
    """As an administrator, who may do all; what others may not do, test_journey.py asks of every operation."""
    person = new_person(is_admin=True)
    run = fuzz(contract_app, person.username, max_examples=MAX_EXAMPLES, seed=SEED)
    print(run.report())
    assert not run.failures and not run.errors, run.report()
    assert {"examples", "fuzzing", "stateful"} <= set(run.cases)
    # A few requests need not get through everywhere; those of test_journey.py do.
    never = {label for label, statuses in run.answers.items() if not any(200 <= each < 300 for each in statuses)}
    assert SEED or never <= NEED_A_MAIL, "nothing got through to these"
