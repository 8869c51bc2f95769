"""Makes the text of `order_processor_client/api.py` from the service's OpenAPI file; `make docs` writes it.

It has the operations that the client uses, and a class for each object that they answer. A test compares it with the
file that the service serves now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

USED = (
    *("login", "logout", "get_profile", "give_proof", "list_tokens", "create_token", "revoke_token"),
    *("get_balance", "deposit", "withdraw", "list_transactions", "get_transaction", "download_statement"),
    *("get_portfolio", "get_portfolio_history", "get_gains", "list_holdings", "get_holding"),
    *("get_account", "list_account_events", "preview_order", "change_order", "list_changes"),
    *("place_order", "list_orders", "get_order", "get_order_by_client_id", "cancel_order", "cancel_orders"),
    *("list_trades", "list_trades_of_asset", "list_assets", "get_asset", "list_prices"),
)
HEAD = '''"""What the service answers, and its operations. Written by `generate.py`: do not edit.

Amounts are `Decimal`, times aware datetimes in UTC. A class has exactly the fields of its schema in the OpenAPI file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

PREFIX = "/api/v1"


@dataclass(frozen=True)
class Operation:
    """`path` follows PREFIX. A keyed one takes an Idempotency-Key."""

    method: str
    path: str
    keyed: bool = False
'''
LINE = 120


def generate(document: dict[str, Any]) -> str:
    """The text of the module."""
    schemas = document["components"]["schemas"]
    operations = {
        operation["operationId"]: (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if "operationId" in operation
    }
    answers = [answer for name in USED for answer in _answers(operations[name][2])]
    needed = sorted(_reachable(answers, schemas))
    words = [name for name in needed if "enum" in schemas[name]]
    classes = [name for name in needed if "enum" not in schemas[name]]
    parts = ["", "\n".join(_alias(name, schemas[name]["enum"]) for name in words)]
    parts += [_class(name, schemas[name]) for name in classes]
    rows = "".join(f"    {name!r}: {_row(*operations[name])},\n" for name in USED).replace("'", '"')
    parts.append(f"OPERATIONS = {{\n{rows}}}")
    body = "\n\n\n".join(parts) + "\n"
    return HEAD.replace("Any, Literal", "Any, Literal" if "Any]" in body else "Literal").rstrip() + body


def _answers(operation: dict[str, Any]) -> Iterator[Any]:
    for status, response in operation["responses"].items():
        if int(status) < 300:
            yield from (content["schema"] for content in response.get("content", {}).values())


def _reachable(parts: list[Any], schemas: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = list(parts)
    while waiting:
        for name in set(re.findall(r"#/components/schemas/(\w+)", json.dumps(waiting.pop()))) - found:
            found.add(name)
            waiting.append(schemas[name])
    return found


def _alias(name: str, choices: list[str]) -> str:
    return _fitting(f"{name} = Literal[{', '.join(json.dumps(choice) for choice in choices)}]")


def _class(name: str, schema: dict[str, Any]) -> str:
    fields = [_fitting(f"    {field}: {_type(part)}") for field, part in schema["properties"].items()]
    return "\n".join(["@dataclass(frozen=True)", f"class {name}:", *fields])


def _fitting(line: str) -> str:
    """A line in brackets as ruff breaks one that is too long: what is in them on one line, or else each by itself."""
    if len(line) <= LINE:
        return line
    indent = " " * (len(line) - len(line.lstrip()))
    head, _, rest = line.partition("[")
    inner, _, tail = rest.rpartition("]")
    whole = f"{indent}    {inner}"
    if len(whole) > LINE:
        whole = ",\n".join(f"{indent}    {each}" for each in inner.split(", ")) + ","
    return f"{head}[\n{whole}\n{indent}]{tail}"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(_type(each) for each in schema["anyOf"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind, *null = kinds
    return " | ".join([_kind(kind, schema), *("None" for _ in null)])


def _kind(kind: str, schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return f"Literal[{', '.join(_as_python(choice) for choice in schema['enum'] if choice is not None)}]"
    if kind == "array":
        return f"list[{_type(schema['items'])}]"
    if kind == "string":
        is_amount = schema.get("pattern", "").startswith("^-?(0|[1-9][0-9]*)")
        return {"date-time": "datetime", "date": "date"}.get(
            schema.get("format", ""), "Decimal" if is_amount else "str"
        )
    return {"number": "Decimal", "integer": "int", "boolean": "bool", "null": "None", "object": "dict[str, Any]"}[kind]


def _as_python(choice: str | bool) -> str:
    return json.dumps(choice) if isinstance(choice, str) else repr(choice)


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    keyed = {"$ref": "#/components/parameters/IdempotencyKey"} in operation.get("parameters", [])
    more = ", keyed=True" if keyed else ""
    return f"Operation({method.upper()!r}, {path.removeprefix('/api/v1')!r}{more})"
