"""Applications on tables of their own, with mail and without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app.mail import MailSettings
from tests.security.events.world import TABLES, World
from tests.support.applications import make_app

NewWorld = Callable[[], World]


@pytest.fixture(scope="session")
def mailed_app(endpoint: str) -> Flask:
    return make_app(endpoint, **TABLES, mail=MailSettings(folder="nowhere", site="https://orders.example"))


@pytest.fixture(scope="session")
def unmailed_app(endpoint: str) -> Flask:
    return make_app(endpoint, **TABLES)


@pytest.fixture
def new_world(unmailed_app: Flask, store: Any, capfd: pytest.CaptureFixture[str]) -> NewWorld:
    return lambda: World(unmailed_app, store, lambda: capfd.readouterr().err)


@pytest.fixture
def world(new_world: NewWorld) -> World:
    """Where no mail is sent."""
    return new_world()


@pytest.fixture
def mailed_world(mailed_app: Flask, store: Any, capfd: pytest.CaptureFixture[str]) -> World:
    return World(mailed_app, store, lambda: capfd.readouterr().err)
