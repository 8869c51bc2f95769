"""Applications that send mail, on tables of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from app.mail import MailSettings
from tests.support.applications import make_app, tables_named
from tests.support.mail import SENDER, SITE

TABLES = tables_named("mail")


@pytest.fixture(scope="session")
def mail_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sent") / "mail"


@pytest.fixture(scope="session")
def _mail_app(endpoint: str, mail_folder: Path) -> Flask:
    settings = MailSettings(folder=str(mail_folder), sender=SENDER, site=SITE)
    return make_app(endpoint, **TABLES, mail=settings)


@pytest.fixture(scope="session")
def quiet_app(_mail_app: Flask, endpoint: str) -> Flask:
    """An application on the same tables that sends no mail."""
    return make_app(endpoint, **TABLES)


@pytest.fixture
def mail_app(_mail_app: Flask) -> Flask:
    """An application that writes its mails into `mail_folder`; nothing is sent unless a test delivers it."""
    return _mail_app
