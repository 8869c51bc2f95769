"""Passwords that are tried first are refused, as JSON and as a form; what is hard to guess is taken as it is typed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from flask import Flask

from app.domain import clock, common_passwords
from app.domain.common_passwords import DIGEST_BYTES, FILE, digest_of, is_guessable
from app.domain.users import NAME_ADVICE, contains_name
from app.models.users import get_user, replace_hash, set_password
from app.services import breaches, passwords
from app.services.auth import BREACHED
from dev.common_passwords import write
from tests.support.applications import change_settings
from tests.support.faults import refuse
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, fields_named, problem, registration
from tests.support.usage import usage_of

GUESSABLE = {
    "common": ("iloveyouforever", "1q2w3e4r5t6y", "gfhjkmgfhjkm", "ADMINISTRATOR", "ｑｗｅｒｔｙ１２３４５６"),
    "a common word with digits": ("password12345", "iloveyou1234", "2026summer!!", "password1234567890"),
    "a common word with a year and a sign": ("Welcome2026!", "Summer2026!!", "!Football1986"),
    "a common word twice": ("passwordpassword", "monkeymonkey", "passwordpassword1!", "letmeinletmein"),
    "a common word in disguise": ("P@ssw0rd1234", "Pa$$w0rd2026!", "l3tm31n12345", "i love you 2026"),
    "words of the service": ("orderprocessor", "OrderProcessor1!", "cryptoexchange", "my wallet 2026"),
    "assets": ("bitcoin12345", "Ethereum2026!", "btcethsol123", "mybitcoinwallet"),
    "over the keyboard": ("qwertyuiop[]", "1qaz2wsx3edc4rfv", "!QAZ@WSX#EDC", "zaq12wsxcde3", "йцукенгшщзхъ"),
    "counted": ("abcdefghijkl", "123456789012", "112233445566", "987654321098", "111222333444"),
    "repeated": ("abcabcabcabc", "k3#Vz9!qk3#Vz9!q", "aaaaaaaaaaaaaa", "abab" * 32),
    "of a comic": ("correcthorsebatterystaple", "Correct Horse Battery Staple"),
}
GOOD = (
    *(PASSWORD, "nine yellow saucers", "äpfel und birnen", "k3#Vz9!qLw8x", "4821993017459", "tpvq rmzl wkhd"),
    *(
        "my trade with bob",
        "something else here",
        "Eighty-two kettles!",
        "password of the green door",
        "q" * 3 + "wertzu8k4n",
    ),
    *("TestPassword123!", "ValidPass123!", "abcd efgh 4417 zz"),
)


@pytest.mark.parametrize("password", [each for texts in GUESSABLE.values() for each in texts])
def test_what_is_tried_first_is_refused(client, password: str) -> None:
    body = problem(client.post("/api/v1/auth/register", json=registration(password=password)), 422, "invalid_input")
    assert fields_named(body) == ["password"]
    [error] = body["errors"]
    assert "four words that do not belong together" in error["message"], "it says what to do"


@pytest.mark.parametrize("password", GOOD)
def test_what_is_hard_to_guess_is_taken(password: str) -> None:
    assert not is_guessable(password)


def test_a_form_says_the_same(stranger: Browser, ann: Browser) -> None:
    answer = stranger.send(stranger.get("/register").form(), **registration(password="Welcome2026!"))
    assert answer.status == 422 and "easy to guess" in answer.text
    form = ann.get("/account/password").form("/account/password")
    assert "easy to guess" in ann.send(form, current_password=PASSWORD, new_password="orderprocessor").text


def test_the_list_has_the_most_common_ones_that_fit() -> None:
    data = FILE.read_bytes()
    digests = [data[at : at + DIGEST_BYTES] for at in range(0, len(data), DIGEST_BYTES)]
    assert len(data) % DIGEST_BYTES == 0 and digests == sorted(set(digests))
    assert len(digests) > 20_000


def test_the_first_and_the_last_of_the_list_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{number} green kettles" for number in range(50)]
    made = write([*texts, "short", "only", "1234"])
    monkeypatch.setattr(common_passwords, "_digests", lambda: made)
    assert len(made) == DIGEST_BYTES * (50 + 4), "with two words, and two that are known from elsewhere"
    assert all(map(common_passwords.is_listed, [*texts, "short", "only"]))
    assert not any(map(common_passwords.is_listed, ["50 green kettles", "1234", ""]))
    assert digest_of("only") in made


NAMES = {
    "the username": ("xx mary_jane xx", True),
    "the username in capitals": ("MARY_JANE and 8 more", True),
    "the address": ("mj.smith-o@example.com", True),
    "what stands before the @": ("kettles mj.smith-o", True),
    "the same without its signs": ("kettles MJSmithO 77", True),
    "the first name": ("Marigold in the sun", True),
    "the last name": ("x-Van-der-Berg-x", True),
    "the last name in one word": ("vanderberg4417x", True),
    "a short name as a word": ("kettles of Li Wei", True),
    "a short name with digits": ("li4417 kettles", True),
    "a short name within another word": ("kettles and lids", False),
    "none of them": ("seven green kettles", False),
}


@pytest.mark.parametrize(("password", "refused"), NAMES.values(), ids=NAMES)
def test_names_of_the_person(client, new_user: Callable[..., object], password: str, refused: bool) -> None:
    logins, names = ("mary_jane", "mj.smith-o@example.com"), ("Marigold Li", "Van der Berg", "Li", None, "")
    assert contains_name(password, *logins, names=names) is refused


@pytest.mark.parametrize("field", ["first_name", "last_name", "username"])
def test_names_are_looked_for_where_a_password_is_set(client, person, field: str) -> None:
    body = registration(**{field: "Marigold"}, password="marigold and 9 kettles")
    [error] = problem(client.post("/api/v1/auth/register", json=body), 422, "invalid_input")["errors"]
    assert (error["field"], error["message"]) == ("password", NAME_ADVICE)
    assert person.call("PUT", "/auth/profile", json={"first_name": "Marigold"}).status_code == 200
    change = {"current_password": PASSWORD, "new_password": body["password"]}
    [error] = problem(person.post("/auth/password", change), 422, "invalid_input")["errors"]
    assert (error["field"], error["message"]) == ("new_password", NAME_ADVICE)


class Breaches:
    """A service with the range API, and what it was asked."""

    def __init__(self, *known: str) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.answer = "".join(f"{sha1_of(each)[5:]}:3\r\n" for each in known).encode()
        self.status = 200
        self.pause = 0.0


def sha1_of(password: str) -> str:
    return hashlib.sha1(password.encode()).hexdigest().upper()


@contextmanager
def serving(service: Breaches) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.asked.append((self.path, self.headers["Add-Padding"]))
            self.send_response(service.status)
            self.send_header("Content-Length", str(len(service.answer)))
            self.end_headers()
            for piece in [service.answer] if not service.pause else map(bytes, zip(service.answer, strict=True)):
                self.wfile.write(piece)
                time.sleep(service.pause)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/range"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def asking(app: Flask) -> Iterator[Callable[[Breaches], contextmanager]]:
    """A context in which the application asks a service about breached passwords."""

    @contextmanager
    def ask(service: Breaches) -> Iterator[None]:
        with serving(service) as url:
            change_settings(app, breached_passwords_url=url)
            yield

    yield ask
    change_settings(app, breached_passwords_url=None)


def test_a_breached_password_is_refused(client, person, asking) -> None:
    service = Breaches("nine purple lanterns")
    with asking(service):
        body = registration(password="nine purple lanterns")
        [error] = problem(client.post("/api/v1/auth/register", json=body), 422, "invalid_input")["errors"]
        assert error == {"field": "password", "message": BREACHED}
        change = {"current_password": PASSWORD, "new_password": "nine purple lanterns"}
        [error] = problem(person.post("/auth/password", change), 422, "invalid_input")["errors"]
        assert error == {"field": "new_password", "message": BREACHED}
        assert person.post("/auth/password", {**change, "new_password": "ten purple lanterns"}).status_code == 204
    digest = sha1_of("nine purple lanterns")
    assert service.asked[:2] == [(f"/range/{digest[:5]}", "true")] * 2, "5 characters of the digest leave, no more"
    assert service.asked[2] == (f"/range/{sha1_of('ten purple lanterns')[:5]}", "true")


def test_padding_is_no_breach(app: Flask, asking) -> None:
    service = Breaches()
    service.answer = f"{sha1_of('nine purple lanterns')[5:]}:0\r\n".encode()
    with asking(service), app.app_context():
        assert not breaches.is_breached("nine purple lanterns")


@pytest.mark.parametrize(
    ("status", "answer", "pause"),
    [
        (500, b"", 0),
        (302, b"", 0),
        (200, b"\xff:1", 0),
        (200, b"A:many", 0),
        (200, b"A:1\r\n" * 300_000, 0),
        (200, b"A" * 50, 0.5),
    ],
    ids=["fails", "leads elsewhere", "no text", "no number", "too long", "too slow"],
)
def test_a_service_that_does_not_answer_refuses_nothing(
    app: Flask, asking, monkeypatch: pytest.MonkeyPatch, status: int, answer: bytes, pause: float
) -> None:
    monkeypatch.setattr(breaches, "MOST_MILLISECONDS", 500)
    service = Breaches()
    service.status, service.answer, service.pause = status, answer.replace(b"A", sha1_of(PASSWORD)[5:].encode()), pause
    with asking(service), app.app_context():
        assert not breaches.is_breached(PASSWORD)
        assert not breaches.is_breached(PASSWORD)
    assert len(service.asked) == 1, "it has a pause"


def test_nobody_is_asked_unless_it_is_set(in_app) -> None:
    assert not breaches.is_breached(PASSWORD)


@pytest.fixture
def risen(app: Flask) -> Iterator[None]:
    """The work factor rises after people have registered."""
    change_settings(app, bcrypt_rounds=5)
    yield
    change_settings(app, bcrypt_rounds=4)


def log_in(app: Flask, username: str):
    return app.test_client().post("/api/v1/auth/login", json={"username": username, "password": PASSWORD})


def hash_of(app: Flask, username: str) -> tuple[str, int]:
    with app.app_context():
        user = get_user(username)
        return user.password_hash[:7], int(user.session_epoch)


def test_a_log_in_hashes_anew_when_the_work_factor_rose(app: Flask, person, risen: None) -> None:
    assert hash_of(app, person.username) == ("$2b$04$", 0)
    first, second = log_in(app, person.username), log_in(app, person.username)
    assert (first.status_code, second.status_code) == (200, 200)
    assert hash_of(app, person.username) == ("$2b$05$", 0), "and no session ends"
    assert usage_of(first).calls - usage_of(second).calls == 1
    change_settings(app, bcrypt_rounds=4)
    assert log_in(app, person.username).status_code == 200
    assert hash_of(app, person.username)[0] == "$2b$05$", "it never falls"


def test_a_log_in_does_not_fail_with_it(faulty_app: Flask, faults, person, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: change_settings(faulty_app, bcrypt_rounds=4))
    change_settings(faulty_app, bcrypt_rounds=5)
    faults.inject("UpdateItem", *[refuse("ThrottlingException")] * 3)
    assert log_in(faulty_app, person.username).status_code == 200
    assert faults.waiting == 0 and hash_of(faulty_app, person.username)[0] == "$2b$04$"
    assert log_in(faulty_app, person.username).status_code == 200
    assert hash_of(faulty_app, person.username)[0] == "$2b$05$", "the next log-in does it"


def test_a_new_hash_never_replaces_a_new_password(app: Flask, person, risen: None) -> None:
    with app.app_context():
        read = get_user(person.username)
        assert set_password(get_user(person.username), passwords.hash_password("nine purple lanterns"), now=clock.now())
        replace_hash(read, passwords.hash_password(PASSWORD))
        assert passwords.is_password("nine purple lanterns", get_user(person.username).password_hash)
