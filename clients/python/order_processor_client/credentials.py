"""Where the token is kept: in the environment, or in a file that only its owner may read.

| variable | is |
|---|---|
| `ORDERS_URL` | the address of the service, with its prefix, without `/api/v1` |
| `ORDERS_TOKEN` | a personal token, or a login token |
| `ORDERS_DIR` | the folder of `credentials.json` and `journal.jsonl`; `~/.order-processor` |
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from order_processor_client.errors import OrdersError
from order_processor_client.journal import make_private_folder, refuse_if_readable_by_others
from order_processor_client.transport import checked_url


@dataclass(frozen=True)
class Credentials:
    """A token and where it is valid. `device` is for the next log-in: wrong passwords from elsewhere do not count."""

    base_url: str
    token: str = ""
    username: str = ""
    device: str = ""

    @classmethod
    def find(cls, base_url: str = "") -> Credentials:
        """What the environment says, and the file for the rest; `base_url` replaces that of both.

        A token of the file is used only at the address that it is from. Raises OrdersError where no address is known,
        and PermissionError where others may read the file.
        """
        stored = cls.load()
        url = base_url or os.environ.get("ORDERS_URL") or (stored.base_url if stored else "")
        if not url:
            raise OrdersError("Which service? Set ORDERS_URL, or log in with --url.", code="no_address")
        if token := os.environ.get("ORDERS_TOKEN"):
            return cls(url, token)
        return stored if stored and stored.base_url == checked_url(url) else cls(url)

    @classmethod
    def load(cls) -> Credentials | None:
        """What the file has; None without one."""
        path = _path()
        if not path.exists():
            return None
        refuse_if_readable_by_others(path)
        return cls(**json.loads(path.read_text()))

    def save(self) -> None:
        """Replace the file, whole or not at all."""
        path = _path()
        make_private_folder(path.parent)
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)


def home() -> Path:
    """The folder of this client's files."""
    return Path(os.environ.get("ORDERS_DIR") or Path.home() / ".order-processor")


def _path() -> Path:
    return home() / "credentials.json"
