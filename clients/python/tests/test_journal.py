"""The journal: for its owner alone, whole after a crash, shared by processes."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from order_processor_client import Entry, Journal


def entry(key: str) -> Entry:
    body = {"amount": "1.00", "description": "ä\n"}
    return Entry(key, "https://shop.example", "ann", "POST", "/balance/deposit", body)


def test_it_gives_back_what_it_was_given(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "folder" / "journal.jsonl")
    assert journal.entries() == []
    first, second = entry("a"), entry("b")
    journal.begin(first)
    journal.begin(second)
    journal.settle(first, "done", status=201, replayed=True, answer={"amount": "1.00"})
    found = journal.entries()
    assert [(each.key, each.state, each.is_open) for each in found] == [("a", "done", False), ("b", "begun", True)]
    assert (found[0].answer, found[0].replayed, found[1].body) == ({"amount": "1.00"}, True, second.body)
    assert found[1].began_at == second.began_at
    assert journal.path.stat().st_mode & 0o777 == 0o600 and journal.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("cut", [2, 20, 60])
def test_a_line_that_a_crash_cut_off_does_not_count(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    first, second = entry("a"), entry("b")
    journal.begin(first)
    journal.settle(first, "done")
    os.truncate(journal.path, journal.path.stat().st_size - cut)
    assert [each.is_open for each in journal.entries()] == [True]
    journal.begin(second)
    journal.settle(second, "done")
    assert [(each.key, each.is_open) for each in journal.entries()] == [("a", True), ("b", False)]


def test_others_may_not_read_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.begin(entry("a"))
    journal.path.chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        journal.begin(entry("b"))
    with pytest.raises(PermissionError, match="chmod 600"):
        journal.entries()
    journal.path.chmod(0o600)
    assert [each.key for each in journal.entries()] == ["a"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Journal(tmp_path / "journal.jsonl").begin(entry("a"))
    assert not (tmp_path / "elsewhere").exists()


def write_many(path: Path, name: str) -> None:
    journal = Journal(path)
    for number in range(20):
        made = entry(f"{name}-{number}")
        journal.begin(made)
        journal.settle(made, "done")


def test_processes_share_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        for each in [pool.submit(write_many, path, name) for name in "ab"]:
            each.result()
    found = Journal(path).entries()
    assert len(found) == 40 and not any(each.is_open for each in found)
