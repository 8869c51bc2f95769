"""Large adjustments: they wait for a second administrator, are booked once, and are no way around a rule."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain import clock
from app.domain.approvals import APPROVAL_LIFETIME
from app.domain.users import Role
from app.models import adjustments
from app.models.adjustments import approve as approve_by_model
from app.models.users import set_role
from tests.admin.routes import run
from tests.support.applications import make_app
from tests.support.books import check_books
from tests.support.faults import Forwarder
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, problem
from tests.support.usage import AUTHENTICATION, usage, usage_of

NO_APPROVAL = "approval_01JD0QZ5M4X8W3T7K2V9N6B1CF"
OVER = "10000.01"


@pytest.fixture
def second(new_user, app):
    person = new_user()
    assert run(app, "promote", person.username).exit_code == 0
    person.log_in()
    return person


@pytest.fixture
def browsers(app) -> Callable[[Any], Browser]:
    def log_in(person: Any) -> Browser:
        browser = Browser(app)
        browser.log_in(person.username)
        return browser

    return log_in


def ask(admin, person, amount=OVER, reason="Payment of 1 May", **more):
    return admin.post(f"/admin/users/{person.username}/adjustments", {"amount": amount, "reason": reason}, **more)


def waiting(admin, person, amount=OVER) -> str:
    answer = ask(admin, person, amount)
    assert answer.status_code == 202, answer.text
    return answer.json["data"]["approval_id"]


def decide(who, approval_id: str, decision: str = "approve"):
    return who.post(f"/admin/approvals/{approval_id}/{decision}")


def find(admin, approval_id: str) -> dict[str, Any]:
    return admin.get(f"/admin/approvals/{approval_id}").json["data"]


@pytest.mark.parametrize("amount", ["10000.00", "-10000.00", "0.01"])
def test_up_to_the_limit_nothing_waits(admin, person, amount):
    person.deposit("10000")
    assert ask(admin, person, amount).status_code == 201


@pytest.mark.parametrize("amount", ["10000.01", "-10000.01", "1000000.00"])
def test_more_waits_and_is_booked_by_another_administrator(admin, second, person, store, amount):
    person.deposit("20000")
    asked = ask(admin, person, amount)
    assert asked.status_code == 202 and set(asked.json) == {"data"}
    item = asked.json["data"]
    assert (item["status"], item["asked_by"], item["username"]) == ("waiting", admin.username, person.username)
    assert (item["amount"], item["reason"], item["transaction_id"]) == (amount, "Payment of 1 May", None)
    assert person.balance() == "20000.00" and len(person.get("/balance/transactions").json["transactions"]) == 1
    assert find(second, item["approval_id"]) == item

    approved = decide(second, item["approval_id"])
    made = approved.json["data"]
    assert approved.status_code == 201 and made["amount"] == amount
    assert made["actor"] == admin.username
    key = {"PK": {"S": person.username}, "SK": {"S": f"TRANS#{made['transaction_id']}"}}
    stored = store.get_item(TableName="users", Key=key)["Item"]
    assert stored["approved_by"]["S"] == second.username
    assert made["description"] == "Payment of 1 May" and person.balance() == made["new_balance"]
    item = find(admin, item["approval_id"])
    assert (item["status"], item["decided_by"]) == ("approved", second.username)
    assert item["transaction_id"] == made["transaction_id"] and item["decided_at"]


def test_who_asked_cannot_approve_and_may_take_it_back(admin, second, person):
    approval_id = waiting(admin, person)
    problem(decide(admin, approval_id), 409, "second_operator_needed")
    assert person.balance() == "0.00"
    assert decide(admin, approval_id, "reject").json["data"]["status"] == "rejected"
    body = problem(decide(second, approval_id), 409, "approval_not_waiting")
    assert body["approval_status"] == "rejected" and person.balance() == "0.00"


def test_the_owner_of_the_account_decides_nothing(admin, second, app):
    """Also where the owner became an administrator since."""
    approval_id = waiting(admin, second)
    for decision in ("approve", "reject"):
        problem(decide(second, approval_id, decision), 409, "own_account")
    assert second.balance() == "0.00" and find(admin, approval_id)["status"] == "waiting"


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_others_decide_nothing(admin, second, person, new_user, app, decision):
    approval_id = waiting(admin, person)
    customer = new_user()
    problem(decide(customer, approval_id, decision), 403, "not_admin")
    token = second.post("/auth/tokens", {"name": "x", "scopes": "read trade transfer"}).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = second.post(f"/admin/approvals/{approval_id}/{decision}", headers=headers)
    problem(answer, 403, "insufficient_scope")
    assert run(app, "demote", second.username).exit_code == 0
    second.log_in()
    problem(decide(second, approval_id, decision), 403, "not_admin")
    assert find(admin, approval_id)["status"] == "waiting"


def test_a_second_click_books_nothing_more(admin, second, person, new_user, app):
    approval_id = waiting(admin, person)
    first = decide(second, approval_id)
    again = decide(second, approval_id)
    assert (again.status_code, again.json) == (201, first.json)
    third = new_user()
    run(app, "promote", third.username)
    third.log_in()
    body = problem(decide(third, approval_id), 409, "approval_not_waiting")
    assert body["approval_status"] == "approved"
    problem(decide(second, approval_id, "reject"), 409, "approval_not_waiting")
    assert person.balance() == "10000.01"


def test_a_second_rejection_changes_nothing(admin, second, person):
    approval_id = waiting(admin, person)
    first = decide(second, approval_id, "reject")
    assert decide(second, approval_id, "reject").json == first.json
    problem(decide(admin, approval_id, "reject"), 409, "approval_not_waiting")


def test_many_who_click_at_once_book_it_once(app, admin, person, new_user, store):
    """One batch is applied; the others are told that it is done. One rejects meanwhile, and wins or loses whole."""
    deciders = [new_user() for _ in range(4)]
    for each in deciders:
        run(app, "promote", each.username)
        each.log_in()
    for number in range(5):
        approval_id = waiting(admin, person)
        before = person.balance()
        acts = [(each, "approve") for each in (*deciders, deciders[0], deciders[1])] + [(admin, "reject")]
        with ThreadPoolExecutor(len(acts)) as pool:
            answers = list(pool.map(lambda act: decide(act[0], approval_id, act[1]), acts))
        item = find(admin, approval_id)
        booked = Decimal(person.balance()) - Decimal(before)
        assert booked == (Decimal(OVER) if item["status"] == "approved" else 0), number
        done = [answer for answer in answers if answer.status_code < 300]
        assert done and all(answer.status_code in {200, 201, 409, 503} for answer in answers)
    check_books(store, person.username)


BETWEEN = {
    "rejected meanwhile": ("reject", "rejected", 0),
    "approved meanwhile by another one": ("approve", "approved", 1),
}


@pytest.mark.parametrize(("decision", "status", "booked"), BETWEEN.values(), ids=BETWEEN)
def test_what_was_decided_between_the_read_and_the_write_stays(
    app, faulty_app, faults, admin, second, person, new_user, decision, status, booked
):
    """Certain, unlike threads. A rejection leaves the balance as it is, so only the approval itself can tell."""
    third = new_user()
    run(app, "promote", third.username)
    third.log_in()
    approval_id = waiting(admin, person)
    second.client = faulty_app.test_client()

    def meanwhile(forwarder: Forwarder, sent: bytes) -> tuple[int, bytes]:
        assert decide(third, approval_id, decision).status_code < 300
        return forwarder.forward(sent)

    faults.inject("TransactWriteItems", meanwhile)
    body = problem(decide(second, approval_id), 409, "approval_not_waiting")
    assert body["approval_status"] == status
    assert person.balance() == ("10000.01" if booked else "0.00")
    assert len(person.get("/auth/events").json["data"]) == booked


def test_it_expires(app, admin, second, person):
    approval_id = waiting(admin, person)
    end = clock.now() + APPROVAL_LIFETIME
    with app.app_context():
        with clock.at(end - timedelta(minutes=1)):
            assert adjustments.get_approval(approval_id).status == "WAITING"
        with clock.at(end + timedelta(seconds=1)), pytest.raises(Exception, match="expired"):
            approve_by_model(approval_id, actor=second.username)
    assert person.balance() == "0.00"


def test_what_the_adjustment_would_be_refused_for_refuses_it_at_both_times(admin, second, person):
    problem(ask(admin, person, "-10000.01"), 422, "insufficient_funds")
    person.deposit("15000")
    approval_id = waiting(admin, person, "-15000.00")
    person.withdraw("0.01")
    body = problem(decide(second, approval_id), 422, "insufficient_funds")
    assert (body["available"], body["required"]) == ("14999.99", "15000.00")
    assert find(admin, approval_id)["status"] == "waiting"
    person.deposit("0.01")
    assert decide(second, approval_id).status_code == 201 and person.balance() == "0.00"
    problem(ask(admin, admin), 409, "own_account")


def test_a_repeated_request_waits_once(admin, second, person):
    first = ask(admin, person, key="k")
    again = ask(admin, person, key="k")
    assert (again.status_code, again.json) == (202, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    problem(ask(admin, person, "10000.02", key="k"), 422, "idempotency_key_reused")
    approval_id = first.json["data"]["approval_id"]
    assert decide(second, approval_id).status_code == 201
    later = ask(admin, person, key="k")
    assert (later.status_code, later.json["data"]["status"]) == (202, "approved")
    assert person.balance() == "10000.01"


def test_a_key_is_for_one_adjustment_whatever_the_limit_is_by_then(endpoint, admin, person):
    """It is raised, and lowered, between a request and its repetition."""
    loose, strict = (make_app(endpoint, adjustment_approval_over=over) for over in (1_000_000, 0))
    own = admin.client
    waited = ask(admin, person, key="waits")
    admin.client = loose.test_client()
    again = ask(admin, person, key="waits")
    assert (again.status_code, again.json) == (202, waited.json)
    booked = ask(admin, person, "1000000.00", key="booked")
    assert booked.status_code == 201
    admin.client = strict.test_client()
    assert ask(admin, person, "1000000.00", key="booked").json == booked.json
    assert ask(admin, person, "0.01").status_code == 202, "0 lets every adjustment wait"
    admin.client = own
    assert person.balance() == "1000000.00"


def test_lists(app, admin, second, person):
    ids = [waiting(admin, person) for _ in range(5)]
    decide(second, ids[0])
    decide(second, ids[1], "reject")
    with app.app_context(), clock.at(clock.now() - APPROVAL_LIFETIME):
        old = adjustments.adjust(person.username, Decimal(OVER), reason="x", actor=admin.username, waits=True)
    expired = old.item.reference
    mine = {*ids, expired}

    def listed(query: str = "") -> list[tuple[str, str]]:
        rows, cursor = [], ""
        while cursor is not None:
            page = second.get(f"/admin/approvals?limit=2{query}{cursor and '&cursor=' + cursor}").json
            rows += [(row["approval_id"], row["status"]) for row in page["data"] if row["approval_id"] in mine]
            cursor = page["next_cursor"]
        return rows

    assert sorted(each for each, _ in listed()) == sorted(mine)
    assert listed("&status=waiting") == [(each, "waiting") for each in sorted(ids[2:], reverse=True)]
    assert listed("&status=approved") == [(ids[0], "approved")]
    assert listed("&status=rejected") == [(ids[1], "rejected")]
    assert listed("&status=expired") == [(expired, "expired")]
    problem(admin.get("/admin/approvals?status=x"), 422, "invalid_input")
    for approval_id in (NO_APPROVAL, "x", "000000000001"):
        problem(admin.get(f"/admin/approvals/{approval_id}"), 404, "approval_not_found")
        for decision in ("approve", "reject"):
            problem(decide(admin, approval_id, decision), 404, "approval_not_found")


def test_what_waiting_and_deciding_cost(admin, second, person):
    asked = ask(admin, person)
    assert usage_of(asked) - AUTHENTICATION == usage(3, 2, 2)
    assert usage_of(ask(admin, person, key="k")) - AUTHENTICATION == usage(3, 3, 4)
    approval_id = asked.json["data"]["approval_id"]
    assert usage_of(decide(second, approval_id)) == usage(3, 1.5 + 2, 4 + 2 + 2 + 1 + 2), (
        "two calls beside the credentials"
    )
    rejected = decide(second, waiting(admin, person), "reject")
    assert usage_of(rejected) == usage(3, 2, 1)


def test_the_owner_learns_of_nothing_that_was_not_booked(admin, second, person):
    decide(second, waiting(admin, person), "reject")
    assert person.get("/auth/events").json["data"] == []
    decide(second, waiting(admin, person))
    [event] = person.get("/auth/events").json["data"]
    assert event["event"] == "adjusted"


def test_what_an_old_log_in_may_not(admin, second, person, browsers):
    """To approve and to end sessions needs a fresh proof; to reject prevents, and needs none."""
    approval_id = waiting(admin, person)
    path = f"/admin/approvals/{approval_id}"
    browser = browsers(second)
    form = browser.get(path).form(f"{path}/approve")
    with clock.at(clock.now() + timedelta(minutes=11)):
        problem(decide(second, approval_id), 403, "proof_required")
        problem(admin.delete(f"/admin/users/{person.username}/sessions"), 403, "proof_required")
        refused = browser.send(form)
        assert refused.status == 403 and "Enter your password to go on" in refused.text
        assert person.balance() == "0.00"
        approved = browser.send(refused.form(f"{path}/approve"), current_password=PASSWORD)
        assert approved.status == 303 and person.balance() == "10000.01"


# By page


def test_by_page(admin, second, person, browsers):
    asker, decider = browsers(admin), browsers(second)
    path = f"/admin/users/{person.username}/adjustment"
    assert "More than $10,000.00, up or down, waits for another administrator" in asker.get(path).text
    form = asker.reviewed(path, amount="20000", reason="A large payment")
    sent = asker.send(form)
    there = asker.get(sent.location)
    assert sent.location.startswith("/admin/approvals/approval_") and "Nothing is booked yet" in there.text
    assert "Another administrator must approve this" in there.text and "Approve and book" not in there.text
    again = asker.send(form)
    assert again.location == sent.location and "This was done already" in asker.get(again.location).text
    assert person.balance() == "0.00"

    assert "/admin/approvals?status=waiting" in decider.get("/admin").shown.links
    assert sent.location in decider.get("/admin/approvals?status=waiting").shown.links
    shown = decider.get(sent.location)
    assert "A large payment" in shown.text and f"{admin.username}" in shown.text
    form = shown.form(f"{sent.location}/approve")
    done = decider.get(decider.send(form).location)
    assert "Adjusted the balance of" in done.text and "Approved" in done.text
    assert "This was done already" in decider.get(decider.send(form).location).text
    assert person.balance() == "20000.00"
    assert f"approved by {second.username}" in decider.get(f"/admin/users/{person.username}").text


def test_refusals_by_page(admin, second, person, browsers):
    asker, decider = browsers(admin), browsers(second)
    person.deposit("20000")
    path = f"/admin/approvals/{waiting(admin, person, '-20000.00')}"
    form = decider.get(path).form(f"{path}/approve")
    person.withdraw("1")
    refused = decider.send(form)
    assert refused.status == 422 and "The balance is $19,999.00" in refused.text
    asker_form = asker.get(path).form(f"{path}/reject")
    asker_form.action = f"{path}/approve"
    refused = asker.send(asker_form)
    assert refused.status == 409 and "Another administrator must approve it" in refused.text
    taken_back = asker.send(asker.get(path).form(f"{path}/reject"))
    assert "Nothing was booked" in asker.get(taken_back.location).text
    refused = decider.send(form)
    assert refused.status == 409 and "is rejected" in refused.text
    path = f"/admin/approvals/{waiting(admin, second)}"
    shown = decider.get(path)
    assert "This is your own account" in shown.text
    assert f"{path}/approve" not in [form.action for form in shown.shown.forms]
    decider.get(f"/admin/approvals/{NO_APPROVAL}", 404)


# Sessions of another


def test_an_administrator_ends_a_users_sessions(app, admin, person, new_user, browsers):
    """Without suspending: the user logs in again at once."""
    personal = person.post("/auth/tokens", {"name": "x", "scopes": "read"}).json["access_token"]
    browser, bearer = browsers(person), person.token
    path = f"/admin/users/{person.username}/sessions"
    assert admin.delete(f"{path}?keep_tokens=true").status_code == 204
    problem(person.get("/balance"), 401, "not_authenticated")
    assert browser.get("/dashboard", 303).location.startswith("/login")
    headers = {"Authorization": f"Bearer {personal}"}
    assert person.get("/balance", headers=headers).status_code == 200
    assert usage_of(admin.delete(path)) - AUTHENTICATION == usage(2, 1, 2 + 2 + 1)
    problem(person.get("/balance", headers=headers), 401, "not_authenticated")
    assert person.log_in() and bearer != person.token
    problem(admin.delete(f"/admin/users/{admin.username}/sessions"), 409, "own_account")
    problem(admin.delete("/admin/users/nobody_here/sessions"), 404, "user_not_found")
    problem(person.delete(path), 403, "not_admin")

    operator = browsers(admin)
    assert path in operator.get(f"/admin/users/{person.username}").shown.links
    assert "is logged out everywhere" in operator.get(operator.submit(path).location).text
    problem(person.get("/balance"), 401, "not_authenticated")


def test_an_administrator_who_asked_and_was_demoted_since(app, admin, second, person):
    """What was asked stays to be decided: a second administrator has looked at it."""
    approval_id = waiting(admin, person)
    with app.app_context():
        set_role(admin.username, Role.CUSTOMER, now=clock.now())
    assert decide(second, approval_id).status_code == 201
