"""Passwords are hashed one at a time; what cannot wait is refused at once, and nothing is written or counted."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import bcrypt
import pytest

from app.services import passwords
from tests.support.applications import LIMITS
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, registration
from tests.support.usage import usage_of

HASHES = 1 + passwords.WAITING


@pytest.fixture
def full_queue(app, monkeypatch):
    """A context in which as many hashes are made and wait as may; how many were made at once at most."""

    @contextmanager
    def fill():
        go_on, begun, at_once = Event(), [], [0]

        def hash_slowly(*_):
            begun.append(1)
            at_once[0] = max(at_once[0], len(begun))
            go_on.wait(20)
            time.sleep(0.02)
            begun.pop()
            return b"hash"

        def hash_in_context():
            with app.app_context():
                return passwords.hash_password(PASSWORD)

        with monkeypatch.context() as patched, ThreadPoolExecutor(HASHES) as pool:
            patched.setattr(bcrypt, "hashpw", hash_slowly)
            hashes = [pool.submit(hash_in_context) for _ in range(HASHES)]
            while not begun or passwords._places._value:  # until all have a place
                time.sleep(0.005)
            try:
                yield at_once
            finally:
                go_on.set()
        assert [each.result() for each in hashes] == ["hash"] * HASHES

    return fill


def test_one_hash_is_made_at_a_time(full_queue):
    with full_queue() as at_once:
        pass
    assert at_once == [1]


@pytest.mark.parametrize("name", ["known", "unknown", "unknown@example.com"])
def test_a_log_in_that_cannot_wait(client, full_queue, name):
    """It is told the same, whether the name is known or not."""
    known = registration(username="known_" + name[:5])
    client.post("/api/v1/auth/register", json=known)
    body = {"username": known["username"] if name == "known" else name, "password": "wrong"}
    with full_queue():
        for _ in range(LIMITS.guesses_per_account_and_address + 1):  # none of them counts as a failure
            refused = client.post("/api/v1/auth/login", json=body)
            assert (refused.status_code, refused.json["code"]) == (503, "busy")
            assert refused.headers["Retry-After"] == "1" and usage_of(refused).write_units == 0
    assert client.post("/api/v1/auth/login", json=body).status_code == 401
    if name == "known":
        assert client.post("/api/v1/auth/login", json={**body, "password": PASSWORD}).status_code == 200


def test_a_registration_that_cannot_wait(client, full_queue):
    body = registration()
    with full_queue():
        refused = client.post("/api/v1/auth/register", json=body)
        assert (refused.status_code, refused.json["code"]) == (503, "busy")
        assert usage_of(refused).write_units == 0
    assert client.post("/api/v1/auth/register", json=body).status_code == 201


@pytest.mark.parametrize(("taken", "code"), [("username", "username_taken"), ("email", "email_taken")])
def test_a_taken_name_costs_no_hash(client, full_queue, taken, code):
    body = registration()
    client.post("/api/v1/auth/register", json=body)
    with full_queue():
        refused = client.post("/api/v1/auth/register", json=registration(**{taken: body[taken]}))
    assert (refused.status_code, refused.json["code"]) == (409, code)


def test_an_unknown_name_costs_as_many_hashes_as_a_known_one(client, monkeypatch):
    body = registration()
    client.post("/api/v1/auth/register", json=body)
    hashes = []
    hashpw, checkpw = bcrypt.hashpw, bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "hashpw", lambda *args: hashes.append("hash") or hashpw(*args))
    monkeypatch.setattr(bcrypt, "checkpw", lambda *args: hashes.append("hash") or checkpw(*args))
    for name in (body["username"], body["email"], "nobody_here", "nobody@example.com"):
        hashes.clear()
        answer = client.post("/api/v1/auth/login", json={"username": name, "password": "wrong"})
        assert answer.status_code == 401 and hashes == ["hash"]


def test_a_form_that_cannot_wait_is_shown_again(app, full_queue):
    browser = Browser(app)
    with full_queue():
        answer = browser.submit("/login", username="someone", password=PASSWORD)
    assert answer.status == 503 and "try again in a moment" in answer.page.text
    assert answer.page.attributes["username"]["value"] == "someone"
