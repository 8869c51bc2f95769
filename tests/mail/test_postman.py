"""The outbox: a mail exists exactly when its change does, is sent once, tried again, and dropped in the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest

from app.domain import clock
from app.domain.errors import StoreUnavailable
from app.domain.mails import MAIL_LIFETIME, RESET_LIFETIME, MailKind
from app.mail import MailSettings, SmtpServer, Tls
from app.models.batch import Batch, Cancelled
from app.models.outbox import FIRST_WAIT, LONGEST_WAIT, queue_mail
from app.models.users import EmailClaim
from app.services.postman import FIRST_PAUSE, LONGEST_PAUSE, Delivery, Postman
from tests.support.applications import make_app, tables_named
from tests.support.books import query
from tests.support.faults import drop
from tests.support.mail import SENDER, SITE, deliver_all, mail_server, queued
from tests.support.people import PASSWORD, caller, register, registration
from tests.support.usage import metered

TABLES = tables_named("outbox")
TO = "ann@example.com"


@pytest.fixture(scope="module")
def outbox_app(endpoint):
    return make_app(endpoint, **TABLES, mail=MailSettings(folder="/nonexistent", sender=SENDER, site=SITE))


@pytest.fixture(autouse=True)
def _empty_outbox(outbox_app):
    yield
    with outbox_app.app_context():
        for mail in queued(outbox_app):
            mail.delete()


def way_to(port: int) -> MailSettings:
    server = SmtpServer(host="127.0.0.1", port=port, tls=Tls.NONE)
    return MailSettings(server=server, sender=SENDER, site=SITE)


def queue(outbox_app, kind=MailKind.PASSWORD_CHANGED, *, username="ann", lifetime=MAIL_LIFETIME, to=TO):
    with outbox_app.app_context():
        batch = Batch()
        queue_mail(batch, kind, username=username, to=to, values={"token": "ann.x"}, now=clock.now(), lifetime=lifetime)
        batch.commit()


@contextmanager
def postman_and_server(outbox_app):
    with mail_server() as server:
        yield Postman(way_to(server.port)), server


def test_a_mail_is_sent_once_and_forgotten(outbox_app):
    queue(outbox_app)
    with postman_and_server(outbox_app) as (postman, server):
        assert deliver_all(outbox_app, postman=postman) == Delivery(sent=1)
        assert deliver_all(outbox_app, postman=postman) == Delivery()
    assert [mail["To"] for mail in server.taken] == [TO] and not queued(outbox_app)


def test_a_change_that_is_refused_leaves_no_mail(outbox_app):
    with outbox_app.app_context():
        EmailClaim(*EmailClaim.key("taken"), username="ann").save()
        batch = Batch()
        batch.put("email", EmailClaim(*EmailClaim.key("taken"), username="ben"))
        queue_mail(batch, MailKind.PASSWORD_CHANGED, username="ben", to=TO, values={}, now=clock.now())
        with pytest.raises(Cancelled):
            batch.commit()
    assert not queued(outbox_app)


def test_what_it_costs(outbox_app):
    for _ in range(3):
        queue(outbox_app)
    with postman_and_server(outbox_app) as (postman, _), outbox_app.app_context():
        looks = []
        for _ in range(4):
            with metered() as used:
                postman.deliver()
            looks.append((used.operations, used.read_units))
    idle = (["Query"], 0.5)
    assert sorted(looks, key=lambda each: len(each[0]))[:3] == [idle] * 3
    assert max(looks, key=lambda each: len(each[0]))[0] == ["Query", *["UpdateItem", "DeleteItem"] * 3]


def test_nothing_is_asked_where_mail_is_off(outbox_app):
    with outbox_app.app_context(), metered() as used:
        assert Postman(MailSettings()).deliver() == Delivery()
    assert used.calls == 0


def test_two_workers_send_each_mail_once(outbox_app):
    for number in range(12):
        queue(outbox_app, username=f"ann_{number}", to=f"ann{number}@example.com")
    with mail_server() as server, ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            workers = [Postman(way_to(server.port)) for _ in range(2)]
            list(pool.map(lambda postman: deliver_all(outbox_app, postman=postman), workers))
    assert sorted(server.recipients) == sorted(f"ann{number}@example.com" for number in range(12))


def test_a_worker_that_fails_after_sending_leaves_it_to_be_sent_again(outbox_app, faults):
    """At least once: the second mail has the id of the first."""
    queue(outbox_app)
    now = clock.now()
    faulty = make_app(faults.endpoint, **TABLES)
    with postman_and_server(outbox_app) as (postman, server):
        faults.heal()
        faults.inject("DeleteItem", drop, drop, drop)
        with pytest.raises(StoreUnavailable):
            deliver_all(faulty, postman=postman)
        assert len(server.taken) == 1
        with clock.at(now + FIRST_WAIT / 2):
            assert deliver_all(outbox_app, way_to(server.port)) == Delivery(), "another worker may still be sending it"
        with clock.at(now + FIRST_WAIT + timedelta(seconds=10)):
            assert deliver_all(outbox_app, way_to(server.port)) == Delivery(sent=1)
    first, second = server.taken
    assert first["Message-ID"] == second["Message-ID"] and not queued(outbox_app)


def test_a_refused_mail_is_tried_again_and_later_each_time(outbox_app):
    queue(outbox_app)
    now = clock.now()
    waits = []
    with postman_and_server(outbox_app) as (postman, server):
        server.answers = ["451 try later"] * 7
        for _ in range(7):
            with clock.at(now):
                assert deliver_all(outbox_app, postman=postman) == Delivery(refused=1)
                assert deliver_all(outbox_app, postman=postman) == Delivery(), "not before its time"
            [mail] = queued(outbox_app)
            waits.append(mail.next_attempt_at - now)
            now = mail.next_attempt_at
        with clock.at(now):
            assert deliver_all(outbox_app, postman=postman) == Delivery(sent=1)
    assert waits == [min(FIRST_WAIT * 2**n, LONGEST_WAIT) for n in range(7)]
    assert len(server.taken) == 1 and not queued(outbox_app)


@pytest.mark.parametrize("lifetime", [MAIL_LIFETIME, RESET_LIFETIME], ids=["a notice", "a link"])
def test_a_mail_that_cannot_be_sent_in_time_is_dropped_and_said_so(outbox_app, lifetime, capsys):
    now = clock.now()
    with clock.at(now):
        queue(outbox_app, lifetime=lifetime)
    with postman_and_server(outbox_app) as (postman, server), clock.at(now + lifetime):
        assert deliver_all(outbox_app, postman=postman) == Delivery(dropped=1)
    line = capsys.readouterr().err
    assert "mail dropped" in line and '"subject":"ann"' in line and TO not in line
    assert not server.taken and not queued(outbox_app)


def test_a_mail_that_is_refused_for_good_is_dropped(outbox_app, capsys):
    queue(outbox_app)
    with postman_and_server(outbox_app) as (postman, server):
        server.refused_recipients = {TO: f"550 no {TO}"}
        assert deliver_all(outbox_app, postman=postman) == Delivery(dropped=1)
    assert "recipient, 550" in (line := capsys.readouterr().err) and TO not in line
    assert not queued(outbox_app)


def test_a_kind_of_another_version_keeps_no_other_mail_waiting(outbox_app, capsys):
    with outbox_app.app_context():
        queue(outbox_app)
        [mail] = queued(outbox_app)
        mail.kind = "of_another_version"
        mail.save()
    queue(outbox_app)
    with postman_and_server(outbox_app) as (postman, server):
        assert deliver_all(outbox_app, postman=postman) == Delivery(sent=1, refused=1)
    assert len(server.taken) == 1 and len(queued(outbox_app)) == 1 and TO not in capsys.readouterr().err


def test_many_that_are_refused_keep_no_other_mail_waiting(outbox_app):
    for number in range(25):
        queue(outbox_app, to=f"bad{number}@example.com")
    queue(outbox_app, to="good@example.com")
    with postman_and_server(outbox_app) as (postman, server):
        server.refused_recipients = {f"bad{number}@example.com": "450 later" for number in range(25)}
        for _ in range(3):
            deliver_all(outbox_app, postman=postman)
    assert server.recipients == ["good@example.com"]


def test_a_server_that_is_not_reached_is_left_alone_for_a_while(outbox_app):
    """And no mail loses an attempt."""
    queue(outbox_app)
    now = clock.now()
    with mail_server() as server:
        postman = Postman(way_to(server.port))
    pause, pauses = FIRST_PAUSE, 0
    with outbox_app.app_context():
        for _ in range(8):
            with clock.at(now):
                deliver_all(outbox_app, postman=postman)
                with metered() as used:
                    postman.deliver()
                assert used.calls == 0
            now += pause
            pause, pauses = min(pause * 2, LONGEST_PAUSE), pauses + 1
            with clock.at(now - timedelta(seconds=1)), metered() as used:
                postman.deliver()
            assert used.calls == 0
    [mail] = queued(outbox_app)
    assert mail.attempts == 0
    with mail_server(port=server.port), clock.at(now):
        assert deliver_all(outbox_app, postman=postman) == Delivery(sent=1)


def test_a_decoy_is_not_sent(outbox_app):
    queue(outbox_app, MailKind.DECOY)
    with postman_and_server(outbox_app) as (postman, server):
        assert deliver_all(outbox_app, postman=postman) == Delivery()
    assert not server.taken and not queued(outbox_app)


def test_nothing_is_queued_where_mail_is_off(endpoint):
    app = make_app(endpoint, **TABLES)
    assert caller(app).post("/api/v1/auth/register", json=registration()).status_code == 201
    person = register(app)
    assert (
        person.call(
            "PUT", "/auth/profile", json={"email": f"x{person.email}", "current_password": PASSWORD}
        ).status_code
        == 200
    )
    change = {"current_password": PASSWORD, "new_password": "nine yellow saucers"}
    assert person.post("/auth/password", change).status_code == 204
    assert not queued(app)


def test_a_mail_is_not_the_address_of_a_user(outbox_app, store):
    """An attribute `email` would put it into EmailIndex."""
    queue(outbox_app)
    assert not query(store, TABLES["users"], "email", TO, index="EmailIndex")
