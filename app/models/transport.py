"""How an operation travels to DynamoDB: its JSON protocol over libcurl, at a fraction of the cost of botocore.

botocore goes on to find credentials, region, endpoint, proxies and certificates, and its client sends the operations
that are not listed here. That client is made when it is first needed: making it takes longer than all calls of a start.
This module signs, sends, checks the answer, and sends again. So it knows of each send whether it may have been applied;
`app/models/attempt.py` decides what that means.

One handle of libcurl for each thread and process keeps its connection. libcurl would send a request again by itself
when a kept connection turns out to be dead; that is forbidden here, because every send must be counted.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any
from zlib import crc32

import orjson
import pycurl
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from app.models import attempt
from app.models.attempt import RESENT, Attempt, NoAnswer

# What the product's requests are made of. Making and describing tables stays with botocore.
OPERATIONS = frozenset(
    {"BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "TransactWriteItems", "UpdateItem"}
)
SENDS = 3
# The longest wait before the second send, in seconds; before the third one it is twice as long. Full jitter.
FIRST_WAIT, FIRST_WAIT_THROTTLED = 0.1, 0.5
CONNECT_SECONDS, SILENT_SECONDS, LONGEST_SECONDS = 1, 3, 10
# DynamoDB answers with at most 16 MB of items (AWS: BatchGetItem).
LARGEST_ANSWER = 64 * 1024 * 1024


class Transport:
    """Stands in for botocore's DynamoDB client: OPERATIONS travel over libcurl. Threads may share it."""

    def __init__(self, client: Callable[[], Any], session: Any, *, endpoint: str | None, region: str) -> None:
        """Makes no call. Without `endpoint` the client says where DynamoDB is; `session` knows credentials and more."""
        self._client = client
        self._session = session
        self._credentials = session.get_credentials()
        url = endpoint or client().meta.endpoint_url
        region = region if endpoint else client().meta.region_name
        self._handles = _Handles(
            {
                pycurl.URL: url,
                pycurl.AWS_SIGV4: f"aws:amz:{region}:dynamodb",
                pycurl.PROXY: get_environ_proxies(url).get(url.partition(":")[0], ""),
                pycurl.CAINFO: get_cert_path(session.get_config_variable("ca_bundle") or True),
            }
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client(), name)

    def _make_api_call(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        """The answer, as botocore's client gives it, or what it raises: ClientError, BotoCoreError; and NoAnswer.

        Sends again, up to SENDS times in all, after no answer, a broken one, an error of the database, and throttling.
        """
        if operation not in OPERATIONS:
            answer: Mapping[str, Any] = self._client()._make_api_call(operation, arguments)
            return answer
        body = orjson.dumps(arguments)
        headers = [
            "Content-Type: application/x-amz-json-1.0",
            f"X-Amz-Target: DynamoDB_20120810.{operation}",
            # One name for all sends.
            f"amz-sdk-invocation-id: {secrets.token_hex(16)}",
            # libcurl would wait for leave to send a body of more than 1 KB.
            "Expect:",
            "Accept:",
        ]
        this = attempt.current.get()
        for number in range(1, SENDS):
            wait = FIRST_WAIT
            try:
                return self._send(operation, body, headers, this)
            except NoAnswer:
                pass
            except ClientError as error:
                if error.response["Error"]["Code"] in RESENT:
                    wait = FIRST_WAIT_THROTTLED
                elif error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    raise
            time.sleep(random.uniform(0, wait * number))
        return self._send(operation, body, headers, this)

    def _send(self, operation: str, body: bytes, headers: list[str], this: Attempt) -> Mapping[str, Any]:
        """Send once. Raises ClientError, BotoCoreError where there are no credentials, and NoAnswer."""
        if self._credentials is None:  # they may come later, such as where a machine's role is not there yet
            self._credentials = self._session.get_credentials()
        if self._credentials is None:
            raise NoCredentialsError()
        # Renewed where they are about to end.
        key = self._credentials.get_frozen_credentials()
        handle, answer = self._handles.get(), _Answer()
        token = [f"X-Amz-Security-Token: {key.token}"] if key.token else []
        for option, value in (
            (pycurl.HTTPHEADER, [*headers, *token]),
            (pycurl.POSTFIELDS, body),
            (pycurl.USERNAME, key.access_key),
            (pycurl.PASSWORD, key.secret_key),
            (pycurl.PREREQFUNCTION, answer.begin),
            (pycurl.XFERINFOFUNCTION, answer.watch),
            (pycurl.HEADERFUNCTION, answer.hear),
            (pycurl.WRITEFUNCTION, answer.take),
        ):
            handle.setopt(option, value)
        this.sends += 1
        try:
            handle.perform()
        except pycurl.error as error:
            if answer.starts:
                this.note_answer(0)
            raise NoAnswer(answer.stopped or _reason(error, handle)) from None
        status = handle.getinfo(pycurl.RESPONSE_CODE)
        content = answer.content()
        this.note_answer(status if content is not None or 400 <= status < 500 else 0)
        metadata = {
            "HTTPStatusCode": status,
            "RequestId": answer.told.get("x-amzn-requestid"),
            "HTTPHeaders": answer.told,
        }
        if status >= 400 and (content is not None or not answer.is_dynamodbs):
            raise _refusal(operation, status, content or {}, metadata)
        if status != 200 or content is None:
            raise NoAnswer("the answer was cut off, or is not DynamoDB's")
        return {**content, "ResponseMetadata": metadata}


class _Answer:
    """What comes back for one send."""

    def __init__(self) -> None:
        self.starts = 0
        # Why it was ended from here, in words for the log.
        self.stopped = ""
        self.told: dict[str, str] = {}
        self._received = bytearray()
        self._moved, self._moved_at = (0, 0), monotonic()

    @property
    def is_dynamodbs(self) -> bool:
        return "x-amzn-requestid" in self.told

    def begin(self, *_: object) -> int:
        """Called before each request on a connection. The second would be one that libcurl repeats by itself."""
        self.starts += 1
        if self.starts == 1:
            return int(pycurl.PREREQFUNC_OK)
        self.stopped = "the connection ended before an answer"
        return int(pycurl.PREREQFUNC_ABORT)

    def watch(self, _: int, received: int, __: int, sent: int) -> int:
        """Called about once a second, and when bytes moved. 1 ends the send."""
        if (received, sent) != self._moved:
            self._moved, self._moved_at = (received, sent), monotonic()
        if monotonic() - self._moved_at < SILENT_SECONDS:
            return 0
        self.stopped = f"silent for {SILENT_SECONDS} seconds"
        return 1

    def hear(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name[:4].lower() == b"x-am":
            self.told[name.lower().decode("latin-1")] = value.strip().decode("latin-1")

    def take(self, part: bytes) -> int | None:
        self._received.extend(part)
        return None if len(self._received) <= LARGEST_ANSWER else -1

    def content(self) -> dict[str, Any] | None:
        """The JSON object of the answer; None where it is damaged, or DynamoDB did not make it."""
        if not self.is_dynamodbs:
            return None
        checksum = self.told.get("x-amz-crc32")
        if checksum is not None and checksum != str(crc32(self._received)):
            return None
        try:
            content = orjson.loads(self._received)
        except ValueError:
            return None
        return content if isinstance(content, dict) else None


class _Handles(threading.local):
    """One handle for each thread. A forked child leaves its parent's alone: to close one would end its session.

    Python closes those of the parent's other threads in the child. There the parent loses a connection, or a send,
    which it counts.
    """

    def __init__(self, options: Mapping[int, Any]) -> None:
        self._options = options
        self._process_id = 0
        self._handle: Any = None
        self._of_the_parent: list[Any] = []

    def get(self) -> Any:
        if self._process_id != os.getpid():
            self._of_the_parent.append(self._handle)
            self._handle, self._process_id = _new_handle(self._options), os.getpid()
        return self._handle


def _new_handle(options: Mapping[int, Any]) -> Any:
    handle = pycurl.Curl()
    for option, value in (
        (pycurl.POST, 1),
        (pycurl.NOSIGNAL, 1),
        (pycurl.TCP_NODELAY, 1),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.CONNECTTIMEOUT, CONNECT_SECONDS),
        # libcurl's own limit of speed is an average, in which a request counts for seconds after it was sent.
        (pycurl.NOPROGRESS, 0),
        (pycurl.TIMEOUT, LONGEST_SECONDS),
        # The proxy is chosen already. Without this, libcurl would read NO_PROXY, and in its own way.
        (pycurl.NOPROXY, ""),
        *options.items(),
    ):
        handle.setopt(option, value)
    return handle


def _refusal(operation: str, status: int, content: Mapping[str, Any], metadata: Mapping[str, Any]) -> ClientError:
    """An error as botocore's client raises it."""
    code = str(content.get("__type", "")).rpartition("#")[2] or str(status)
    message = content.get("message") or content.get("Message") or ""
    response: Any = {**content, "Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
    return ClientError(response, operation)


# Several names can have one number: those of libcurl's other interface, of FTP, and old ones, which come later by name.
_NAMES = {
    getattr(pycurl, name): name
    for name in sorted(dir(pycurl), reverse=True)
    if name.startswith("E_") and not name.startswith(("E_MULTI_", "E_FTP_"))
}


def _reason(error: pycurl.error, handle: Any) -> str:
    """libcurl's name of a failure and the system's words, without libcurl's, which name addresses."""
    number = handle.getinfo(pycurl.OS_ERRNO)
    return ", ".join(filter(None, [_NAMES.get(error.args[0], str(error.args[0])), number and os.strerror(number)]))


TRANSPORT_ERRORS = (BotoCoreError, NoAnswer)
