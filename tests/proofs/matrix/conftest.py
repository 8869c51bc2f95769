"""Applications for the matrix, on tables of their own, that wait for nothing between their attempts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import botocore.session
import pytest

from app.models.create_tables import create_tables
from tests.proofs.matrix.matrix import IS_FULL, Arena, matrix_app
from tests.support.faults import FaultyStore, no_waits
from tests.support.wire import BareStore


@pytest.fixture(scope="module")
def impatient() -> Iterator[None]:
    """No wait before an attempt or a resend, and no end of resends: how long they take is not what is tested."""
    session = botocore.session.get_session()
    with no_waits(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.retries.quota.RetryQuota.acquire", lambda quota, amount: True)
        # A child that was forked makes a client of its own, but need not read botocore's files again for it.
        patch.setattr("pynamodb.connection.base.get_session", lambda: session)
        yield


@pytest.fixture(scope="module")
def arena(endpoint: str, impatient: None) -> Iterator[Arena]:
    app = matrix_app(endpoint)
    with app.app_context():
        create_tables()
    with FaultyStore(endpoint) as faults, closing(BareStore(endpoint)) as bare:
        arena = Arena(bare, bare, faults, app, matrix_app(faults.endpoint), is_thorough=IS_FULL)
        yield arena
    print(arena.report)
