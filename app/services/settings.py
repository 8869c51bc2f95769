"""What people set of the services. Each application has its own settings, also where two run in one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from app.domain.limits import Limits


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """The settings of one application."""

    limits: Limits
    # The work factor of each new hash of a password: 2 ** `bcrypt_rounds` steps.
    bcrypt_rounds: int
    # The service that knows breached passwords; None asks nobody.
    breached_passwords_url: str | None
    # How long a browser session lasts: unused, and in all.
    session_idle: timedelta
    session_lifetime: timedelta

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make these the settings of the current context."""
        before = _active.set(self)
        try:
            yield
        finally:
            _active.reset(before)


_active: ContextVar[ServiceSettings] = ContextVar("service_settings")


def settings() -> ServiceSettings:
    """Those of the application whose request or command runs. Raises LookupError outside of one."""
    return _active.get()
