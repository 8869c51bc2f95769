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
| user by e-mail | GetItem EmailClaim, GetItem User |
| user and token of a request | BatchGetItem |
| user and e-mail claim before a registration | BatchGetItem |
| users who joined in a month, newest first | Query UsersByJoinIndex |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pynamodb.attributes import BooleanAttribute, DiscriminatorAttribute
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection

from app.domain.errors import Busy, EmailTaken, UsernameTaken, UserNotFound
from app.domain.identifiers import TOKEN_ID, USERNAME, matches
from app.domain.users import SCOPES, TRADE, TRANSFER, CredentialKind, Role, UserStatus
from app.models.attributes import NumberAttribute, TimeAttribute, TTLAttribute, UnicodeAttribute
from app.models.batch import Batch, Cancelled, Steps, no_steps, retry_while_busy, write_if
from app.models.database import database
from app.models.item import Item, Key, TableMeta
from app.models.paging import FIRST_PAGE, Page, PageRequest, list_page
from app.models.reading import read_together

# How long an address is kept for the user who registered it and did not confirm it. Then it falls to who confirms it.
UNCONFIRMED_CLAIM_HOLDS = timedelta(hours=24)
# No username has a hyphen: the key of a user who is not there.
NOBODY = "-"


class EmailIndex(GlobalSecondaryIndex["User"]):
    """Users by e-mail address. Sparse: only User items have `email`. Nothing reads it: see `find_user_by_email`."""

    class Meta:
        index_name = "EmailIndex"
        projection = IncludeProjection(["entity_type"])

    email = UnicodeAttribute(hash_key=True)


class AssetIndex(GlobalSecondaryIndex["UsersItem"]):
    """Holdings and trades by asset. Keys alone, so that a holding that changes writes nothing to it.

    The table's SK tells the two apart. In tables that an earlier version made it has the whole rows: see
    `list_page_by_keys`.
    """

    class Meta:
        index_name = "AssetIndex"
        projection = KeysOnlyProjection()

    asset_id = UnicodeAttribute(hash_key=True)
    username = UnicodeAttribute(range_key=True)


class UserTransactionsIndex(GlobalSecondaryIndex["UsersItem"]):
    """Trades by user and time. Sparse: only trades have `traded_at`."""

    class Meta:
        index_name = "UserTransactionsIndex"
        projection = AllProjection()

    username = UnicodeAttribute(hash_key=True)
    traded_at = TimeAttribute(range_key=True)


class UsersByJoinIndex(GlobalSecondaryIndex["User"]):
    """Users by the month in which they joined. Sparse: only users who have not closed the account have `join_month`."""

    class Meta:
        index_name = "UsersByJoinIndex"
        projection = IncludeProjection(["entity_type", "username", "status"])

    join_month = UnicodeAttribute(hash_key=True)
    created_at = TimeAttribute(range_key=True)


class OperatorActsIndex(GlobalSecondaryIndex["UsersItem"]):
    """Security events by month. Sparse: only what somebody did to the account of another has `act_month`."""

    class Meta:
        index_name = "OperatorActsIndex"
        projection = IncludeProjection(["entity_type", "username", "kind", "outcome", "actor", "via", "ttl"])

    act_month = UnicodeAttribute(hash_key=True)
    created_at = TimeAttribute(range_key=True)


class UsersItem(Item):
    """Any item of table `users`."""

    Meta = TableMeta("users")  # type: ignore[assignment]

    entity_type = DiscriminatorAttribute()
    email_index = EmailIndex()
    asset_index = AssetIndex()
    user_transactions_index = UserTransactionsIndex()
    users_by_join_index = UsersByJoinIndex()
    operator_acts_index = OperatorActsIndex()


class User(UsersItem, discriminator="USER"):
    """A registered person.

    Raising `session_epoch` ends every browser session and login token made before, and raising `token_epoch` every
    personal token. The first rises with every change of either, so a condition on it covers both.

    `email_unconfirmed_since` is set while an address that was registered is not confirmed. Addresses of older items,
    and those that were registered where no mail is sent, count without.

    A closed account has neither address nor names, nor anything else that is personal but the username.
    """

    username = UnicodeAttribute()
    email = UnicodeAttribute(null=True)
    email_unconfirmed_since = TimeAttribute(null=True)
    password_hash = UnicodeAttribute()
    first_name = UnicodeAttribute(null=True)
    last_name = UnicodeAttribute(null=True)
    phone = UnicodeAttribute(null=True)
    date_of_birth = UnicodeAttribute(null=True)
    marketing_emails_consent = BooleanAttribute(default=False)
    role = UnicodeAttribute(default=Role.CUSTOMER)
    status = UnicodeAttribute(default=UserStatus.ACTIVE)
    session_epoch = NumberAttribute(default=0)
    # Absent on a user of an older version.
    token_epoch = NumberAttribute(default=0, null=True)
    # Since when there is a second factor (`app/models/factors.py`).
    second_factor = TimeAttribute(null=True)
    # The number of the last account event that the dashboard has told of. Absent until there was one.
    events_seen = NumberAttribute(null=True)
    # That of `created_at`; absent where the account is closed.
    join_month = UnicodeAttribute(null=True)
    created_at = TimeAttribute()
    updated_at = TimeAttribute()

    @staticmethod
    def key(username: str) -> Key:
        return username, "USER"

    @property
    def is_suspended(self) -> bool:
        return self.status == UserStatus.SUSPENDED

    @property
    def is_closed(self) -> bool:
        return self.status == UserStatus.CLOSED

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def has_confirmed_email(self) -> bool:
        """Whether mail to the address may be taken to reach this person."""
        return self.email_unconfirmed_since is None


class EmailClaim(UsersItem, discriminator="EMAIL"):
    """Holds an e-mail address for one user. An index can neither enforce uniqueness nor be read consistently.

    It must not have an attribute `email`, which would put it in EmailIndex.
    """

    username = UnicodeAttribute()
    unconfirmed_since = TimeAttribute(null=True)

    @staticmethod
    def key(email: str) -> Key:
        return f"EMAIL#{email}", "EMAIL"

    def is_binding(self, now: datetime) -> bool:
        """Whether the address is kept for its user: always if confirmed, else for UNCONFIRMED_CLAIM_HOLDS.

        Where no mail is sent, nobody could confirm another claim.
        """
        is_fresh = self.unconfirmed_since is None or now < self.unconfirmed_since + UNCONFIRMED_CLAIM_HOLDS
        return is_fresh or not database().sends_mail


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
    token_epoch = NumberAttribute(default=0, null=True)
    created_at = TimeAttribute()
    expires_at = TimeAttribute()
    ends_at = TimeAttribute(null=True)
    last_used_at = TimeAttribute(null=True)
    # When the password, and a code where there is a second factor, was last given: see `proved`.
    proved_at = TimeAttribute(null=True)
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

    @property
    def proved(self) -> datetime:
        """When its person last gave the password. On an item of an older version, that was when it was made."""
        moment: datetime = self.proved_at or self.created_at
        return moment

    def belongs_to_epoch_of(self, user: User) -> bool:
        """Whether nothing has ended all credentials of its kind since it was made."""
        return self.token_epoch == user.token_epoch if self.is_personal else self.session_epoch == user.session_epoch

    def is_older_than_epoch_of(self, user: User) -> bool:
        """Whether it was ended with all others of its kind. A user that was read a while ago ends no newer one."""
        return self.token_epoch < user.token_epoch if self.is_personal else self.session_epoch < user.session_epoch

    def has_expired(self, now: datetime) -> bool:
        return now >= self.expires_at


def find_user(username: str, *, even_closed: bool = False) -> User | None:
    """The user with this lower-case name, or None; also for text that cannot be a username. One call.

    A user who has closed the account is found only when asked for: to all others there is none.
    """
    user = User.find(User.key(username)) if matches(USERNAME, username) else None
    return user if user and (even_closed or not user.is_closed) else None


def check_is_free(username: str, email: str, *, now: datetime) -> bool:
    """Raises UsernameTaken or EmailTaken; UsernameTaken when both are taken. One call; 2 read units.

    False when the address has a claim that falls to who confirms it: it cannot be claimed before that.
    """
    user, key = User.key(username), EmailClaim.key(email)
    found = read_together([(User, user), (EmailClaim, key)])
    if found.get(User, user):
        raise UsernameTaken()
    claim = found.get(EmailClaim, key)
    if claim and claim.is_binding(now):
        raise EmailTaken()
    return claim is None


def get_user(username: str) -> User:
    """A user that is known to exist, read consistently. One call."""
    return User.get(*User.key(username), consistent_read=True)


def find_user_by_email(email: str) -> User | None:
    """The user who has this lower-case address, confirmed or not, or None.

    Two consistent calls and 2 read units, whether there is one or not: what it costs must not tell.
    """
    claim = EmailClaim.find(EmailClaim.key(email))
    user = User.find(User.key(claim.username if claim else NOBODY))
    # The claim may have gone to another address since it was read.
    return user if user and user.email == email else None


@retry_while_busy
def set_password(
    user: User, password_hash: str, *, keep_tokens: bool = False, now: datetime, also: Steps = no_steps
) -> bool:
    """Replace the password, and end every session and login token; and every personal token, unless they are kept.

    One call, and two more when other sessions were ended since the user was read. `also` adds steps to the batch.
    Raises Busy. False, and nothing is written, when the password was changed since, or a step of `also` is refused.
    """
    password, epochs = user.password_hash, _next_epochs(user, keep_tokens)
    batch = Batch()
    # Both: with the password alone, who ends all sessions meanwhile would get one of the epoch that is written here.
    is_as_read = (User.password_hash == password) & (User.session_epoch == int(user.session_epoch))
    actions = [User.password_hash.set(password_hash), *_set_epochs(epochs), User.updated_at.set(now)]
    batch.update("user", user, actions, condition=is_as_read)
    also(batch)
    try:
        batch.commit()
    except Cancelled as cancelled:
        found = get_user(user.username)
        if cancelled.refused != {"user"} or found.password_hash != password:
            return False
        user.session_epoch, user.token_epoch = found.session_epoch, found.token_epoch
        raise Busy() from cancelled
    user.password_hash, user.updated_at = password_hash, now
    user.session_epoch, user.token_epoch = epochs
    return True


def _next_epochs(user: User, keep_tokens: bool) -> tuple[int, int]:
    """The session epoch and the token epoch, which stays where personal tokens are kept."""
    return int(user.session_epoch) + 1, int(user.token_epoch) + (not keep_tokens)


def _set_epochs(epochs: tuple[int, int]) -> list[Action]:
    return [User.session_epoch.set(epochs[0]), User.token_epoch.set(epochs[1])]


def replace_hash(user: User, password_hash: str) -> None:
    """Keep another hash of the same password, which ends no session. One call.

    Nothing is written when the password was changed since the user was read. Raises Busy, StoreUnavailable.
    """
    is_same = User.password_hash == user.password_hash
    write_if(lambda: user.update([User.password_hash.set(password_hash)], condition=is_same))


def note_events_seen(user: User, number: int) -> None:
    """Note up to which account event the dashboard has told of them, unless it has told of more. One call."""
    is_older = User.events_seen.does_not_exist() | (User.events_seen < number)
    write_if(lambda: user.update([User.events_seen.set(number)], condition=User.password_hash.exists() & is_older))


def set_status(username: str, status: UserStatus, *, now: datetime, also: Steps = no_steps) -> User:
    """Suspend or reinstate a user; both end every session and login token. Two calls.

    `also` adds steps to the batch. Raises UserNotFound, and Busy when every attempt came second.
    """
    return _update_user(username, {"status": status.value}, now=now, also=also)


def set_role(username: str, role: Role, *, now: datetime, also: Steps = no_steps) -> User:
    """Give a user a role. Two calls. `also` adds steps to the batch. Raises UserNotFound, Busy."""
    return _update_user(username, {"role": role.value}, now=now, also=also)


def end_sessions(username: str, *, keep_tokens: bool = True, now: datetime, also: Steps = no_steps) -> User:
    """End every session and login token of a user; and every personal token, unless they are kept.

    Two calls. `also` adds steps to the batch. Raises UserNotFound, Busy.
    """
    return _update_user(username, {}, keep_tokens=keep_tokens, now=now, also=also)


@retry_while_busy
def _update_user(
    username: str, values: Mapping[str, Any], *, keep_tokens: bool = True, now: datetime, also: Steps
) -> User:
    user = find_user(username)
    if user is None:
        raise UserNotFound()
    session_epoch, token_epoch = _next_epochs(user, keep_tokens)
    values = {**values, "session_epoch": session_epoch, "token_epoch": token_epoch, "updated_at": now}
    batch = Batch()
    batch.set("user", user, values, unchanged=["session_epoch"])
    also(batch)
    batch.commit_as_read()
    for name, value in values.items():
        setattr(user, name, value)
    return user


def month_of(moment: datetime) -> str:
    """`2026-11`, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m}"


def list_joined(month: str, page: PageRequest = FIRST_PAGE) -> Page[User]:
    """The users who joined in a month (`2026-11`), newest first, without those who closed the account. One call.

    Eventually consistent. Each has `username`, `status` and `created_at` alone.
    """
    return list_page(User, month, page, index=User.users_by_join_index)


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


def delete_token(token: Token) -> bool:
    """End a token; False when it had ended already, and nothing changed. One call."""
    return write_if(lambda: token.delete(condition=Token.secret_hash == token.secret_hash))


def note_token_use(token: Token, *, now: datetime, precision: timedelta, expires_at: datetime | None = None) -> None:
    """Note when a token was used, unless that is noted within `precision` already, or the token has ended. One call.

    With `expires_at` also when it ends now.
    """
    is_old = Token.last_used_at.does_not_exist() | (Token.last_used_at <= now - precision)
    actions: list[Action] = [Token.last_used_at.set(now)]
    if expires_at:
        actions += [Token.expires_at.set(expires_at), Token.ttl.set(expires_at)]
    write_if(lambda: token.update(actions, condition=Token.secret_hash.exists() & is_old))


def note_proof(token: Token, *, now: datetime) -> None:
    """Note that the person of a session or login token gave the password. One call. Raises Busy when it has ended."""
    if not write_if(lambda: token.update([Token.proved_at.set(now)], condition=Token.secret_hash == token.secret_hash)):
        raise Busy()
