"""Bearer tokens: login tokens, which last one hour, and personal tokens, which a user makes for scripts.

A bearer is the text `username.token_id.secret`, so that one call finds both the user and the token. Only a hash of
the secret is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain import clock
from app.domain.errors import (
    AccountSuspended,
    Busy,
    IdempotencyKeyReused,
    InsufficientScope,
    NotAuthenticated,
    StoreUnavailable,
    TokenNotFound,
)
from app.domain.identifiers import TOKEN_ID, USERNAME
from app.domain.users import READ_AND_TRADE
from app.models import users
from app.models.reading import NOTHING, Found, Needed, nothing_else, read_credentials
from app.models.users import Token, User

LOGIN_TOKEN_LIFETIME = timedelta(hours=1)
PERSONAL_TOKEN_LIFETIME = timedelta(days=90)
LAST_USE_PRECISION = timedelta(hours=1)
_BEARER = rf"({USERNAME})\.({TOKEN_ID})\.([A-Za-z0-9_-]{{43}})"


@dataclass(frozen=True)
class Authentication:
    """An authenticated API call: its user, its token, and what was read with them."""

    user: User
    token: Token
    found: Found = NOTHING

    def require_trade(self) -> None:
        """Raises InsufficientScope when the token may only read."""
        if self.token.scopes != READ_AND_TRADE:
            raise InsufficientScope()

    def require_login(self) -> None:
        """Raises InsufficientScope for a personal token: it could make another one that outlives it."""
        if self.token.session_epoch is None:
            raise InsufficientScope("Log in with your password for this; a personal token is not enough.")


@dataclass(frozen=True)
class NewToken:
    """A token and its bearer, which cannot be shown again: None where the same keyed request had made the token."""

    token: Token
    bearer: str | None


def issue_login_token(user: User) -> NewToken:
    """A token for LOGIN_TOKEN_LIFETIME, which ends earlier when the user's session epoch is raised. One call."""
    return _issue(
        user,
        secrets.token_hex(8),
        name="login",
        scopes=READ_AND_TRADE,
        expires_at=clock.now() + LOGIN_TOKEN_LIFETIME,
        session_epoch=int(user.session_epoch),
    )


def create_personal_token(
    user: User, *, name: str, scopes: str, expires_at: datetime | None, idempotency_key: str | None = None
) -> NewToken:
    """A named token for scripts. `scopes` is READ or READ_AND_TRADE. One call, and one for a repeated key.

    Without `expires_at` it lasts for PERSONAL_TOKEN_LIFETIME. While the token of a key exists, the key makes no other.
    Raises IdempotencyKeyReused when that token was made by another request.
    """
    end = expires_at or clock.now() + PERSONAL_TOKEN_LIFETIME
    token_id = _hash(f"{user.username} {idempotency_key}")[:16] if idempotency_key else secrets.token_hex(8)
    made = _issue(user, token_id, name=name, scopes=scopes, expires_at=end, session_epoch=None)
    if (made.token.name, made.token.scopes, made.token.expires_at) != (
        name,
        scopes,
        expires_at or made.token.expires_at,
    ):
        raise IdempotencyKeyReused()
    return made


def _issue(
    user: User, token_id: str, *, name: str, scopes: str, expires_at: datetime, session_epoch: int | None
) -> NewToken:
    secret = secrets.token_urlsafe(32)
    token = Token(
        *Token.key(user.username, token_id),
        username=user.username,
        token_id=token_id,
        secret_hash=_hash(secret),
        name=name,
        scopes=scopes,
        session_epoch=session_epoch,
        created_at=clock.now(),
        expires_at=expires_at,
        ttl=expires_at,
    )
    if users.add_token(token):
        return NewToken(token, f"{user.username}.{token_id}.{secret}")
    made = users.find_token(user.username, token_id)
    if made is None:
        # Revoked since.
        raise Busy()
    return NewToken(made, None)


def list_personal_tokens(username: str) -> list[Token]:
    """The personal tokens that have not ended, newest first. One call."""
    now = clock.now()
    tokens = [token for token in users.list_tokens(username) if token.is_personal and not token.has_expired(now)]
    return sorted(tokens, key=lambda token: token.created_at, reverse=True)


def revoke_personal_token(username: str, token_id: str) -> None:
    """End a personal token at once. Two calls. Raises TokenNotFound."""
    token = users.find_token(username, token_id)
    if token is None or not token.is_personal:
        raise TokenNotFound()
    users.delete_token(token)


def authenticate(bearer: str, needed: Callable[[str], Needed] = nothing_else) -> Authentication:
    """The user and the token of a bearer, and what else its request needs of this user.

    One call for a valid one, and once an hour a second one that notes the use of a personal token, if it can be
    noted. Raises NotAuthenticated, AccountSuspended.
    """
    match = re.fullmatch(_BEARER, bearer)
    if not match:
        raise NotAuthenticated()
    username, token_id, secret = match.groups()
    places = (User, User.key(username)), (Token, Token.key(username, token_id))
    for found in read_credentials(places, needed(username)):
        user, token = found.get(*places[0]), found.get(*places[1])
        if user and token and _is_valid(user, token, secret):
            break
    else:
        raise NotAuthenticated()
    authentication = Authentication(user, token, found)
    if authentication.user.is_suspended:
        raise AccountSuspended()
    _note_use(authentication.token)
    return authentication


def _is_valid(user: User, token: Token, secret: str) -> bool:
    if token.has_expired(clock.now()) or (not token.is_personal and token.session_epoch != user.session_epoch):
        return False
    return hmac.compare_digest(token.secret_hash, _hash(secret))


def _note_use(token: Token) -> None:
    """Note the use of a personal token with one write an hour, not one for each request; a later one, if it fails."""
    now = clock.now()
    if token.is_personal and (token.last_used_at is None or now - token.last_used_at >= LAST_USE_PRECISION):
        with suppress(Busy, StoreUnavailable):
            users.note_token_use(token, now=now, precision=LAST_USE_PRECISION)


def _hash(secret: str) -> str:
    # The secret has 256 random bits, so a fast hash is enough. A slow one would delay every request.
    return hashlib.sha256(secret.encode()).hexdigest()
