"""Every use case that changes state, each on an account of its own: what must stand before it, and the request.

Someone who acts here has 1000.00 and 5 BTC, bought at 1.00; BTC costs 100.00 and ETH 10.00.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from werkzeug.test import TestResponse

from app.domain import clock
from app.domain.errors import ProductError
from app.domain.ledger import TransactionType
from app.domain.mails import MailKind
from app.domain.orders import NewTerms, Side
from app.domain.passkeys import Passkey, to_base64url
from app.domain.second_factor import hash_recovery_code, new_recovery_codes, new_seed, seed_to_text
from app.domain.users import UserStatus
from app.models import users
from app.models.adjustments import adjust
from app.models.balance_changes import post_transaction
from app.models.cost_upgrade import upgrade_holding
from app.models.factors import SecondFactor
from app.models.ledger import Holding, get_holding
from app.models.order_changes import change_order, upgrade_order
from app.models.orders import Order, get_order
from app.models.proofs import new_proof
from app.models.users import Token, User
from app.services import tokens
from tests.support.accounts import forget_cost, place, place_limit, place_stop
from tests.support.authenticator import App, steps_later
from tests.support.page_client import Browser, SentForm, look
from tests.support.passkeys import Authenticator
from tests.support.people import LONG_AGO, PASSWORD, Person, caller

if TYPE_CHECKING:
    from tests.proofs.matrix.matrix import Arena

NEW_PASSWORD = "eleven blue ladders"
KEY = "the-key"
NOTHING_CHANGED = "Nothing was changed"
APP = App(seed_to_text(new_seed()))
RECOVERY_CODES = new_recovery_codes()
# Without a count of signatures.
RING, NEW_RING = Authenticator(None), Authenticator(None)
PASSKEY = Passkey(to_base64url(RING.credential_id), to_base64url(RING.public_key()), 0, "phone", LONG_AGO, LONG_AGO)


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
    approval_id: str = ""
    token_id: str = ""
    link: str = ""
    setup: dict[str, str] = field(default_factory=dict)
    tries: int = 0
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
    request. `lags` says that it may find its subject only when the indexes have caught up, `mails` that the service
    sends mail, and `has_factor` that the account has a second factor afterwards. `spends_code` says that a code is used
    up first: what fails afterwards is tried again with another one, and without an answer it may be called used.
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
    closes: bool = False
    mails: bool = False
    has_factor: bool = False
    spends_code: bool = False

    @property
    def subject(self) -> str:
        """What its variants have in common: with a key and without, as a form, with a code, at the limit and beyond."""
        variant = r"(, (keyed|form|code|recovery code|passkey)| (at|above|below) limit)$|reached |^(add|remove) "
        return re.sub(variant, "", self.name)


def answered(actor: Actor, response: TestResponse) -> Answer:
    """The answer of a JSON route, which must be one that the OpenAPI file has for it."""
    actor.arena.specification.check(response)
    return Answer("done" if response.status_code < 300 else response.json["code"], response.text)


def json(
    method: str, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, by_admin: bool = False
) -> Act:
    """A request to the API, `{names}` of the actor filled in."""

    def act(actor: Actor) -> Answer:
        names = {
            "name": actor.name,
            "order_id": actor.order_id,
            "approval_id": actor.approval_id,
            "token_id": actor.token_id,
            "link": actor.link,
        }
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


def cancel_all(actor: Actor) -> Answer:
    """All open orders, or nothing where the list of them shows none."""
    answer = json("POST", "/orders/cancel", {})(actor)
    return Answer("nothing", answer.text) if '"data":[]' in answer.text else answer


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
    return Answer("done" if done.filled + done.triggered + done.expired else "nothing", repr(done))


def limit(side: Side, price: str, *, expired: bool = False) -> Prepare:
    """An open order for 2 BTC."""

    def prepare(actor: Actor) -> None:
        end = clock.now() - timedelta(seconds=1) if expired else None
        actor.order_id = place_limit(actor.name, side, "2", price, expires_at=end).order_id

    return prepare


def stop(side: Side, price: str, limit: str | None = None) -> Prepare:
    """An open stop order for 2 BTC."""

    def prepare(actor: Actor) -> None:
        actor.order_id = place_stop(actor.name, side, "2", price, limit=limit).order_id

    return prepare


def changed(side: Side, price: str, then: str) -> Prepare:
    """An open order for 2 BTC that had another limit at first."""

    def prepare(actor: Actor) -> None:
        limit(side, price)(actor)
        change_order(actor.name, actor.order_id, NewTerms(limit_price=Decimal(then)))

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


def without_cost(actor: Actor) -> None:
    """A holding of which a part was sold, as a version before costs wrote it."""
    place(actor.name, Side.SELL, "1", price="100")
    forget_cost(actor.name)


def upgrade_cost(actor: Actor) -> Answer:
    """The step of an upgrade for one holding."""
    with actor.arena.faulty_app.app_context():
        try:
            upgrade_holding(actor.name, "BTC")
        except ProductError as error:
            return Answer(error.code)
    return Answer("done")


def make_token(actor: Actor) -> None:
    user = users.get_user(actor.name)
    made = tokens.create_personal_token(user, name="script", scopes="read trade", expires_at=None)
    actor.token_id = made.token.token_id


def older_token(actor: Actor) -> None:
    """The actor's token as an older version wrote it."""
    username, token_id, _ = actor.person.token.split(".")
    Token(*Token.key(username, token_id)).update([Token.proved_at.remove()])


def begin_factor(actor: Actor) -> None:
    """Someone whose app has read the QR code."""
    actor.setup = actor.person.post("/auth/second-factor").json


def confirm_factor(actor: Actor) -> Answer:
    with clock.at(clock.now()):
        code = App(actor.setup["secret"]).show()
        sent = {"setup": actor.setup["setup"], "code": code, "current_password": PASSWORD}
        return answered(actor, actor.person.post("/auth/second-factor/confirm", sent))


def factor(*, is_to_fall: bool = False) -> Prepare:
    """A second factor with recovery codes and a passkey, whose seed `bring_app` makes."""

    def add(actor: Actor) -> None:
        now = clock.now()
        made = SecondFactor(*SecondFactor.key(actor.name), username=actor.name, created_at=now)
        made.seed, made.totp_step = "", 0
        made.recovery_hashes = " ".join(hash_recovery_code(code) for code in RECOVERY_CODES)
        made.passkeys = [PASSKEY]
        made.falls_at = now + timedelta(days=1) if is_to_fall else None
        made.save()
        users.get_user(actor.name).update([User.second_factor.set(now)])

    return add


def bring_app(actor: Actor) -> None:
    """An app that shows codes. Seeds are encrypted for their user, so that none can be copied from a template."""
    cipher = actor.arena.app.extensions["factors"].cipher
    with actor.arena.app.app_context():
        seed = cipher.encrypt(base64.b32decode(APP.secret), actor.name)
        SecondFactor(*SecondFactor.key(actor.name)).update([SecondFactor.seed.set(seed)])


def ask_for_passkey(actor: Actor) -> None:
    """Somebody whose browser is about to make a passkey."""
    bring_app(actor)
    headers = {"Authorization": f"Bearer {actor.person.token}"}
    begun = caller(actor.arena.app).get("/api/v1/auth/second-factor/passkeys/new", headers=headers)
    actor.setup = {"name": "ring", "credential": NEW_RING.create(begun.json["public_key"])}


def sign(actor: Actor) -> str:
    """What the passkey signs for a log-in."""
    asked = caller(actor.arena.app).post("/api/v1/auth/login/passkey", json={"username": actor.name, **LOGIN})
    return RING.get(asked.json["public_key"])


def spend(code_of: Callable[[Actor], str], path: str, body: Callable[[Actor], Mapping[str, Any]]) -> Act:
    """A request with a code; each try has one of its own, in a step of its own."""

    def act(actor: Actor) -> Answer:
        actor.tries += 1
        with clock.at(steps_later(actor.tries)):
            return answered(actor, actor.person.post(path, {**body(actor), "code": code_of(actor)}))

    return act


def log_in_with(code_of: Callable[[Actor], str]) -> Act:
    return spend(code_of, "/auth/login", lambda actor: {"username": actor.name, **LOGIN})


def prove_and(path: str) -> Act:
    """A change of a second factor, with a proof by a code of the app."""
    return spend(lambda _: APP.show(), f"/auth/second-factor/{path}", lambda actor: {**PROOF, **actor.setup})


def ask(actor: Actor) -> None:
    """An adjustment that another administrator asked for."""
    made = adjust(actor.name, Decimal("20000.00"), reason="A prize", actor="another_admin", waits=True).item
    actor.approval_id = made.reference


def empty(actor: Actor) -> None:
    """Nothing is left to spend or to sell."""
    place(actor.name, Side.SELL, "5", price="1")
    post_transaction(actor.name, TransactionType.WITHDRAW, Decimal("1005.00"))
    make_token(actor)


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


def review_change(**values: str) -> Prepare:
    """Someone who sees what a change of an order would make of it."""

    def send(actor: Actor) -> None:
        page("/orders/{order_id}/change")(actor)
        assert actor.browser is not None and actor.form is not None
        actor.form = actor.browser.send(actor.form, **values).form()

    return send


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
PROOF = {"current_password": PASSWORD}
CANCEL = "/orders/{order_id}/cancel"
CHANGE = "/orders/{order_id}"
CLOSE = json("POST", "/account/close", {"current_password": PASSWORD})

USE_CASES = [
    UseCase("register", json("POST", "/auth/register", REGISTRATION), again="username_taken", opens=False),
    UseCase("log in", json("POST", "/auth/login", {"username": "{name}", **LOGIN})),
    UseCase("log in by e-mail", json("POST", "/auth/login", {"username": "{name}@example.com", **LOGIN})),
    UseCase("log out", json("POST", "/auth/logout"), again="not_authenticated"),
    UseCase(
        "change profile",
        json("PUT", "/auth/profile", {"first_name": "Bea", "phone": "+491701234567", **PROOF}),
        again="done",
    ),
    UseCase("change e-mail", json("PUT", "/auth/profile", {"email": "{name}.new@example.com", **PROOF}), again="done"),
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
    UseCase(
        "change e-mail, mailed", json("PUT", "/auth/profile", {"email": "{name}.new@example.com", **PROOF}), mails=True
    ),
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
    UseCase("give proof", json("POST", "/auth/proof", PROOF), older_token, again="done"),
    UseCase(
        "set up a second factor",
        confirm_factor,
        arrive=begin_factor,
        again="second_factor_exists",
        mails=True,
        has_factor=True,
    ),
    UseCase(
        "reset a second factor",
        json("POST", "/admin/users/{name}/second-factor/reset", by_admin=True),
        factor(is_to_fall=False),
        again="done",
        mails=True,
        has_factor=True,
    ),
    UseCase(
        "keep a second factor",
        json("DELETE", "/auth/second-factor/reset"),
        factor(is_to_fall=True),
        again="done",
        has_factor=True,
    ),
    *(
        UseCase(f"log in, {name}", log_in_with(code_of), factor(), arrive, has_factor=True, spends_code=True)
        for name, code_of, arrive in (
            ("code", lambda _: APP.show(), bring_app),
            ("recovery code", lambda actor: RECOVERY_CODES[actor.tries], nothing),
            ("passkey", sign, nothing),
        )
    ),
    UseCase(
        "add a passkey",
        prove_and("passkeys"),
        factor(),
        ask_for_passkey,
        again="invalid_input",
        mails=True,
        has_factor=True,
        spends_code=True,
    ),
    UseCase(
        "remove a passkey",
        prove_and(f"passkeys/{PASSKEY.passkey_id}/remove"),
        factor(),
        bring_app,
        again="passkey_not_found",
        mails=True,
        has_factor=True,
        spends_code=True,
    ),
    UseCase(
        "remove a second factor",
        prove_and("remove"),
        factor(),
        bring_app,
        again="no_second_factor",
        mails=True,
        spends_code=True,
    ),
    UseCase("make token", json("POST", "/auth/tokens", {"name": "script", "scopes": "read trade"})),
    UseCase("revoke token", json("DELETE", "/auth/tokens/{token_id}"), make_token, again="token_not_found"),
    UseCase("close", CLOSE, empty, again="done", closes=True),
    UseCase("close, mailed", CLOSE, empty, again="done", closes=True, mails=True),
    # Its answer empties the cookie, by which the form sent twice at once is known.
    UseCase("close, form", submit(current_password=PASSWORD), empty, page("/account/close"), closes=True),
    *keyed("deposit", lambda key: json("POST", "/balance/deposit", {"amount": "30"}, key=key)),
    *keyed("withdraw", lambda key: json("POST", "/balance/withdraw", {"amount": "700"}, key=key)),
    *keyed(
        "adjust",
        lambda key: json(
            "POST", "/admin/users/{name}/adjustments", {"amount": "-60", "reason": "Error"}, key=key, by_admin=True
        ),
    ),
    *keyed(
        "adjust much",
        lambda key: json(
            "POST", "/admin/users/{name}/adjustments", {"amount": "20000", "reason": "Prize"}, key=key, by_admin=True
        ),
    ),
    UseCase("approve", json("POST", "/admin/approvals/{approval_id}/approve", by_admin=True), ask, again="done"),
    UseCase("reject", json("POST", "/admin/approvals/{approval_id}/reject", by_admin=True), ask, again="done"),
    UseCase("end sessions", json("DELETE", "/admin/users/{name}/sessions", by_admin=True)),
    *keyed("market buy, new", order(order_type="market_buy", asset_id="ETH")),
    *keyed("market buy, more", order(order_type="market_buy", quantity="6")),
    *keyed("market sell", order(order_type="market_sell", quantity="3")),
    UseCase("market buy, named", order(order_type="market_buy", client_order_id="mine")(None), again="done"),
    *keyed("limit buy", order(order_type="limit_buy", price="50")),
    *keyed("limit sell", order(order_type="limit_sell", price="200", quantity="3")),
    *keyed("stop limit buy", order(order_type="stop_limit_buy", stop_price="120", price="130")),
    UseCase("stop sell", order(order_type="stop_sell", stop_price="90")(None)),
    *keyed("cancel buy", lambda key: json("POST", CANCEL, key=key), "order_not_pending", prepare=limit(Side.BUY, "50")),
    *keyed(
        "cancel sell", lambda key: json("POST", CANCEL, key=key), "order_not_pending", prepare=limit(Side.SELL, "200")
    ),
    *keyed(
        "change buy", lambda key: json("PATCH", CHANGE, {"price": "60"}, key=key), "done", prepare=limit(Side.BUY, "50")
    ),
    *keyed(
        "change sell",
        lambda key: json("PATCH", CHANGE, {"quantity": "1", "price": "190"}, key=key),
        "done",
        prepare=limit(Side.SELL, "200"),
    ),
    UseCase("change, form", submit(), limit(Side.BUY, "50"), review_change(price="40"), again="done"),
    UseCase("fill changed buy", work("40"), changed(Side.BUY, "30", "50"), again="nothing", lags=True),
    UseCase("cancel all", cancel_all, limit(Side.BUY, "50"), lags=True),
    UseCase("suspend", json("PATCH", "/admin/users/{name}", {"status": "suspended"}, by_admin=True), suspends=True),
    UseCase("reinstate", json("PATCH", "/admin/users/{name}", {"status": "active"}, by_admin=True), suspend),
    UseCase("fill buy at limit", work("50"), limit(Side.BUY, "50"), again="nothing", lags=True),
    UseCase("fill buy below limit", work("40"), limit(Side.BUY, "50"), again="nothing", lags=True),
    UseCase("fill sell at limit", work("200"), limit(Side.SELL, "200"), again="nothing", lags=True),
    UseCase("fill sell above limit", work("250"), limit(Side.SELL, "200"), again="nothing", lags=True),
    UseCase("fill stop", work("70"), stop(Side.SELL, "80"), again="nothing", lags=True),
    UseCase("fill stop with a limit", work("125"), stop(Side.BUY, "120", "130"), again="nothing", lags=True),
    UseCase("trigger sell", work("70"), stop(Side.SELL, "80", "90"), again="nothing", lags=True),
    UseCase("trigger buy", work("150"), stop(Side.BUY, "120", "130"), again="nothing", lags=True),
    UseCase("expire buy", work("100"), limit(Side.BUY, "50", expired=True), again="nothing", lags=True),
    UseCase("expire sell", work("100"), limit(Side.SELL, "200", expired=True), again="nothing", lags=True),
    UseCase("expire reached buy", work("40"), limit(Side.BUY, "50", expired=True), again="nothing", lags=True),
    UseCase("expire reached sell", work("250"), limit(Side.SELL, "200", expired=True), again="nothing", lags=True),
    UseCase("upgrade a buy", upgrade_one, older(Side.BUY, "50"), again="done"),
    UseCase("upgrade a sell", upgrade_one, older(Side.SELL, "200"), again="done"),
    UseCase("upgrade a cost", upgrade_cost, without_cost, again="done"),
    UseCase("deposit, form", submit(amount="30"), arrive=page("/deposit"), again="done"),
    UseCase("withdraw, form", submit(amount="700"), arrive=page("/withdraw"), again="done"),
    UseCase("order, form", submit(order_type="market_buy", quantity="6"), arrive=page("/assets/BTC"), again="done"),
    UseCase("cancel, form", submit(), limit(Side.BUY, "50"), page("/orders/{order_id}"), again="done"),
]
