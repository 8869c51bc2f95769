"""Sending mail: by SMTP, or as files into a folder.

An error says whether it is about one mail (`MailRefused`) or about the way to the server (`MailUnreachable`). Neither
has an address in it, because both are logged.
"""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from urllib.parse import urlsplit

from email_validator import validate_email

from app.domain.mails import PRODUCT
from app.mail import MailSettings, SmtpServer, Tls

# How long the server may take for one answer, and for everything that is sent over one connection.
SECONDS, WHOLE_SECONDS = 10.0, 60.0

Send = Callable[[EmailMessage], None]


class MailRefused(Exception):
    """The server does not take this mail; `is_final` says that it will not do so later either."""

    def __init__(self, cause: str, *, is_final: bool) -> None:
        super().__init__(cause)
        self.is_final = is_final


class MailUnreachable(Exception):
    """The server cannot be reached, is not the one that it should be, or does not let us in."""


def compose(
    settings: MailSettings, *, mail_id: str, to: str, subject: str, text: str, written_at: datetime
) -> EmailMessage:
    """A plain mail to one address. Sent twice, it has the same Message-ID. Raises ValueError for a broken address."""
    address = validate_email(to, check_deliverability=False)
    sender = Address(PRODUCT, addr_spec=settings.sender)
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    # A server need not know other letters in a domain than ASCII's.
    message["To"] = Address(username=address.local_part, domain=address.ascii_domain)
    message["Subject"] = subject
    message["Date"] = written_at
    message["Message-ID"] = f"<{mail_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


@contextmanager
def opened(settings: MailSettings, *, seconds: float = SECONDS, whole_seconds: float = WHOLE_SECONDS) -> Iterator[Send]:
    """A way to send mails, for a while. It raises MailRefused; the way itself and sending raise MailUnreachable."""
    if settings.server is None:
        assert settings.folder is not None, "mail is off"
        folder = Path(settings.folder)
        yield lambda message: _write(folder, message)
        return
    helo = urlsplit(settings.site).hostname or "localhost"
    with _translated():
        smtp = _connect(settings.server, helo, seconds)
    with _cut_off(smtp, whole_seconds):
        try:
            with _translated():
                _begin(smtp, settings.server)
            yield lambda message: _send(smtp, message)
        finally:
            with suppress(OSError, smtplib.SMTPException):
                smtp.quit()
            smtp.close()


def _connect(server: SmtpServer, helo: str, seconds: float) -> smtplib.SMTP:
    if server.tls is Tls.IMPLICIT:
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(server.host, server.port, helo, timeout=seconds, context=context)
    return smtplib.SMTP(server.host, server.port, helo, timeout=seconds)


def _begin(smtp: smtplib.SMTP, server: SmtpServer) -> None:
    if server.tls is Tls.STARTTLS:
        smtp.starttls(context=ssl.create_default_context())
    if server.user:
        smtp.login(server.user, server.password)


@contextmanager
def _cut_off(smtp: smtplib.SMTP, seconds: float) -> Iterator[None]:
    """Close the connection after so many seconds: the library bounds each pause of the server, not their number."""

    def cut() -> None:
        if smtp.sock:
            with suppress(OSError):
                smtp.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OSError, smtplib.SMTPException) as error:
        raise MailUnreachable(_cause(error)) from error


def _send(smtp: smtplib.SMTP, message: EmailMessage) -> None:
    with _translated():
        try:
            smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            [(code, _)] = error.recipients.values()
            raise MailRefused(f"recipient, {code}", is_final=code >= 500) from error
        except smtplib.SMTPDataError as error:
            raise MailRefused(f"content, {error.smtp_code}", is_final=error.smtp_code >= 500) from error
        except smtplib.SMTPNotSupportedError as error:
            raise MailRefused("the server takes ASCII addresses only", is_final=True) from error


def _cause(error: Exception) -> str:
    """The kind of a failure, without the server's words: they may have an address in them."""
    code = getattr(error, "smtp_code", None) or getattr(error, "errno", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


def _write(folder: Path, message: EmailMessage) -> None:
    """Write a mail as a file that only its owner may read; sent twice, it replaces itself."""
    name = str(message["Message-ID"]).strip("<>").partition("@")[0]
    part = folder / f".{name}.part"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            part.unlink()
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(message.as_bytes())
        part.replace(folder / f"{name}.eml")
    except OSError as error:
        raise MailUnreachable(_cause(error)) from error
