"""CloudFormation templates as values, and what DynamoDB is asked for by a table of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "infra"
# What a test puts in the place of parameters and of names that CloudFormation gives.
GIVEN = {"UsersTable": "aws-users", "OrdersTable": "aws-orders"}


class Loader(yaml.SafeLoader):
    """Reads `!Ref x` as `{"Ref": "x"}`, and every other tag likewise."""


def _function(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _function)


@cache
def template(name: str) -> dict[str, Any]:
    """`tables` or `service`."""
    return yaml.load((FOLDER / f"{name}.yaml").read_text(), Loader)


def resources(name: str, kind: str) -> dict[str, dict[str, Any]]:
    """The properties of all resources of this kind, such as `DynamoDB::Table`, by their names in the template."""
    found = template(name)["Resources"].items()
    return {each: resource["Properties"] for each, resource in found if resource["Type"] == f"AWS::{kind}"}


def create_table_request(properties: dict[str, Any]) -> dict[str, Any]:
    """What CreateTable takes of the properties of a table: its name, keys and indexes."""
    asked = {key: properties[key] for key in ("BillingMode", "AttributeDefinitions", "KeySchema")}
    indexes = [
        {key: index[key] for key in ("IndexName", "KeySchema", "Projection")}
        for index in properties["GlobalSecondaryIndexes"]
    ]
    return {"TableName": GIVEN[properties["TableName"]["Ref"]], **asked, "GlobalSecondaryIndexes": indexes}
