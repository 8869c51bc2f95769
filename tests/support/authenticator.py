"""An authenticator app: it has the seed, and shows a new code with each step."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.domain import clock
from app.domain.second_factor import STEP_SECONDS, code_at, step_at
from tests.support.people import PASSWORD, Person


@dataclass
class App:
    """It shows the code of a moment. A test holds the clock still from showing one until it is looked at."""

    secret: str
    recovery_codes: list[str] = field(default_factory=list)

    def show(self, moment: datetime | None = None) -> str:
        """The code at a moment, by default now."""
        return code_at(base64.b32decode(self.secret), step_at(moment or clock.now()))


def steps_later(number: int) -> datetime:
    """The moment some steps from now."""
    return clock.now() + timedelta(seconds=STEP_SECONDS * number)


def enrol(person: Person) -> App:
    """Give a person a second factor, and the app with it. Its code of this step is used."""
    begun = person.post("/auth/second-factor").json
    app = App(begun["secret"])
    with clock.at(clock.now()):
        sent = {"setup": begun["setup"], "code": app.show(), "current_password": PASSWORD}
        done = person.post("/auth/second-factor/confirm", sent)
    assert done.status_code == 201, done.text
    app.recovery_codes = done.json["recovery_codes"]
    return app
