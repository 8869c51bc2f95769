"""What the client does with each answer, and without one: what it repeats, what it raises, what the journal says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from order_processor_client import Client, Entry, Journal, OrdersError, OutcomeUnknown, Patience, Unreadable
from order_processor_client.transport import checked_url

from clients.python.tests.scripted import Reply, Scripted, problem, scripted_server

TRANSACTION = {
    "transaction_id": "000000000001",
    "transaction_type": "deposit",
    "amount": "10.00",
    "previous_balance": "0.00",
    "new_balance": "10.00",
    "status": "completed",
    "description": None,
    "order_id": None,
    "actor": None,
    "hash": None,
    "created_at": "2026-11-29T12:00:00.000001Z",
}
MOVED = {
    "success": True,
    "message": "Deposit successful",
    "transaction_id": "000000000001",
    "timestamp": "2026-11-29T12:00:00.000001Z",
    "transaction": TRANSACTION,
}
DONE = Reply(201, json.dumps(MOVED).encode())
REPLAYED = Reply(201, DONE.body, {"Idempotent-Replayed": "true"})
DROPPED = Reply(cut="before")
CUT = Reply(201, DONE.body, cut="within")
PROXY = Reply(502, b"<html>Bad Gateway</html>", kind="text/html")
BUSY = problem(503, "busy", headers={"Retry-After": "0"})
LIMITED = problem(429, "too_many_requests", headers={"Retry-After": "0"})
LOST = problem(503, "store_unavailable", headers={"Retry-After": "0"})
POOR = problem(422, "insufficient_funds", required="10.00", available="0.00")
DEFECT = problem(500, "internal_error")
LOGIN_PAGE = Reply(200, b"<html>Log in to this network</html>", kind="text/html")
MOVED_AWAY = Reply(302, b"", {"Location": "https://elsewhere.example"}, kind="text/html")
QUICK = Patience(attempts=4, seconds=5, first_wait=0.001, longest_wait=0.002)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted_server() as started:
        yield started


@pytest.fixture
def connect(server: Scripted, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def connect(**options: Any) -> Client:
        options = {"patience": QUICK, "username": "ann", "journal": tmp_path / "journal.jsonl", **options}
        made.append(Client(server.address, "secret", **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


# Replies; how often it was sent; then `done`, or the code of the error; and the state of the journal.
CHANGES: dict[str, tuple[list[Reply], int, str, str]] = {
    "done": ([DONE], 1, "done", "done"),
    "refused": ([POOR], 1, "insufficient_funds", "refused"),
    "not logged in": ([problem(401, "not_authenticated")], 1, "not_authenticated", "refused"),
    "busy, then done": ([BUSY, LIMITED, DONE], 3, "done", "done"),
    "busy for good": ([BUSY], 4, "busy", "refused"),
    "limited for good": ([LIMITED], 4, "too_many_requests", "refused"),
    "no answer, then replayed": ([DROPPED, REPLAYED], 2, "done", "done"),
    "half an answer, then replayed": ([CUT, REPLAYED], 2, "done", "done"),
    "a proxy, then replayed": ([PROXY, REPLAYED], 2, "done", "done"),
    "the database lost it, then done": ([LOST, DONE], 2, "done", "done"),
    "no answer for good": ([DROPPED], 4, "unknown: no_answer", "unknown"),
    "a proxy for good": ([PROXY], 4, "unknown: http_502", "unknown"),
    "the database for good": ([LOST], 4, "unknown: store_unavailable", "unknown"),
    "a timeout of a proxy for good": ([Reply(504, b"", kind="text/html")], 4, "unknown: http_504", "unknown"),
    "a defect": ([DEFECT], 1, "unknown: internal_error", "unknown"),
    "a page of another network": ([LOGIN_PAGE], 1, "unknown: not_an_answer", "unknown"),
    "a file": ([Reply(200, b"a,b", kind="text/csv")], 1, "unknown: not_an_answer", "unknown"),
    "led elsewhere": ([MOVED_AWAY], 1, "unknown: http_302", "unknown"),
    # The first run may still be at work, and succeed.
    "no answer, then refused": ([DROPPED, POOR], 2, "unknown: insufficient_funds", "unknown"),
    "no answer, then busy": ([DROPPED, BUSY], 4, "unknown: busy", "unknown"),
    "no answer, then not logged in": ([DROPPED, problem(401, "x")], 2, "unknown: x", "unknown"),
    "a page of a proxy that refuses": ([Reply(403, b"no", kind="text/html")], 1, "http_403", "refused"),
}


@pytest.mark.parametrize(("replies", "sent", "outcome", "state"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change(
    server: Scripted, connect: Callable[..., Client], replies: list[Reply], sent: int, outcome: str, state: str
) -> None:
    server.replies, client = list(replies), connect()
    try:
        assert client.deposit("10").transaction.new_balance == Decimal("10.00")
        found = "done"
    except OutcomeUnknown as error:
        found = f"unknown: {error.code}"
        assert {error.key} == server.keys and [each.key for each in client.pending()] == [error.key]
    except OrdersError as error:
        found = error.code
        assert client.pending() == []
    assert found == outcome
    assert len(server.asked) == sent and len(server.keys) == 1, "each time with the same key"
    [entry] = client.journal.entries()
    assert (entry.state, {entry.key}) == (state, server.keys)
    assert (entry.method, entry.path, entry.body) == ("POST", "/balance/deposit", {"amount": "10"})
    assert entry.replayed is (REPLAYED in replies)


def test_a_change_is_on_disk_before_it_is_sent(server: Scripted, connect: Callable[..., Client]) -> None:
    server.replies, client = [DONE], connect()
    seen: list[str] = []
    server.when_asked = lambda: seen.extend(each.state for each in Journal(client.journal.path).entries())
    client.deposit(1)
    assert seen == ["begun"]


# Of a change that was begun and cut off: the replies to its repetition; what is told of it.
RESUMED: dict[str, tuple[list[Reply], str, float]] = {
    "it was done": ([REPLAYED], "done", 0),
    "it had not arrived": ([DONE], "done", 0),
    "refused, when no run of it is left": ([POOR], "refused", 0),
    "refused, while its first run may be at work": ([POOR], "begun", 60),
    "not logged in": ([problem(401, "not_authenticated")], "begun", 0),
    "a proof is asked for": ([problem(403, "proof_required")], "begun", 0),
    "busy": ([BUSY], "begun", 0),
    "no answer": ([DROPPED], "unknown", 0),
    "a page of a proxy that refuses": ([Reply(404, b"no", kind="text/html")], "begun", 0),
}


@pytest.mark.parametrize(("replies", "state", "run_seconds"), RESUMED.values(), ids=RESUMED.keys())
def test_what_was_cut_off_is_sent_again_with_its_key(
    server: Scripted, connect: Callable[..., Client], replies: list[Reply], state: str, run_seconds: float
) -> None:
    client = connect(patience=Patience(2, 5, 0.001, 0.002, run_seconds))
    body = {"amount": "7.50", "description": "savings"}
    client.journal.begin(Entry("mine", server.address, "ann", "POST", "/balance/deposit", body))
    server.replies = list(replies)
    [resumed] = client.resume()
    assert server.keys == {"mine"}
    assert {each.path for each in server.asked} == {"/api/v1/balance/deposit"}
    assert server.asked[0].body == body
    [entry] = client.journal.entries()
    assert entry.state == state and entry.is_open is (state in {"begun", "unknown"})
    assert resumed.entry.is_open is entry.is_open and (resumed.error is None) is (state == "done")
    assert isinstance(resumed.error, OutcomeUnknown) is entry.is_open
    if not entry.is_open:
        assert list(client.resume()) == []


def test_only_what_is_this_users_and_young_enough_is_resumed(server: Scripted, connect: Callable[..., Client]) -> None:
    server.replies, client = [DROPPED], connect()
    for name, key in (("ann", "a"), ("bob", "b")):
        with pytest.raises(OutcomeUnknown):
            connect(username=name).deposit(1, key=key)
    other = Client("http://127.0.0.1:9/prefix", username="ann", journal=client.journal.path)
    assert other.pending() == [] and [each.key for each in client.pending()] == ["a"]
    long_ago = (datetime.now(UTC) - timedelta(days=29, seconds=1)).isoformat()
    lines = [json.loads(line) for line in client.journal.path.read_text().splitlines()]
    client.journal.path.write_text("".join(json.dumps({**line, "at": long_ago}) + "\n" for line in lines))
    server.asked.clear()
    [told] = client.resume()
    assert told.error and told.error.code == "too_old" and told.entry.is_open and not server.asked
    assert not client.forget("b") and client.forget("a") and client.pending() == []


def test_what_only_reads_is_repeated_and_what_has_no_key_is_not(
    server: Scripted, connect: Callable[..., Client]
) -> None:
    server.replies, client = [DROPPED, PROXY, Reply(200, json.dumps({"data": []}).encode())], connect()
    assert client.holdings() == [] and len(server.asked) == 3
    server.replies = [DROPPED]
    with pytest.raises(OrdersError, match="did not answer") as failed:
        client.log_in("ann", "seven green kettles")
    assert len(server.asked) == 4 and (failed.value.status, failed.value.code) == (0, "no_answer")


def test_retry_after_is_kept_and_not_waited_for_in_vain(server: Scripted, connect: Callable[..., Client]) -> None:
    wait = problem(503, "busy", headers={"Retry-After": "1"})
    server.replies, client = [wait, DONE], connect()
    began = time.monotonic()
    client.deposit(1)
    assert time.monotonic() - began >= 1
    server.replies = [problem(429, "too_many_requests", headers={"Retry-After": "900"})]
    with pytest.raises(OrdersError) as failed:
        client.deposit(1)
    assert failed.value.retry_after == 900 and len(server.asked) == 3
    moment = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for text, least, most in ((moment, 3500, 3600), ("soon", None, None), ("-1", None, None)):
        server.replies = [problem(403, "x", headers={"Retry-After": text})]
        with pytest.raises(OrdersError) as failed:
            client.balance()
        found = failed.value.retry_after
        assert found is None if least is None else least < found <= most  # type: ignore[operator]


def test_an_error_says_all_that_the_service_said(server: Scripted, connect: Callable[..., Client]) -> None:
    errors = [{"field": "amount", "message": "At most 2 decimals."}]
    server.replies, client = [problem(422, "invalid_input", errors=errors, reset_seconds=4)], connect()
    with pytest.raises(OrdersError) as failed:
        client.balance()
    error = failed.value
    assert (error.status, error.code, error.request_id) == (422, "invalid_input", "r1")
    assert [(each.field, each.message) for each in error.fields] == [("amount", "At most 2 decimals.")]
    assert error.details == {"reset_seconds": 4} and str(error) == "It is invalid_input.\namount: At most 2 decimals."


NOT_READ = {
    "no JSON": Reply(200, b"{", kind="application/json"),
    "a list": Reply(200, b"[]"),
    "half the fields": Reply(200, b'{"current_balance": "1.00"}'),
    "a number that is none": Reply(200, b'{"current_balance": "NaN-", "total_deposits": "1", "updated_at": "x"}'),
}


@pytest.mark.parametrize("reply", NOT_READ.values(), ids=NOT_READ.keys())
def test_an_answer_that_cannot_be_read(server: Scripted, connect: Callable[..., Client], reply: Reply) -> None:
    server.replies = [reply]
    with pytest.raises((Unreadable, OrdersError)):
        connect().balance()


def test_what_a_newer_service_adds_is_left_out(server: Scripted, connect: Callable[..., Client]) -> None:
    more = {**MOVED, "colour": "red", "transaction": {**TRANSACTION, "transaction_type": "gift"}}
    server.replies = [Reply(201, json.dumps(more).encode())]
    moved = connect().deposit(1)
    assert moved.transaction.transaction_type == "gift"  # type: ignore[comparison-overlap]
    assert moved.timestamp == datetime(2026, 11, 29, 12, 0, 0, 1, UTC) and not hasattr(moved, "colour")


@pytest.mark.parametrize("wrong", [1.1, True, float("nan"), Decimal("NaN"), Decimal("Infinity"), None])
def test_an_amount_is_no_float(server: Scripted, connect: Callable[..., Client], wrong: Any) -> None:
    client = connect()
    with pytest.raises((TypeError, ValueError)):
        client.deposit(wrong)
    assert client.journal.entries() == [] and not server.asked


def test_a_dry_run_is_repeated_and_leaves_no_trace(server: Scripted, connect: Callable[..., Client]) -> None:
    tried = {"entries": [], "cash_before": "1.00", "cash_after": "6.00", "order": None}
    server.replies = [DROPPED, PROXY, Reply(200, json.dumps({"dry_run": True, "data": tried}).encode())]
    client = connect()
    assert client.preview_deposit(5).cash_after == 6
    assert server.asked[-1].body == {"amount": "5", "dry_run": True} and server.keys == {None}
    assert len(server.asked) == 3 and client.journal.entries() == []
    # A service that does not know dry runs has made it.
    server.replies = [DONE]
    with pytest.raises(Unreadable, match="older"):
        client.preview_deposit(5)


def test_events_are_followed_from_page_to_page(server: Scripted, connect: Callable[..., Client]) -> None:
    event = {"event_number": "2", "event_type": "order_filled", "created_at": "2026-11-29T12:00:00Z"}
    more = Reply(200, json.dumps({"data": [event], "next_after": "2"}).encode())
    rest = Reply(
        200, json.dumps({"data": [{**event, "event_number": "3"}], "next_after": "3"}).encode(), {"Retry-After": "5"}
    )
    server.replies, client = [more, rest], connect()
    assert [each.event_number for each in client.events("1")] == ["2", "3"]
    queries = [each.path.partition("?")[2] for each in server.asked]
    assert queries == ["after=1&limit=100", "after=2&limit=100"]
    server.replies = [Reply(200, rest.body, {"Retry-After": "0"}), more]
    followed = client.events("2", follow=True)
    assert [next(followed).event_number for _ in range(2)] == ["3", "2"]


def test_lists_ask_for_page_after_page(server: Scripted, connect: Callable[..., Client]) -> None:
    pages = [{"transactions": [TRANSACTION], "total_count": 1, "has_more": True, "next_cursor": "a b"}]
    pages += [{**pages[0], "has_more": False, "next_cursor": None}]
    server.replies, client = [Reply(200, json.dumps(page).encode()) for page in pages], connect()
    found = client.transactions(transaction_type="deposit")
    assert next(found).amount == 10 and len(server.asked) == 1, "a page when it is needed"
    assert len(list(found)) == 1
    path = "/api/v1/balance/transactions?transaction_type=deposit&limit=100"
    assert [each.path for each in server.asked] == [path, f"{path}&cursor=a+b"]


def test_what_is_sent(server: Scripted, connect: Callable[..., Client]) -> None:
    server.replies = [DONE]
    client = Client(f"{server.address}/below/", "secret", username="ann", journal=connect().journal)
    client.deposit(Decimal("1E+2"))
    client.close()
    [asked] = server.asked
    assert asked.path == "/below/api/v1/balance/deposit"
    assert asked.headers["Authorization"] == "Bearer secret"
    assert asked.headers["User-Agent"].startswith("order-processor-client/")
    assert asked.body == {"amount": "100"}
    with pytest.raises(ValueError, match="zone"):
        client.create_token("x", expires_at=datetime(2030, 1, 1))


@pytest.mark.parametrize("key", ["two words", "ä", "x" * 256, "a\n"])
def test_a_key_that_cannot_be_sent_is_not_stored(server: Scripted, connect: Callable[..., Client], key: str) -> None:
    client = connect()
    with pytest.raises(ValueError, match="visible ASCII"):
        client.deposit(1, key=key)
    assert client.journal.entries() == [] and not server.asked


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://shop.example/", "https://shop.example"),
        ("https://shop.example/orders/api/v1/", "https://shop.example/orders"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost", "http://localhost"),
        ("http://shop.example", None),
        ("http://127.0.0.1.example", None),
        ("shop.example", None),
        ("ftp://shop.example", None),
        ("https://ann:secret@shop.example", None),
        ("", None),
    ],
)
def test_the_address_of_the_service(given: str, used: str | None) -> None:
    if used:
        assert checked_url(given) == used
        return
    with pytest.raises(ValueError):
        checked_url(given)
