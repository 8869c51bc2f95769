"""How operations travel over libcurl: signatures, certificates, connections, and what each broken answer means.

A small server on loopback answers as each test says. botocore is the measure: what it signs, and what it raises.
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.loaders import create_loader
from pynamodb.exceptions import VerboseClientError

from app.domain.errors import Busy, StoreUnavailable
from app.models import attempt, database
from app.models.attempt import Attempt, NoAnswer
from app.models.database import Database
from app.models.transport import OPERATIONS

LOADER = create_loader()
REGION = "eu-central-1"
UNITS = {"ConsumedCapacity": {"TableName": "users", "CapacityUnits": 0.5}}
# Sent to the client, then the connection is closed or kept. A function gets the socket and does both itself.
Act = Callable[[socket.socket], bool]


def whole(
    content: Any = UNITS, *, status: str = "200 OK", checksum: int = 0, named: bool = True, extra: str = ""
) -> bytes:
    """A whole answer; `checksum` is what is wrong about it."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    name = "x-amzn-RequestId: made-by-a-test\r\n" if named else ""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{name}{extra}x-amz-crc32: {crc32(body) + checksum}"
    return f"{head}\r\n\r\n".encode() + body


def say(data: bytes, *, close: bool = False) -> Act:
    def act(connection: socket.socket) -> bool:
        connection.sendall(data)
        return not close

    return act


def trickle(connection: socket.socket) -> bool:
    """A byte now and then, so that the connection is never silent and the answer never whole."""
    for each in whole()[:40]:
        time.sleep(0.1)
        connection.sendall(bytes([each]))
    return False


def silence(connection: socket.socket) -> bool:
    """Wait until the client is gone."""
    connection.recv(1)
    return False


def refusal(error: str, *, status: str = "400 Bad Request", **more: Any) -> Act:
    kind = f"com.amazonaws.dynamodb.v20120810#{error}"
    return say(whole({"__type": kind, "message": "made by a test", **more}, status=status))


GOOD, HANG_UP = say(whole()), say(b"", close=True)
THROTTLED = refusal("ThrottlingException")


@dataclass
class Request:
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers each request with the next act, and with a success when none is left. Connections are numbered from 1."""

    context: ssl.SSLContext | None = None
    acts: list[Act] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_up(self) -> None:
        """Close all connections, as a server does with those that were idle too long."""
        for each in self.connections:
            with suppress(OSError):  # closed already
                each.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, len(self.connections)), daemon=True).start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        try:
            with self.context.wrap_socket(plain, server_side=True) if self.context else plain as connection:
                stream = connection.makefile("rb")
                while self._answer_one(connection, stream, number):
                    pass
                stream.close()
        except OSError:
            pass  # the client is gone

    def _answer_one(self, connection: socket.socket, stream: Any, number: int) -> bool:
        if not (first := stream.readline().decode()):
            return False
        headers: dict[str, str] = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        method, path, _ = first.split(" ", 2)
        body = stream.read(int(headers.get("content-length", 0)))
        self.requests.append(Request(number, method, path, headers, body))
        return (self.acts.pop(0) if self.acts else GOOD)(connection)


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    made = Server(context)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def surroundings(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No waits, and nothing of this machine's settings."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(database, "_cause_told_at", float("-inf"))
    # Reading botocore's descriptions of services takes longer than a test.
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: LOADER)
    monkeypatch.setattr("botocore.retries.quota.RetryQuota.acquire", lambda quota, amount: True)


def connect(url: str, transport: str = "curl") -> Any:
    names = {"users": "users", "orders": "orders"}
    return Database(endpoint=url, region=REGION, table_names=names, transport=transport).open_connection()


@dataclass
class Outcome:
    answer: Any
    error: Exception | None
    sends: int
    in_doubt: bool


def ask(connection: Any, operation: str = "UpdateItem", **arguments: Any) -> Outcome:
    """One operation below PynamoDB, with what is known of its sends afterwards."""
    this = Attempt()
    before = attempt.current.set(this)
    answer, failure = None, None
    try:
        answer = connection.client._make_api_call(operation, arguments)
    except (ClientError, BotoCoreError, NoAnswer) as error:
        failure = error
    finally:
        attempt.current.reset(before)
    throttled = ClientError({"Error": {"Code": "ThrottlingException"}}, operation)
    return Outcome(answer, failure, this.sends, isinstance(this.outcome(throttled), StoreUnavailable))


def call(url: str, operation: str = "UpdateItem", transport: str = "curl") -> tuple[Any, int]:
    """What the models get: an answer or an exception; and the sends that the meter counted."""
    where = Database(endpoint=url, region=REGION, table_names={"users": "users"}, transport=transport)
    with where.active() as meter:
        try:
            answer: Any = where.open_connection()._make_api_call(operation, {"TableName": "users"})
        except Exception as error:
            answer = error
        return answer, meter.calls


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


# --- certificates and proxies


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    key, made = folder / "key.pem", folder / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", made], check=True, capture_output=True)
    return key, made


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[0])
    with serving(context) as made:
        yield made


def test_an_unknown_certificate_is_refused(secure: Server) -> None:
    outcome = ask(connect(secure.url))
    assert str(outcome.error).startswith("E_PEER_FAILED_VERIFICATION")
    assert secure.requests == [] and not outcome.in_doubt


def test_the_certificates_of_aws_ca_bundle_are_accepted(
    secure: Server, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[1]))
    assert ask(connect(secure.url)).error is None
    other_name = secure.url.replace("127.0.0.1", "localhost")
    assert str(ask(connect(other_name)).error).startswith("E_PEER_FAILED_VERIFICATION")


PROXIES = {
    "none": ({}, False),
    "for this scheme": ({"HTTP_PROXY": "{proxy}"}, True),
    "in small letters": ({"http_proxy": "{proxy}"}, True),
    "for another scheme": ({"HTTPS_PROXY": "{proxy}"}, False),
    "not for this host": ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "127.0.0.1"}, False),
    "not for all": ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "*"}, False),
    "not for others": ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "example.org"}, True),
    "a network, which botocore does not know": ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "127.0.0.0/8"}, True),
}


@pytest.mark.parametrize("transport", ["curl", "botocore"])
@pytest.mark.parametrize("settings, used", PROXIES.values(), ids=PROXIES)
def test_proxies(
    server: Server, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], used: bool, transport: str
) -> None:
    with serving() as proxy:
        for name, value in settings.items():
            for spelling in {name, name.lower()}:
                monkeypatch.setenv(spelling, value.format(proxy=proxy.url))
        assert ask(connect(server.url, transport), "GetItem").error is None
        assert (len(proxy.requests), len(server.requests)) == ((1, 0) if used else (0, 1))


# --- connections


def test_an_idle_connection_that_was_closed_costs_nothing(server: Server) -> None:
    """libcurl looks at one that was idle for a second."""
    connection = connect(server.url)
    for number in (1, 2):
        outcome = ask(connection)
        assert (outcome.error, outcome.sends) == (None, 1)
        assert [each.connection for each in server.requests] == [1, 2][:number]
        server.hang_up()
        time.sleep(1.2)


def test_a_connection_that_was_closed_just_now_costs_no_error(server: Server) -> None:
    connection = connect(server.url)
    ask(connection)
    server.hang_up()
    assert ask(connection).error is None
    assert len(server.requests) == 2


@pytest.mark.parametrize("before", [0, 1], ids=["a new connection", "a kept one"])
def test_libcurl_repeats_nothing_by_itself(server: Server, before: int) -> None:
    """It would, on a kept connection that ends before the first byte of an answer."""
    connection = connect(server.url)
    for _ in range(before):
        ask(connection)
    server.acts += [HANG_UP, THROTTLED, THROTTLED]
    outcome = ask(connection)
    assert isinstance(outcome.error, ClientError)
    assert outcome.sends == len(server.requests) - before == 3
    assert outcome.in_doubt, "the first send may have been applied"


def test_every_send_of_a_call_is_seen_and_counted(server: Server) -> None:
    connection = connect(server.url)
    ask(connection)
    server.acts += [HANG_UP] * 3
    outcome = ask(connection)
    assert isinstance(outcome.error, NoAnswer)
    assert outcome.sends == len(server.requests) - 1 == 3
    invocations = [each.headers["amz-sdk-invocation-id"] for each in server.requests]
    assert len(set(invocations[1:])) == 1 and invocations[0] != invocations[1]


@pytest.mark.parametrize("transport", ["curl", "botocore"])
def test_a_write_in_doubt_is_not_called_busy(server: Server, transport: str) -> None:
    server.acts += [HANG_UP, THROTTLED, THROTTLED]
    answer, sends = call(server.url, transport=transport)
    assert isinstance(answer, StoreUnavailable) and sends == 3
    server.acts += [THROTTLED] * 3
    answer, sends = call(server.url, transport=transport)
    assert isinstance(answer, Busy) and sends == 3


def test_each_thread_has_its_own_connection(server: Server) -> None:
    connection = connect(server.url)
    barrier = threading.Barrier(4, timeout=10)

    def work(_: int) -> int:
        for _ in range(3):
            barrier.wait()
            assert ask(connection).error is None
        return threading.get_ident()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(work, range(4)))) == 4
        assert len(server.requests) == 12 and {each.connection for each in server.requests} == {1, 2, 3, 4}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("secured", [False, True], ids=["http", "https"])
def test_a_forked_child_leaves_the_connection_of_its_parent_alone(
    server: Server, secure: Server, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, secured: bool
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[1]))
    used = secure if secured else server
    connection = connect(used.url)
    assert ask(connection).error is None
    child = os.fork()
    if child == 0:
        os._exit(0 if ask(connection).error is None and ask(connection).sends == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    time.sleep(0.05)  # until what the child said has arrived
    assert ask(connection).sends == 1
    assert [each.connection for each in used.requests] == [1, 2, 2, 1]


# --- answers


@dataclass
class Broken:
    """What one send is answered; the error of three such sends, and whether they may have been applied."""

    act: Act
    error: str
    in_doubt: bool = True
    limits: dict[str, int] = field(default_factory=dict)


HALF = whole()[:-20]
REFUSED = whole({"__type": "x#ValidationException"}, status="400 No")
NOT_ITS = "the answer was cut off, or is not DynamoDB's"
BROKEN = {
    "no answer": Broken(HANG_UP, "E_"),
    "half a line": Broken(say(whole()[:6], close=True), "E_"),
    "half a body": Broken(say(HALF, close=True), "E_PARTIAL_FILE"),
    "half a body that claims to be whole": Broken(
        say(HALF.replace(b"Content-Length: ", b"X-Length: "), close=True), NOT_ITS
    ),
    "a wrong checksum": Broken(say(whole(checksum=1)), NOT_ITS),
    "no request id": Broken(say(whole(named=False)), NOT_ITS),
    "a list": Broken(say(whole([UNITS])), NOT_ITS),
    "null": Broken(say(whole(None)), NOT_ITS),
    "no JSON": Broken(say(whole(b"<html>")), NOT_ITS),
    "not even text": Broken(say(whole(b"\xff\xfe{}")), NOT_ITS),
    "nothing": Broken(say(whole(b"")), NOT_ITS),
    "another success": Broken(say(whole(status="202 Accepted")), NOT_ITS),
    "no HTTP": Broken(say(b"SSH-2.0-OpenSSH_9.6\r\n", close=True), "E_"),
    "a redirect": Broken(say(whole(b"", status="307 Moved", named=False, extra="Location: /elsewhere\r\n")), NOT_ITS),
    "a redirect of DynamoDB": Broken(say(whole(status="301 Moved", extra="Location: /elsewhere\r\n")), NOT_ITS),
    "a load balancer without DynamoDB": Broken(
        say(whole(b"<html>503</html>", status="503 Service Unavailable", named=False)), "503"
    ),
    "an internal error": Broken(refusal("InternalServerError", status="500 Oops"), "InternalServerError"),
    "half a refusal": Broken(say(REFUSED[:-5], close=True), "E_PARTIAL_FILE"),
    "a refusal with a wrong checksum": Broken(
        say(whole({"__type": "x#ValidationException"}, status="400 No", checksum=1)), NOT_ITS, in_doubt=False
    ),
    "throttled": Broken(THROTTLED, "ThrottlingException", in_doubt=False),
    "too large": Broken(GOOD, "E_WRITE_ERROR", limits={"LARGEST_ANSWER": 10}),
    "a trickle": Broken(trickle, "E_OPERATION_TIMEDOUT", limits={"LONGEST_SECONDS": 1, "SENDS": 2}),
    "silence": Broken(silence, "silent for 1 seconds", limits={"SILENT_SECONDS": 1, "SENDS": 2}),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_answers(server: Server, monkeypatch: pytest.MonkeyPatch, broken: Broken) -> None:
    for name, value in broken.limits.items():
        monkeypatch.setattr(f"app.models.transport.{name}", value)
    sends = broken.limits.get("SENDS", 3)
    connection = connect(server.url)
    server.acts += [broken.act] * sends
    outcome = ask(connection)
    code = outcome.error.response["Error"]["Code"] if isinstance(outcome.error, ClientError) else str(outcome.error)
    assert code.startswith(broken.error)
    assert isinstance(outcome.error, NoAnswer) == broken.error.startswith(("E_", "the ", "silent"))
    assert outcome.sends == len(server.requests) == sends
    assert outcome.in_doubt == broken.in_doubt
    assert {each.path for each in server.requests} == {"/"}
    assert "127.0.0.1" not in str(outcome.error)


@pytest.mark.parametrize("name", [name for name, broken in BROKEN.items() if not broken.limits])
def test_a_resend_after_a_broken_answer(server: Server, name: str) -> None:
    connection = connect(server.url)
    ask(connection)
    server.acts += [BROKEN[name].act]
    outcome = ask(connection)
    assert outcome.error is None and outcome.sends == len(server.requests) - 1 == 2
    assert outcome.answer["ConsumedCapacity"] == UNITS["ConsumedCapacity"]
    assert outcome.answer["ResponseMetadata"]["RequestId"] == "made-by-a-test"


@pytest.mark.parametrize("name", [name for name, broken in BROKEN.items() if not broken.limits])
def test_the_models_hear_of_a_broken_answer(server: Server, name: str) -> None:
    server.acts += [BROKEN[name].act] * 3
    answer, sends = call(server.url)
    assert isinstance(answer, Busy if name == "throttled" else StoreUnavailable) and sends == 3


NOT_WHOLE = {"no units": whole({}), "no request id": whole(b"<html>", named=False)}


@pytest.mark.parametrize("transport", ["curl", "botocore"])
@pytest.mark.parametrize("answer", NOT_WHOLE.values(), ids=NOT_WHOLE)
def test_an_answer_that_is_not_whole_is_not_an_empty_success(server: Server, transport: str, answer: bytes) -> None:
    server.acts += [say(answer)] * 3
    assert isinstance(call(server.url, "GetItem", transport)[0], StoreUnavailable)


def test_half_of_the_headers(server: Server) -> None:
    """libcurl takes them for all, and the connection for alive. A send on that one counts, though nobody reads it."""
    server.acts += [say(whole()[:30], close=True)] * 3
    outcome = ask(connect(server.url))
    assert isinstance(outcome.error, NoAnswer) and outcome.in_doubt
    assert outcome.sends == 3 >= len(server.requests)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_closed_port_is_named_without_its_address(host: str) -> None:
    outcome = ask(connect(f"http://{host}:9"))
    assert str(outcome.error) == "E_COULDNT_CONNECT, Connection refused"
    assert outcome.sends == 3 and not outcome.in_doubt


def test_a_host_without_address_is_not_named() -> None:
    outcome = ask(connect("http://nowhere.invalid"))
    assert str(outcome.error) == "E_COULDNT_RESOLVE_HOST" and not outcome.in_doubt


# --- refusals

REASONS = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Message": "failed", "Item": {"PK": {"S": "a"}}}]
REFUSALS = {
    "a condition": refusal("ConditionalCheckFailedException"),
    "a condition, with the item": refusal("ConditionalCheckFailedException", Item={"PK": {"S": "a"}}),
    "a transaction": refusal("TransactionCanceledException", CancellationReasons=REASONS),
    "a conflict": refusal("TransactionConflictException"),
    "no table": refusal("ResourceNotFoundException"),
    "throttling": THROTTLED,
    "capacity": refusal("ProvisionedThroughputExceededException"),
    "in progress": refusal("TransactionInProgressException"),
    "a message with a capital": say(
        whole({"__type": "com.amazon.coral.validate#ValidationException", "Message": "Bad"}, status="400 Bad Request")
    ),
    "no rights": refusal("AccessDeniedException"),
    "an internal error": refusal("InternalServerError", status="500 Oops"),
    "unavailable": refusal("ServiceUnavailable", status="503 Unavailable"),
}


@pytest.mark.parametrize("refused", REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_what_botocore_makes_of_them(server: Server, refused: Act) -> None:
    seen = []
    for transport in ("curl", "botocore"):
        server.acts[:] = [refused] * 3
        below = ask(connect(server.url, transport), "TransactWriteItems", TransactItems=[])
        server.acts[:] = [refused] * 3
        above, sends = call(server.url, "PutItem", transport)
        response = below.error.response  # type: ignore[union-attr]
        reasons = getattr(above, "cancellation_reasons", None)
        seen.append(
            {
                "error": {name: response["Error"].get(name) for name in ("Code", "Message")},
                "reasons": response.get("CancellationReasons"),
                "item": response.get("Item"),
                "status": response["ResponseMetadata"]["HTTPStatusCode"],
                "id": response["ResponseMetadata"]["RequestId"],
                "sends": (below.sends, sends),
                "in doubt": below.in_doubt,
                "raised": (type(above), str(above), getattr(above, "code", None)),
                "each": reasons and [each and (each.code, each.message, each.raw_item) for each in reasons],
            }
        )
    assert seen[0] == seen[1]


def test_a_cancelled_transaction_tells_its_reasons(server: Server) -> None:
    server.acts += [REFUSALS["a transaction"]]
    answer, sends = call(server.url, "TransactWriteItems")
    assert isinstance(answer, VerboseClientError) and sends == 1
    assert [each and each.code for each in answer.cancellation_reasons] == [None, "ConditionalCheckFailed"]
