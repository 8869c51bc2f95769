"""Mail: how it leaves this service. Its settings are here, apart from what sends it, because the launcher reads them.

The mails that wait are in the outbox, `app/models/outbox.py`; their texts are in `app/domain/mails.py`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit

DEFAULT_PORTS = {"smtp": 587, "smtps": 465}


class Tls(StrEnum):
    """How the way to a mail server is encrypted. Where it is, the server's certificate must be valid for its name."""

    IMPLICIT = "implicit"
    STARTTLS = "starttls"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class SmtpServer:
    """A mail server that takes our mail, and how to log in to it, if at all."""

    host: str
    port: int
    tls: Tls
    user: str = ""
    password: str = field(default="", repr=False)

    @staticmethod
    def from_url(url: str) -> SmtpServer:
        """The server of `smtps://user:password@host:465` or `smtp://host:587`. Raises ValueError.

        `smtp://` means STARTTLS, or no encryption on loopback; `?tls=starttls` and `?tls=none` say which.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_plain = re.fullmatch("[a-z0-9.:-]+", host) and not parts.path.strip("/") and not parts.fragment
        if parts.scheme not in DEFAULT_PORTS or not is_plain or parts.port == 0:
            raise ValueError
        return SmtpServer(
            host=host,
            port=parts.port or DEFAULT_PORTS[parts.scheme],
            tls=_read_tls(parts.scheme, host, parts.query),
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )


def _read_tls(scheme: str, host: str, query: str) -> Tls:
    """Raises ValueError."""
    if scheme == "smtps" and not query:
        return Tls.IMPLICIT
    asked = {"tls=starttls": Tls.STARTTLS, "tls=none": Tls.NONE, "": Tls.NONE if is_loopback(host) else Tls.STARTTLS}
    if scheme == "smtps" or query not in asked:
        raise ValueError
    return asked[query]


@dataclass(frozen=True, kw_only=True)
class MailSettings:
    """Where mail goes: to a server, or as files into a folder. With neither, this service sends no mail."""

    server: SmtpServer | None = None
    folder: str | None = None
    # The address that mail comes from.
    sender: str = "order-processor@localhost"
    # The address of this site, without a slash at its end: a mail has no request to take it from.
    site: str = ""

    @property
    def is_on(self) -> bool:
        return self.server is not None or self.folder is not None


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
