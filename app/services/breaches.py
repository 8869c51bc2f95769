"""Whether a password is known from a breach elsewhere, as a service with the range API of Have I Been Pwned says.

It is asked with the first 5 characters of the SHA-1 of a password; nothing else leaves. A service that does not answer
in time refuses nothing, and is not asked again for a minute.
"""

from __future__ import annotations

import hashlib
import logging
import time
from io import BytesIO

import pycurl
from botocore.httpsession import get_cert_path

from app.services.settings import settings

CONNECT_MILLISECONDS = 1000
# Of the whole exchange, whatever it waits for.
MOST_MILLISECONDS = 2000
# Real answers have about 40 kB.
MOST_BYTES = 1 << 20
PAUSE_SECONDS = 60

log = logging.getLogger(__name__)

# By the address of the service.
_paused_until: dict[str, float] = {}


def is_breached(password: str) -> bool:
    """Whether the service knows the password. False where it does not answer, or none is set.

    Takes up to 2 seconds, and no call of DynamoDB.
    """
    url = settings().breached_passwords_url
    if not url or time.monotonic() < _paused_until.get(url, 0):
        return False
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
    try:
        return _is_in(_ask(f"{url}/{digest[:5]}"), digest[5:])
    except (pycurl.error, ValueError) as error:
        log.warning("breached passwords: no answer (%s); not asked for %s seconds", type(error).__name__, PAUSE_SECONDS)
        _paused_until[url] = time.monotonic() + PAUSE_SECONDS
        return False


def _ask(url: str) -> str:
    """The rests of digests that begin as `url` ends, and how often each was found. Raises pycurl.error, ValueError."""
    body, curl = BytesIO(), pycurl.Curl()
    options = (
        (pycurl.URL, url),
        # With padding, the length of the answer does not tell which prefix was asked for.
        (pycurl.HTTPHEADER, ["Add-Padding: true", "User-Agent: order-processor"]),
        (pycurl.CAINFO, get_cert_path(True)),
        (pycurl.NOSIGNAL, 1),
        (pycurl.CONNECTTIMEOUT_MS, CONNECT_MILLISECONDS),
        (pycurl.TIMEOUT_MS, MOST_MILLISECONDS),
        (pycurl.FAILONERROR, 1),
        # Ends the exchange where it takes less than the whole piece.
        (pycurl.WRITEFUNCTION, lambda piece: body.write(piece[: MOST_BYTES - body.tell()])),
    )
    try:
        for option, value in options:
            curl.setopt(option, value)
        curl.perform()
        if curl.getinfo(pycurl.RESPONSE_CODE) != 200:
            raise ValueError("a redirect")
    finally:
        curl.close()
    return body.getvalue().decode("ascii")


def _is_in(answer: str, rest: str) -> bool:
    """Whether one of the lines `REST:COUNT` has this rest. Lines of padding count 0."""
    counts = dict(line.strip().upper().split(":", 1) for line in answer.splitlines() if ":" in line)
    return int(counts.get(rest, "0")) > 0
