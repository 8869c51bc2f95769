"""Mail in tests: a real SMTP server, with certificates of its own, and the mails of an application."""

from __future__ import annotations

import email
import ipaddress
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask

from app.domain import clock
from app.mail import MailSettings
from app.models.outbox import MAILS_OF_A_LOOK, SHARDS, QueuedMail, read_mails
from app.services.postman import Delivery, Postman

SITE = "https://orders.example"
SENDER = "orders@shop.example"


def make_certificate(folder: Path, host: str) -> Path:
    """A file with a key and a certificate for this host, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = clock.now()
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        subject = x509.DNSName(host)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{host}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass
class MailServer:
    """What a server was sent; `answers` are what it says to the next contents instead of taking them."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused_recipients: dict[str, str] = field(default_factory=dict)
    # Whether each mail came over an encrypted connection.
    encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused_recipients:
            return self.refused_recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.taken.append(email.message_from_bytes(envelope.content, policy=default))
        self.recipients += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: LoginPassword
    ) -> AuthResult:
        self.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=given.password == b"right", handled=False)


class _Controller(Controller):
    def _trigger_server(self) -> None:
        # It knocks at its port, which it does not know when it has asked for any.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(
    *, certificate: Path | None = None, implicit: bool = False, port: int = 0, **options: Any
) -> Iterator[MailServer]:
    """A mail server on loopback; encrypted by STARTTLS, or from the first byte, where it has a certificate."""
    server = MailServer()
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    if implicit:
        # The library does not know that such a connection is encrypted.
        options |= {"ssl_context": context, "auth_require_tls": False}
    elif context:
        options["tls_context"] = context
    controller = _Controller(
        server, hostname="127.0.0.1", port=port, ready_timeout=30, authenticator=server.authenticate, **options
    )
    controller.start()
    try:
        server.port = controller.port
        yield server
    finally:
        controller.stop()


def queued(app: Flask, username: str | None = None) -> list[QueuedMail]:
    """The mails in the outbox of an application, those to a user or all, oldest first."""
    mails: list[QueuedMail] = []
    with app.app_context():
        for shard in range(SHARDS):
            start = None
            while True:
                found, start = read_mails(shard, start)
                mails += found
                if start is None:
                    break
    return sorted((mail for mail in mails if username in {None, mail.username}), key=lambda mail: mail.created_at)


def token_to(app: Flask, username: str, kind: str) -> str:
    """The token of the last link of a kind that was queued for a user."""
    return [mail for mail in queued(app, username) if mail.kind == kind][-1].values["token"]


def deliver_all(app: Flask, settings: MailSettings | None = None, postman: Postman | None = None) -> Delivery:
    """Step through the whole outbox once, or some more."""
    postman = postman or Postman(settings or app.extensions["mail"])
    total = Delivery()
    steps = SHARDS * (1 + len(queued(app)) // MAILS_OF_A_LOOK)
    with app.app_context():
        for _ in range(steps):
            done = postman.deliver()
            total.sent += done.sent
            total.refused += done.refused
            total.dropped += done.dropped
    return total


def link_in(message: EmailMessage) -> str:
    """The one link with a token in a mail, without the address of the site."""
    [link] = re.findall(rf"{SITE}(/\S+token=\S+)", message.get_content())
    return link


def read_files(folder: Path) -> list[EmailMessage]:
    """The mails that were written into a folder."""
    return [email.message_from_bytes(file.read_bytes(), policy=default) for file in sorted(folder.glob("*.eml"))]
