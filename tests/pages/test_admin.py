"""Administration: who may see it, and what an admin finds and does there."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from app.domain.users import Role
from tests.pages.conftest import NewBrowser
from tests.support.page_client import NOTHING_YET, Browser
from tests.support.people import PASSWORD, registration
from tests.support.usage import usage, usage_of

# Beyond the one call that authenticates; {} is a user.
CALLS = {
    "/admin": 4,
    "/admin/users": 1,
    "/admin/acts?month=2026-01": 1,
    "/admin/users/{}": 6,
    "/admin/users/{}/transactions": 2,
    "/admin/users/{}/orders": 2,
    "/admin/users/{}/events": 2,
    "/admin/users/{}/sessions": 1,
    "/admin/users/{}/status": 1,
    "/admin/users/{}/adjustment": 2,
    "/admin/approvals": 1,
    # Nothing else trades DOT: the calls do not depend on who sold all of it.
    "/admin/assets/DOT": 2,
    "/admin/assets/DOT/trades": 2,
}
FORMS = ["/admin/users/{}/status", "/admin/users/{}/sessions", "/admin/users/{}/adjustment"]


@pytest.fixture
def admin(app: Flask, new_browser: NewBrowser) -> Browser:
    return new_browser().enter(Role.ADMIN)


@pytest.mark.parametrize(("path", "calls"), CALLS.items())
@pytest.mark.parametrize("has_history", [False, True])
def test_a_page_costs_so_many_calls(
    admin: Browser, rich: Browser, ann: Browser, path: str, calls: int, has_history: bool
) -> None:
    if has_history:
        rich.done("/assets/BTC", quantity="1")
    if "DOT" in path:
        rich.done("/assets/DOT", quantity="1")
    answer = admin.get(path.format(rich.username if has_history else ann.username))
    assert usage_of(answer.response).calls == 1 + calls


@pytest.mark.parametrize("path", [*CALLS, "/admin?user=ann", "/admin/users/nobody_here"])
def test_an_ordinary_user_may_not_and_a_stranger_is_asked_to_log_in(ann: Browser, stranger: Browser, path: str) -> None:
    path = path.format(ann.username)
    refused = ann.get(path, 403)
    assert "This is for administrators only." in refused.text
    assert usage_of(refused.response).calls == 1
    there = stranger.get(path, 303)
    assert there.location.startswith("/login?next=/admin")


@pytest.mark.parametrize("path", FORMS)
def test_an_ordinary_user_changes_nothing(ann: Browser, rich: Browser, path: str) -> None:
    form = ann.get("/deposit").form()
    form.action = path.format(rich.username)
    assert ann.send(form, amount="-1", reason="x", status="suspended").status == 403
    assert "Cash to spend $10,000.00" in rich.get("/dashboard").text


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_its_token_is_refused(admin: Browser, ann: Browser, path: str) -> None:
    answer = admin.send(admin.get(path.format(ann.username)).form(), csrf_token=None, amount="1", reason="x")
    assert answer.status == 400
    assert NOTHING_YET in ann.get("/dashboard").text


@pytest.mark.parametrize("path", FORMS)
def test_a_form_of_an_ended_session_leads_back_to_its_page(
    admin: Browser, new_browser: NewBrowser, ann: Browser, path: str
) -> None:
    path = path.format(ann.username)
    other = new_browser()
    other.log_in(admin.username)
    form = other.get(path).form()
    admin.done("/account/sessions")
    sent = other.send(form, amount="1", reason="x")
    assert sent.location == f"/login?next={form.action}"
    assert "nothing was applied" in other.get(sent.location).text
    there = other.log_in(admin.username, page=sent.location).location
    assert there == form.action
    if there != path:
        assert other.get(there, 303).location == path


def test_only_admins_have_the_link(admin: Browser, ann: Browser) -> None:
    assert "/admin" in admin.get("/dashboard").shown.links
    assert "/admin" not in ann.get("/dashboard").shown.links


@pytest.mark.parametrize("write", ["{}", "{}@example.com", " {} "])
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_a_user_is_found_by_name_or_address(admin: Browser, ann: Browser, write: str, case: Any) -> None:
    found = admin.get(f"/admin?user={case(write.format(ann.username))}", 303)
    assert found.location == f"/admin/users/{ann.username}"
    assert usage_of(found.response).calls <= 1 + 2


def test_a_user_is_found_by_an_address_in_another_spelling(admin: Browser, stranger: Browser) -> None:
    body = registration()
    stranger.submit("/register", **{**body, "email": f"{body['username']}@xn--bcher-kva.example"})
    for domain in ("xn--bcher-kva.example", "bücher.example", "BÜCHER.example"):
        found = admin.get(f"/admin?user={body['username']}@{domain}", 303)
        assert found.location == f"/admin/users/{body['username']}"


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("user=nobody_here", 404, "There is no such user. Check the username or e-mail address."),
        ("user=nobody@example.com", 404, "There is no such user. Check the username or e-mail address."),
        ("user=%3Cscript%3Ealert(1)", 404, "There is no such user. Check the username or e-mail address."),
        ("user=%23", 404, "There is no such user. Check the username or e-mail address."),
        ("user=", 422, "Fill this in."),
        ("user=" + "x" * 255, 422, "Write 1 to 254 characters."),
    ],
)
def test_nobody_is_found(admin: Browser, query: str, status: int, message: str) -> None:
    answer = admin.get(f"/admin?{query}", status)
    assert answer.error_of("user") == message
    assert "<script>alert" not in answer.response.text


def test_a_user_is_shown_whole(admin: Browser, rich: Browser) -> None:
    rich.done("/account", phone="+44 20 7946 0000", date_of_birth="1990-12-31", current_password=PASSWORD)
    rich.done("/assets/BTC", quantity="1.5")
    rich.done("/withdraw", amount="50", description="<i>Rent</i>")
    answer = admin.get(f"/admin/users/{rich.username}")
    for text in (
        "Ann Smith",
        f"{rich.username}@example.com",
        "+442079460000",
        "1990-12-31",
        "Active",
        "$9,800.00",
        "Bitcoin",
        "1.5 BTC",
        "<i>Rent</i>",
        "−$50.00",
        "No open orders",
    ):
        assert text in answer.text, text
    assert "<i>Rent" not in answer.response.text


@pytest.mark.parametrize("path", [path for path in CALLS if "{}" in path])
@pytest.mark.parametrize("username", ["nobody_here", "x" * 3000, "a", "é"])
def test_who_does_not_exist_is_not_found(admin: Browser, path: str, username: str) -> None:
    admin.get(path.format(username), 404)


def test_suspending_asks_first_and_ends_every_session(admin: Browser, ann: Browser, stranger: Browser) -> None:
    page = f"/admin/users/{ann.username}/status"
    assert f"Suspend {ann.username}?" in admin.get(page).text
    ann.get("/dashboard")
    done = admin.done(page)
    assert f"{ann.username} is suspended, and logged out everywhere." in done.text and "Suspended" in done.text
    ann.get("/dashboard", 303)
    assert stranger.log_in(ann.username).status == 403
    assert f"Reinstate {ann.username}?" in admin.get(page).text
    assert f"{ann.username} is reinstated" in admin.done(page).text
    assert stranger.log_in(ann.username).status == 303


def test_nobody_suspends_oneself(admin: Browser) -> None:
    answer = admin.submit(f"/admin/users/{admin.username}/status")
    assert answer.status == 409 and "An administrator cannot do this to their own account." in answer.text
    assert "/status" not in " ".join(admin.get(f"/admin/users/{admin.username}").shown.links)


@pytest.mark.parametrize("status", [None, "", "gone"])
def test_an_odd_status_is_refused(admin: Browser, ann: Browser, status: str | None) -> None:
    form = admin.get(f"/admin/users/{ann.username}/status").form()
    assert admin.send(form, status=status).status == 422
    ann.get("/dashboard")


def test_an_adjustment_is_recorded_with_its_reason_and_actor(admin: Browser, ann: Browser) -> None:
    page = f"/admin/users/{ann.username}/adjustment"
    assert "to $20.00" in admin.get(admin.send(admin.reviewed(page, amount="20", reason="A gift")).location).text
    sent = admin.send(admin.reviewed(page, amount="-7,50", reason="<b>Too much</b>"))
    done = admin.get(sent.location)
    assert f"Adjusted the balance of {ann.username} by −$7.50 to $12.50" in done.text
    assert f"recorded {admin.username} as the administrator who did it" in done.text
    assert f"by {admin.username}" in admin.get(f"/admin/users/{ann.username}/transactions").text
    seen = ann.get("/activity/000000000002")
    assert "<b>Too much</b>" in seen.text and admin.username in seen.text and "<b>Too" not in seen.response.text


def test_an_adjustment_sent_twice_applies_once(admin: Browser, ann: Browser) -> None:
    form = admin.reviewed(f"/admin/users/{ann.username}/adjustment", amount="5", reason="A gift")
    for says in ("to $5.00", f"Nothing was changed now. The balance of {ann.username} is $5.00."):
        sent = admin.send(form)
        assert sent.status == 303 and says in admin.get(sent.location).text
    other = admin.send(form, amount="6", reason="A gift")
    assert other.status == 422 and "This form was sent before, with other values." in other.text
    assert "Cash to spend $5.00" in ann.get("/dashboard").text


def test_an_adjustment_is_reviewed_before_it_is_booked(admin: Browser, rich: Browser) -> None:
    """With the balance before and after it; nothing is written, and the form comes back as it was typed."""
    page = f"/admin/users/{rich.username}/adjustment"
    review = admin.submit(page, amount="-2,50", reason="<b>A fee</b>")
    for text in ("Take $2.50 from the balance", "Balance now $10,000.00", "Balance after $9,997.50", "<b>A fee</b>"):
        assert text in review.text, text
    assert "booked at once" in review.text and "<b>A fee" not in review.response.text
    assert usage_of(review.response) == usage(3, 3, 0)
    assert (
        "waits" not in review.text
        and "until another administrator" in admin.submit(page, amount="10000.01", reason="x").text
    )
    form = review.form()
    form.action = f"{page}/change"
    changed = admin.send(form)
    assert (changed.form().values["amount"], changed.form().values["reason"]) == ("-2.50", "<b>A fee</b>")
    assert changed.form().values["idempotency_key"] == form.values["idempotency_key"]
    assert "Cash to spend $10,000.00" in rich.get("/dashboard").text
    for path in ("review", "change"):
        assert admin.get(f"{page}/{path}", 303).location == page


def test_a_balance_that_falls_during_the_review_is_told(admin: Browser, rich: Browser) -> None:
    form = admin.reviewed(f"/admin/users/{rich.username}/adjustment", amount="-10000", reason="x")
    rich.done("/withdraw", amount="0.01")
    answer = admin.send(form)
    assert answer.status == 422 and answer.error_of("amount").startswith("The balance is $9,999.99")
    assert answer.form().values["amount"] == "-10000"


BAD_ADJUSTMENTS = {
    "no amount": ({"amount": ""}, "amount", "Fill this in."),
    "zero": ({"amount": "0"}, "amount", ""),
    "word": ({"amount": "much"}, "amount", ""),
    "too precise": ({"amount": "0.001"}, "amount", ""),
    "below zero": ({"amount": "-0.01"}, "amount", "The balance is $0.00, and this needs $0.01."),
    "no reason": ({"reason": " "}, "reason", "Fill this in."),
    "long reason": ({"reason": "x" * 201}, "reason", "Write 1 to 200 characters."),
}


@pytest.mark.parametrize(("changed", "field", "message"), BAD_ADJUSTMENTS.values(), ids=BAD_ADJUSTMENTS)
def test_a_bad_adjustment_is_told_beside_the_field(
    admin: Browser, ann: Browser, changed: dict[str, str], field: str, message: str
) -> None:
    sent = {"amount": "1", "reason": "A gift", **changed}
    answer = admin.submit(f"/admin/users/{ann.username}/adjustment", **sent)
    assert answer.status == 422 and answer.error_of(field).startswith(message)
    assert answer.form().values["amount"] == sent["amount"]
    assert NOTHING_YET in ann.get("/dashboard").text


@pytest.mark.parametrize("kind", ["transactions", "orders"])
def test_lists_are_paged_to_their_end(admin: Browser, rich: Browser, kind: str) -> None:
    form = rich.get("/assets/ETH").form()
    for number in range(30):
        rich.send(form, quantity="1", idempotency_key=f"key-{number}")
    first = admin.get(f"/admin/users/{rich.username}/{kind}")
    [older] = [link for link in first.shown.links if "cursor=" in link]
    assert first.response.text.count("<tr>") == 1 + 25
    second = admin.get(older)
    assert second.response.text.count("<tr>") == 1 + (6 if kind == "transactions" else 5)
    admin.get(older.replace(rich.username, admin.username), 400)
    assert f"/admin/users/{rich.username}/{kind}" in second.shown.links


def test_who_holds_and_trades_an_asset(admin: Browser, rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="0.75")
    address, pages = "/admin/assets/btc", ""
    while address:
        page = admin.get(address)
        pages += page.text
        address = next((link for link in page.shown.links if "cursor=" in link), "")
    assert f"{rich.username} since" in pages and "0.75 BTC" in pages
    assert admin.get("/admin/assets/BTC/trades").text.startswith("Skip")
    admin.get("/admin/assets/NOPE", 404)
    admin.get("/admin/assets/NOPE/trades", 404)
