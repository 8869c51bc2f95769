"""What the log says of each request, and what it never says."""

from __future__ import annotations

import errno
import json
import logging
import sys

import pytest
import structlog

from app import logs
from app.config import LOG_LEVELS
from app.factory import create_app
from tests.support.applications import config
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, problem, register

REQUEST_KEYS = [
    "timestamp",
    "level",
    "logger",
    "event",
    "request_id",
    "user",
    "route",
    "method",
    "status",
    "duration_ms",
    "db_calls",
    "read_units",
    "write_units",
]


@pytest.fixture
def lines(capfd):
    """The lines that were logged since the last look, each of which must be JSON."""

    def read():
        return [json.loads(line) for line in capfd.readouterr().err.splitlines()]

    return read


@pytest.fixture(autouse=True)
def _put_back_the_level():
    yield
    logs.configure("INFO")


def test_one_line_for_a_request(person, lines):
    lines()
    response = person.deposit("10.00", headers={"X-Request-ID": "my-own-id"})
    [line] = lines()
    assert list(line) == REQUEST_KEYS
    assert line["timestamp"].endswith("Z") and line["duration_ms"] > 0
    del line["timestamp"], line["duration_ms"]
    assert line == {
        "level": "info",
        "logger": "app.requests",
        "event": "request",
        "request_id": "my-own-id",
        "user": person.username,
        "route": "/api/v1/balance/deposit",
        "method": "POST",
        "status": 201,
        "db_calls": 2,
        "read_units": 1.5,
        "write_units": 4.0,
    }
    assert response.headers["X-Request-ID"] == "my-own-id"


def test_a_line_that_cannot_be_written_fails_nothing(person, monkeypatch):
    """Where the disk is full, or nobody reads any more: a change that was made must be answered as made."""

    class Full:
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            pass

    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", Full())
        assert person.deposit("10.00").status_code == 201
    assert person.balance() == "10.00"


ROUTES = {
    "unknown": ("GET", "/nothing/here?x=1", "none", "info"),
    "wrong method": ("PUT", "/api/v1/balance", "none", "info"),
    "odd method": ("ODD", "/api/v1/balance", "none", "info"),
    "template": ("GET", "/assets/BTC?side=sell", "/assets/<asset_id>", "info"),
}


@pytest.mark.parametrize(("method", "path", "route", "level"), ROUTES.values(), ids=ROUTES)
def test_the_template_stands_for_the_path(client, lines, method, path, route, level):
    client.open(path, method=method)
    [line] = lines()
    assert (line["route"], line["level"], line["user"]) == (route, level, None)
    assert line["method"] == ("other" if method == "ODD" else method)


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_probes_are_logged_at_debug_only(endpoint, app, lines, path):
    client = create_app(config(endpoint)).test_client()
    client.get(path)
    assert lines() == []
    client = create_app(config(endpoint, log_level="DEBUG")).test_client()
    client.get(path)
    assert [(line["level"], line["route"]) for line in lines()] == [("debug", path)]


def test_a_probe_that_fails_is_an_error(faulty_app, faults, lines):
    from tests.support.faults import drop

    faults.inject("Query", drop, drop, drop)
    assert faulty_app.test_client().get("/ready").status_code == 503
    assert [(line["level"], line["status"]) for line in lines() if line["event"] == "request"] == [("error", 503)]


def test_the_user_of_a_page_is_not_asked_for(app, lines):
    browser = Browser(app).register()
    lines()
    browser.get("/dashboard")
    assert lines()[-1]["user"] == browser.username
    browser.client.get("/.well-known/change-password")
    [line] = lines()
    assert line["user"] is None and line["db_calls"] == 0


def test_nothing_confidential_is_logged(endpoint, app, lines, capfd):
    loud = create_app(config(endpoint, log_level="DEBUG"))
    person = register(loud, phone="+442079460123")
    browser = Browser(loud).register()
    cookie = browser.client.get_cookie("session").value
    personal = person.post("/auth/tokens", {"name": "script-name-77", "scopes": "read"}).json["access_token"]
    secrets = {
        "password": PASSWORD,
        "token": person.token,
        "secret of a token": person.token.rpartition(".")[2],
        "personal token": personal,
        "address": person.email,
        "cookie": cookie,
        "query": "query-secret-1",
        "header": "header-secret-2",
        "body": "body-secret-3",
        "wrong password": "wrong-pass-4",
        "wrong token": "wrong-token-5",
        "form": "form-secret-6",
        "phone": "2079460123",
        "key": "request-key-7",
    }
    capfd.readouterr()
    person.log_in(person.email)
    person.get(f"/balance?x={secrets['query']}", headers={"X-Extra": secrets["header"]})
    person.get("/orders?limit=query-secret-1&cursor=query-secret-1")
    person.post("/balance/deposit", {"amount": "1.00", "description": secrets["body"]}, key=secrets["key"])
    person.post("/balance/deposit", {"amount": "x", secrets["body"]: 1})
    person.call("POST", "/balance/deposit", data=b'{"body-secret-3', headers={"Content-Type": "application/json"})
    person.client.post("/api/v1/auth/login", json={"username": person.email, "password": "wrong-pass-4"})
    person.get("/balance", headers={"Authorization": "Bearer wrong-token-5"})
    person.get("/balance", headers={"Authorization": f"Bearer {personal}"})
    browser.submit("/deposit", amount="1", description=secrets["form"])
    browser.client.get("/login?next=/query-secret-1")
    captured = capfd.readouterr()
    assert captured.err.count('"request"') >= 11
    secrets["new token"] = person.token
    for kind, secret in secrets.items():
        assert secret not in captured.err + captured.out, kind


def test_a_defect_is_logged_with_its_request_and_not_shown(endpoint, lines):
    failing = create_app(config(endpoint))

    @failing.get("/api/boom")
    def boom():
        log = logging.getLogger("app.somewhere")
        log.info("on the way")
        password = "a local variable"
        raise RuntimeError("the reactor " + password[:0])

    response = failing.test_client().get("/api/boom", headers={"X-Request-ID": "r-1"})
    problem(response, 500, "internal_error")
    for word in ("Traceback", "RuntimeError", "reactor", "boom"):
        assert word not in response.text
    way, defect, line = lines()
    assert (way["event"], way["request_id"], way["logger"]) == ("on the way", "r-1", "app.somewhere")
    assert (defect["level"], defect["request_id"]) == ("error", "r-1")
    assert "RuntimeError: the reactor" in defect["exception"] and "in boom" in defect["exception"]
    assert "a local variable" not in defect["exception"].replace('password = "a local variable"', "")
    assert (line["level"], line["status"], line["route"]) == ("error", 500, "/api/boom")
    logging.getLogger("app.somewhere").warning("afterwards")
    assert "request_id" not in lines()[0]


def test_other_libraries_and_servers_go_the_same_way(app, lines):
    """As werkzeug and gunicorn write them; without the query string, and without what cannot be read."""
    werkzeug, gunicorn = logging.getLogger("werkzeug"), logging.getLogger("gunicorn.error")
    werkzeug.info('127.0.0.1 - - [now] "%s" %s %s\n', "GET /?secret HTTP/1.1", 200, "-")
    werkzeug.info(" * Running on %s", "http://127.0.0.1")
    try:
        raise ValueError("secret")
    except ValueError:
        gunicorn.warning("Invalid request from ip=1.2.3.4: Invalid HTTP request line: 'GET /?secret'")
        gunicorn.error("Error handling request %s", "/?secret")
    logging.getLogger("botocore").debug("secret")
    logging.getLogger("urllib3").warning("a line\nand another")
    assert [(line["logger"], line["level"], line["event"]) for line in lines()] == [
        ("werkzeug", "info", " * Running on http://127.0.0.1"),
        ("gunicorn.error", "warning", "Invalid request: ValueError"),
        ("gunicorn.error", "error", "Error handling request"),
        ("urllib3", "warning", "a line\nand another"),
    ]


def test_on_a_terminal_lines_are_for_people(endpoint, monkeypatch, capfd):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True, raising=False)
    shown = create_app(config(endpoint))
    capfd.readouterr()
    shown.test_client().get("/nothing")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        structlog.get_logger("app.x").exception("what went wrong")
    text = capfd.readouterr().err
    assert "request" in text and not text.startswith("{")
    assert "Traceback" in text and "RuntimeError" in text and "locals" not in text


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_the_level(endpoint, lines, level):
    create_app(config(endpoint, log_level=level))
    log = logging.getLogger("app.any")
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(number, "line")
    assert [line["level"].upper() for line in lines()] == list(LOG_LEVELS)[LOG_LEVELS.index(level) :]
