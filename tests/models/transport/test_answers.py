"""What comes back: broken answers, refusals, and hosts that do not answer."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from botocore.exceptions import ClientError
from pynamodb.exceptions import VerboseClientError

from app.domain.errors import Busy, StoreUnavailable
from app.models.attempt import NoAnswer
from tests.models.transport.servers import (
    GOOD,
    HANG_UP,
    THROTTLED,
    UNITS,
    Act,
    Server,
    ask,
    call,
    connect,
    refusal,
    say,
    silence,
    trickle,
    whole,
)

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
