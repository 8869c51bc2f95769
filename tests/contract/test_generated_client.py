"""A client that openapi-python-client makes of the file does the main job of a script: it needs nothing by hand.

The generator and what its clients need are in a folder of their own, `.venv/generator`: `make .venv/generator.stamp`.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.contract.specification import Specification
from tests.support.books import check_books
from tests.support.people import PASSWORD, registration

TOOLS = Path(sys.prefix) / "generator"
Module = Callable[[str], Any]


@pytest.fixture(scope="module")
def generated(specification: Specification, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the package `generated`, which can be imported."""
    assert TOOLS.exists(), "run make .venv/generator.stamp"
    folder = tmp_path_factory.mktemp("generator")
    (folder / "openapi.json").write_text(json.dumps(specification.document))
    # It would run ruff over all that it makes.
    (folder / "config.yaml").write_text("post_hooks: []\n")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--path", "openapi.json"]
    ended = subprocess.run(
        [*command, "--config", "config.yaml", "--output-path", "generated"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TOOLS)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # It knows no zip, so it leaves out that answer alone.
    omitted = re.findall("WARNING parsing (.+?) within", ended.stderr)
    assert omitted == ["GET /api/v1/account/export"], ended.stderr
    # Last: what the tests have comes first.
    sys.path += [str(folder), str(TOOLS)]
    yield folder / "generated"
    sys.path.remove(str(folder))
    sys.path.remove(str(TOOLS))
    for name in [name for name in sys.modules if name.split(".")[0] == "generated"]:
        del sys.modules[name]


def test_it_has_hardly_more_classes_than_the_file_has_schemas(generated: Path, specification: Specification) -> None:
    text = "".join(path.read_text() for path in (generated / "models").iterdir())
    classes = set(re.findall(r"^class (\w+)", text, re.MULTILINE))
    assert len(specification.document["components"]["schemas"]) <= len(classes) + 1
    assert len(classes - specification.document["components"]["schemas"].keys()) < 12, classes


def test_it_does_the_main_job(generated: Path, contract_app: Flask, store: Any) -> None:
    """Each answer that the client reads is one of its own classes; a refusal is one too."""
    import httpx

    def module(name: str) -> Any:
        return importlib.import_module(f"generated.{name}")

    def new(schema: str, **values: Any) -> Any:
        return getattr(module("models"), schema)(**values)

    clients, order_types = module("client"), module("models").OrderType
    options = {"base_url": "http://localhost", "httpx_args": {"transport": httpx.WSGITransport(app=contract_app)}}
    client = clients.Client(**options)

    def send(operation: str, expected: str, **values: Any) -> Any:
        answer = module(f"api.{operation}").sync(client=client, **values)
        assert type(answer).__name__ == expected, answer
        return answer

    person = registration()
    send("accounts.register", "UserMessage", body=new("RegistrationInput", **person))
    login = {"username": person["username"], "password": PASSWORD}
    assert send("accounts.login", "Problem", body=new("LoginInput", **{**login, "password": "x"})).status == 401
    token = send("accounts.login", "Login", body=new("LoginInput", **login)).access_token
    client = clients.AuthenticatedClient(token=token, **options)

    cash = new("CashInput", amount="500.00", description="Savings")
    first = send("balance.deposit", "CashMovement", body=cash, idempotency_key="generated-1")
    again = send("balance.deposit", "CashMovement", body=cash, idempotency_key="generated-1")
    assert first == again and first.transaction.new_balance == "500.00"
    order = new("OrderInput", order_type=order_types.MARKET_BUY, asset_id="BTC", quantity="0.5")
    bought = send("orders.place_order", "OneOrder", body=order).data
    assert (bought.status.value, bought.total_amount) == ("completed", "50.00")
    waits = new("OrderInput", order_type=order_types.LIMIT_SELL, asset_id="BTC", quantity="0.5", price="900")
    placed = send("orders.place_order", "OneOrder", body=waits).data
    listed = send("orders.list_orders", "OrderList", limit=1)
    assert [each.order_id for each in listed.data] == [placed.order_id] and listed.has_more
    rest = send("orders.list_orders", "OrderList", limit=1, cursor=listed.next_cursor)
    assert [each.order_id for each in rest.data] == [bought.order_id] and not rest.has_more
    ended = send("orders.cancel_order", "OneOrder", order_id=placed.order_id).data
    assert ended.status.value == "cancelled" and ended.executed_at is None and ended.created_at.tzinfo is not None
    refused = send("balance.withdraw", "Problem", body=new("WithdrawalInput", amount="450.01"))
    assert refused.code == "insufficient_funds" and refused.required == "450.01"
    send("balance.withdraw", "CashMovement", body=new("WithdrawalInput", amount="450.00"))
    balance = send("balance.get_balance", "Balance")
    assert (balance.current_balance, balance.total_withdrawals) == ("0.00", "450.00")
    check_books(store, person["username"], **contract_app.extensions["database"].table_names)
