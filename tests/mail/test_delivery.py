"""How a mail leaves: over TLS that is verified, to servers that refuse, hang or break off, and as a file."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.domain import clock
from app.domain.mails import MailKind, write_mail
from app.mail import MailSettings, SmtpServer, Tls
from app.mail.delivery import MailRefused, MailUnreachable, compose, opened
from tests.support.mail import SENDER, SITE, mail_server, make_certificate, read_files
from tests.support.people import NOON

VALUES = {"username": "ann", "token": "ann.secret", "time": "now", "new_address": "new@example.com"}


def settings(port: int, **more: object) -> MailSettings:
    server = SmtpServer(**{"host": "127.0.0.1", "port": port, "tls": Tls.NONE, **more})
    return MailSettings(server=server, sender=SENDER, site=SITE)


def message(way: MailSettings, to: str = "ann@example.com", mail_id: str = "0" * 16):
    subject, text = write_mail(MailKind.RESET_PASSWORD, VALUES, site=SITE)
    return compose(way, mail_id=mail_id, to=to, subject=subject, text=text, written_at=NOON)


def send(way: MailSettings, *to: str, **bounds: float) -> None:
    with opened(way, **bounds) as deliver:
        for each in to or ("ann@example.com",):
            deliver(message(way, each))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    return {host: make_certificate(folder, host) for host in ("127.0.0.1", "other.example")}


@pytest.fixture
def trusted(certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Both certificates are trusted, each for its own host."""
    both = certificates["127.0.0.1"].with_name("both.pem")
    both.write_text("".join(path.read_text() for path in certificates.values()))
    monkeypatch.setenv("SSL_CERT_FILE", str(both))
    return certificates


def test_the_mail(trusted) -> None:
    with mail_server(certificate=trusted["127.0.0.1"]) as server:
        send(settings(server.port, tls=Tls.STARTTLS))
    [mail] = server.taken
    assert mail["Subject"] == "Order Processor: Choose a new password"
    assert (mail["To"], mail["From"]) == ("ann@example.com", f"Order Processor <{SENDER}>")
    assert mail["Message-ID"] == f"<{'0' * 16}@shop.example>" and mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == NOON
    assert mail.get_content_type() == "text/plain" and f"{SITE}/reset-password?token=ann.secret" in mail.get_content()
    assert server.recipients == ["ann@example.com"] and server.encrypted == [True]


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
@pytest.mark.parametrize(("host", "is_trusted"), [("127.0.0.1", True), ("127.0.0.1", False), ("other.example", True)])
def test_a_certificate_must_be_trusted_and_for_this_host(certificates, host, is_trusted, tls, request, recwarn) -> None:
    if is_trusted:
        request.getfixturevalue("trusted")
    with mail_server(certificate=certificates[host], implicit=tls is Tls.IMPLICIT) as server:
        way = settings(server.port, tls=tls, user="orders", password="right")
        if is_trusted and host == "127.0.0.1":
            send(way)
        else:
            with pytest.raises(MailUnreachable, match="SSLCertVerificationError"):
                send(way)
    is_right = is_trusted and host == "127.0.0.1"
    assert len(server.taken) == is_right and server.logins == [("orders", "right")] * is_right


def test_a_server_without_tls_gets_nothing_where_tls_is_required() -> None:
    with mail_server() as server, pytest.raises(MailUnreachable, match="SMTPNotSupportedError"):
        send(settings(server.port, tls=Tls.STARTTLS, user="orders", password="right"))
    assert not server.taken and not server.logins


def test_a_wrong_password_is_not_the_fault_of_a_mail(trusted) -> None:
    wrong = pytest.raises(MailUnreachable, match="SMTPAuthenticationError 535")
    with mail_server(certificate=trusted["127.0.0.1"]) as server, wrong as error:
        send(settings(server.port, tls=Tls.STARTTLS, user="orders", password="wrong"))
    assert "wrong" not in str(error.value) and not server.taken


REFUSALS = {
    "recipient, for now": ({"a@example.com": "450 try later"}, [], False),
    "recipient, for good": ({"a@example.com": "550 no such a@example.com"}, [], True),
    "content, for now": ({}, ["451 greylisted"], False),
    "content, for good": ({}, ["554 spam"], True),
}


@pytest.mark.parametrize(("recipients", "answers", "is_final"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_mail_that_is_refused_does_not_stop_the_others(recipients, answers, is_final) -> None:
    with mail_server() as server:
        server.refused_recipients, server.answers = recipients, answers
        way = settings(server.port)
        with opened(way) as deliver:
            with pytest.raises(MailRefused) as refused:
                deliver(message(way, "a@example.com"))
            deliver(message(way, "b@example.com"))
    assert refused.value.is_final is is_final and "example.com" not in str(refused.value)
    assert server.recipients == ["b@example.com"]


def test_nobody_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with pytest.raises(MailUnreachable, match="ConnectionRefusedError"):
        send(settings(port))


GREETING = b"220 here\r\n"


@dataclass
class OddServer:
    """Says something odd to each client, perhaps drips, and then nothing until it is ended."""

    says: bytes
    drips: int = 0
    port: int = 0
    dripped: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with closing(connection), suppress(OSError):
            connection.sendall(self.says)
            while self.dripped < self.drips and not self.ended.wait(0.02):
                connection.sendall(b"x")
                self.dripped += 1
            self.ended.wait()


@contextmanager
def odd_server(says: bytes, *, drips: int = 0) -> Iterator[OddServer]:
    server = OddServer(says, drips)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server.port = listener.getsockname()[1]
        thread = threading.Thread(target=server.serve, args=[listener], daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            thread.join()


@pytest.mark.parametrize("says", [b"", GREETING, b"421 not now\r\n", b"\0\xff\r\n"], ids=["", "greets", "421", "noise"])
def test_a_server_that_hangs_is_given_up(says: bytes) -> None:
    with odd_server(says) as server, pytest.raises(MailUnreachable):
        send(settings(server.port), seconds=0.1)


def test_a_server_that_drips_is_given_up_in_the_end() -> None:
    """Each byte comes in time, but the answer does not end."""
    with odd_server(GREETING + b"250-", drips=500) as server:
        with pytest.raises(MailUnreachable):
            send(settings(server.port), seconds=3, whole_seconds=0.2)
        assert server.dripped < 500


@pytest.mark.parametrize(
    "to",
    [
        "ann@example.com\r\nBcc: eve@example.com",
        "ann@example.com\nBcc: eve@example.com",
        "ann@example.com, eve@example.com",
        "Ann <ann@example.com>",
        "ann@example.com\0",
        "ann",
        "",
    ],
)
def test_an_address_that_is_none_is_refused_before_it_is_sent(to: str) -> None:
    with pytest.raises(ValueError):
        message(settings(1), to)


@pytest.mark.parametrize("header", ["subject", "mail_id"])
def test_a_line_break_makes_no_header(header: str) -> None:
    given = {"mail_id": "1", "to": "ann@example.com", "subject": "Hello", "text": "", "written_at": clock.now()}
    with pytest.raises(ValueError):
        compose(settings(1), **{**given, header: "Hello\r\nBcc: eve@example.com"}).as_bytes()


@pytest.mark.parametrize(
    ("to", "sent_to"), [("ann@bücher.example", "ann@xn--bcher-kva.example"), ('"a,b"@example.com', '"a,b"@example.com')]
)
def test_addresses_in_other_letters(to: str, sent_to: str) -> None:
    try:
        with mail_server() as server:
            send(settings(server.port), to)
    except ValueError:
        assert to.startswith('"')
    else:
        assert server.recipients == [sent_to]


def test_a_local_part_in_other_letters_needs_a_server_that_takes_it() -> None:
    with mail_server(enable_SMTPUTF8=True) as server:
        send(settings(server.port), "jürgen@example.com")
    assert server.recipients == ["jürgen@example.com"]
    with mail_server(enable_SMTPUTF8=False) as server, pytest.raises(MailRefused) as refused:
        send(settings(server.port), "jürgen@example.com")
    assert refused.value.is_final


def test_a_folder(tmp_path: Path) -> None:
    way = MailSettings(folder=str(tmp_path / "a" / "mail"), site=SITE)
    send(way, "ann@example.com", "ann@example.com", "jürgen@example.com")
    [mail] = read_files(tmp_path / "a" / "mail")
    assert mail["To"] == "jürgen@example.com", "the same mail replaces itself"
    assert mail["From"] == "Order Processor <order-processor@localhost>"
    [file] = (tmp_path / "a" / "mail").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MailUnreachable, match="Error"):
        send(MailSettings(folder=str(tmp_path / "file"), site=SITE))
