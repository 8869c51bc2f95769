"""What nobody may get from outside: files of the project, accounts that came with it, another's address."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.applications import make_app, tables_named
from tests.support.people import PASSWORD, register

FILES = [
    *("/.git/config", "/.git/HEAD", "/.env", "/.ci/", "/Makefile", "/wsgi.py", "/app/config.py", "/var/orders.db"),
    *("/requirements.lock", "/secret_key", "/static", "/static/", "/static/vendor/", "/static/../wsgi.py"),
    *("/static/%2e%2e/%2e%2e/wsgi.py", "/static/..%2f..%2fwsgi.py", "/static/..%5c..%5cwsgi.py", "/static//etc/passwd"),
    *("/static/vendor/../../config.py", "/static/%00style.css", "/static/style.css%00.js", "/static/style.css/"),
    *("/static/%252e%252e/wsgi.py", "/api/docs/../../wsgi.py", "/server-status", "/debug", "/console"),
]


@pytest.mark.parametrize("path", FILES)
def test_no_file_of_the_project_is_served_and_no_folder_listed(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert not any(word in answer.text for word in ("root:", "[core]", "import ", "SECRET_KEY"))


@pytest.mark.parametrize("path", ["/", "/login", "/static/style.css", "/api/v1/balance", "/health"])
@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "DEBUG"])
def test_no_method_echoes_what_it_is_sent(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method, headers={"X-Secret": "echo-77"})
    assert answer.status_code == 405 and "echo-77" not in answer.text


def test_no_account_comes_with_the_service(endpoint: str, store: Any) -> None:
    tables = tables_named("fresh")
    make_app(endpoint, **tables)
    for table in tables.values():
        kinds = {item["entity_type"]["S"] for item in store.scan(TableName=table)["Items"]}
        assert kinds <= {"STORE"}, "beside the number of the store's format"


# How many proxies there are, X-Forwarded-For as it arrives with what a client made up, and whose address counts.
SEEN = {
    "no proxy": (0, "198.51.100.9", "203.0.113.7"),
    "one proxy": (1, "192.0.2.1, 198.51.100.9", "198.51.100.9"),
    "two proxies": (2, "192.0.2.1, 198.51.100.9, 10.0.0.2", "198.51.100.9"),
}


@pytest.mark.parametrize(("proxies", "said", "counts"), SEEN.values(), ids=SEEN)
def test_only_proxies_say_where_a_request_comes_from(endpoint: str, proxies: int, said: str, counts: str) -> None:
    """As the list of sessions shows it, which takes it from where the limits do."""
    app = make_app(endpoint, trusted_proxies=proxies)
    person = register(app)
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    log_in = {"username": person.username, "password": PASSWORD}
    bearer = client.post("/api/v1/auth/login", json=log_in, headers={"X-Forwarded-For": said}).json["access_token"]
    listed = client.get("/api/v1/auth/sessions", headers={"Authorization": f"Bearer {bearer}"}).json
    [address] = [each["address"] for each in listed["data"] if each["session_id"] == listed["current_session_id"]]
    assert address == counts
