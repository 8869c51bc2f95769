"""Table `users`: its indexes, and the items of identity: users, e-mail claims and tokens.

| item | PK | SK |
|---|---|---|
| User | `{username}` | `USER` |
| EmailClaim | `EMAIL#{email}` | `EMAIL` |
| Token | `{username}` | `TOKEN#{token_id}` |

The items of money and holdings in the same table are in `app/models/ledger.py`. A key part never contains `#`.

| access pattern | operation |
|---|---|
| user by username | GetItem User |
| user by e-mail | Query EmailIndex, GetItem User |
| user and token of a request | BatchGetItem |
| user and e-mail claim before a registration | BatchGetItem |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    DiscriminatorAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
)
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, IncludeProjection

from app.domain.errors import Busy, EmailTaken, UsernameTaken, UserNotFound
from app.domain.identifiers import TOKEN_ID, USERNAME, matches
from app.domain.users import SCOPES, TRADE, TRANSFER, CredentialKind, Role, UserStatus
from app.models.attributes import TimeAttribute
from app.models.batch import Batch, Cancelled, retry_while_busy, write_if
from app.models.item import Item, Key, TableMeta
from app.models.reading import read_together


class EmailIndex(GlobalSecondaryIndex["User"]):
    """Users by e-mail address. Sparse: only User items have `email`."""

    class Meta:
        index_name = "EmailIndex"
        projection = IncludeProjection(["entity_type"])

    email = UnicodeAttribute(hash_key=True)


class AssetIndex(GlobalSecondaryIndex["UsersItem"]):
    """Holdings and trades by asset."""

    class Meta:
        index_name = "AssetIndex"
        projection = AllProjection()

    asset_id = UnicodeAttribute(hash_key=True)
    username = UnicodeAttribute(range_key=True)


class UserTransactionsIndex(GlobalSecondaryIndex["UsersItem"]):
    """Trades by user and time. Sparse: only trades have `traded_at`."""

    class Meta:
        index_name = "UserTransactionsIndex"
        projection = AllProjection()

    username = UnicodeAttribute(hash_key=True)
    traded_at = TimeAttribute(range_key=True)


class UsersItem(Item):
    """Any item of table `users`."""

    Meta = TableMeta("users")  # type: ignore[assignment]

    entity_type = DiscriminatorAttribute()
    email_index = EmailIndex()
    asset_index = AssetIndex()
    user_transactions_index = UserTransactionsIndex()


class User(UsersItem, discriminator="USER"):
    """A registered person.

    Raising `session_epoch` ends every browser session and login token made before, and raising `token_epoch` every
    personal token. The first rises with every change of either, so a condition on it covers both.
    """

    username = UnicodeAttribute()
    email = UnicodeAttribute()
    password_hash = UnicodeAttribute()
    first_name = UnicodeAttribute()
    last_name = UnicodeAttribute()
    phone = UnicodeAttribute(null=True)
    date_of_birth = UnicodeAttribute(null=True)
    marketing_emails_consent = BooleanAttribute(default=False)
    role = UnicodeAttribute(default=Role.CUSTOMER)
    status = UnicodeAttribute(default=UserStatus.ACTIVE)
    session_epoch = NumberAttribute(default=0)
    token_epoch = NumberAttribute(default=0)
    created_at = TimeAttribute()
    updated_at = TimeAttribute()

    @staticmethod
    def key(username: str) -> Key:
        return username, "USER"

    @property
    def is_suspended(self) -> bool:
        return self.status == UserStatus.SUSPENDED

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


class EmailClaim(UsersItem, discriminator="EMAIL"):
    """Holds an e-mail address for one user. An index can neither enforce uniqueness nor be read consistently.

    It must not have an attribute `email`, which would put it in EmailIndex.
    """

    username = UnicodeAttribute()

    @staticmethod
    def key(email: str) -> Key:
        return f"EMAIL#{email}", "EMAIL"


class Token(UsersItem, discriminator="TOKEN"):
    """A credential; only a hash of its secret is kept.

    A browser session and a login token end with the session epoch that they were made in, a personal token with the
    token epoch. A session ends at `expires_at`, which moves with its use, up to `ends_at`.
    """

    username = UnicodeAttribute()
    token_id = UnicodeAttribute()
    secret_hash = UnicodeAttribute()
    name = UnicodeAttribute()
    scopes = UnicodeAttribute()
    # Absent on a token of an older version, which is a personal one if it has no session epoch.
    stored_kind = UnicodeAttribute(null=True, attr_name="kind")
    session_epoch = NumberAttribute(null=True)
    token_epoch = NumberAttribute(default=0)
    created_at = TimeAttribute()
    expires_at = TimeAttribute()
    ends_at = TimeAttribute(null=True)
    last_used_at = TimeAttribute(null=True)
    # From where it was made, for its owner's eyes.
    address = UnicodeAttribute(null=True)
    agent = UnicodeAttribute(null=True)
    ttl = TTLAttribute()

    @staticmethod
    def key(username: str, token_id: str) -> Key:
        return username, f"TOKEN#{token_id}"

    @property
    def kind(self) -> CredentialKind:
        if self.stored_kind:
            return CredentialKind(self.stored_kind)
        return CredentialKind.PERSONAL if self.session_epoch is None else CredentialKind.LOGIN

    @property
    def is_personal(self) -> bool:
        return self.kind is CredentialKind.PERSONAL

    @property
    def allowed(self) -> frozenset[str]:
        """Its scopes. What an older version let trade could also move money."""
        scopes = set(self.scopes.split())
        is_old = not self.stored_kind
        return frozenset(scopes | {TRANSFER}) if is_old and TRADE in scopes else frozenset(scopes)

    @property
    def scope_words(self) -> str:
        return " ".join(scope for scope in SCOPES if scope in self.allowed)

    def belongs_to_epoch_of(self, user: User) -> bool:
        """Whether nothing has ended all credentials of its kind since it was made."""
        return self.token_epoch == user.token_epoch if self.is_personal else self.session_epoch == user.session_epoch

    def has_expired(self, now: datetime) -> bool:
        return now >= self.expires_at


def find_user(username: str, *, consistent: bool = True) -> User | None:
    """The user with this lower-case name, or None; also for text that cannot be a username. One call."""
    if not matches(USERNAME, username):
        return None
    return User.find(User.key(username), consistent=consistent)


def check_is_free(username: str, email: str) -> None:
    """Raises UsernameTaken or EmailTaken; UsernameTaken when both are taken. One call; 2 read units."""
    user, claim = User.key(username), EmailClaim.key(email)
    found = read_together([(User, user), (EmailClaim, claim)])
    if found.get(User, user):
        raise UsernameTaken()
    if found.get(EmailClaim, claim):
        raise EmailTaken()


def get_user(username: str) -> User:
    """A user that is known to exist, read consistently. One call."""
    return User.get(*User.key(username), consistent_read=True)


def find_user_by_email(email: str) -> User | None:
    """The user with this lower-case address, or None. Two calls. The index may lag behind a registration."""
    rows = User.email_index.query(email, limit=1)
    row = next(iter(rows), None)
    return row and find_user(row.PK)


@retry_while_busy
def update_profile(username: str, changes: Mapping[str, Any], *, now: datetime) -> User:
    """Set attributes of a user; None removes one. A new e-mail address moves the claim in the same batch.

    Two calls. Raises EmailTaken, and Busy when every attempt came second.
    """
    user = get_user(username)
    changed = {**changes, "updated_at": now}
    actions: list[Action] = [_set_or_remove(getattr(User, name), value) for name, value in changed.items()]
    is_unchanged = User.email == user.email
    if changes.get("email", user.email) == user.email:
        if not write_if(lambda: user.update(actions, condition=is_unchanged)):
            raise Busy()
        return user
    batch = Batch()
    batch.put("email", EmailClaim(*EmailClaim.key(changes["email"]), username=username))
    batch.delete("old email", EmailClaim(*EmailClaim.key(user.email)), condition=EmailClaim.username == username)
    batch.update("user", user, actions, condition=is_unchanged)
    try:
        batch.commit()
    except Cancelled as cancelled:
        raise EmailTaken() if cancelled.refused == {"email"} else Busy() from cancelled
    for name, value in changed.items():
        setattr(user, name, value)
    return user


def _set_or_remove(attribute: Attribute[Any], value: Any) -> Action:
    return attribute.remove() if value is None else attribute.set(value)


@retry_while_busy
def set_password(user: User, password_hash: str, *, keep_tokens: bool = False, now: datetime) -> bool:
    """Replace the password, and end every session and login token; and every personal token, unless they are kept.

    One call, and two more when other sessions were ended since the user was read. Raises Busy.
    False when the password was changed since then, and nothing was written.
    """
    # Both: with the password alone, who ends all sessions meanwhile would get one of the epoch that is written here.
    is_as_read = (User.password_hash == user.password_hash) & (User.session_epoch == user.session_epoch)
    actions = [User.password_hash.set(password_hash), *_next_epoch(user, keep_tokens), User.updated_at.set(now)]
    if write_if(lambda: user.update(actions, condition=is_as_read)):
        return True
    found = get_user(user.username)
    if found.password_hash != user.password_hash:
        return False
    user.session_epoch, user.token_epoch = found.session_epoch, found.token_epoch
    raise Busy()


def _next_epoch(user: User, keep_tokens: bool) -> list[Action]:
    raised: list[Action] = [User.session_epoch.set(int(user.session_epoch) + 1)]
    return raised if keep_tokens else [*raised, User.token_epoch.set(int(user.token_epoch) + 1)]


def set_status(username: str, status: UserStatus, *, now: datetime) -> User:
    """Suspend or reinstate a user; both end every session and login token. Two calls.

    Raises UserNotFound, and Busy when every attempt came second.
    """
    return _update_user(username, [User.status.set(status.value)], now=now)


def set_role(username: str, role: Role, *, now: datetime) -> User:
    """Give a user a role. Two calls. Raises UserNotFound, Busy."""
    return _update_user(username, [User.role.set(role.value)], now=now)


def end_sessions(username: str, *, keep_tokens: bool = True, now: datetime) -> User:
    """End every session and login token of a user; and every personal token, unless they are kept.

    Two calls. Raises UserNotFound, Busy.
    """
    return _update_user(username, [], keep_tokens=keep_tokens, now=now)


@retry_while_busy
def _update_user(username: str, actions: list[Action], *, keep_tokens: bool = True, now: datetime) -> User:
    user = find_user(username)
    if user is None:
        raise UserNotFound()
    is_as_read = User.session_epoch == user.session_epoch
    actions = [*actions, *_next_epoch(user, keep_tokens), User.updated_at.set(now)]
    if not write_if(lambda: user.update(actions, condition=is_as_read)):
        raise Busy()
    return user


def find_token(username: str, token_id: str) -> Token | None:
    """One token of a user, or None. One call."""
    if not matches(TOKEN_ID, token_id):
        return None
    return Token.find(Token.key(username, token_id))


def list_tokens(username: str) -> list[Token]:
    """Every token of a user, unordered, those that have ended included. One call."""
    return list(Token.query(username, Token.SK.startswith("TOKEN#"), consistent_read=True))


def add_token(token: Token) -> bool:
    """Store a new token; False when the user has one with its id. One call."""
    return write_if(lambda: token.save(condition=Token.absent()))


def delete_token(token: Token) -> None:
    """End a token. Ending it again changes nothing. One call."""
    write_if(lambda: token.delete(condition=Token.secret_hash == token.secret_hash))


def note_token_use(token: Token, *, now: datetime, precision: timedelta, expires_at: datetime | None = None) -> None:
    """Note when a token was used, unless that is noted within `precision` already, or the token has ended. One call.

    With `expires_at` also when it ends now.
    """
    is_old = Token.last_used_at.does_not_exist() | (Token.last_used_at <= now - precision)
    actions: list[Action] = [Token.last_used_at.set(now)]
    if expires_at:
        actions += [Token.expires_at.set(expires_at), Token.ttl.set(expires_at)]
    write_if(lambda: token.update(actions, condition=Token.secret_hash.exists() & is_old))
