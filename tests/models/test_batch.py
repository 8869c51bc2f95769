"""The one way to change several items: all or nothing, with a label for what stood in the way."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from pynamodb.exceptions import VerboseClientError

from app.domain import clock
from app.domain.errors import Busy, StoreUnavailable
from app.models.batch import Batch, Cancelled, retry_while_busy
from app.models.idempotency import IdempotencyClaim
from app.models.ledger import Balance, Holding
from app.models.users import EmailClaim, UsersItem
from tests.support.faults import cancel, drop, garble, refuse, truncate

NOW = clock.now()


def claim(name: str, reference: str = "made") -> IdempotencyClaim:
    return IdempotencyClaim(
        *IdempotencyClaim.key("batch", name), fingerprint="f", reference=reference, created_at=NOW, ttl=NOW
    )


def reference_of(name: str) -> str | None:
    found = IdempotencyClaim.find(IdempotencyClaim.key("batch", name))
    return found and found.reference


def test_every_step_is_applied(in_app):
    first = Batch()
    first.put("first", claim("all-1"))
    first.put("second", claim("all-2"))
    first.commit()
    change = Batch()
    change.delete("gone", claim("all-1"), condition=IdempotencyClaim.reference == "made")
    change.update(
        "changed",
        claim("all-2"),
        [IdempotencyClaim.reference.set("changed")],
        condition=IdempotencyClaim.fingerprint == "f",
    )
    change.put("third", claim("all-3"))
    change.commit()
    assert [reference_of(f"all-{number}") for number in (1, 2, 3)] == [None, "changed", "made"]


def test_what_a_batch_would_write_is_what_it_then_writes(in_app):
    """Of each kind of step; what is deleted is left out."""
    held = Holding(*Holding.key("batch", "ADA"), username="batch", asset_id="ADA", quantity=Decimal(1))
    held.created_at = held.updated_at = NOW
    for item in (claim("tried-1"), claim("tried-2"), held):
        item.save()
    batch = Batch()
    batch.put("new", claim("tried-3"))
    batch.set("set", held, {"quantity": Decimal(2), "reserved_quantity": Decimal("0.5")}, unchanged=["quantity"])
    batch.delete("gone", claim("tried-1"), condition=IdempotencyClaim.reference == "made")
    actions = [IdempotencyClaim.reference.set("changed"), IdempotencyClaim.username.remove()]
    batch.update("changed", claim("tried-2"), actions, condition=IdempotencyClaim.fingerprint == "f")
    shown = [(each.item.serialize(), each.is_new) for each in batch.written()]
    assert len(shown) == 3 and IdempotencyClaim.find(IdempotencyClaim.key("batch", "tried-3")) is None
    batch.commit()
    kinds = (IdempotencyClaim, "REQUEST#tried-3", True), (Holding, "ASSET#ADA", False)
    kinds += ((IdempotencyClaim, "REQUEST#tried-2", False),)
    assert shown == [(kind.find(("batch", place)).serialize(), is_new) for kind, place, is_new in kinds]


# Steps of a batch, in an order that PynamoDB and DynamoDB may not keep; those that must be named.
REFUSED = {
    "the first": (["taken", "free", "free"], {"step 0"}),
    "the last": (["free", "free", "taken"], {"step 2"}),
    "a stale update": (["free", "stale", "free"], {"step 1"}),
    "a delete of what is gone": (["gone", "free"], {"step 0"}),
    "several": (["stale", "free", "taken", "gone"], {"step 0", "step 2", "step 3"}),
    "update before put": (["stale", "taken"], {"step 0", "step 1"}),
}


@pytest.mark.parametrize(("steps", "refused"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_batch_names_its_steps_and_writes_nothing(in_app, request, steps, refused):
    case = request.node.callspec.id
    batch = Batch()
    for number, step in enumerate(steps):
        name, label = f"{case}-{number}", f"step {number}"
        if step in {"taken", "stale"}:
            claim(name).save()
        if step in {"free", "taken"}:
            batch.put(label, claim(name, "written"))
        elif step == "stale":
            batch.update(
                label,
                claim(name),
                [IdempotencyClaim.reference.set("written")],
                condition=IdempotencyClaim.reference == "older",
            )
        else:
            batch.delete(label, claim(name), condition=IdempotencyClaim.reference == "made")
    with pytest.raises(Cancelled) as cancelled:
        batch.commit()
    assert cancelled.value.refused == refused
    for number, step in enumerate(steps):
        expected = "made" if step in {"taken", "stale"} else None
        assert reference_of(f"{case}-{number}") == expected


def test_a_put_without_a_condition_never_overwrites(in_app):
    EmailClaim(*EmailClaim.key("batch@example.com"), username="first").save()
    batch = Batch()
    batch.put("email", EmailClaim(*EmailClaim.key("batch@example.com"), username="second"))
    with pytest.raises(Cancelled):
        batch.commit()
    assert EmailClaim.find(EmailClaim.key("batch@example.com")).username == "first"


def test_each_batch_has_one_token_and_another_batch_another(faulty_app, faults):
    """The resend after a broken connection carries the token of the first send, and so applies once."""
    faults.inject("TransactWriteItems", drop)
    with faulty_app.app_context():
        for number in (1, 2):
            batch = Batch()
            batch.put("claim", claim(f"token-{number}"))
            batch.commit()
    tokens = [body["ClientRequestToken"] for body in faults.bodies if "ClientRequestToken" in body]
    assert len(tokens) == 3 and tokens[0] == tokens[1] != tokens[2]
    assert all(len(token) == 36 for token in tokens)


FAILURES = {
    "conflict": ([cancel("None", "TransactionConflict")], Busy),
    "conflict of the whole": ([refuse("TransactionConflictException")] * 3, Busy),
    "throttled step": ([cancel("ThrottlingError", "None")], Busy),
    "throttled": ([refuse("ThrottlingException")] * 3, Busy),
    "out of capacity": ([refuse("ProvisionedThroughputExceededException")] * 3, Busy),
    "over the account's limit": ([refuse("RequestLimitExceeded")] * 3, Busy),
    "a step that cannot be done": ([cancel("ValidationError", "None")], VerboseClientError),
    "throttled, and a step that cannot be done": ([cancel("ThrottlingError", "ValidationError")], VerboseClientError),
    "no right to write": ([refuse("AccessDeniedException")], VerboseClientError),
    "condition and conflict": ([cancel("ConditionalCheckFailed", "TransactionConflict")], Cancelled),
    "in progress": ([refuse("TransactionInProgressException")] * 3, StoreUnavailable),
    "internal error": ([refuse("InternalServerError", status=500)] * 3, StoreUnavailable),
    "unavailable": ([refuse("ServiceUnavailable", status=503)] * 3, StoreUnavailable),
    "broken connections": ([drop] * 3, StoreUnavailable),
    "no DynamoDB at all": ([garble] * 3, StoreUnavailable),
}


@pytest.mark.parametrize(("answers", "error"), FAILURES.values(), ids=FAILURES.keys())
def test_failures_of_the_store_in_our_words(faulty_app, faults, answers, error):
    faults.inject("TransactWriteItems", *answers)
    batch = Batch()
    with faulty_app.app_context():
        batch.put("first", claim("failure-1"))
        batch.put("second", claim("failure-2"))
        with pytest.raises(error) as raised:
            batch.commit()
    if error is Cancelled:
        assert raised.value.refused == {"first"}


@pytest.mark.parametrize(
    "read",
    [
        lambda: Balance.find(Balance.key("nobody")),
        lambda: list(Holding.query("nobody", Holding.SK.startswith("ASSET#"))),
        lambda: list(UsersItem.batch_get([Balance.key("nobody")])),
        lambda: claim("single").save(),
    ],
    ids=["get", "query", "batch get", "put"],
)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refuse("ThrottlingException"), Busy),
        (refuse("InternalServerError", status=500), StoreUnavailable),
        (drop, StoreUnavailable),
        (garble, StoreUnavailable),
    ],
    ids=["throttled", "internal error", "broken connection", "no DynamoDB"],
)
def test_failures_of_single_operations_in_our_words(faulty_app, faults, read, answer, error):
    faults.inject("*", *[answer] * 3)
    with faulty_app.app_context(), pytest.raises(error):
        read()


@pytest.mark.parametrize(("cut_off", "sent"), [(1, 2), (2, 3)])
def test_half_an_answer_is_asked_for_again(in_app, faulty_app, faults, cut_off, sent):
    claim("half").save(condition=None)
    faults.inject("GetItem", *[truncate] * cut_off)
    with faulty_app.app_context():
        assert reference_of("half") == "made"
    assert faults.operations == ["GetItem"] * sent


def test_half_an_answer_is_never_taken_for_a_whole_one(in_app, faulty_app, faults):
    claim("half").save(condition=None)
    faults.inject("GetItem", *[truncate] * 3)
    with faulty_app.app_context(), pytest.raises(StoreUnavailable):
        reference_of("half")


def test_a_lost_race_is_run_again_until_it_is_won():
    runs, started = [], time.monotonic()

    @retry_while_busy
    def change() -> str:
        runs.append(1)
        if len(runs) < 5:
            raise Busy()
        return "won"

    assert change() == "won" and len(runs) == 5
    # Four random waits of up to 0.2, 0.4, 0.8 and 1 seconds: once in 200,000 runs they are shorter than this together.
    assert time.monotonic() - started > 0.05


def test_threads_that_lose_races_do_not_disturb_each_other(impatient):
    """Nothing of a retry is shared, though other threads begin the same change all the time."""

    @retry_while_busy
    def change(races_to_lose: list[int]) -> str:
        if races_to_lose:
            races_to_lose.pop()
            raise Busy()
        return "won"

    def lose(_):
        return {change([1]) for _ in range(150)}

    def win(_):
        return {change([]) for _ in range(1500)}

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(12) as pool:
            outcomes = [pool.submit(task, None) for task in [lose] * 8 + [win] * 4]
    finally:
        sys.setswitchinterval(interval)
    assert [outcome.exception() for outcome in outcomes] == [None] * 12
    assert all(outcome.result() == {"won"} for outcome in outcomes)


@pytest.mark.parametrize("error", [StoreUnavailable, Cancelled, ValueError])
def test_nothing_else_is_run_again(error):
    runs = []

    @retry_while_busy
    def change() -> None:
        runs.append(1)
        raise error({"x"})

    with pytest.raises(error):
        change()
    assert len(runs) == 1
