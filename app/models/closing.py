"""Closing an account: one batch takes out all that is personal, and ends every credential.

The ledger stays, and so does the username, which is in every key of it.
"""

from __future__ import annotations

from datetime import datetime

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from app.domain import clock
from app.domain.closing import check_is_empty, remains_of
from app.domain.errors import Busy, NotAuthenticated, StillAdmin
from app.domain.events import EventKind
from app.domain.mails import MailKind
from app.domain.users import UserStatus
from app.models.balance_changes import close_balance
from app.models.batch import MOST_STEPS, Batch, retry_while_busy
from app.models.events import add_event
from app.models.factors import SecondFactor
from app.models.ledger import Balance, get_balance, list_holdings
from app.models.outbox import notify
from app.models.reading import read_together
from app.models.users import EmailClaim, User, list_tokens

# A batch takes so many beside the user, the balance, the address, the second factor, the event and the mail. Any other
# personal token is ended, and goes at its own end.
MOST_TOKENS = MOST_STEPS - 6
PERSONAL = (
    User.email,
    User.email_unconfirmed_since,
    User.first_name,
    User.last_name,
    User.phone,
    User.date_of_birth,
    User.second_factor,
    User.join_month,
)
"""What is removed from a user, who then is in no list. The consent is taken back, the hash of the password replaced."""


@retry_while_busy
def close_account(user: User, *, no_password: str) -> None:
    """Close the account of a user whose password was checked against `user`. Closing it again changes nothing.

    `no_password` stands in for the hash of the password, and matches nothing. Four calls; 9 write units, and 2 each for
    a personal token, a second factor and the mail. Raises AccountNotEmpty, StillAdmin, Busy, and NotAuthenticated where
    all sessions were ended since.
    """
    key, claim_key = User.key(user.username), EmailClaim.key(user.email)
    balance_key = Balance.key(user.username)
    found = read_together([(User, key), (Balance, balance_key), (EmailClaim, claim_key)])
    current, claim = found.get(User, key), found.get(EmailClaim, claim_key)
    assert current is not None, "no user is ever deleted"
    if current.is_closed:
        return
    if current.session_epoch != user.session_epoch:
        raise NotAuthenticated()
    if current.email != user.email:
        user.email = current.email
        raise Busy()
    if current.is_admin:
        raise StillAdmin()
    balance = get_balance(user.username, found)
    # Read after the balance: what is bought since then changes the version, on which the batch is conditional.
    holdings = list_holdings(user.username)
    check_is_empty(remains_of(balance.cash_account, (each.asset_account for each in holdings)))
    batch, now = Batch(), clock.now_after(balance.updated_at)
    batch.update("user", current, _ending(current, no_password, now), condition=_is_as_read(current))
    close_balance(batch, balance, now)
    if claim and claim.username == user.username:
        batch.delete("email", claim, condition=EmailClaim.username == user.username)
    if current.second_factor:
        factor = SecondFactor(*SecondFactor.key(user.username))
        batch.delete("factor", factor, condition=SecondFactor.created_at == current.second_factor)
    # Sessions and login tokens stay until their end, within hours: by them, who closed the account is known again.
    personal = [token for token in list_tokens(user.username) if token.is_personal]
    for token in personal[:MOST_TOKENS]:
        batch.delete(f"token {token.token_id}", token, condition=type(token).secret_hash == token.secret_hash)
    add_event(batch, user.username, EventKind.ACCOUNT_CLOSED)
    notify(batch, current, MailKind.ACCOUNT_CLOSED, now=now)
    batch.commit_as_read()


def _ending(user: User, no_password: str, now: datetime) -> list[Action]:
    return [
        *(attribute.remove() for attribute in PERSONAL),
        User.marketing_emails_consent.set(False),
        User.password_hash.set(no_password),
        User.status.set(UserStatus.CLOSED.value),
        User.session_epoch.set(int(user.session_epoch) + 1),
        User.token_epoch.set(int(user.token_epoch) + 1),
        User.updated_at.set(now),
    ]


def _is_as_read(user: User) -> Condition:
    """Whether nobody ended the sessions, changed the address or confirmed it since: a claim goes with the address."""
    since, value = User.email_unconfirmed_since, user.email_unconfirmed_since
    condition: Condition = (User.session_epoch == int(user.session_epoch)) & (User.email == user.email)
    condition &= since == value if value else since.does_not_exist()
    return condition
