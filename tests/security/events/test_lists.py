"""The list of an account's events, for its owner and for administrators."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from zipfile import ZipFile

from app.domain import clock
from app.domain.events import EventKind
from app.models.events import record
from app.models.users import get_user
from app.services.tokens import issue_login_token, log_out
from tests.security.events.conftest import NewWorld
from tests.security.events.world import AGENT, World
from tests.support.page_client import Browser
from tests.support.people import problem
from tests.support.usage import usage, usage_of


def test_what_the_owner_and_an_administrator_see(world: World) -> None:
    """The owner does not see which administrator acted, by what means, and from where."""
    world.person.log_in()
    world.person.client.environ_base["HTTP_USER_AGENT"] = AGENT
    world.person.deposit("5")
    adjusted = world.admin.post(f"/admin/users/{world.name}/adjustments", {"amount": "5", "reason": "gift"})
    assert adjusted.status_code == 201
    page = world.person.get("/auth/events").json
    assert (page["has_more"], page["next_cursor"]) == (False, None)
    adjusted, log_in = page["data"]
    assert adjusted == {
        "event": "adjusted",
        "outcome": "done",
        "by_administrator": True,
        "created_at": adjusted["created_at"],
        **dict.fromkeys(["via", "address", "agent", "device", "request_id"]),
    }
    own_address = world.person.client.environ_base["REMOTE_ADDR"]
    assert (log_in["event"], log_in["by_administrator"], log_in["via"]) == ("log_in", False, "login")
    assert (log_in["address"], len(log_in["request_id"])) == (own_address, 16)
    listed = world.admin.get(f"/admin/users/{world.name}/events").json["data"]
    assert [each["event"] for each in listed] == ["adjusted", "log_in"]
    assert listed[0]["actor"] == world.admin.username and listed[0]["address"] and listed[1]["actor"] == world.name
    problem(world.admin.get("/admin/users/nobody_here/events"), 404, "user_not_found")

    browser = world.enter()
    assert "/account/events" in browser.get("/account/sessions").shown.links
    text = browser.get("/account/events").text
    assert "Balance adjusted" in text and "by an administrator" in text and own_address in text
    assert world.admin.username not in text
    browser = Browser(world.app)
    browser.log_in(world.admin.username)
    assert f"/admin/users/{world.name}/events" in browser.get(f"/admin/users/{world.name}").shown.links
    text = browser.get(f"/admin/users/{world.name}/events").text
    assert f"by {world.admin.username}" in text and "by a script that logged in" in text


def test_the_export_shows_what_the_list_shows(world: World) -> None:
    world.person.log_in()
    adjusted = world.admin.post(f"/admin/users/{world.name}/adjustments", {"amount": "5", "reason": "gift"})
    assert adjusted.status_code == 201
    listed = world.person.get("/auth/events").json["data"]
    with ZipFile(io.BytesIO(world.person.get("/account/export").data)) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("events.csv").decode(), newline="")))
    shown = [{name: "" if each[name] is None else str(each[name]) for name in rows[0]} for each in reversed(listed)]
    assert rows == shown
    assert rows[-1]["by_administrator"] == "True"
    assert not any(rows[-1][name] for name in ("via", "address", "agent", "request_id"))


def test_pages_of_events_and_their_end(new_world: NewWorld) -> None:
    """Newest first and each once, however it is paged; what is past its time counts as gone; nobody else's."""
    world, other = new_world(), new_world()
    moments = [clock.now() - timedelta(days=age) for age in (89.9, *([5] * 3), 3, 2, 1, 0)]
    with world.app.app_context():
        for age in (90.1, 91):
            with clock.at(clock.now() - timedelta(days=age)):
                record(world.name, EventKind.LOG_IN)
        for moment in moments:
            with clock.at(moment):
                record(world.name, EventKind.TOKEN_MADE)
    seen, cursor = [], ""
    while cursor is not None:
        page = world.person.get(f"/auth/events?limit=3{cursor and '&cursor=' + cursor}").json
        seen += page["data"]
        cursor = page["next_cursor"]
    times = [each["created_at"] for each in seen]
    assert times == sorted(map(clock.to_text, moments), reverse=True)
    assert {each["event"] for each in seen} == {"token_made"}
    assert other.person.get("/auth/events").json["data"] == []
    cursor = world.person.get("/auth/events?limit=3").json["next_cursor"]
    problem(other.person.get(f"/auth/events?limit=3&cursor={cursor}"), 400, "invalid_cursor")
    assert usage_of(world.person.get("/auth/events")) == usage(2, 1.5, 0)


def test_what_has_ended_already_is_told_once(world: World) -> None:
    with world.app.app_context():
        token = issue_login_token(get_user(world.name)).token
        log_out(token)
        log_out(token)
    assert [row["kind"] for row in world.items()] == ["logged_out"]
