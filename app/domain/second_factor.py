"""Second factors: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when it is lost.

The app and this service share a *seed*. A code is what both make of it for one *step* of 30 seconds. Apps know SHA-1
and six digits only; no collision helps to guess a code, so SHA-1 is good enough here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import quote

from app.domain.texts import is_short

STEP_SECONDS, DIGITS = 30, 6
SEED_BYTES = 20
RECOVERY_CODES, RECOVERY_BYTES = 10, 14
# After so many that were wrong in a window, from wherever they came, no code of the app is looked at. What passkeys
# signed wrongly counts too. A recovery code and a passkey cannot be guessed, and always work.
MOST_WRONG, WRONG_WINDOW = 20, timedelta(hours=24)
_LONGEST_TYPED = 100


class Demand(StrEnum):
    """Who must have a second factor."""

    OPTIONAL = "optional"
    OPERATORS = "operators"
    ALL = "all"


class Verdict(StrEnum):
    """What a code that was given is worth."""

    APP = "app"
    RECOVERY = "recovery"
    WRONG = "wrong"
    TOO_MANY = "too_many"


def new_seed() -> bytes:
    """160 random bits, as RFC 4226 recommends."""
    return secrets.token_bytes(SEED_BYTES)


def seed_to_text(seed: bytes) -> str:
    """As people type it into an app that cannot see the QR code."""
    return base64.b32encode(seed).decode()


def app_address(seed: bytes, username: str, *, product: str) -> str:
    """What the QR code says to the app."""
    label, issuer = quote(f"{product}:{username}"), quote(product)
    return f"otpauth://totp/{label}?secret={seed_to_text(seed)}&issuer={issuer}"


def step_at(moment: datetime) -> int:
    """The number of the step of 30 seconds."""
    return int(moment.timestamp()) // STEP_SECONDS


def code_at(seed: bytes, step: int) -> str:
    """The code of a step: RFC 4226, 5.3, with the step as the counter."""
    digest = hmac.digest(seed, step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def new_recovery_codes() -> list[str]:
    """Codes of 112 random bits each, in groups that are easy to copy by hand."""
    texts = (secrets.token_hex(RECOVERY_BYTES) for _ in range(RECOVERY_CODES))
    return ["-".join(re.findall("....", text)) for text in texts]


def read_code(typed: str) -> str:
    """A code as it is compared: without spaces and hyphens, in lower case; nothing, where it is too long for one."""
    return re.sub(r"[\s-]", "", typed).lower() if is_short(typed, _LONGEST_TYPED) else ""


def hash_recovery_code(code: str) -> str:
    """As it is stored. A code has 112 random bits, so a fast hash is enough."""
    return hashlib.sha256(read_code(code).encode("utf-8", "surrogatepass")).hexdigest()


def judge(
    typed: str, *, seed: bytes | None, last_step: int, recovery_hashes: Collection[str], wrong: int, now: datetime
) -> Verdict:
    """What a code is worth that was typed now.

    A code of the app counts in its own step of 30 seconds alone. It counts once: while no code of that step or a later
    one was used. Without the `seed`, which may be unreadable, only recovery codes count. `wrong` is how many were wrong
    in this window.
    """
    if hash_recovery_code(typed) in recovery_hashes:
        return Verdict.RECOVERY
    code = read_code(typed)
    if not re.fullmatch(rf"[0-9]{{{DIGITS}}}", code, re.ASCII):
        return Verdict.WRONG
    if wrong >= MOST_WRONG:
        return Verdict.TOO_MANY
    step = step_at(now)
    is_right = seed is not None and hmac.compare_digest(code_at(seed, step), code)
    return Verdict.APP if is_right and step > last_step else Verdict.WRONG
