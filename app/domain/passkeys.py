"""Passkeys (WebAuthn, level 2): keys that a phone, a computer or a security key signs with, beside the codes of an app.

What a passkey signed is sent wherever a code is asked for, as the JSON of what the browser made.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.domain import clock

MOST_PASSKEYS = 10
# Of what a browser sends, in characters: an assertion has some 900, and a new passkey with an RSA key some 2000.
LONGEST_SIGNED = 8000
# In bytes. WebAuthn allows 1023, and authenticators take 16 to 128.
LONGEST_CREDENTIAL_ID = 256


@dataclass(frozen=True)
class Passkey:
    """One that was added. `credential_id` and `public_key` (COSE) are base64url."""

    credential_id: str
    public_key: str
    sign_count: int
    name: str
    created_at: datetime
    last_used_at: datetime | None = None

    @property
    def passkey_id(self) -> str:
        """What it is called in addresses: short, whatever the authenticator made."""
        return hashlib.sha256(self.credential_id.encode()).hexdigest()[:16]


def passkeys_to_text(passkeys: Iterable[Passkey]) -> str:
    """As they are stored: JSON."""
    return json.dumps(
        [
            asdict(each)
            | {
                "created_at": clock.to_text(each.created_at),
                "last_used_at": each.last_used_at and clock.to_text(each.last_used_at),
            }
            for each in passkeys
        ],
        separators=(",", ":"),
    )


def passkeys_from_text(text: str) -> tuple[Passkey, ...]:
    """Raises ValueError, KeyError or TypeError for what `passkeys_to_text` has not made."""
    return tuple(_from_json(**each) for each in json.loads(text))


def _from_json(*, created_at: str, last_used_at: str | None, **others: Any) -> Passkey:
    last_used = clock.from_text(last_used_at) if last_used_at else None
    if not isinstance(others["sign_count"], int):
        raise TypeError("sign_count")
    return Passkey(**others, created_at=clock.from_text(created_at), last_used_at=last_used)


def is_signed(typed: str) -> bool:
    """Whether what came as a code is from a passkey: no code begins like an object of JSON."""
    return typed.startswith("{")


def to_base64url(data: bytes) -> str:
    """Without padding, as WebAuthn has it."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_base64url(text: str) -> bytes:
    """Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def challenge_in(credential: str) -> str:
    """The challenge that a browser says it was given. Raises ValueError, KeyError, TypeError or RecursionError."""
    if len(credential) > LONGEST_SIGNED:
        raise ValueError("too long")
    client_data = json.loads(from_base64url(json.loads(credential)["response"]["clientDataJSON"]))
    return from_base64url(client_data["challenge"]).decode()
