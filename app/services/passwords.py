"""Hashes of passwords: bcrypt over a SHA-256 digest, because bcrypt reads only 72 bytes."""

from __future__ import annotations

import base64
import hashlib

import bcrypt

from app.domain.users import normalize_password

_rounds = 12


def configure(rounds: int) -> None:
    """Set the work factor of every new hash of this process: 2 ** `rounds` steps. `create_app` does so."""
    global _rounds
    _rounds = rounds


def hash_password(password: str) -> str:
    """A new salted hash, as it is stored."""
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(_rounds)).decode()


def is_password(password: str, password_hash: str) -> bool:
    """Whether the hash was made from this password."""
    return bcrypt.checkpw(_digest(password), password_hash.encode())


def equalize_timing(password: str) -> None:
    """Hash once, so that refusing an unknown user takes as long as refusing a wrong password."""
    hash_password(password)


def _digest(password: str) -> bytes:
    # Lone surrogates are encoded instead of raising: no stored password has one, so the password is simply wrong.
    text = normalize_password(password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hashlib.sha256(text).digest())
