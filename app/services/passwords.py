"""Hashes of passwords: bcrypt over a SHA-256 digest, because bcrypt reads only 72 bytes.

A hash takes a processor core for a quarter of a second. A process makes one at a time, so that most of its threads stay
free for other requests. A few hashes wait for their turn; what comes while they wait is refused with Busy.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

import bcrypt

from app.domain.errors import Busy
from app.domain.users import normalize_password
from app.services.settings import settings

WAITING = 2
# In place of the hash of a closed account. No hash ends so: the last character of one has two bits that are 0.
MATCHES_NOTHING = f"$2b$12${'.' * 52}/"

_hashing = Lock()
_places = BoundedSemaphore(1 + WAITING)


def hash_password(password: str) -> str:
    """A new salted hash, as it is stored. Raises Busy."""
    with _turn():
        return bcrypt.hashpw(_digest(password), bcrypt.gensalt(settings().bcrypt_rounds)).decode()


def is_password(password: str, password_hash: str) -> bool:
    """Whether the hash was made from this password. Raises Busy."""
    with _turn():
        return bcrypt.checkpw(_digest(password), password_hash.encode())


def is_weaker_than_new(password_hash: str) -> bool:
    """Whether the work factor rose since the hash was made."""
    return int(password_hash.split("$")[2]) < settings().bcrypt_rounds


def equalize_timing(password: str) -> None:
    """Hash once, so that refusing an unknown user takes as long as refusing a wrong password.

    Raises Busy, as for a known user.
    """
    hash_password(password)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until no other thread of this process hashes. Raises Busy at once when too many wait already."""
    if not _places.acquire(blocking=False):
        raise Busy()
    try:
        with _hashing:
            yield
    finally:
        _places.release()


def _digest(password: str) -> bytes:
    # Lone surrogates are encoded instead of raising: no stored password has one, so the password is simply wrong.
    text = normalize_password(password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hashlib.sha256(text).digest())
