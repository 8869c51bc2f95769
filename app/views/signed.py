"""Texts that this service hands out and gets back unchanged: signed, for one purpose, until their time is over."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from flask import current_app
from itsdangerous import BadData, URLSafeSerializer

from app.domain import clock


def sign(purpose: str, values: list[Any], *, lifetime: timedelta) -> str:
    """A text with these values, of what JSON has. Who gets it can read it."""
    return str(_serializer(purpose).dumps([*values, int((clock.now() + lifetime).timestamp())]))


def read_signed(purpose: str, text: str) -> list[Any] | None:
    """The values of a text for this purpose; None for one that is not, or whose time is over."""
    try:
        *values, ends_at = _serializer(purpose).loads(text)
    except BadData:
        return None
    return values if clock.now().timestamp() < ends_at else None


def _serializer(purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(
        [*current_app.config["SECRET_KEY_FALLBACKS"], current_app.secret_key or ""],
        salt=purpose,
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )
