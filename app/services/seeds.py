"""Seeds of second factors, encrypted: who reads the tables cannot make codes.

AES-256-GCM with a random nonce. The username is authenticated with it, so that a seed cannot be moved to another user.
The key is derived by HKDF from the first secret; the others are former ones, which still decrypt.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_PURPOSE = b"order processor: seeds of second factors, 1"


@dataclass(frozen=True)
class SeedCipher:
    """Encrypts and decrypts seeds by means of these secrets."""

    secrets: Sequence[str] = field(repr=False)

    def encrypt(self, seed: bytes, username: str) -> str:
        """A text of about 80 characters."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = _cipher(self.secrets[0]).encrypt(nonce, seed, username.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def decrypt(self, text: str, username: str) -> bytes | None:
        """None for what none of the secrets has made for this user."""
        # Imported here, as below: few processes ever need it, and it takes several megabytes.
        from cryptography.exceptions import InvalidTag

        try:
            stored = base64.urlsafe_b64decode(text)
        except ValueError:
            return None
        for secret in self.secrets:
            try:
                seed: bytes = _cipher(secret).decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], username.encode())
            # A ValueError where it is too short.
            except (InvalidTag, ValueError):
                continue
            return seed
        return None


def _cipher(secret: str) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), 32, None, _PURPOSE).derive(secret.encode()))
