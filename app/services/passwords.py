"""Hashes of passwords: bcrypt over a SHA-256 digest, because bcrypt reads no more than 72 bytes.

`rounds` is the base-2 logarithm of bcrypt's cost.
"""

from __future__ import annotations

import base64
import hashlib

import bcrypt

from app.domain.users import normalize_password


def hash_password(password: str, *, rounds: int) -> str:
    """A new salted hash, as it is stored."""
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds)).decode()


def is_password(password: str, password_hash: str) -> bool:
    """Whether the hash was made from this password."""
    return bcrypt.checkpw(_digest(password), password_hash.encode())


def equalize_timing(password: str, *, rounds: int) -> None:
    """Take as long as `is_password`, so that an unknown user is refused as late as a wrong password."""
    bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds))


def _digest(password: str) -> bytes:
    # Lone surrogates are encoded instead of raising: no stored password has one, so the password is simply wrong.
    text = normalize_password(password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hashlib.sha256(text).digest())
