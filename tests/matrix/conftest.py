"""Applications for the matrix, on tables of their own, that wait for nothing between their attempts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import botocore.session
import pytest

pytest.register_assert_rewrite("tests.matrix.matrix", "tests.matrix.use_cases", "tests.contract.specification")

from app.models.tables import create_tables  # noqa: E402  (after the rewriting of asserts)
from tests.faults import FaultyStore, no_waits  # noqa: E402
from tests.matrix.bare import BareStore  # noqa: E402
from tests.matrix.matrix import IS_FULL, Arena, matrix_app  # noqa: E402


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
