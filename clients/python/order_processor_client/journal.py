"""The journal: each change with its key, on disk before it is sent, and what came of it.

A file of JSON lines that only its owner may read. A change is begun by one line, with `id`, `key`, `base_url`,
`username`, `method`, `path` and `body`. Later lines with the same `id` tell its `state`. The last one counts:

- `begun`: it may have been sent. A script that was killed leaves it so.
- `done`: the service made the change; `answer` is what it said.
- `refused`: nothing was changed, and nothing will be; `code` says why.
- `unknown`: it was sent, and nobody knows what came of it.
- `forgotten`: its owner gave it up.

A line is on the disk (fsync) before anything follows from it. Processes and threads may share a file.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from order_processor_client.values import from_json, moment_text, to_json

OPEN = frozenset({"begun", "unknown"})


@dataclass(frozen=True)
class Entry:
    """A change, and the last that is known of it. `touched_at` is the time of the line that told it."""

    key: str
    base_url: str
    username: str
    method: str
    path: str
    body: dict[str, Any] | None
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: str = "begun"
    status: int = 0
    code: str = ""
    replayed: bool = False
    answer: Any = None
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    touched_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def is_open(self) -> bool:
        """Whether its outcome is not known."""
        return self.state in OPEN


class Journal:
    """The journal in the file at `path`, which is made when the first change is begun."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def begin(self, entry: Entry) -> None:
        """Store a change that is about to be sent."""
        names = ("id", "key", "base_url", "username", "method", "path", "body", "state")
        self._append({"at": entry.began_at, **{name: getattr(entry, name) for name in names}})

    def settle(self, entry: Entry, state: str, *, status: int = 0, code: str = "", **more: Any) -> None:
        """Store what came of it; `more` may be `replayed` and `answer`."""
        self._append({"at": datetime.now(UTC), "id": entry.id, "state": state, "status": status, "code": code, **more})

    def entries(self) -> list[Entry]:
        """Every change, in the order in which they were begun."""
        entries: dict[str, Entry] = {}
        for line in self._lines():
            at = datetime.fromisoformat(line.pop("at"))
            if "key" in line:
                entries[line["id"]] = Entry(**line, began_at=at, touched_at=at)
            elif line["id"] in entries:
                entries[line["id"]] = replace(entries[line["id"]], **line, touched_at=at)
        return list(entries.values())

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        refuse_if_readable_by_others(self.path)
        for text in self.path.read_bytes().split(b"\n"):
            try:
                line = from_json(text)
            except ValueError:
                continue  # empty, or cut off by a crash: nothing followed from it
            if isinstance(line, dict) and "id" in line:
                yield line

    def _append(self, line: dict[str, Any]) -> None:
        make_private_folder(self.path.parent)
        is_new = not self.path.exists()
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            refuse_if_readable_by_others(file)
            size = os.fstat(file).st_size
            # What a crash cut off stays a line of its own.
            is_cut = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            data = b"\n" * is_cut + to_json({**line, "at": moment_text(line["at"])}).encode() + b"\n"
            while data:
                data = data[os.write(file, data) :]
            os.fsync(file)
        finally:
            os.close(file)
        if is_new:
            _sync_folder(self.path.parent)


def make_private_folder(folder: Path) -> None:
    """A folder for its owner alone; one that exists stays as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def refuse_if_readable_by_others(file: Path | int) -> None:
    """Raises PermissionError."""
    mode = os.stat(file).st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        name = file if isinstance(file, Path) else "the journal"
        raise PermissionError(f"Others may read {name} (mode {stat.filemode(mode)}): run chmod 600 on it.")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
