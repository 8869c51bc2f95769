"""A server, and surroundings in which nothing is set."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.models import database
from tests.models.transport.servers import LOADER, Server, serving


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
