"""Passwords: hashed with bcrypt, over a digest, as bcrypt reads no more than 72 bytes."""

from __future__ import annotations

import base64
import hashlib
import unicodedata

import bcrypt


def hash_password(password: str, *, rounds: int) -> str:
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds)).decode()


def is_password(password: str, password_hash: str) -> bool:
    return bcrypt.checkpw(_digest(password), password_hash.encode())


def equalize_timing(password: str, *, rounds: int) -> None:
    """Takes as long as `is_password`, so that an unknown user is refused as late as a wrong password."""
    bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds))


def _digest(password: str) -> bytes:
    # NFKC, as two keyboards may send the same letter differently (NIST SP 800-63B, 5.1.1.2).
    text = unicodedata.normalize("NFKC", password)
    # A lone surrogate is no letter of any password, and no reason to fail.
    return base64.b64encode(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
