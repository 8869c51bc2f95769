"""Every use case that changes state, each on an account of its own: what must stand before it, and the request.

Someone who acts here has 1000.00 and 5 BTC, bought at 1.00; BTC costs 100.00 and ETH 10.00.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from werkzeug.test import TestResponse

from app.domain import clock
from app.domain.errors import ProductError
from app.domain.mails import MailKind
from app.domain.orders import Side
from app.domain.users import UserStatus
from app.models import users
from app.models.ledger import Holding, get_holding
from app.models.order_changes import upgrade_order
from app.models.orders import Order, get_order
from app.models.proofs import new_proof
from app.services import tokens
from tests.support.accounts import place_limit
from tests.support.page_client import Browser, SentForm, look
from tests.support.people import PASSWORD, Person

if TYPE_CHECKING:
    from tests.proofs.matrix.matrix import Arena

NEW_PASSWORD = "eleven blue ladders"
KEY = "the-key"
NOTHING_CHANGED = "Nothing was changed"


@dataclass(frozen=True)
class Answer:
    """What a use case came to: `done`, or the code of its refusal."""

    code: str
    text: str = ""

    @property
    def is_done(self) -> bool:
        return self.code == "done"


@dataclass
class Actor:
    """An account that one use case acts on, once."""

    arena: Arena
    person: Person
    name: str
    order_id: str = ""
    token_id: str = ""
    link: str = ""
    browser: Browser | None = None
    form: SentForm | None = None


Act = Callable[[Actor], Answer]
Prepare = Callable[[Actor], None]


def nothing(actor: Actor) -> None:
    """There is nothing to prepare."""


@dataclass(frozen=True)
class UseCase:
    """One request. `prepare` makes what it needs of the account, `arrive` opens the page that it is sent from.

    `again` is what it is answered when it has been applied and is sent again: None where that would be another
    request. `lags` says that it may find its subject only when the indexes have caught up, and `mails` that the service
    sends mail.
    """

    name: str
    act: Act
    prepare: Prepare = nothing
    arrive: Prepare = nothing
    again: str | None = None
    opens: bool = True
    lags: bool = False
    new_password: bool = False
    suspends: bool = False
    mails: bool = False

    @property
    def subject(self) -> str:
        """What its variants have in common: with a key and without, as a form, at the limit and beyond."""
        return re.sub(r"(, keyed|, form| (at|above|below) limit)$|reached ", "", self.name)


def answered(actor: Actor, response: TestResponse) -> Answer:
    """The answer of a JSON route, which must be one that the OpenAPI file has for it."""
    actor.arena.specification.check(response)
    return Answer("done" if response.status_code < 300 else response.json["code"], response.text)


def json(
    method: str, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, by_admin: bool = False
) -> Act:
    """A request to the API, `{names}` of the actor filled in."""

    def act(actor: Actor) -> Answer:
        names = {"name": actor.name, "order_id": actor.order_id, "token_id": actor.token_id, "link": actor.link}
        sent = (
            {}
            if body is None
            else {
                "json": {
                    field: value.format(**names) if isinstance(value, str) else value for field, value in body.items()
                }
            }
        )
        headers = {"Authorization": f"Bearer {actor.arena.admin_token}"} if by_admin else {}
        # All actors share one admin, whose keys are their own.
        sent_key = f"{key}-{actor.name}" if key and by_admin else key
        return answered(actor, actor.person.call(method, path.format(**names), key=sent_key, headers=headers, **sent))

    return act


def work(price: str) -> Act:
    """A round of the worker while BTC has this price."""

    def act(actor: Actor) -> Answer:
        with actor.arena.faulty_app.app_context():
            return work_at(actor.arena, price)

    return act


def work_at(arena: Arena, price: str) -> Answer:
    """A round of the worker in the current context."""
    arena.worker_prices.set("BTC", price)
    try:
        done = arena.worker.run_round()
    except ProductError as error:
        return Answer("failed", error.code)  # the round was given up, perhaps after the order in question
    if done.failed:
        return Answer("failed")
    return Answer("done" if (done.filled, done.expired) != (0, 0) else "nothing", repr(done))


def limit(side: Side, price: str, *, expired: bool = False) -> Prepare:
    """An open order for 2 BTC."""

    def prepare(actor: Actor) -> None:
        end = clock.now() - timedelta(seconds=1) if expired else None
        actor.order_id = place_limit(actor.name, side, "2", price, expires_at=end).order_id

    return prepare


def older(side: Side, price: str) -> Prepare:
    """An open order as an older version wrote it."""

    def prepare(actor: Actor) -> None:
        order = place_limit(actor.name, side, "2", price)
        actor.order_id = order.order_id
        order.update([Order.open_owner.remove()])
        holding = get_holding(actor.name, "BTC")
        holding.update([Holding.reserved_quantity.remove()])

    return prepare


def upgrade_one(actor: Actor) -> Answer:
    """The step of an upgrade for one order."""
    with actor.arena.faulty_app.app_context():
        try:
            upgrade_order(get_order(actor.name, actor.order_id))
        except ProductError as error:
            return Answer(error.code)
    return Answer("done")


def make_token(actor: Actor) -> None:
    user = users.get_user(actor.name)
    made = tokens.create_personal_token(user, name="script", scopes="read trade", expires_at=None)
    actor.token_id = made.token.token_id


def suspend(actor: Actor) -> None:
    users.set_status(actor.name, UserStatus.SUSPENDED, now=clock.now())


def link(kind: MailKind, address: str) -> Prepare:
    """A link that was mailed to this address."""

    def make_link(actor: Actor) -> None:
        new = new_proof(kind, actor.name, address.format(name=actor.name), session_epoch=0)
        new.proof.save()
        actor.link = new.token

    return make_link


def page(path: str) -> Prepare:
    """Someone who has logged in at a browser and opened a page with a form."""

    def open_page(actor: Actor) -> None:
        actor.browser = Browser(actor.arena.faulty_app)
        assert actor.browser.log_in(actor.name).status == 303
        actor.form = actor.browser.get(path.format(order_id=actor.order_id)).form()

    return open_page


def submit(**values: str) -> Act:
    """Send the form that was opened. Its answer leads on, or is a page that says what became of it."""

    def act(actor: Actor) -> Answer:
        assert actor.browser is not None and actor.form is not None
        data = {**actor.form.values, **values}
        answer = look(actor.browser.client.post(actor.form.action, data=data))
        if answer.status == 303:
            return Answer("done" if "/login" not in answer.location else "not_authenticated", answer.location)
        assert answer.status == 503 and answer.response.headers["Retry-After"], (answer.status, answer.text)
        return Answer("busy" if NOTHING_CHANGED in answer.text else "store_unavailable", answer.text)

    return act


def keyed(name: str, act: Callable[[str | None], Act], again: str | None = None, **more: Any) -> list[UseCase]:
    """A request that takes an Idempotency-Key, with one and without."""
    return [UseCase(f"{name}, keyed", act(KEY), again="done", **more), UseCase(name, act(None), again=again, **more)]


def order(**fields: str) -> Callable[[str | None], Act]:
    return lambda key: json("POST", "/orders", {"asset_id": "BTC", "quantity": "2", **fields}, key=key)


REGISTRATION = {
    "username": "{name}",
    "email": "{name}@example.com",
    "password": PASSWORD,
    "first_name": "Ann",
    "last_name": "Smith",
}
LOGIN = {"password": PASSWORD}
CANCEL = "/orders/{order_id}/cancel"

USE_CASES = [
    UseCase("register", json("POST", "/auth/register", REGISTRATION), again="username_taken", opens=False),
    UseCase("log in", json("POST", "/auth/login", {"username": "{name}", **LOGIN})),
    UseCase("log in by e-mail", json("POST", "/auth/login", {"username": "{name}@example.com", **LOGIN})),
    UseCase("log out", json("POST", "/auth/logout"), again="not_authenticated"),
    UseCase(
        "change profile", json("PUT", "/auth/profile", {"first_name": "Bea", "phone": "+491701234567"}), again="done"
    ),
    UseCase("change e-mail", json("PUT", "/auth/profile", {"email": "{name}.new@example.com"}), again="done"),
    UseCase(
        "change password",
        json("POST", "/auth/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}),
        again="not_authenticated",
        new_password=True,
    ),
    UseCase(
        "register, mailed",
        json("POST", "/auth/register", REGISTRATION),
        again="username_taken",
        opens=False,
        mails=True,
    ),
    UseCase("change e-mail, mailed", json("PUT", "/auth/profile", {"email": "{name}.new@example.com"}), mails=True),
    UseCase(
        "confirm e-mail",
        json("POST", "/auth/email/confirm", {"token": "{link}"}),
        link(MailKind.CONFIRM_EMAIL, "{name}.new@example.com"),
        again="link_invalid",
        mails=True,
    ),
    UseCase("forget password", json("POST", "/auth/password/forgot", {"email": "{name}@example.com"}), mails=True),
    UseCase(
        "reset password",
        json("POST", "/auth/password/reset", {"token": "{link}", "new_password": NEW_PASSWORD}),
        link(MailKind.RESET_PASSWORD, "{name}@example.com"),
        again="link_invalid",
        new_password=True,
        mails=True,
    ),
    UseCase("make token", json("POST", "/auth/tokens", {"name": "script", "scopes": "read trade"})),
    UseCase("revoke token", json("DELETE", "/auth/tokens/{token_id}"), make_token, again="token_not_found"),
    *keyed("deposit", lambda key: json("POST", "/balance/deposit", {"amount": "30"}, key=key)),
    *keyed("withdraw", lambda key: json("POST", "/balance/withdraw", {"amount": "700"}, key=key)),
    *keyed(
        "adjust",
        lambda key: json(
            "POST", "/admin/users/{name}/adjustments", {"amount": "-60", "reason": "Error"}, key=key, by_admin=True
        ),
    ),
    *keyed("market buy, new", order(order_type="market_buy", asset_id="ETH")),
    *keyed("market buy, more", order(order_type="market_buy", quantity="6")),
    *keyed("market sell", order(order_type="market_sell", quantity="3")),
    *keyed("limit buy", order(order_type="limit_buy", price="50")),
    *keyed("limit sell", order(order_type="limit_sell", price="200", quantity="3")),
    *keyed("cancel buy", lambda key: json("POST", CANCEL, key=key), "order_not_pending", prepare=limit(Side.BUY, "50")),
    *keyed(
        "cancel sell", lambda key: json("POST", CANCEL, key=key), "order_not_pending", prepare=limit(Side.SELL, "200")
    ),
    UseCase("suspend", json("PATCH", "/admin/users/{name}", {"status": "suspended"}, by_admin=True), suspends=True),
    UseCase("reinstate", json("PATCH", "/admin/users/{name}", {"status": "active"}, by_admin=True), suspend),
    UseCase("fill buy at limit", work("50"), limit(Side.BUY, "50"), again="nothing", lags=True),
    UseCase("fill buy below limit", work("40"), limit(Side.BUY, "50"), again="nothing", lags=True),
    UseCase("fill sell at limit", work("200"), limit(Side.SELL, "200"), again="nothing", lags=True),
    UseCase("fill sell above limit", work("250"), limit(Side.SELL, "200"), again="nothing", lags=True),
    UseCase("expire buy", work("100"), limit(Side.BUY, "50", expired=True), again="nothing", lags=True),
    UseCase("expire sell", work("100"), limit(Side.SELL, "200", expired=True), again="nothing", lags=True),
    UseCase("expire reached buy", work("40"), limit(Side.BUY, "50", expired=True), again="nothing", lags=True),
    UseCase("expire reached sell", work("250"), limit(Side.SELL, "200", expired=True), again="nothing", lags=True),
    UseCase("upgrade a buy", upgrade_one, older(Side.BUY, "50"), again="done"),
    UseCase("upgrade a sell", upgrade_one, older(Side.SELL, "200"), again="done"),
    UseCase("deposit, form", submit(amount="30"), arrive=page("/deposit"), again="done"),
    UseCase("withdraw, form", submit(amount="700"), arrive=page("/withdraw"), again="done"),
    UseCase("order, form", submit(order_type="market_buy", quantity="6"), arrive=page("/assets/BTC"), again="done"),
    UseCase("cancel, form", submit(), limit(Side.BUY, "50"), page("/orders/{order_id}"), again="done"),
]
