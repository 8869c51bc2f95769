"""The client and its command line at the running service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
import requests
from order_processor_client import Client, OrdersError, OutcomeUnknown, cli

from clients.python.tests.scripted import PATIENCE, Reply, problem, scripted_server

if TYPE_CHECKING:
    from tests.support.server import Server

pytestmark = pytest.mark.engine
FOLDER = Path(__file__).parents[1]
Connect = Callable[..., Client]


def test_the_main_job(connect: Connect, registered: dict[str, Any]) -> None:
    """Each answer is read into its class."""
    client = connect()
    assert client.profile().username == client.username == registered["username"]
    moved = client.deposit("1000", description="Savings")
    assert moved.transaction.new_balance == Decimal("1000.00") == client.balance().current_balance
    assert client.transaction(moved.transaction_id) == moved.transaction
    bought = client.place_order("market_buy", "BTC", "0.001", client_order_id="mine")
    assert bought.status == "completed" and isinstance(bought.executed_price, Decimal)
    assert bought.created_at.tzinfo is UTC and client.order_by_client_id("mine") == client.order(bought.order_id)
    placed = client.place_order("limit_buy", "ETH", Decimal("0.01"), price=Decimal("1.5"), expires_at="2026-12-24")
    assert placed.status == "pending" and placed.expires_at and placed.expires_at > datetime.now(UTC)
    assert [each.order_id for each in client.orders(status="pending")] == [placed.order_id]
    changed = client.change_order(placed.order_id, price="2.5", expires_at=date(2026, 12, 25))
    assert (changed.limit_price, changed.revision, changed.quantity) == (Decimal("2.5"), 2, Decimal("0.01"))
    assert [(each.price_before, each.price_after) for each in client.changes(placed.order_id)] == [
        (Decimal("1.5"), Decimal("2.5"))
    ]
    assert client.cancel(placed.order_id).status == "cancelled"
    for price in ("1", "2"):
        client.place_order("limit_buy", "ETH", "1", price=price)
    assert [each.outcome for each in client.cancel_all(asset_id="ETH", side="buy")] == ["cancelled"] * 2
    assert [each.quantity for each in client.trades("btc")] == [Decimal("0.001")] == [
        each.quantity for each in client.trades()
    ]  # fmt: skip
    assert client.holding("BTC").cost_total == bought.total_amount == client.holdings()[0].cost_total
    portfolio = client.portfolio()
    assert portfolio.cash_balance + bought.total_amount == 1000 and portfolio.assets[0].asset_id == "BTC"
    assert client.portfolio(as_of="2021-01-01").total_value == 0
    assert client.history(2).points[-1].total == portfolio.total_value and client.gains().data == []
    assert client.asset("BTC").price_usd and {each.asset_id for each in client.assets()} > {"BTC", "ETH"}
    assert client.prices("BTC", 1).points[0].price > 0
    kinds = [each.transaction_type for each in client.transactions()]
    assert kinds[-2:] == ["order_payment", "deposit"] and client.statement_csv().count("\n") == len(kinds) + 3
    assert {each.state for each in client.journal.entries()} == {"done"} and client.pending() == []


def test_what_only_says_what_would_be_done(connect: Connect) -> None:
    client = connect()
    assert client.preview_deposit(50).cash_after == 50 and client.account().cash_balance == 0
    client.deposit(100)
    tried = client.preview_withdrawal("0.01")
    assert [(each.transaction_type, each.new_balance) for each in tried.entries] == [("withdraw", Decimal("99.99"))]
    bought = client.preview_order("market_buy", "BTC", spend=90)
    assert bought.outcome == "executes" and bought.total <= 90 and bought.holding_after
    with pytest.raises(OrdersError) as failed:
        client.preview_order("market_sell", "BTC", 1)
    assert failed.value.code == "insufficient_holding"
    placed = client.place_order("limit_buy", "BTC", spend="50", price=100)
    changed = client.preview_change(placed.order_id, price=50)
    assert changed.cash_after == 75 and client.order(placed.order_id).limit_price == 100
    cancelled = client.preview_cancel(placed.order_id)
    assert cancelled.cash_after == 100 and cancelled.order and cancelled.order.status == "cancelled"
    assert client.order(placed.order_id).status == "pending" and client.account().reserved_cash == 50
    assert [each.path for each in client.journal.entries()] == ["/balance/deposit", "/orders"]


def test_periods_and_events(connect: Connect) -> None:
    client = connect()
    client.deposit(100)
    bought = client.place_order("market_buy", "BTC", "0.001")
    waits = client.place_order("stop_sell", "BTC", "0.0005", stop_price="100.5")
    assert waits.stop_price == Decimal("100.5") and waits.limit_price is None
    client.cancel(waits.order_id)
    today, tomorrow = bought.created_at.date(), bought.created_at.date() + timedelta(days=1)
    for found in (client.transactions, client.orders, client.trades):
        assert list(found(start=today, end=today)) == list(found()) and list(found(start=tomorrow)) == []
        assert list(found(start=bought.created_at, end=bought.created_at)) == list(found()), "a time is of its day"
    [event] = client.events()
    assert (event.event_type, event.order_id) == ("order_cancelled", waits.order_id)
    assert list(client.events(event.event_number)) == []


def test_a_repetition_with_the_same_key_is_one_change(connect: Connect) -> None:
    client = connect()
    first, again = client.deposit(5, key="mine"), client.deposit(5, key="mine")
    assert first == again and client.balance().current_balance == 5
    assert [each.replayed for each in client.journal.entries()] == [False, True]


def test_a_proof_a_second_factor_and_a_personal_token(connect: Connect, registered: dict[str, Any]) -> None:
    from tests.support.authenticator import App

    client, password = connect(), registered["password"]
    headers = {"Authorization": f"Bearer {client.token}"}
    factor = f"{client.base_url}/api/v1/auth/second-factor"
    begun = requests.post(factor, headers=headers, timeout=30).json()
    sent = {"setup": begun["setup"], "code": App(begun["secret"]).show(), "current_password": password}
    codes = requests.post(f"{factor}/confirm", json=sent, headers=headers, timeout=30).json()["recovery_codes"]
    with pytest.raises(OrdersError) as failed:
        client.log_in(registered["username"], password)
    assert failed.value.code == "code_required"
    assert client.log_in(registered["email"], password, code=lambda: codes[0]).user.username == client.username
    made = client.create_token("nightly", "read trade")
    assert [each.name for each in client.tokens()] == ["nightly"]
    with Client(client.base_url, made.access_token, journal=client.journal) as other:
        assert other.username == client.username
        with pytest.raises(OrdersError) as failed:
            other.deposit(1)
        assert (failed.value.status, failed.value.code) == (403, "insufficient_scope")
    client.revoke_token(made.data.token_id)
    client.log_out()
    with pytest.raises(OrdersError) as failed:
        client.log_in(registered["username"], password, code="000000")
    assert failed.value.code == "invalid_code"


def test_a_change_whose_answer_was_lost_is_found_by_resume(service: Server, connect: Connect) -> None:
    client = connect()
    with scripted_server() as between:
        between.replies = [Reply(relay=service.address, cut="before")]
        way = Client(between.address, client.token, username=client.username, journal=client.journal, patience=PATIENCE)
        for act in (lambda: way.deposit(30), lambda: way.place_order("limit_buy", "BTC", "0.001", price=1000)):
            with pytest.raises(OutcomeUnknown):
                act()
        # A change that never came there: the address was wrong.
        between.replies = [Reply(502, b"", kind="text/html")]
        with pytest.raises(OutcomeUnknown):
            way.withdraw("0.50")
        between.replies = [Reply(relay=service.address)]
        resumed = list(way.resume())
        way.close()
    assert [(each.entry.state, each.entry.replayed) for each in resumed] == [
        ("done", True),
        ("done", True),
        ("done", False),
    ]
    assert client.balance().current_balance == Decimal("28.50") and len(list(client.orders())) == 1


@pytest.fixture
def shell(service: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., Any]:
    """Runs `orders` in this process: its status, what it printed, and what it complained of."""
    for name, value in {"ORDERS_URL": service.address, "ORDERS_DIR": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)

    def shell(line: str, *, typed: str = "") -> tuple[int, str, str]:
        read, write = os.pipe()
        os.write(write, typed.encode())
        os.close(write)
        with open(read) as piped, monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", piped)
            try:
                status = cli.run(line.split())
            except SystemExit as ended:
                status = int(ended.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return shell


def test_the_command_line(shell: Callable[..., Any], registered: dict[str, Any], tmp_path: Path) -> None:
    """Each command with its exit status, and what it prints: here for people, below for programs."""
    password = registered["password"] + "\n"
    assert shell("balance")[0] == 3
    assert shell("login", typed=f"{registered['username']}\nwrong\n")[0] == 1
    assert shell(f"login {registered['username']}", typed=password)[0] == 0
    kept = tmp_path / "home/credentials.json"
    assert kept.stat().st_mode & 0o777 == 0o600 and password.strip() not in kept.read_text()
    for line, status, words in (
        ("deposit 500", 0, "500.00"),
        ("deposit 500.001", 1, "At most 2 decimals"),
        ("deposit much", 2, "not an amount"),
        ("deposit nan", 2, "not an amount"),
        ("deposit 1e3x", 2, "not an amount"),
        ("buy BTC --quantity 0.001", 0, "completed"),
        ("buy BTC", 2, "--quantity"),
        ("buy BTC --quantity 1 --spend 2", 2, "not allowed with"),
        ("sell BTC --spend 2", 2, "--quantity"),
        ("buy BTC --quantity 1 --limit 1 --worst 1", 2, "not allowed with"),
        ("buy BTC --quantity 10", 1, "this needs"),
        ("buy NOPE --quantity 10", 1, "NOPE"),
        ("sell BTC --quantity 0.0005 --limit 900000 --expires 2026-12-24", 0, "pending"),
        ("list --status pending", 0, "limit sell"),
        ("list --from 2026-11-01 --to 2026-11-02", 0, ""),
        ("buy BTC --spend 5 --dry-run", 0, "executes"),
        ("buy BTC --quantity 0.001 --limit 30 --dry-run", 0, "limit buy 0.001 BTC 30 pending"),
        ("deposit 5 --dry-run", 0, "cash after"),
        ("withdraw 5 --dry-run", 0, "Nothing was done"),
        ("sell BTC --quantity 0.0001 --stop 300", 0, "stop sell"),
        ("sell BTC --quantity 0.0001 --stop 200 --limit 190", 0, "stop limit sell"),
        ("buy BTC --quantity 0.0001 --stop 900000", 1, "stop_limit_buy"),
        ("edit order_01JD0QZ5M4X8W3T7K2V9N6B1CF --price 3", 1, "order"),
        ("edit order_01JD0QZ5M4X8W3T7K2V9N6B1CF", 1, "change"),
        ("account", 0, "Total value"),
        ("list --status lost", 2, "invalid choice"),
        ("list --most 1", 0, "limit sell"),
        ("portfolio", 0, "BTC"),
        ("cancel order_01JD0QZ5M4X8W3T7K2V9N6B1CF", 1, "order"),
        ("cancel-all --side sell", 0, "cancelled"),
        ("events", 0, "order_cancelled"),
        ("withdraw 20", 0, "20.00"),
        ("transactions --type withdraw", 0, "20.00"),
        ("transactions --csv", 0, "opening_balance"),
        ("resume --list", 0, ""),
        ("resume", 0, ""),
        ("resume --forget nothing", 1, "no such change"),
        ("--version", 0, "orders 0."),
        ("", 2, "COMMAND"),
    ):
        found = shell(line)
        assert found[0] == status and words in found[1] + found[2], (line, found)
        assert bool(found[1]) is (status == 0 and bool(words)), "errors go to stderr"
    assert shell("balance --url http://shop.example")[0] == 2
    with scripted_server() as other:
        other.replies = [problem(503, "overloaded", headers={"Retry-After": "900"})]
        assert shell(f"balance --url {other.address}")[0] == 5
        assert "Authorization" not in other.asked[0].headers, "the token is for the service that it is from"
    kept.chmod(0o644)
    assert shell("balance") == (2, "", f"Others may read {kept} (mode -rw-r--r--): run chmod 600 on it.\n")
    kept.chmod(0o600)
    assert shell("logout")[0] == 0 and shell("balance")[0] == 3


def test_the_command_line_for_programs(
    shell: Callable[..., Any], connect: Connect, monkeypatch: pytest.MonkeyPatch, registered: dict[str, Any]
) -> None:
    """With --json, and a token of the environment. A proof is asked for, and read from what is piped in."""
    monkeypatch.setenv("ORDERS_TOKEN", connect().token)

    def read(line: str, **more: Any) -> list[Any]:
        status, printed, _ = shell(f"{line} --json", **more)
        assert status == 0
        return [json.loads(each) for each in printed.splitlines()]

    assert read("deposit 300 --description once")[0]["transaction"]["amount"] == "300.00"
    [placed] = read("buy BTC --quantity 0.001 --limit 50")
    assert (placed["order_type"], placed["limit_price"], placed["executed_at"]) == ("limit_buy", "50", None)
    [cancelled] = read(f"cancel {placed['order_id']}")
    assert cancelled["status"] == "cancelled" and [each["order_id"] for each in read("list")] == [placed["order_id"]]
    assert [each["transaction_type"] for each in read("transactions")] == ["order_refund", "order_payment", "deposit"]
    assert read("balance")[0]["current_balance"] == "300.00" == read("portfolio")[0]["total_value"]
    assert read("withdraw 250", typed=registered["password"] + "\n")[0]["transaction"]["new_balance"] == "50.00"


def start(address: str, folder: Path, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    """`orders` in a process of its own."""
    settings = {"ORDERS_URL": address, "ORDERS_DIR": str(folder), "PYTHONPATH": str(FOLDER), "PATH": os.environ["PATH"]}
    return subprocess.Popen(
        [sys.executable, "-m", "order_processor_client", *arguments],
        env={**settings, **more.pop("env", {})},
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_a_script_that_is_stopped_in_the_middle_is_resumed(
    service: Server, connect: Connect, shell: Callable[..., Any], tmp_path: Path, monkeypatch: Any, number: int
) -> None:
    client = connect()
    with scripted_server() as between:
        between.replies = [Reply(relay=service.address), Reply(relay=service.address, cut="hang")]
        token = {"ORDERS_TOKEN": client.token}
        process = start(between.address, tmp_path / "home", "deposit", "40", env=token, stdout=subprocess.PIPE)
        assert between.hangs.wait(30), "the service has made it, and its answer is on the way"
        process.send_signal(number)
        printed, complaint = process.communicate(timeout=30)
        assert printed == "" and process.returncode == (130 if number == signal.SIGINT else -9)
        assert complaint.startswith("Stopped. ") if number == signal.SIGINT else complaint == ""
        between.release.set()
        between.replies = [Reply(relay=service.address)]
        for name, value in {**token, "ORDERS_URL": between.address}.items():
            monkeypatch.setenv(name, value)
        assert "deposit" in shell("resume --list")[1]
        status, printed, _ = shell("resume")
    assert status == 0 and "done before" in printed and client.balance().current_balance == 40


def test_a_reader_that_has_enough_is_no_error(service: Server, connect: Connect, tmp_path: Path) -> None:
    client = connect()
    client.deposit(1)
    read, write = os.pipe()
    os.close(read)
    token = {"ORDERS_TOKEN": client.token}
    process = start(service.address, tmp_path / "home", "transactions", env=token, stdout=write)
    os.close(write)
    assert process.communicate(timeout=30)[1] == "" and process.returncode == 0


def test_the_readme_works_as_it_is_written(shell: Callable[..., Any], registered: dict[str, Any]) -> None:
    text = (FOLDER / "README.md").read_text()
    blocks = re.findall(r"(?:^    .*\n|^\n)+", text, re.MULTILINE)
    commands = re.findall(r"^    orders (.*?)(?: +#.*)?$", text, re.MULTILINE)
    assert commands[0] == "login ann" and commands[-1] == "logout" and len(commands) == 11
    [script] = [dedent(block) for block in blocks if "import Client" in block]
    typed = {"login": registered["password"] + "\n"}
    for command in commands:
        line = command.replace("login ann", f"login {registered['username']}")
        if line == "logout":
            # It uses the token of the command line.
            exec(script, {})
        status, printed, complaint = shell(line, typed=typed.get(line.split()[0], ""))
        assert status == 0, (line, complaint)
