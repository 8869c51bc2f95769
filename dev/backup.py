"""Copies of the embedded engine's data, behind `make backup` and `make restore`.

    python -m dev.backup backup [FILE]    copy the data to a new file, also while the copy runs
    python -m dev.backup restore FILE     put such a file in the place of the data; REPLACE=yes if there is some

DATA_DIR says where the data is. SQLite makes the copies. Its newest writes may stand in a file beside the database, so
a copy by `cp` holds an older state, or nothing.
"""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from dev.launcher import DATABASE, Refused, data_directory, existing_data, external_database, take_lock


def main(arguments: list[str]) -> None:
    """Run one command; if it is refused, print why and exit with 2."""
    os.umask(0o077)
    name, *files = [each for each in arguments if each]
    try:
        if setting := external_database(os.environ):
            raise Refused(f"The database is the one that {setting} names: copy it by its own means.")
        print({"backup": backup, "restore": restore}[name](*map(Path, files[:1])))
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(2)


def backup(file: Path | None = None) -> str:
    """Copy the data as it stands at one moment: each write that was acknowledged before is in it. Raises Refused."""
    directory = existing_data(os.environ)
    if file is None:
        file = directory / "backups" / f"{_moment()}.db"
        file.parent.mkdir(mode=0o700, exist_ok=True)
    if file.exists():
        raise Refused(f"{file} exists: name a new file.")
    with _whole_copy(directory / DATABASE, file) as copy:
        copy.rename(file)
    return f"Saved DATA_DIR {directory} as {file}."


def restore(file: Path | None = None) -> str:
    """Put a saved copy in the place of the data. Raises Refused.

    Data that is there, sound or not, is replaced only if REPLACE is `yes`, and kept among the backups.
    """
    if file is None:
        raise Refused("Name the copy: make restore FILE=var/backups/NAME.db")
    check(file)
    directory = data_directory(os.environ)
    lock = take_lock(directory)
    kept = ""
    database = directory / DATABASE
    if database.exists() and os.environ.get("REPLACE") != "yes":
        raise Refused(
            f"DATA_DIR {directory} has data, last changed {_changed(database)}, and {file} was saved {_changed(file)}: "
            "set REPLACE=yes to replace it, or another DATA_DIR."
        )
    with _whole_copy(file, database) as copy:
        if replaced := _set_aside(database):
            kept = f" What was there is now {replaced}."
        copy.rename(database)
    os.close(lock)
    return f"Restored {file} into DATA_DIR {directory}.{kept} Check it with make audit."


def check(file: Path) -> None:
    """Read a whole database of the engine. Raises Refused if it is none, is damaged, or has no tables."""
    try:
        with closing(_open(file)) as database:
            [[result]] = database.execute("PRAGMA quick_check(1)").fetchall()
            [[tables]] = database.execute("SELECT count(*) FROM _tables").fetchall()
    except sqlite3.Error as error:
        raise Refused(f"{file} is not a copy of the data ({error}): choose a file that make backup saved.") from error
    if result != "ok" or not tables:
        raise Refused(f"{file} {'is damaged' if tables else 'has no tables'}: choose another copy.")


@contextmanager
def _whole_copy(database: Path, file: Path) -> Iterator[Path]:
    """A checked copy of a database, beside the file that it will become. It is removed unless it was renamed.

    Raises Refused.
    """
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        # Only for its owner: it has e-mail addresses and hashes of passwords.
        unfinished.touch(mode=0o600)
        _copy(database, unfinished)
        check(unfinished)
        yield unfinished
    except OSError as error:
        raise Refused(f"{file} cannot be written ({error.strerror}): name another file.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _set_aside(database: Path) -> Path | None:
    """Move a database that nobody uses among the backups, with the files beside it that SQLite may have left.

    Such a file without its database goes too: SQLite would write its content into the next one.
    """
    with suppress(sqlite3.Error), closing(_open(database)) as unused:
        unused.execute("PRAGMA journal_mode = DELETE")
    kept = database.parent / "backups" / f"{_moment()}-replaced.db"
    left = [suffix for suffix in ("", "-wal", "-shm", "-journal") if Path(f"{database}{suffix}").exists()]
    if left:
        kept.parent.mkdir(mode=0o700, exist_ok=True)
    for suffix in left:
        os.rename(f"{database}{suffix}", f"{kept}{suffix}")
    return kept if left else None


def _copy(source: Path, target: Path) -> None:
    """Make the target what the source is at one moment. Raises Refused."""
    try:
        with closing(_open(source)) as copied, closing(sqlite3.connect(target)) as copy:
            copied.backup(copy)
            # Everything in the one file; the engine sets its own mode when it opens it.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise Refused(f"{source} cannot be copied ({error}).") from error


def _open(database: Path) -> sqlite3.Connection:
    # For writing too: SQLite may have to finish what a killed engine had begun. It makes no file here.
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)


def _moment() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}"[:-3]


def _changed(database: Path) -> str:
    """When a database, or the file beside it that has its newest writes, was last written."""
    files = [each for each in (database, database.with_name(f"{database.name}-wal")) if each.exists()]
    return f"{datetime.fromtimestamp(max(each.stat().st_mtime for each in files), UTC):%Y-%m-%d %H:%M:%S} UTC"


if __name__ == "__main__":
    main(sys.argv[1:])
