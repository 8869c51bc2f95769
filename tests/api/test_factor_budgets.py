"""What second factors cost, in DynamoDB calls and capacity units: with all recovery codes, and no, one or ten passkeys.

Each use writes the item of the second factor, in which the passkeys lie. A batch takes twice the units.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain import clock
from app.domain.passkeys import MOST_PASSKEYS
from app.domain.second_factor import hash_recovery_code
from app.mail import MailSettings
from app.models.factors import SecondFactor
from app.models.users import User
from tests.support.applications import make_app
from tests.support.authenticator import enrol, steps_later
from tests.support.passkeys import Authenticator
from tests.support.people import PASSWORD, caller
from tests.support.usage import usage, usage_of

FACTOR = "/auth/second-factor"
LOG_IN, PROOF = usage(5, 8, 2), usage(4, 8, 1)
NUMBERS = (0, 1, MOST_PASSKEYS)


class Owner:
    """Somebody with a second factor and passkeys, who logs in from devices that have not logged in before."""

    def __init__(self, app, person, passkeys):
        self.app, self.person, self.key = app, person, Authenticator()
        self.phone = enrol(person)
        self.code = self.phone.recovery_codes[0]
        if passkeys:
            assert self.add(self.key).status_code == 201
        self.is_full = passkeys == MOST_PASSKEYS
        self.kept = self.stored()
        if passkeys:
            added = self.kept.keys[0]
            self.kept.passkeys = [added, *(replace(added, credential_id=f"{n}" * 43) for n in range(1, passkeys))]

    def stored(self):
        with self.app.app_context():
            return SecondFactor.get(*SecondFactor.key(self.person.username))

    def refill(self, **changed):
        """Give all recovery codes back, and the passkeys that there were."""
        hashes = " ".join(hash_recovery_code(code) for code in self.phone.recovery_codes)
        values = {"recovery_hashes": hashes, "passkeys": self.kept.passkeys, "falls_at": None, **changed}
        with self.app.app_context():
            self.stored().update([getattr(SecondFactor, name).set(value) for name, value in values.items()])

    def log_in(self, path="login", **more):
        body = {"username": self.person.username, "password": PASSWORD, **more}
        return caller(self.app).post(f"/api/v1/auth/{path}", json=body)

    def send(self, path, **sent):
        return self.person.post(path, {"current_password": PASSWORD, "code": self.code, **sent})

    def add(self, key):
        begun = self.person.get(f"{FACTOR}/passkeys/new").json["public_key"]
        return self.send(f"{FACTOR}/passkeys", name="a phone", credential=key.create(begun))

    def add_last(self):
        """The tenth, where there are ten."""
        if self.is_full:
            self.refill(passkeys=self.kept.passkeys[:-1])
        return self.add(Authenticator())

    def use_passkey(self):
        return self.log_in(code=self.key.get(self.log_in("login/passkey").json["public_key"]))

    def prove_by_passkey(self):
        asked = self.person.get(f"{FACTOR}/passkeys/challenge").json["public_key"]
        return self.send("/auth/proof", code=self.key.get(asked))

    def remove_passkey(self):
        return self.send(f"{FACTOR}/passkeys/{self.kept.keys[-1].passkey_id}/remove")

    def keep(self):
        self.refill(falls_at=clock.now() + timedelta(hours=1))
        return self.person.delete(f"{FACTOR}/reset")


# What is done; its calls and read units; its write units with no, one and ten passkeys.
USES = {
    "a code of the app, log-in": (lambda it: it.log_in(code=it.phone.show()), LOG_IN + usage(2, 1, 0), (1, 2, 4)),
    "a recovery code, log-in": (lambda it: it.log_in(code=it.code), LOG_IN + usage(2, 1, 0), (4, 6, 10)),
    "a passkey, log-in": (Owner.use_passkey, LOG_IN + usage(2, 1, 0), (None, 2, 4)),
    "no code": (lambda it: it.log_in(), usage(3, 8, 0), (0, 0, 0)),
    "a wrong code": (lambda it: it.log_in(code="x"), usage(7, 8, 3), (1, 2, 4)),
    "asking for a passkey, log-in": (lambda it: it.log_in("login/passkey"), usage(3, 8, 0), (None, 0, 0)),
    "a recovery code, proof": (lambda it: it.send("/auth/proof"), PROOF + usage(2, 1, 0), (4, 6, 10)),
    "a passkey, proof": (Owner.prove_by_passkey, PROOF + usage(2, 1, 0), (None, 2, 4)),
    "asking for a passkey, proof": (
        lambda it: it.person.get(f"{FACTOR}/passkeys/challenge"),
        usage(1, 3, 0),
        (None, 0, 0),
    ),
    # From here on with a proof by a recovery code.
    "add a passkey": (Owner.add_last, PROOF + usage(4, 2, 0), (4 + 6, 6 + 6, 10 + 10)),
    "remove a passkey": (Owner.remove_passkey, PROOF + usage(4, 2, 0), (None, 6 + 6, 10 + 10)),
    "new recovery codes": (
        lambda it: it.send(f"{FACTOR}/recovery-codes"),
        PROOF + usage(4, 2, 0),
        (4 + 4, 6 + 6, 10 + 10),
    ),
    "take a reset back": (Owner.keep, usage(4, 2, 1), (1, 2, 4)),
    # With a proof again, and last.
    "remove it": (lambda it: it.send(f"{FACTOR}/remove"), PROOF + usage(3, 1, 0), (4 + 8, 6 + 10, 10 + 14)),
}


@pytest.mark.parametrize("passkeys", NUMBERS)
def test_uses(app, new_user, subtests, passkeys):
    with clock.at(clock.now()):
        owner = Owner(app, new_user(), passkeys)
        with clock.at(steps_later(2)):
            for name, (use, used, writes) in USES.items():
                write_units = writes[NUMBERS.index(passkeys)]
                if write_units is None:
                    continue
                owner.refill()
                with subtests.test(name):
                    assert usage_of(use(owner)) == used + usage(0, 0, write_units)


def test_a_mail_is_two_units_more(endpoint, new_user):
    app = make_app(endpoint, mail=MailSettings(folder="nowhere", site="https://shop.example"))
    person = new_user(app)
    with app.app_context():
        User(*User.key(person.username)).update([User.email_unconfirmed_since.remove()])
    owner = Owner(app, person, 0)
    assert usage_of(owner.log_in(code=owner.phone.recovery_codes[1])) == LOG_IN + usage(2, 1, 4 + 2)
