"""The entry point of gunicorn and of `flask --app wsgi`."""

import gc

from app.shared_counters import leave_to_gunicorn

leave_to_gunicorn()  # before the counters are made, which importing the application does

# All that is made here stays as long as the process. Looking for garbage among it would take a tenth of the start, and
# later make each worker copy what it shares with its parent.
gc.disable()

from app.config import Config  # noqa: E402
from app.factory import create_app  # noqa: E402

app = create_app(Config.or_exit())

gc.freeze()
gc.enable()
