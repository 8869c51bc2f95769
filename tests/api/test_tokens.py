"""Personal tokens: named, scoped, ended; shown once and stored as a hash."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from app.domain import clock
from app.models.users import Token, get_user, note_token_use
from app.services.tokens import MOST_CREDENTIALS, issue_login_token
from tests.support.people import NOON, PASSWORD, fields_named, problem
from tests.support.texts import MISLEADING, UNSEEN
from tests.support.usage import AUTHENTICATION, usage, usage_of


def make(person, name="script", **fields):
    response = person.post("/auth/tokens", {"name": name, **fields})
    assert response.status_code == 201, response.text
    return response.json


def using(person, made):
    """The headers of a request with this token."""
    return {"Authorization": f"Bearer {made['access_token']}"}


def raw_tokens(store, username):
    answer = store.query(
        TableName="users",
        KeyConditionExpression="PK = :name AND begins_with(SK, :token)",
        ExpressionAttributeValues={":name": {"S": username}, ":token": {"S": "TOKEN#"}},
        ConsistentRead=True,
    )
    return answer["Items"]


def test_a_new_token(person):
    now = clock.now()
    with clock.at(now):
        body = make(person, " nightly report ")
    assert set(body) == {"access_token", "token_type", "data"} and body["token_type"] == "bearer"
    token = body["data"]
    assert set(token) == {"token_id", "name", "scopes", "created_at", "expires_at", "last_used_at"}
    assert (token["name"], token["scopes"], token["last_used_at"]) == ("nightly report", "read", None)
    assert clock.from_text(token["expires_at"]) == now + timedelta(days=90)
    assert person.get("/auth/profile", headers=using(person, body)).json["username"] == person.username


def test_the_secret_is_shown_once_and_stored_as_a_hash(person, store):
    bearer = make(person)["access_token"]
    secret = bearer.split(".")[2]
    assert secret not in person.get("/auth/tokens").text
    items = raw_tokens(store, person.username)
    assert len(items) == 2 and secret not in str(items), "with the one of the log in"
    assert hashlib.sha256(secret.encode()).hexdigest() in {item["secret_hash"]["S"] for item in items}
    assert not any(person.token.split(".")[2] in str(item) for item in items)


def test_each_token_is_another(person):
    assert len({make(person)["access_token"] for _ in range(5)}) == 5


def test_the_list_holds_personal_tokens_newest_first(person, new_user):
    assert person.get("/auth/tokens").json == {"data": []}
    made = [make(person, name)["data"] for name in ("one", "two", "three")]
    person.log_in()
    assert person.get("/auth/tokens").json == {"data": made[::-1]}
    assert new_user().get("/auth/tokens").json == {"data": []}


READS = [
    "/auth/profile",
    "/auth/tokens",
    "/balance",
    "/balance/transactions",
    "/balance/assets",
    "/portfolio",
    "/orders",
    "/assets/transactions",
    "/balance/transactions.csv",
    "/portfolio/history",
    "/portfolio/gains",
    "/portfolio/gains.csv",
    "/account/export",
    "/account",
]
# Every route that changes something, or says what a change would do. With a token that may do it, what is sent would be
# good.
WRITES = {
    ("POST", "/balance/deposit"): {"amount": "5"},
    ("POST", "/balance/withdraw"): {"amount": "5"},
    ("POST", "/orders"): {"order_type": "market_buy", "asset_id": "DOGE", "quantity": "1"},
    ("PATCH", "/orders/<order_id>"): {"price": "6"},
    ("POST", "/orders/preview"): {"order_type": "market_buy", "asset_id": "DOGE", "quantity": "1"},
    ("POST", "/orders/<order_id>/cancel"): None,
    ("POST", "/orders/cancel"): {},
    ("POST", "/auth/logout"): None,
    ("POST", "/auth/tokens"): {"name": "another", "scopes": "read trade"},
    ("DELETE", "/auth/tokens/<token_id>"): None,
    ("DELETE", "/auth/sessions/<token_id>"): None,
    ("DELETE", "/auth/sessions"): None,
    ("POST", "/auth/password"): {"current_password": PASSWORD, "new_password": "nine yellow saucers"},
    ("PUT", "/auth/profile"): {"first_name": "Eve"},
    ("POST", "/auth/email/link"): None,
    ("POST", "/auth/proof"): {"current_password": PASSWORD},
    ("POST", "/auth/second-factor"): None,
    ("POST", "/auth/second-factor/confirm"): {"setup": "x", "code": "123456"},
    ("POST", "/auth/second-factor/recovery-codes"): {"current_password": PASSWORD, "code": "123456"},
    ("POST", "/auth/second-factor/remove"): {"current_password": PASSWORD, "code": "123456"},
    ("POST", "/auth/second-factor/passkeys"): {"name": "key", "credential": "x", "current_password": PASSWORD},
    ("POST", "/auth/second-factor/passkeys/<passkey_id>/remove"): {"current_password": PASSWORD, "code": "123456"},
    ("DELETE", "/auth/second-factor/reset"): None,
    ("POST", "/account/close"): {"current_password": PASSWORD},
}


def test_every_route_that_changes_something_is_tested(app):
    rules = {
        (method, rule.rule.removeprefix("/api/v1"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
        for method in rule.methods - {"GET", "HEAD", "OPTIONS"}
    }
    open_to_all = {
        ("POST", f"/auth/{path}")
        for path in ("register", "login", "login/passkey", "email/confirm", "password/forgot", "password/reset")
    }
    assert {rule for rule in rules if "/admin/" not in rule[1]} == set(WRITES) | open_to_all


def test_a_token_that_reads_reads_and_changes_nothing(person):
    person.deposit("100")
    made = make(person, scopes="read")
    own = f"/auth/tokens/{made['data']['token_id']}"
    for path in READS:
        assert person.get(path, headers=using(person, made)).status_code == 200, path
    for (method, path), body in WRITES.items():
        if path == "/auth/logout":
            continue
        path = path.replace("<order_id>", f"order_{'0' * 26}").replace("/auth/tokens/<token_id>", own)
        response = person.call(method, path.replace("<token_id>", "0" * 16), json=body, headers=using(person, made))
        problem(response, 403, "insufficient_scope")
    assert person.balance() == "100.00" and len(person.get("/auth/tokens").json["data"]) == 1


# What the scopes of a token allow: to trade, to move money.
SCOPES = {"read": (403, 403), "read trade": (201, 403), "transfer read": (403, 201), "read transfer trade": (201, 201)}


@pytest.mark.parametrize(("scopes", "trading", "moving"), [(name, *may) for name, may in SCOPES.items()])
def test_a_token_may_do_what_its_scopes_say(person, scopes, trading, moving):
    person.deposit("100")
    made = make(person, scopes=scopes)
    assert set(made["data"]["scopes"].split()) == set(scopes.split())
    order = {"order_type": "market_buy", "asset_id": "DOGE", "quantity": "1"}
    assert person.post("/orders", order, headers=using(person, made)).status_code == trading
    assert person.deposit("5", headers=using(person, made)).status_code == moving
    assert person.withdraw("5", headers=using(person, made)).status_code == moving


def test_a_token_of_an_older_version_may_do_what_it_could(app, person):
    """It had no kind, and what it let trade could also move money."""
    made = make(person, scopes="read trade")
    change_token(app, person, made, [Token.stored_kind.remove(), Token.token_epoch.remove()])
    assert person.deposit("5", headers=using(person, made)).status_code == 201
    assert person.get("/auth/tokens").json["data"][0]["scopes"] == "read trade transfer"
    # It ends like any other one.
    assert person.delete("/auth/sessions").status_code == 204
    problem(person.get("/balance", headers=using(person, made)), 401, "not_authenticated")


def change_token(app, person, made, actions):
    with app.app_context():
        Token.get(*Token.key(person.username, made["data"]["token_id"])).update(actions=actions)


def test_there_are_so_many_tokens_and_no_more(person):
    for number in range(MOST_CREDENTIALS):
        first = make(person, f"token {number}")
    problem(person.post("/auth/tokens", {"name": "one more", "scopes": "read"}), 409, "too_many_tokens")
    assert person.delete(f"/auth/tokens/{first['data']['token_id']}").status_code == 204
    assert make(person, "one more")


def test_a_log_in_too_many_ends_the_oldest(app, person):
    with app.app_context():
        user = get_user(person.username)
        bearers = [issue_login_token(user).bearer for _ in range(MOST_CREDENTIALS)]
    person.get("/balance", headers={"Authorization": f"Bearer {bearers[0]}"})
    problem(person.get("/balance"), 401, "not_authenticated")  # the one from before them
    person.token = person.log_in()
    problem(person.get("/balance", headers={"Authorization": f"Bearer {bearers[0]}"}), 401, "not_authenticated")
    assert person.get("/balance", headers={"Authorization": f"Bearer {bearers[1]}"}).status_code == 200


def test_a_token_that_trades_cannot_make_tokens_or_change_the_password(person):
    made = make(person, scopes="read trade transfer")
    for method, path in (("POST", "/auth/tokens"), ("POST", "/auth/password"), ("PUT", "/auth/profile")):
        response = person.call(method, path, json=WRITES[method, path], headers=using(person, made))
        assert "personal token" in problem(response, 403, "insufficient_scope")["detail"]
    assert len(person.get("/auth/tokens").json["data"]) == 1


def test_a_token_can_end_itself(person):
    made = make(person, scopes="read trade")
    assert person.post("/auth/logout", headers=using(person, made)).status_code == 200
    problem(person.get("/balance", headers=using(person, made)), 401, "not_authenticated")
    assert person.get("/auth/tokens").json == {"data": []} and person.get("/balance").status_code == 200


def test_the_end_of_a_token(app, person):
    ends = (clock.now() + timedelta(days=3)).replace(microsecond=0)
    made = make(person, expires_at=ends.isoformat())
    assert made["data"]["expires_at"] == clock.to_text(ends)
    with app.app_context():
        Token.get(*Token.key(person.username, made["data"]["token_id"])).update(
            actions=[Token.expires_at.set(clock.now() - timedelta(milliseconds=1))]
        )
    problem(person.get("/balance", headers=using(person, made)), 401, "not_authenticated")
    assert person.get("/auth/tokens").json == {"data": []}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 51}, "name"),
        ({"name": None}, "name"),
        ({"name": "a\tb"}, "name"),
        *(({"name": text}, "name") for text in UNSEEN.values()),
        *(({"name": f"a{char}b"}, "name") for char in MISLEADING.values()),
        ({"scopes": "trade"}, "scopes"),
        ({"scopes": "read  trade"}, "scopes"),
        ({"scopes": ["read"]}, "scopes"),
        ({"scopes": "admin"}, "scopes"),
        ({"scopes": None}, "scopes"),
        ({"scopes": ""}, "scopes"),
        ({"expires_at": "2020-01-01"}, "expires_at"),
        ({"expires_at": "2999-01-01"}, "expires_at"),
        ({"expires_at": f"{NOON + timedelta(days=1):%Y-%m-%dT%H:%M:%S}"}, "expires_at"),
        ({"expires_at": 0}, "expires_at"),
    ],
    ids=str,
)
def test_refused_tokens(person, fields, field):
    with clock.at(NOON):
        response = person.post("/auth/tokens", {"name": "script", **fields})
        assert person.get("/auth/tokens").json == {"data": []}
    assert fields_named(problem(response, 422, "invalid_input")) == [field]


def test_revoking_ends_a_token_at_once(person):
    first, second = make(person, "first"), make(person, "second")
    assert person.call("DELETE", f"/auth/tokens/{first['data']['token_id']}").status_code == 204
    problem(person.get("/balance", headers=using(person, first)), 401, "not_authenticated")
    assert person.get("/balance", headers=using(person, second)).status_code == 200
    assert [token["name"] for token in person.get("/auth/tokens").json["data"]] == ["second"]
    problem(person.call("DELETE", f"/auth/tokens/{first['data']['token_id']}"), 404, "token_not_found")


def test_revoking_what_is_not_ones_own_or_no_personal_token(person, new_user):
    made = make(new_user())
    for token_id in (made["data"]["token_id"], person.token.split(".")[1], "0" * 16, "x", "a%23b", "G" * 16):
        problem(person.call("DELETE", f"/auth/tokens/{token_id}"), 404, "token_not_found")
    assert person.get("/balance").status_code == 200


def test_the_last_use_is_noted_at_most_once_an_hour(app, person):
    made = make(person)
    headers, key = using(person, made), Token.key(person.username, made["data"]["token_id"])

    def noted():
        [token] = person.get("/auth/tokens").json["data"]
        return token["last_used_at"]

    before = clock.to_text(clock.now())
    writes = [usage_of(person.get("/auth/profile", headers=headers)).write_units for _ in range(3)]
    assert writes == [1, 0, 0] and before <= noted() <= clock.to_text(clock.now())
    for ago, writes_again in ((timedelta(minutes=59), False), (timedelta(minutes=61), True)):
        past = clock.now() - ago
        with app.app_context():
            Token.get(*key).update(actions=[Token.last_used_at.set(past)])
        used = usage_of(person.get("/auth/profile", headers=headers))
        assert used == (AUTHENTICATION if not writes_again else usage(2, 1, 1))
        assert (noted() == clock.to_text(past)) is not writes_again


def test_one_call_authenticates(person):
    made = make(person)
    person.get("/auth/profile", headers=using(person, made))
    response = person.get("/auth/profile", headers=using(person, made))
    assert usage_of(response) == AUTHENTICATION == usage(1, 1, 0)


def test_a_use_does_not_bring_back_a_token_that_was_revoked_meanwhile(app, person, store):
    """The note of its use is conditional on the token: it never makes an item."""
    made = make(person)
    with app.app_context():
        token = Token.get(*Token.key(person.username, made["data"]["token_id"]))
        person_tokens = len(raw_tokens(store, person.username))
        token.delete()
        note_token_use(token, now=clock.now(), precision=timedelta(hours=1))
    assert len(raw_tokens(store, person.username)) == person_tokens - 1
