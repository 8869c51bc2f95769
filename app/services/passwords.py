"""Passwords: hashed with bcrypt over a digest, because bcrypt reads only 72 bytes."""

from __future__ import annotations

import base64
import hashlib
import unicodedata

import bcrypt

_rounds = 12


def configure(rounds: int) -> None:
    """Set the work factor of every new hash of this process: 2 ** `rounds` steps. `create_app` does so."""
    global _rounds
    _rounds = rounds


def hash_password(password: str) -> str:
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(_rounds)).decode()


def is_password(password: str, password_hash: str) -> bool:
    return bcrypt.checkpw(_digest(password), password_hash.encode())


def equalize_timing(password: str) -> None:
    """Hash once, so that refusing an unknown user takes as long as refusing a wrong password."""
    hash_password(password)


def _digest(password: str) -> bytes:
    # NFKC, as two keyboards may send the same letter differently (NIST SP 800-63B, 5.1.1.2).
    text = unicodedata.normalize("NFKC", password)
    # Encode lone surrogates instead of raising; they never match.
    return base64.b64encode(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
