"""The fault layer itself: the k-th call and each send of it, and what a store that lags hides."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from app.domain.errors import Busy, StoreUnavailable
from app.models.create_tables import create_tables
from app.models.reading import read_together
from app.models.users import EmailClaim, User, find_user_by_email
from tests.proofs.matrix.matrix import matrix_app
from tests.support.engine import engine
from tests.support.faults import FaultyStore, conflict, drop, leave_unprocessed, lose_answer, refuse
from tests.support.people import register, registration

THROTTLE = refuse("ProvisionedThroughputExceededException")


def put(name: str) -> Callable[[], object]:
    return lambda: EmailClaim(*EmailClaim.key(name), username=name).save(condition=EmailClaim.absent())


def is_there(name: str) -> bool:
    return EmailClaim.find(EmailClaim.key(name)) is not None


@pytest.fixture
def in_faulty_app(impatient: None, faulty_app: Flask) -> Iterator[None]:
    with faulty_app.app_context():
        yield


def test_the_resends_of_a_call_are_one_call(in_faulty_app, faults):
    faults.break_call(2, drop, drop, None)
    for name in ("one", "two", "three"):
        put(f"resends-{name}")()
    assert [(call.number, call.operation, call.sends) for call in faults.calls] == [
        (1, "PutItem", 1),
        (2, "PutItem", 3),
        (3, "PutItem", 1),
    ]
    assert faults.broken == 2


def test_every_send_of_one_call_fails(in_faulty_app, faults):
    faults.break_call(2, THROTTLE)
    put("every-one")()
    with pytest.raises(Busy):
        put("every-two")()
    put("every-three")()
    assert [is_there(f"every-{name}") for name in ("one", "two", "three")] == [True, False, True]
    assert faults.broken == faults.calls[1].sends == 3


def test_a_call_and_all_after_it_fail(in_faulty_app, faults):
    faults.break_call(2, drop, onward=True)
    put("onward-one")()
    for name in ("onward-two", "onward-three"):
        with pytest.raises(StoreUnavailable):
            put(name)()
    assert faults.broken == 6


def test_an_answer_that_is_lost_was_given(in_faulty_app, faults):
    faults.break_call(1, lose_answer, THROTTLE)
    with pytest.raises(StoreUnavailable):
        put("lost")()
    faults.heal()
    assert is_there("lost")


def test_a_conflict_is_for_writes(in_faulty_app, faults):
    faults.break_call(1, conflict, onward=True)
    assert not is_there("conflict")
    with pytest.raises(Busy):
        put("conflict")()


def test_keys_that_are_handed_back_are_asked_for_again(in_faulty_app, faults):
    faults.break_call(1, leave_unprocessed, None)
    places = [(User, User.key("nobody")), (EmailClaim, EmailClaim.key("nobody"))]
    found = read_together(places)
    assert all(found.has_read(*place) and found.get(*place) is None for place in places)
    asked = [call.body["RequestItems"]["users"]["Keys"] for call in faults.calls]
    assert len(asked[0]) == 2 and asked[1] == asked[0][1:]


@pytest.fixture(scope="module")
def lagging_app(impatient: None) -> Iterator[tuple[Flask, FaultyStore]]:
    with engine() as first, engine() as second, FaultyStore(first, replica=second) as store:
        app = matrix_app(store.endpoint)
        with app.app_context():
            create_tables()
        yield app, store


@pytest.mark.parametrize(
    ("lag", "sees_cheaply", "sees_in_index"),
    [
        ({}, True, True),
        ({"reads": True}, False, True),
        ({"indexes": True}, True, False),
        ({"reads": True, "indexes": True}, False, False),
    ],
    ids=["none", "reads", "indexes", "both"],
)
def test_what_a_lag_hides(lagging_app, lag, sees_cheaply, sees_in_index):
    app, store = lagging_app
    fields = registration()
    with app.app_context():
        with store.lagging(**lag):
            register(app, **fields)
            key = User.key(fields["username"])
            assert User.find(key) is not None, "a consistent read sees everything"
            assert (User.find(key, consistent=False) is not None) == sees_cheaply
            assert bool(list(User.email_index.query(fields["email"]))) == sees_in_index
            assert find_user_by_email(fields["email"]) is not None, "it does not ask the index"
        assert User.find(key, consistent=False) is not None and list(User.email_index.query(fields["email"]))


def test_a_lag_hides_what_was_changed_and_deleted_too(lagging_app):
    app, store = lagging_app
    with app.app_context():
        put("old")()
        claim = EmailClaim.get(*EmailClaim.key("old"))
        with store.lagging(reads=True):
            claim.update([EmailClaim.username.set("new")])
            assert EmailClaim.find(claim.key("old"), consistent=False).username == "old"
            claim.delete()
            assert EmailClaim.find(claim.key("old"), consistent=False).username == "old"
        assert EmailClaim.find(claim.key("old"), consistent=False) is None
