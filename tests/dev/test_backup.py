"""`make backup` and `make restore`: whole copies of data in use, and no data that is lost by restoring one."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from app.domain.orders import Side
from dev.launcher import free_port, wait_until_ready
from tests.support.accounts import deposit, open_trader, place
from tests.support.applications import make_app
from tests.support.books import check_books
from tests.support.engine import engine, start_engine
from tests.support.wire import BareStore

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
WRITERS = 4
# A DATA_DIR that nobody uses, its backup, and a user who had 1.00.
Saved = tuple[Path, Path, str]


def run(
    command: str, data: Path, file: Path | str = "", options: Mapping[str, Any] = MappingProxyType({}), **settings: str
) -> tuple[int, str, str]:
    """The status of a command, and what it printed; `options` are those of subprocess."""
    ended = subprocess.run(
        [sys.executable, "-m", "dev.backup", command, str(file)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(data), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def amounts(endpoint: str, username: str) -> list[str]:
    """The deposits of a user, oldest first; the books must balance."""
    with closing(BareStore(endpoint)) as store:
        books = check_books(store, username)
    return [row["amount"] for row in books.transactions if row["transaction_type"] == "DEPOSIT"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with data and its backup, and the user in it."""
    folder_ = tmp_path_factory.mktemp("saved")
    data = folder(folder_ / "data")
    with engine(data / "orders.db") as endpoint, make_app(endpoint).app_context():
        name = open_trader("1.00")
    assert run("backup", data, folder_ / "saved.db")[0] == 0
    return folder_, name


@pytest.fixture
def saved(template: tuple[Path, str], tmp_path: Path) -> Saved:
    made, name = template
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "data", tmp_path / "saved.db", name


def test_a_backup_under_load_has_every_write_acknowledged_before_it(tmp_path: Path) -> None:
    data, other = folder(tmp_path / "data"), folder(tmp_path / "other")
    acknowledged: list[int] = [0] * WRITERS
    stop = threading.Event()
    with engine(data / "orders.db") as endpoint:
        app = make_app(endpoint)
        with app.app_context():
            names = [open_trader() for _ in range(WRITERS)]

        def write(number: int) -> None:
            with app.app_context():
                while not stop.is_set():
                    deposit(names[number], f"{acknowledged[number] + 1}.00")
                    acknowledged[number] += 1
                    place(names[number], Side.BUY, "0.01", price="1")

        writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            copies = []
            for number in range(2):
                while min(acknowledged) < 20 * (number + 1):
                    stop.wait(0.01)
                before = list(acknowledged)
                status, output, errors = run("backup", data, copy := tmp_path / f"{number}.db")
                assert (status, errors) == (0, "") and str(copy) in output
                assert sum(acknowledged) > sum(before), "nothing was written meanwhile: this shows nothing"
                copies.append((copy, before))
        finally:
            stop.set()
            for writer in writers:
                writer.join()
    file, before = copies[-1]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0.db", "1.db", "data", "other"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("restore", other, file)[0] == 0
    with engine(other / "orders.db") as endpoint:
        for name, least in zip(names, before, strict=True):
            deposits = amounts(endpoint, name)
            assert deposits == [f"{number + 1}.00" for number in range(len(deposits))]
            assert len(deposits) >= least


def test_a_killed_copy_is_backed_up_whole(tmp_path: Path) -> None:
    """Its newest writes stand beside the database, where a copy of the one file has none of them."""
    data, other = folder(tmp_path / "data"), folder(tmp_path / "other")
    port = free_port()
    killed = start_engine(port, data / "orders.db")
    with make_app(f"http://127.0.0.1:{port}").app_context():
        name = open_trader("5.00")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    shutil.copy(data / "orders.db", tmp_path / "by_cp.db")
    status, _, errors = run("restore", other, tmp_path / "by_cp.db")
    assert status == 2 and "is not a copy of the data" in errors and list(other.iterdir()) == []
    assert run("backup", data)[0] == 0
    [file] = (data / "backups").iterdir()
    assert run("restore", other, file)[0] == 0
    with engine(other / "orders.db") as endpoint:
        assert amounts(endpoint, name) == ["5.00"]


def test_what_was_written_since_is_replaced_only_when_told_and_kept(saved: Saved, tmp_path: Path) -> None:
    data, file, name = saved
    with engine(data / "orders.db") as endpoint, make_app(endpoint).app_context():
        deposit(name, "2.00")
    status, _, errors = run("restore", data, file)
    assert status == 2 and "REPLACE=yes" in errors and errors.count("\n") == 1
    with engine(data / "orders.db") as endpoint:
        assert amounts(endpoint, name) == ["1.00", "2.00"]
    status, output, _ = run("restore", data, file, REPLACE="yes")
    [kept] = (data / "backups").iterdir()
    assert status == 0 and str(kept) in output
    with engine(data / "orders.db") as endpoint:
        assert amounts(endpoint, name) == ["1.00"]
    assert run("restore", other := folder(tmp_path / "other"), kept)[0] == 0
    with engine(other / "orders.db") as endpoint:
        assert amounts(endpoint, name) == ["1.00", "2.00"]


def test_damaged_data_can_be_replaced(saved: Saved) -> None:
    data, file, name = saved
    (data / "orders.db").write_bytes(b"damaged" * 1000)
    (data / "orders.db-wal").write_bytes(b"damaged too")
    assert run("backup", data)[0] == 2
    assert run("restore", data, file, REPLACE="yes")[0] == 0
    with engine(data / "orders.db") as endpoint:
        assert amounts(endpoint, name) == ["1.00"]


def test_what_an_older_database_left_does_not_get_into_the_restored_one(saved: Saved, tmp_path: Path) -> None:
    _, file, name = saved
    other = folder(tmp_path / "other")
    port = free_port()
    killed = start_engine(port, other / "orders.db")
    with make_app(f"http://127.0.0.1:{port}").app_context():
        open_trader("7.00")
    killed.kill()
    killed.wait()
    (other / "orders.db").unlink()
    assert (other / "orders.db-wal").stat().st_size > 0
    assert run("restore", other, file)[0] == 0
    with engine(other / "orders.db") as endpoint:
        assert amounts(endpoint, name) == ["1.00"]


def test_a_restore_that_fails_leaves_the_data(saved: Saved) -> None:
    data, file, _ = saved
    before = (data / "orders.db").read_bytes()
    small = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))}
    status, _, errors = run("restore", data, file, small, REPLACE="yes")
    assert (status, errors.count("\n")) == (2, 1)
    assert (data / "orders.db").read_bytes() == before
    assert {each.name for each in data.iterdir()} <= {"orders.db", "lock"}
    assert run("backup", data, data.parent / "new.db", small)[0] == 2
    assert {each.name for each in data.parent.iterdir()} == {"data", "saved.db"}


def test_nothing_is_restored_into_a_running_copy(saved: Saved) -> None:
    data, file, _ = saved
    before, endpoint = (data / "orders.db").stat(), f"http://127.0.0.1:{free_port()}"
    running = subprocess.Popen(
        [sys.executable, str(ROOT / "dev" / "launcher.py"), "engine"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(data), "DYNAMODB_ENDPOINT": endpoint},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(endpoint, running)
        status, _, errors = run("restore", data, file, REPLACE="yes")
        assert status == 2 and f"Engine process {running.pid} is using DATA_DIR" in errors
        assert (data / "orders.db").stat().st_ino == before.st_ino
        assert run("backup", data)[0] == 0
    finally:
        running.terminate()
        running.wait(timeout=10)


@pytest.fixture
def wrong(tmp_path: Path) -> dict[str, Path]:
    """Files that are not a backup."""
    files = {name: tmp_path / name for name in ("absent", "text", "another", "folder", "no tables")}
    files["text"].write_text("not a database" * 1000)
    with closing(sqlite3.connect(files["another"])) as database:
        database.execute("CREATE TABLE other (column)")
    files["folder"].mkdir()
    with engine(files["no tables"]):
        pass
    return files


def test_what_is_not_a_backup_is_refused(saved: Saved, wrong: dict[str, Path], tmp_path: Path) -> None:
    data, file, _ = saved
    before = (data / "orders.db").read_bytes()
    for name, each in {**wrong, "none": ""}.items():
        status, output, errors = run("restore", data, each, REPLACE="yes")
        assert (status, output, errors.count("\n")) == (2, "", 1), name
    damaged = tmp_path / "damaged"
    damaged.write_bytes(file.read_bytes()[:20_000])
    assert run("restore", data, damaged, REPLACE="yes")[0] == 2
    assert (data / "orders.db").read_bytes() == before and not wrong["absent"].exists()


def test_where_there_is_nothing_to_back_up(tmp_path: Path, saved: Saved, wrong: dict[str, Path]) -> None:
    data, file, _ = saved
    status, _, errors = run("backup", tmp_path / "mistyped")
    assert status == 2 and "There is no data in DATA_DIR" in errors and not (tmp_path / "mistyped").exists()
    empty = folder(tmp_path / "empty")
    shutil.copy(wrong["no tables"], empty / "orders.db")
    status, _, errors = run("backup", empty, tmp_path / "new.db")
    assert status == 2 and "has no tables" in errors and not (tmp_path / "new.db").exists()
    before = file.read_bytes()
    status, _, errors = run("backup", data, file)
    assert status == 2 and "exists" in errors and file.read_bytes() == before
    assert run("backup", data, tmp_path / "no" / "such" / "folder")[0] == 2


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_another_database_has_its_own_means(tmp_path: Path, command: str) -> None:
    settings: dict[str, Any] = {"DYNAMODB_ENDPOINT": "http://127.0.0.1:1"}
    status, _, errors = run(command, tmp_path, tmp_path / "file", **settings)
    assert status == 2 and "DYNAMODB_ENDPOINT" in errors and list(tmp_path.iterdir()) == []
