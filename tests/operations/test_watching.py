"""The rules, the dashboard and the runbook name what there is: counters with their labels, alerts, commands, events."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from flask import Flask

from app import metrics
from app.models.meter import Meter
from tests.infra.templates import resources
from tests.support.counters import read_counters

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "ops/alerts.yaml").read_text())
TESTS = yaml.safe_load((ROOT / "ops/alerts_test.yaml").read_text())["tests"]
PANELS = json.loads((ROOT / "ops/dashboard.json").read_text())["panels"]
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
# What PromQL has between the names of metrics.
WORDS = {"sum", "max", "rate", "increase", "absent", "time", "topk", "histogram_quantile"} | {"by", "on", "and", "or"}
# What Prometheus adds to each sample that it scrapes.
SCRAPED = {"job", "instance"}

Values = dict[str, set[str]]


@pytest.fixture(scope="module")
def counted() -> dict[str, Values]:
    """What `/metrics` has once all that is counted has happened: of each sample its labels and their values."""
    used = Meter()
    used.record("PutItem", {"ConsumedCapacity": {"CapacityUnits": 1}}, 0.1, resends=1)
    used.record("GetItem", {"ConsumedCapacity": {"CapacityUnits": 1}}, 0.1, resends=0)
    used.conflicts["place_order"] = 1
    metrics.count_usage(used, "/")
    for status in (200, 500, 503):
        metrics.count_request("/", "GET", status, 0.1)
    for reason in ("credentials", "code", "suspended", "too_many"):
        metrics.count_failed_login(reason)
    metrics.show_audit(0, 0)
    worker = metrics.worker_counters()
    worker.count_round(dict.fromkeys(("filled", "expired", "lost", "failed"), 0), [1], 0.1)
    found: dict[str, Values] = defaultdict(lambda: defaultdict(set))
    for name, labels in read_counters(metrics.write_counters().decode()):
        its = found[name]
        for label, value in labels:
            its[label].add(value)
    return {name: dict(labels) for name, labels in found.items()} | {"up": {}}


def expressions() -> Iterator[tuple[str, str]]:
    """Where it stands, and an expression; a series of the tests of the rules is one too."""
    yield from ((name, rule["expr"]) for name, rule in ALERTS.items())
    for panel in PANELS:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    yield from ((test["name"], series["series"]) for test in TESTS for series in test["input_series"])


def test_every_counter_that_is_named_is_one_that_metrics_has(counted: dict[str, Values]) -> None:
    seen = set()
    for where, expression in expressions():
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
        bare = re.sub(r"\b(?:by|on) \([^)]*\)|\[\w+\]", " ", expression)
        for name, _, matchers in re.findall(r"([a-z_]\w*)(\{([^}]*)\})?", bare):
            if name in WORDS:
                continue
            assert name in counted, f"{where}: {name}"
            seen.add(name)
            for label, operator, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers):
                check_matcher(where, counted[name], label, operator, value)
        its = {label for name in re.findall(r"[a-z_]\w*", bare) for label in counted.get(name, {})}
        labels = {label.strip() for group in grouped for label in group.split(",")}
        assert labels <= its, f"{where}: {labels - its}"
    assert len(seen) > 15


def check_matcher(where: str, its: Values, label: str, operator: str, value: str) -> None:
    if label in SCRAPED:
        return
    assert label in its, f"{where}: {label}"
    # Routes and operations are as many as there are; all other words are few, and counted above.
    if label not in {"route", "operation"}:
        pattern = value if operator == "=~" else re.escape(value)
        assert any(re.fullmatch(pattern, each) for each in its[label]), f"{where}: {label}={value}"


def test_each_alert_is_tested_to_fire_and_then_to_clear() -> None:
    told = defaultdict(list)
    for test in TESTS:
        name = test["name"].split(",")[0].split(" ")[0]
        cases = [case for case in test["alert_rule_test"] if case["alertname"] == name]
        assert cases == test["alert_rule_test"], test["name"]
        told[name].append([bool(case["exp_alerts"]) for case in cases])
    assert told.keys() == ALERTS.keys()
    for name, cases in told.items():
        assert [False, True, False] in cases, name


def sections() -> dict[str, str]:
    """Each alert of the runbook, with its section; some share one."""
    parts = re.split(r"^## (.+)\n", RUNBOOK, flags=re.MULTILINE)[1:]
    return {name: text for heads, text in zip(parts[::2], parts[1::2], strict=True) for name in heads.split(", ")}


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    alarms = resources("service", "CloudWatch::Alarm").keys()
    assert sections().keys() == ALERTS.keys() | alarms
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
    for name, text in sections().items():
        assert re.findall(r"^\*\*(\w+(?: at)?)\*\*", text, re.MULTILINE) == ["Means", "Look at", "Do"], name


def test_the_runbook_names_commands_settings_and_panels_that_exist(app: Flask) -> None:
    named = set(re.findall(r"flask --app wsgi ([a-z-]+)(?: ([a-z][a-z-]+))?", RUNBOOK))
    assert len(named) > 3
    for name, word in named:
        command: Any = app.cli.commands[name]
        assert not isinstance(command, click.Group) or word in command.commands, word
    sources = "".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    for setting in set(re.findall(r"`([A-Z]+_[A-Z_]+)`", RUNBOOK)):
        assert f'"{setting}"' in sources, setting
    titles = " ".join(panel["title"] for panel in PANELS)
    for italic in set(re.findall(r"\*([A-Z][^*]+)\*(?!\*)", RUNBOOK)) - {"Admin", "Account"}:
        assert italic in titles or italic in {"Means", "Look at", "Do"}, italic


def test_the_runbook_quotes_lines_that_the_log_has() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    quoted = set(re.findall(r"`([a-z]+(?: [a-z]+)+)`", RUNBOOK)) - {"make run", "operator audit"}
    assert len(quoted) >= 8
    for event in quoted:
        template = re.sub(r" (filled|triggered|expired)$", " %s", event)
        assert re.search(rf'log\.\w+\(\s*"{re.escape(template)}', sources), event
