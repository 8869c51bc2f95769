"""`flask export` and `flask import`: what one store has is in the other, whole and once, whatever cuts in."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from app.cli import transfer
from app.domain.orders import Side
from app.factory import create_app
from app.models import whole_tables
from app.server import create_missing_tables
from tests.support.accounts import deposit, open_trader, place
from tests.support.applications import config, make_app, tables_named
from tests.support.books import check_books
from tests.support.faults import FaultyStore, drop, lose_answer, refuse

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
SOURCE = tables_named("source")
USERS = 6


def run(app: Flask, *arguments: Any) -> Result:
    result = app.test_cli_runner().invoke(args=[str(each) for each in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def done(app: Flask, *arguments: Any) -> str:
    result = run(app, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def people() -> list[str]:
    return []


@pytest.fixture(scope="module")
def source(endpoint: str, people: list[str]) -> Flask:
    """A store of some accounts with cash, holdings and open orders: nobody writes to it."""
    app = make_app(endpoint, **SOURCE)
    with app.app_context():
        for number in range(USERS):
            name = open_trader(f"{1000 + number}.00", BTC="1")
            place(name, Side.BUY, "0.1", price="100")
            place(name, Side.SELL, "0.1", price="100", limit="110")
            people.append(name)
    return app


@pytest.fixture(scope="module")
def exported(source: Flask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "orders.jsonl"
    assert "Exported " in done(source, "export", file)
    return file


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that this little store takes many calls."""
    monkeypatch.setattr(whole_tables, "PAGE_ITEMS", 7)
    monkeypatch.setattr(transfer, "CHUNK_ITEMS", 10)


NewTables = Callable[[], tuple[Flask, dict[str, str]]]


@pytest.fixture
def new_tables(endpoint: str, request: pytest.FixtureRequest, store: Any) -> Iterator[NewTables]:
    made: list[dict[str, str]] = []

    def make() -> tuple[Flask, dict[str, str]]:
        made.append(tables_named(f"target{abs(hash(request.node.name))}_{len(made)}"))
        return make_app(endpoint, **made[-1]), made[-1]

    yield make
    for names in made:
        for table in names.values():
            store.delete_table(TableName=table)


def content(store: Any, names: dict[str, str]) -> dict[tuple[str, str, str], Any]:
    """Every item but the number of the store's format, read past the application."""
    found = {}
    for word, table in names.items():
        arguments: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
        while True:
            answer = store.scan(**arguments)
            found |= {(word, each["PK"]["S"], each["SK"]["S"]): each for each in answer["Items"]}
            if "LastEvaluatedKey" not in answer:
                break
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    return {key: item for key, item in found.items() if key[1] != "STORE#FORMAT"}


def through(faults: FaultyStore, names: dict[str, str]) -> Flask:
    return create_app(config(faults.endpoint, **{f"{name}_table": table for name, table in names.items()}))


def test_there_and_back(exported: Path, new_tables: NewTables, store: Any, people: list[str], tmp_path: Path) -> None:
    target, names = new_tables()
    said = done(target, "import", exported)
    everything = content(store, SOURCE)
    assert content(store, names) == everything
    assert f"this run wrote {len(everything)} of them" in said
    assert done(target, "audit").startswith("No violation")
    for name in people:
        check_books(store, name, **names)
    again = tmp_path / "again.jsonl"
    done(target, "export", again)
    assert sorted(again.read_text().splitlines()[1:-1]) == sorted(exported.read_text().splitlines()[1:-1])
    back, names = new_tables()
    done(back, "import", again)
    assert content(store, names) == everything
    # It can be used: what was reserved is there to be cancelled.
    with back.app_context():
        deposit(people[0], "5.00")
    check_books(store, people[0], **names)


def test_only_its_owner_reads_the_file(exported: Path) -> None:
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    assert [each.name for each in exported.parent.iterdir()] == [exported.name]


def test_each_line_is_json_and_the_last_one_counts(exported: Path, source: Flask, store: Any) -> None:
    first, *items, last = [json.loads(line) for line in exported.read_text().splitlines()]
    assert first == {"order_processor_export": 1, "store_format": 5}
    assert sum(last["items"].values()) == len(items) == len(content(store, SOURCE))


@pytest.mark.parametrize("call", (2, 9, 16, 23))
def test_an_export_that_was_cut_goes_on(
    source: Flask, exported: Path, small_pages: None, endpoint: str, tmp_path: Path, call: int
) -> None:
    file = tmp_path / "cut.jsonl"
    with FaultyStore(endpoint) as faults:
        app = through(faults, SOURCE)
        faults.break_call(call, refuse("AccessDeniedException"), onward=True)
        result = run(app, "export", file)
    assert result.exit_code == 3 and not file.exists()
    with file.with_name("cut.jsonl.part").open("ab") as part:
        # Longer than all that follows: what is left of it would stand behind the end.
        part.write(b'{"item":{"PK":{"S":"a line that was' + b" cut off" * 10_000)
    done(source, "export", file)
    assert sorted(file.read_bytes().splitlines()) == sorted(exported.read_bytes().splitlines())
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


FORBIDDEN = refuse("AccessDeniedException")
# Before the first write, at the mark, among the items, and at the last of them.
CUTS = [(2, FORBIDDEN), (5, FORBIDDEN), (30, FORBIDDEN), (9, drop), (9, lose_answer)]


@pytest.mark.parametrize("call, fault", CUTS, ids=["second", "mark", "items", "dropped", "not told"])
def test_an_import_that_was_cut_goes_on(
    impatient: None,
    exported: Path,
    small_pages: None,
    new_tables: NewTables,
    endpoint: str,
    store: Any,
    call: int,
    fault: Any,
) -> None:
    target, names = new_tables()
    with FaultyStore(endpoint) as faults:
        app = through(faults, names)
        faults.break_call(call, fault, onward=True)
        assert run(app, "import", exported).exit_code == 3
    mark = store.get_item(TableName=names["users"], Key={"PK": {"S": "STORE#FORMAT"}, "SK": {"S": "FORMAT"}})["Item"]
    if "importing" in mark:
        for command in ("audit", "upgrade"):
            refused = run(target, command)
            assert refused.exit_code == 3 and "An import into these tables was cut off" in refused.output
        with pytest.raises(SystemExit, match="An import into these tables was cut off"):
            create_missing_tables(target)
        refused = run(target, "export", exported.parent / "half.jsonl")
        assert refused.exit_code == 3 and not (exported.parent / "half.jsonl").exists()
    done(target, "import", exported)
    assert content(store, names) == content(store, SOURCE)
    assert done(target, "audit").startswith("No violation")


def test_a_killed_import_goes_on(exported: Path, new_tables: NewTables, endpoint: str, store: Any) -> None:
    target, names = new_tables()
    with FaultyStore(endpoint) as faults:
        reached, killed = threading.Event(), threading.Event()

        def stop(forwarder: Any, sent: bytes) -> None:
            reached.set()
            killed.wait()

        faults.break_call(40, stop, onward=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "import", str(exported)],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "SECRET_KEY": "a secret for tests only",
                "DYNAMODB_ENDPOINT": faults.endpoint,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                **{f"{name.upper()}_TABLE": table for name, table in names.items()},
            },
        )
        while not reached.wait(0.05):
            assert process.poll() is None, "it ended by itself"
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed.set()
    assert 0 < len(content(store, names)) < len(content(store, SOURCE))
    done(target, "import", exported)
    assert content(store, names) == content(store, SOURCE)
    assert done(target, "audit").startswith("No violation")


def test_an_export_beside_a_writer_is_refused(new_tables: NewTables, endpoint: str, store: Any, tmp_path: Path) -> None:
    busy, names = new_tables()
    with busy.app_context():
        traders = [open_trader("1000.00") for _ in range(3)]
    stop, rounds = threading.Event(), [0]

    def write() -> None:
        with busy.app_context():
            while not stop.is_set():
                for trader in traders:
                    deposit(trader, "1.00")
                    place(trader, Side.BUY, "0.01", price="1")
                rounds[0] += 1

    def after_another_round(forwarder: Any, sent: bytes) -> tuple[int, bytes]:
        before = rounds[0]
        while rounds[0] == before and writer.is_alive():
            stop.wait(0.001)
        return forwarder.forward(sent)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with FaultyStore(endpoint) as faults:
            faults.break_call(1, after_another_round, onward=True)
            result = run(through(faults, names), "export", file := tmp_path / "moving.jsonl")
    finally:
        stop.set()
        writer.join()
    assert rounds[0] >= 5, "the writer ended early: this shows nothing"
    assert result.exit_code == 1 and "Stop the web servers and the workers" in result.output
    assert list(tmp_path.iterdir()) == []
    # Once it has stopped, each acknowledged change is in it.
    done(busy, "export", file)
    target, copy = new_tables()
    done(target, "import", file)
    assert content(store, copy) == content(store, names)
    assert done(target, "audit").startswith("No violation")
    for trader in traders:
        check_books(store, trader, **copy)


def test_what_was_written_between_two_runs_of_an_export_is_noticed(
    new_tables: NewTables, small_pages: None, endpoint: str, store: Any, tmp_path: Path
) -> None:
    app, names = new_tables()
    with app.app_context():
        traders = [open_trader("10.00") for _ in range(8)]
    file = tmp_path / "torn.jsonl"
    with FaultyStore(endpoint) as faults:
        faults.break_call(4, refuse("AccessDeniedException"), onward=True)
        assert run(through(faults, names), "export", file).exit_code == 3
    # All of them, as some were read before the cut.
    for trader in traders:
        changed = {"Key": {"PK": {"S": trader}, "SK": {"S": "USER"}}, "UpdateExpression": "SET first_name = :name"}
        store.update_item(TableName=names["users"], **changed, ExpressionAttributeValues={":name": {"S": "Another"}})
    assert run(app, "export", file).exit_code == 1, "as many items as before, and one of them another"
    assert list(tmp_path.iterdir()) == []


def test_tables_with_something_in_them_stay_as_they_are(exported: Path, new_tables: NewTables, store: Any) -> None:
    target, names = new_tables()
    with target.app_context():
        open_trader("1.00")
    before = content(store, names)
    result = run(target, "import", exported)
    assert result.exit_code == 1 and "The tables are not empty" in result.output
    assert content(store, names) == before
    assert done(target, "audit").startswith("No violation")


def test_an_import_that_is_done_is_not_repeated(exported: Path, new_tables: NewTables, store: Any) -> None:
    target, names = new_tables()
    done(target, "import", exported)
    assert run(target, "import", exported).exit_code == 1
    assert content(store, names) == content(store, SOURCE)


def test_another_import_and_another_writer_are_noticed(
    exported: Path, new_tables: NewTables, small_pages: None, endpoint: str, store: Any, tmp_path: Path
) -> None:
    target, names = new_tables()
    with FaultyStore(endpoint) as faults:
        faults.break_call(6, refuse("AccessDeniedException"), onward=True)
        assert run(through(faults, names), "import", exported).exit_code == 3
    empty, _ = new_tables()
    done(empty, "export", other := tmp_path / "other.jsonl")
    result = run(target, "import", other)
    assert result.exit_code == 1 and "Another import" in result.output
    lines = exported.read_text().splitlines()
    changed = json.loads(lines[-2])
    store.put_item(TableName=names[changed["table"]], Item={**changed["item"], "username": {"S": "mallory"}})
    result = run(target, "import", exported)
    assert result.exit_code == 1 and "Somebody else writes to these tables" in result.output


def damaged(text: str) -> dict[str, str]:
    lines = text.splitlines(keepends=True)
    return {
        "nothing": "",
        "text": "not an export\n",
        "cut in a line": text[:-200],
        "without its end": "".join(lines[:-1]),
        "without an item": "".join([*lines[:5], *lines[6:]]),
        "an item twice": "".join([*lines[:6], *lines[5:]]),
        "a digit": text.replace("1000.00", "9000.00"),
        "another table": text.replace('"table":"orders"', '"table":"others"'),
        "something behind its end": text + lines[1],
        "another format": text.replace('"store_format":5', '"store_format":4'),
    }


def test_what_is_not_a_whole_export_is_refused(exported: Path, new_tables: NewTables, store: Any) -> None:
    target, names = new_tables()
    for name, text in damaged(exported.read_text()).items():
        (file := exported.parent / "damaged").write_text(text)
        result = run(target, "import", file)
        file.unlink()
        assert result.exit_code == 2 and result.output.splitlines()[-1].startswith("Error: "), name
    assert run(target, "import", exported.parent / "absent").exit_code == 2
    assert content(store, names) == {}


def test_no_file_is_overwritten(source: Flask, exported: Path, tmp_path: Path) -> None:
    before = exported.read_bytes()
    assert run(source, "export", exported).exit_code == 2 and exported.read_bytes() == before
    (tmp_path / "new.part").write_text("somebody's own file\n")
    assert run(source, "export", tmp_path / "new").exit_code == 2
    assert (tmp_path / "new.part").read_text() == "somebody's own file\n"


FAILURES = {
    "too busy": refuse("ThrottlingException"),
    "does not answer": drop,
    "refuses this": FORBIDDEN,
    "tables create": refuse("ResourceNotFoundException"),
}


@pytest.mark.parametrize("said, fault", FAILURES.items(), ids=FAILURES)
@pytest.mark.parametrize("command", ["export", "import"])
def test_the_database_fails(
    impatient: None, exported: Path, endpoint: str, tmp_path: Path, command: str, said: str, fault: Any
) -> None:
    with FaultyStore(endpoint) as faults:
        faults.break_call(1, fault, onward=True)
        result = run(through(faults, SOURCE), command, exported if command == "import" else tmp_path / "new")
    assert result.exit_code == 3 and said in result.output.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
