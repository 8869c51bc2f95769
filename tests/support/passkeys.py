"""A software authenticator: it makes passkeys, and signs with them as a browser would have it."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from app.domain.passkeys import to_base64url

PRESENT, ATTESTED = 0x01, 0x40


@dataclass
class Authenticator:
    """One passkey. It counts its signatures, unless `count` is None."""

    count: int | None = 0
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: dict[str, Any], *, origin: str = "", algorithm: int = -7) -> str:
        """What `navigator.credentials.create` makes, as text."""
        named = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id
        data = self._data(options["rp"]["id"], PRESENT | ATTESTED) + named + self.public_key(algorithm)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client_data = _client_data("webauthn.create", options["challenge"], origin or _origin_of(options["rp"]["id"]))
        return self._write(clientDataJSON=client_data, attestationObject=attestation)

    def public_key(self, algorithm: int = -7) -> bytes:
        """As COSE has it."""
        numbers = self.key.public_key().public_numbers()
        made: bytes = cbor2.dumps(
            {1: 2, 3: algorithm, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        )
        return made

    def get(self, options: dict[str, Any], *, origin: str = "", flags: int = PRESENT) -> str:
        """What `navigator.credentials.get` makes, as text."""
        if self.count is not None:
            self.count += 1
        data = self._data(options["rpId"], flags)
        client_data = _client_data("webauthn.get", options["challenge"], origin or _origin_of(options["rpId"]))
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        return self._write(clientDataJSON=client_data, authenticatorData=data, signature=signature)

    def _data(self, host: str, flags: int) -> bytes:
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + (self.count or 0).to_bytes(4, "big")

    def _write(self, **parts: bytes) -> str:
        name = to_base64url(self.credential_id)
        response = {part: to_base64url(value) for part, value in parts.items()}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})


def _origin_of(host: str) -> str:
    return f"{'http' if host == 'localhost' else 'https'}://{host}"


def _client_data(kind: str, challenge: str, origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()
