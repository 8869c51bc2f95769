"""The data of a laptop's copy is for its owner alone, whatever the folder was before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dev import backup, launcher
from dev.launcher import Refused, close_to_others, data_directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that others can read, with data that they can read."""
    made = tmp_path / "data"
    made.mkdir()
    made.chmod(0o755)
    (made / "backups").mkdir()
    for name in ("orders.db", "orders.db-wal", "orders.db-shm", "secret_key", "lock", "backups/1.db", "notes.txt"):
        (made / name).write_text("")
        (made / name).chmod(0o664)
    return made


def test_an_open_folder_is_closed_with_a_word(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert data_directory({"DATA_DIR": str(folder)}) == folder
    assert mode(folder) == 0o700
    for name in ("orders.db", "orders.db-wal", "orders.db-shm", "secret_key", "lock", "backups/1.db"):
        assert mode(folder / name) == 0o600, name
    assert mode(folder / "notes.txt") == 0o664, "what is not ours is left"
    assert capfd.readouterr().err == f"DATA_DIR {folder} was open to other users. It is closed to them now.\n"
    data_directory({"DATA_DIR": str(folder)})
    assert capfd.readouterr().err == ""


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("")
    other.chmod(0o644)
    (folder / "orders.db").unlink()
    (folder / "orders.db").symlink_to(other)
    close_to_others(folder)
    assert mode(other) == 0o644


def test_a_folder_of_somebody_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(Refused, match="is a folder of others, who can read it: choose another folder."):
        data_directory({"DATA_DIR": str(folder)})
    folder.chmod(0o700)
    for each in folder.rglob("*"):
        each.chmod(0o600)
    assert data_directory({"DATA_DIR": str(folder)}) == folder


def test_a_folder_for_everybody_is_refused(folder: Path) -> None:
    folder.chmod(0o1777)
    with pytest.raises(Refused, match="is a folder of others"):
        data_directory({"DATA_DIR": str(folder)})
    assert mode(folder) == 0o1777


@pytest.mark.parametrize("program", [launcher, backup])
def test_what_is_written_is_for_its_owner(
    program, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also by the engine and the other children, which inherit it."""
    before = os.umask(0o022)
    try:
        with pytest.raises((SystemExit, KeyError)):
            program.main(["nothing"])
        assert os.umask(0o022) == 0o077
    finally:
        os.umask(before)


def test_the_secret_of_a_file_is_not_overridden(folder: Path) -> None:
    settings = launcher.web_settings({"SECRET_KEY_FILE": "/run/secrets/key"}, folder)
    assert "SECRET_KEY" not in settings
