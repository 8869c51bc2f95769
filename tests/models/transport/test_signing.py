"""What is sent: signed, and with the same body, as botocore would."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError

from app.domain.errors import StoreUnavailable
from app.models.transport import OPERATIONS
from tests.models.transport.servers import HANG_UP, REGION, Request, Server, ask, call, connect

# --- signatures

TEXTS = {
    "plain": "x",
    "umlauts": "Äpfel für Zoë",
    "emoji": "🪙 to the 🌕",
    "quotes": "\"'`\\",
    "percent and plus": "100%25+1 &=?#/%00",
    "lines": "a\nb\r\n\tc\u2028\x00",
    "2 KB": "ü%" * 1024,
    "300 KB": "0123456789" * 30_000,
}


def expected_signature(server: Server, request: Request, keys: Credentials, monkeypatch: pytest.MonkeyPatch) -> str:
    """What botocore's own signer makes of a request that was received."""
    [signed] = re.findall(r"SignedHeaders=([^,]+)", request.headers["authorization"])
    ours = {"host", "x-amz-date", "x-amz-security-token"}  # the signer's own
    headers = {name: request.headers[name] for name in signed.split(";") if name not in ours}
    again = AWSRequest(method=request.method, url=server.url + request.path, headers=headers, data=request.body)
    moment = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: moment)
    SigV4Auth(keys, "dynamodb", REGION).add_auth(again)
    return re.sub(r",\s*", ", ", again.headers["Authorization"])


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzE+/=x"])
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_requests_are_signed_as_botocore_signs_them(
    server: Server, monkeypatch: pytest.MonkeyPatch, operation: str, token: str | None
) -> None:
    keys = Credentials("AKIDEXAMPLE", "wJalr/XUtn+FEMI=K7M DENG:%", token)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    connection = connect(server.url)
    for text in TEXTS.values():
        arguments = {"TableName": "users", "Item": {"PK": {"S": text}}}
        assert ask(connection, operation, **arguments).sends == 1
        request = server.requests[-1]
        assert (request.method, request.path) == ("POST", "/")
        assert json.loads(request.body) == arguments
        assert request.headers["x-amz-target"] == f"DynamoDB_20120810.{operation}"
        assert request.headers.get("x-amz-security-token") == token
        signed = request.headers["authorization"]
        assert re.sub(r",\s*", ", ", signed) == expected_signature(server, request, keys, monkeypatch)
        assert {"host", "x-amz-date", "x-amz-target"} <= set(re.findall(r"[\w-]+", signed))
        assert ("x-amz-security-token" in signed) == bool(token)
    assert len(server.requests) == len(TEXTS) and len(server.connections) == 1


def test_botocore_sends_the_same_body(server: Server) -> None:
    """Else a signature would be right and the request wrong."""
    item = {"TableName": "users", "Item": {"PK": {"S": TEXTS["umlauts"]}, "n": {"N": "1"}}}
    for transport in ("curl", "botocore"):
        assert ask(connect(server.url, transport), "PutItem", **item).error is None
    [ours, theirs] = server.requests
    assert json.loads(ours.body) == json.loads(theirs.body)
    for name in ("x-amz-target", "content-type", "host"):
        assert ours.headers[name] == theirs.headers[name]


# --- credentials


def test_renewed_credentials_are_used_for_the_next_send(server: Server) -> None:
    class Renewed:
        keys = iter("ABC")

        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            name = next(self.keys)
            return ReadOnlyCredentials(f"AKID{name}", "secret", f"token{name}" if name != "C" else None)

    connection = connect(server.url)
    connection.client._credentials = Renewed()
    server.acts += [HANG_UP]
    assert ask(connection).sends == 2
    assert ask(connection).sends == 1
    used = [(each.headers["authorization"], each.headers.get("x-amz-security-token")) for each in server.requests]
    for (signed, token), name in zip(used, "ABC", strict=True):
        assert f"Credential=AKID{name}/" in signed
        assert token == (f"token{name}" if name != "C" else None)


def test_without_credentials_nothing_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    connection = connect(server.url)
    outcome = ask(connection)
    assert isinstance(outcome.error, NoCredentialsError) and (outcome.sends, outcome.in_doubt) == (0, False)
    assert isinstance(call(server.url)[0], StoreUnavailable)
    assert server.requests == []
    # They may come later, as where a machine's role is not there yet.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "late")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "late")
    connection._local.session = None
    assert ask(connection).error is None
