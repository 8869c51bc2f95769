"""A price source, the answers that it gets, and its clock."""

from __future__ import annotations

import pytest
import responses

from app.prices import CoinGeckoSettings
from app.prices.coingecko import CoinGecko
from tests.support.coingecko import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def source(clock: Clock) -> CoinGecko:
    return CoinGecko(CoinGeckoSettings(), clock=clock, max_wait_seconds=0.2)
