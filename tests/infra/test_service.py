"""The template of the service hangs together, and gives each program what it needs where others can come in."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.config import Config, check_public
from tests.infra.templates import resources, template

TASKS = {name: task["ContainerDefinitions"][0] for name, task in resources("service", "ECS::TaskDefinition").items()}
PARAMETERS = {
    "SiteHost": "orders.example",
    "PriceSource": "coingecko",
    "CoinGeckoPlan": "pro",
    "AWS::Region": "eu-west-1",
}
NOTHING = {"SmtpUrl": "", "CoinGeckoKey": "", "MailFrom": "", "PriceSource": "simulated", "CoinGeckoPlan": "demo"}
MAIL_AND_MARKET = {"SmtpUrl": "arn:smtp", "CoinGeckoKey": "arn:key", "MailFrom": "orders@shop.example", "KeyShards": 16}
CONDITIONS = {"SendsMail": "SmtpUrl", "HasCoinGeckoKey": "CoinGeckoKey"}
# As Secrets Manager makes them for the template.
SECRETS = {
    "SECRET_KEY": "0123456789abcdef" * 4,
    "SECOND_FACTOR_KEY": "fedcba9876543210" * 4,
    "SMTP_URL": "smtps://orders:secret@mail.example:465",
    "COINGECKO_API_KEY": "key",
}


def environment_of(task: str, chosen: dict[str, Any]) -> dict[str, str]:
    """The environment of a container where these parameters are given, and the others have their defaults."""
    defaults = {name: each.get("Default") for name, each in template("service")["Parameters"].items()}
    values = {**defaults, **PARAMETERS, **chosen}

    def value_of(written: Any) -> str:
        if isinstance(written, dict) and "Ref" in written:
            return str(values[written["Ref"]])
        if isinstance(written, dict):
            return re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], written["Fn::Sub"])
        return written

    environment = {each["Name"]: value_of(each["Value"]) for each in TASKS[task]["Environment"]}
    for each in TASKS[task]["Secrets"]:
        if "Fn::If" in each:
            condition, each, _ = each["Fn::If"]
            if not values[CONDITIONS[condition]]:
                continue
        environment[each["Name"]] = SECRETS[each["Name"]]
    return environment


@pytest.mark.parametrize("chosen", [NOTHING, MAIL_AND_MARKET], ids=["least", "mail and market"])
@pytest.mark.parametrize("task", TASKS)
def test_its_settings_are_understood_and_safe(task: str, chosen: dict[str, Any]) -> None:
    config = Config.from_environment(environment_of(task, chosen))
    assert config.is_public == (task == "WebTask")
    check_public(config)
    assert config.second_factor_keys != (config.secret_key,)
    assert config.mail.is_on == bool(chosen["SmtpUrl"])
    assert config.mail.site == "https://orders.example"
    assert (config.users_table, config.orders_table, config.dynamodb_endpoint) == ("users", "orders", None)
    assert config.key_shards == chosen.get("KeyShards", 1), "all programs have the same"
    if task == "WebTask":
        assert (config.trusted_proxies, config.site_hosts) == (1, ("orders.example",))


def test_requests_come_to_copies_that_are_ready_and_stay_to_their_end(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    [balancer] = resources("service", "ElasticLoadBalancingV2::LoadBalancer").values()
    [targets] = resources("service", "ElasticLoadBalancingV2::TargetGroup").values()
    web, service = TASKS["WebTask"], resources("service", "ECS::Service")["Web"]
    [port] = [each["ContainerPort"] for each in web["PortMappings"]]
    assert environment_of("WebTask", NOTHING)["BIND"] == f"0.0.0.0:{port}"
    assert targets["Port"] == port == service["LoadBalancers"][0]["ContainerPort"]
    [open_to_balancer] = resources("service", "EC2::SecurityGroup")["WebGroup"]["SecurityGroupIngress"]
    assert (open_to_balancer["FromPort"], open_to_balancer["ToPort"]) == (port, port)
    assert targets["HealthCheckPath"] == "/ready" and app.test_client().get("/ready").status_code == 200
    for name, value in environment_of("WebTask", NOTHING).items():
        monkeypatch.setenv(name, value)
    gunicorn = runpy.run_path(str(Path(__file__).parents[2] / "gunicorn.conf.py"))
    of_balancer = {each["Key"]: each["Value"] for each in balancer["LoadBalancerAttributes"]}
    assert int(of_balancer["idle_timeout.timeout_seconds"]) < gunicorn["keepalive"], "the balancer closes first"
    [drained] = [each["Value"] for each in targets["TargetGroupAttributes"]]
    assert web["StopTimeout"] > gunicorn["graceful_timeout"] and int(drained) >= gunicorn["timeout"]


def test_all_that_is_watched_tells_somebody() -> None:
    alarms = resources("service", "CloudWatch::Alarm")
    of_tables = {
        f"{table}{what}"
        for table in ("Users", "Orders")
        for what in ("ReadsThrottled", "WritesThrottled", "SystemErrors")
    }
    assert alarms.keys() == of_tables | {"WorkerSilent", "RequestsFail", "RequestsSlow", "NobodyServes"}
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "Alarms"}], name
    [dashboard] = resources("service", "CloudWatch::Dashboard").values()
    assert len(json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]) == 8


@pytest.mark.parametrize("name", ["tables", "service"])
def test_what_is_named_is_there_and_what_is_there_is_used(name: str) -> None:
    """A part of what `make lint-infra` checks, which needs no tool."""
    whole = template(name)
    named = set(names_in({key: whole[key] for key in ("Resources", "Outputs")}))
    conditions = set(names_in(whole.get("Conditions", {})))
    known = whole["Parameters"].keys() | whole["Resources"].keys() | whole.get("Conditions", {}).keys()
    assert {each for each in named | conditions if not each.startswith("AWS::")} <= known
    assert whole["Parameters"].keys() <= named | conditions


def names_in(value: Any) -> Iterator[str]:
    """Every parameter, resource and condition that a part of a template names."""
    for each in value if isinstance(value, list) else ():
        yield from names_in(each)
    for key, each in value.items() if isinstance(value, dict) else ():
        if key in {"Ref", "Condition", "DependsOn"} and isinstance(each, str):
            yield each
        elif key == "Fn::GetAtt":
            yield each.partition(".")[0]
        elif key == "Fn::Sub":
            yield from (name.partition(".")[0] for name in re.findall(r"\$\{([\w:.]+)\}", each))
        else:
            yield from [each[0]] if key == "Fn::If" else []
            yield from names_in(each)
