"""Each act of identity and of an administrator leaves a line and an item, with no secret in either."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from flask import Flask

from app.domain import clock
from app.domain.events import EventKind
from tests.security.events.acts import ACTS, ADMIN, LINE_ALONE, NOBODY, SELF, Act
from tests.security.events.refusals import REFUSALS
from tests.security.events.world import World
from tests.support.faults import FaultyStore, drop
from tests.support.people import PASSWORD, problem, register

LINE = {
    *("timestamp", "level", "logger", "event", "request_id", "actor", "subject", "address", "device", "outcome", "via")
}
# The blueprints whose changes are of money: transactions and orders tell of those.
OF_MONEY = ("Balance.", "Orders.", "cash.", "orders.", "trade.")
OPERATIONS = Path(__file__).parents[3] / "docs/operations.md"


# They show what would be done or lead back to a form; and the choice of colours is about nobody.
NO_ACTS = {f"POST /admin/users/<username>/adjustment/{step}" for step in ("review", "change")} | {"POST /account/theme"}


def test_every_route_that_changes_identity_is_here(mailed_app: Flask) -> None:
    rules = {
        f"{method} {rule.rule}"
        for rule in mailed_app.url_map.iter_rules()
        if not rule.endpoint.startswith(OF_MONEY)
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    commands = {f"users {name}" for name in mailed_app.cli.commands["users"].commands}  # type: ignore[attr-defined]
    assert rules - NO_ACTS | commands == {act.route for act in ACTS + LINE_ALONE}


def test_every_event_is_here_and_in_the_documents() -> None:
    done = {event for act in ACTS for event in act.events}
    refused = {event for refusal in REFUSALS for event, _ in refusal.lines} | {"rate_limited"}
    assert done | refused == set(EventKind)
    [table] = re.findall(r"\n\| `event` \| \|\n\|---\|---\|\n((?:\|.+\n)+)", OPERATIONS.read_text())
    told = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(told) == sorted(EventKind)


def check(world: World, act: Act, *, is_kept: bool) -> None:
    act.do(world)
    expected = sorted(act.events)
    lines = world.lines()
    assert sorted(line["event"] for line in lines) == expected
    new = sorted(world.items(), key=lambda row: row["created_at"])[world.before :]
    assert sorted(row["kind"] for row in new) == (expected if is_kept else [])
    who = {SELF: lambda: world.name, ADMIN: lambda: world.admin.username, NOBODY: lambda: None}
    actor, via = who.get(act.by, lambda: act.by)(), act.via
    for line in lines:
        assert set(line) == LINE - ({"request_id"} if via == "command_line" else set())
        assert (line["subject"], line["actor"], line["via"]) == (world.name, actor, via)
        assert (line["address"] is None) == (line["device"] is None) == (via == "command_line")
    for row in new:
        assert (row.get("actor"), row.get("via")) == (actor, via)
        assert float(row["ttl"]) - clock.now().timestamp() == pytest.approx(90 * 86400, abs=60)
        text = json.dumps(row)
        assert not [secret for secret in world.secrets if secret in text]


@pytest.mark.parametrize("act", ACTS, ids=str)
def test_each_act_leaves_one_line_and_one_item(world: World, act: Act) -> None:
    check(world, act, is_kept=True)


@pytest.mark.parametrize("act", ACTS, ids=str)
def test_where_mail_is_sent_too(mailed_world: World, act: Act) -> None:
    check(mailed_world, act, is_kept=True)


@pytest.mark.parametrize("act", LINE_ALONE, ids=str)
def test_what_is_mailed_or_waits_leaves_a_line_alone(mailed_world: World, act: Act) -> None:
    check(mailed_world, act, is_kept=False)


def test_an_act_is_done_even_where_its_event_cannot_be_kept(
    faulty_app: Flask, faults: FaultyStore, capfd: pytest.CaptureFixture[str]
) -> None:
    person = register(faulty_app)
    capfd.readouterr()
    faults.inject("PutItem", drop, drop, drop)
    assert person.post("/auth/logout").status_code == 200
    problem(person.get("/balance"), 401, "not_authenticated")
    assert [line["event"] for line in map(json.loads, capfd.readouterr().err.splitlines())].count("logged_out") == 1


def test_a_batch_that_is_refused_leaves_no_line(world: World) -> None:
    other = register(world.app)
    world.begin()
    taken = {"email": other.email, "current_password": PASSWORD}
    problem(world.person.call("PUT", "/auth/profile", json=taken), 409, "email_taken")
    assert (world.lines(), world.items()) == ([], [])


def test_what_happens_outside_a_request_has_no_one_elses_name(world: World) -> None:
    world.person.get("/balance")
    assert world.app.test_cli_runner().invoke(args=["users", "promote", world.name]).exit_code == 0
    [event] = world.items()
    assert (event["actor"], event.get("address"), event.get("request_id")) == ("command line", None, None)
