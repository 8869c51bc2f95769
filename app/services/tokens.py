"""Credentials: browser sessions, login tokens for scripts that log in, and personal tokens for those that do not.

A credential is the text `username.token_id.secret`, so that one call finds both the user and the credential. Only a
hash of the secret is stored. That of a session lies in a cookie and is good for pages alone; those of tokens are
bearers of the JSON API and good for nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain import clock
from app.domain.errors import (
    AccountSuspended,
    Busy,
    ClosedSince,
    IdempotencyKeyReused,
    InsufficientScope,
    LoginRequired,
    NotAuthenticated,
    SessionNotFound,
    StoreUnavailable,
    TokenNotFound,
    TooManyTokens,
)
from app.domain.events import EventKind
from app.domain.identifiers import TOKEN_ID, USERNAME
from app.domain.users import SCOPES, CredentialKind
from app.models import users
from app.models.events import AGENT_LENGTH, identify, record
from app.models.reading import NOTHING, Found, Needed, nothing_else, read_credentials
from app.models.users import Token, User
from app.services.settings import settings

LOGIN_TOKEN_LIFETIME = timedelta(hours=1)
PERSONAL_TOKEN_LIFETIME = timedelta(days=90)
# How many sessions, and how many login tokens, a user may have at once. Another one ends the oldest. How many personal
# tokens it is a setting.
MOST_CREDENTIALS = 25
_PRECISION = {CredentialKind.SESSION: timedelta(minutes=5), CredentialKind.PERSONAL: timedelta(hours=1)}
_BEARER = rf"({USERNAME})\.({TOKEN_ID})\.([A-Za-z0-9_-]{{43}})"


@dataclass(frozen=True)
class Origin:
    """From where a log-in came: the IP address, and what the browser or the script says it is."""

    address: str = ""
    agent: str = ""


@dataclass(frozen=True)
class Authentication:
    """An authenticated request: its user, its credential, and what was read with them."""

    user: User
    token: Token
    found: Found = NOTHING

    def require(self, scope: str) -> None:
        """Raises InsufficientScope."""
        if scope not in self.token.allowed:
            raise InsufficientScope(scope)

    def require_login(self) -> None:
        """Raises LoginRequired for a personal token: it must not change who someone is, or outlive itself."""
        if self.token.is_personal:
            raise LoginRequired()


@dataclass(frozen=True)
class NewToken:
    """A credential and its text, which cannot be shown again: None where the same keyed request had made it."""

    token: Token
    bearer: str | None


def begin_session(user: User, origin: Origin, *, proved_at: datetime | None = None) -> NewToken:
    """A new browser session. Two calls, and one for each session that it replaces.

    `proved_at` is when the password was given, by default now.
    """
    now = clock.now()
    ends_at = now + settings().session_lifetime
    expires_at = min(now + settings().session_idle, ends_at)
    token = _new(user, CredentialKind.SESSION, expires_at=expires_at, ends_at=ends_at, origin=origin)
    token.proved_at = proved_at or now
    return _begin(user, token)


def issue_login_token(user: User, origin: Origin = Origin()) -> NewToken:
    """A token for LOGIN_TOKEN_LIFETIME. Two calls, and one for each token that it replaces."""
    expires_at = clock.now() + LOGIN_TOKEN_LIFETIME
    token = _new(user, CredentialKind.LOGIN, expires_at=expires_at, origin=origin)
    token.proved_at = token.created_at
    return _begin(user, token)


def _begin(user: User, token: Token) -> NewToken:
    made = _issue(user, token)
    identify(user.username, token.kind)
    return made


def create_personal_token(
    user: User, *, name: str, scopes: str, expires_at: datetime | None, idempotency_key: str | None = None
) -> NewToken:
    """A named token for scripts, with scopes in the order of SCOPES. Two calls, and one more for a repeated key.

    Without `expires_at` it lasts for PERSONAL_TOKEN_LIFETIME. While the token of a key exists, the key makes no other.
    Raises IdempotencyKeyReused when that token was made by another request, and TooManyTokens.
    """
    end = expires_at or clock.now() + PERSONAL_TOKEN_LIFETIME
    token = _new(user, CredentialKind.PERSONAL, expires_at=end, name=name, scopes=scopes)
    if idempotency_key:
        token.token_id = _hash(f"{user.username} {idempotency_key}")[:16]
        token.SK = Token.key(user.username, token.token_id)[1]
    made = _issue(user, token)
    if (made.token.name, made.token.scopes, made.token.expires_at) != (
        name,
        scopes,
        expires_at or made.token.expires_at,
    ):
        raise IdempotencyKeyReused()
    if made.bearer:
        record(user.username, EventKind.TOKEN_MADE)
    return made


def _new(
    user: User,
    kind: CredentialKind,
    *,
    expires_at: datetime,
    ends_at: datetime | None = None,
    name: str | None = None,
    scopes: str = " ".join(SCOPES),
    origin: Origin = Origin(),
) -> Token:
    token_id = secrets.token_hex(8)
    is_personal = kind is CredentialKind.PERSONAL
    return Token(
        *Token.key(user.username, token_id),
        username=user.username,
        token_id=token_id,
        name=name or kind.value,
        scopes=scopes,
        stored_kind=kind.value,
        session_epoch=None if is_personal else int(user.session_epoch),
        token_epoch=int(user.token_epoch) if is_personal else 0,
        created_at=clock.now(),
        expires_at=expires_at,
        ends_at=ends_at,
        address=origin.address or None,
        agent=origin.agent[:AGENT_LENGTH] or None,
        ttl=expires_at,
    )


def _issue(user: User, token: Token) -> NewToken:
    secret = secrets.token_urlsafe(32)
    token.secret_hash = _hash(secret)
    made = _make_room(user, token)
    if made is None and users.add_token(token):
        return NewToken(token, f"{token.username}.{token.token_id}.{secret}")
    made = made or users.find_token(token.username, token.token_id)
    if made is None:
        # Revoked since.
        raise Busy()
    return NewToken(made, None)


def _make_room(user: User, token: Token) -> Token | None:
    """End what is in the way of another credential of this kind. The token itself, if it exists already.

    Raises TooManyTokens.
    """
    now = clock.now()
    others = users.list_tokens(token.username)
    if made := next((each for each in others if each.token_id == token.token_id), None):
        return made
    ended = [each for each in others if each.has_expired(now) or each.is_older_than_epoch_of(user)]
    living = sorted(
        (each for each in others if each.kind is token.kind and each not in ended), key=lambda each: each.created_at
    )
    most = settings().limits.personal_tokens if token.is_personal else MOST_CREDENTIALS
    surplus = living[: max(0, len(living) + 1 - most)]
    if token.is_personal and surplus:
        raise TooManyTokens(most)
    # A database without expiry keeps what has ended. A few with each log-in are enough.
    for each in [*surplus, *ended[:2]]:
        users.delete_token(each)
    return None


def list_credentials(user: User) -> list[Token]:
    """The sessions and tokens of all kinds that have not ended, newest first. One call."""
    return _list(user, set(CredentialKind))


def list_personal_tokens(user: User) -> list[Token]:
    """The personal tokens that have not ended, newest first. One call."""
    return _list(user, {CredentialKind.PERSONAL})


def list_sessions(user: User) -> list[Token]:
    """The browser sessions and login tokens that have not ended, newest first. One call."""
    return _list(user, {CredentialKind.SESSION, CredentialKind.LOGIN})


def _list(user: User, kinds: Collection[CredentialKind]) -> list[Token]:
    now = clock.now()
    tokens = [
        token
        for token in users.list_tokens(user.username)
        if token.kind in kinds and not token.has_expired(now) and token.belongs_to_epoch_of(user)
    ]
    return sorted(tokens, key=lambda token: token.created_at, reverse=True)


def revoke_personal_token(username: str, token_id: str) -> None:
    """End a personal token at once. Three calls. Raises TokenNotFound."""
    token = users.find_token(username, token_id)
    if token is None or not token.is_personal:
        raise TokenNotFound()
    _end(token, EventKind.TOKEN_ENDED)


def end_session(username: str, token_id: str) -> None:
    """End a browser session or login token at once. Three calls. Raises SessionNotFound."""
    token = users.find_token(username, token_id)
    if token is None or token.is_personal:
        raise SessionNotFound()
    _end(token, EventKind.SESSION_ENDED)


def log_out(token: Token) -> None:
    """End the credential of a request, of whatever kind. Two calls."""
    _end(token, EventKind.TOKEN_ENDED if token.is_personal else EventKind.LOGGED_OUT)


def _end(token: Token, kind: EventKind) -> None:
    if users.delete_token(token):
        record(token.username, kind)


def authenticate(
    text: str, needed: Callable[[str], Needed] = nothing_else, *, for_pages: bool = False
) -> Authentication:
    """The user and the credential of a text, and what else its request needs of this user.

    One call for a valid one. Another one notes its use: of a session once in 5 minutes, of a personal token once an
    hour, if it can be noted. Raises NotAuthenticated, AccountSuspended; and ClosedSince for a session or login token
    that was good until its user closed the account.
    """
    match = re.fullmatch(_BEARER, text)
    if not match:
        raise NotAuthenticated()
    username, token_id, secret = match.groups()
    places = (User, User.key(username)), (Token, Token.key(username, token_id))
    for found in read_credentials(places, needed(username)):
        user, token = found.get(*places[0]), found.get(*places[1])
        if user and token and _is_valid(user, token, secret, for_pages=for_pages):
            break
    else:
        raise ClosedSince() if user and token and _has_closed(user, token, secret) else NotAuthenticated()
    identify(user.username, token.kind)
    if user.is_suspended:
        raise AccountSuspended()
    _note_use(token)
    return Authentication(user, token, found)


def _is_valid(user: User, token: Token, secret: str, *, for_pages: bool) -> bool:
    if token.has_expired(clock.now()) or not token.belongs_to_epoch_of(user):
        return False
    is_for_pages = token.kind is CredentialKind.SESSION
    return is_for_pages == for_pages and hmac.compare_digest(token.secret_hash, _hash(secret))


def _has_closed(user: User, token: Token, secret: str) -> bool:
    """Whether this credential, of any but a personal token, lived when its user closed the account."""
    is_its_secret = hmac.compare_digest(token.secret_hash, _hash(secret))
    return user.is_closed and token.session_epoch == user.session_epoch - 1 and is_its_secret


def _note_use(token: Token) -> None:
    """Note the use of a token with one write in a while, not one for each request; a later one, if it fails."""
    precision = _PRECISION.get(token.kind)
    now = clock.now()
    # A session is used when it begins; whether a personal token was ever used is worth knowing.
    last_use = token.last_used_at or (token.created_at if token.ends_at else None)
    if precision is None or (last_use and now - last_use < precision):
        return
    expires_at = min(now + settings().session_idle, token.ends_at) if token.ends_at else None
    with suppress(Busy, StoreUnavailable):
        users.note_token_use(token, now=now, precision=precision, expires_at=expires_at)


def _hash(secret: str) -> str:
    # The secret has 256 random bits, so a fast hash is enough. A slow one would delay every request.
    return hashlib.sha256(secret.encode()).hexdigest()
