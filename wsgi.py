"""The entry point of gunicorn and of `flask --app wsgi`."""

import gc

from app.shared_counters import leave_to_gunicorn

leave_to_gunicorn()  # before the counters are made, which importing the application does

# All that is made here stays as long as the process. Looking for garbage among it would take a tenth of the start, and
# later make each worker copy what it shares with its parent.
gc.disable()

import click  # noqa: E402

from app.config import Config  # noqa: E402
from app.factory import create_app  # noqa: E402

settings = Config.or_exit()
# gunicorn looks at its addresses itself (gunicorn.conf.py). `flask run` is told its own, which BIND does not say.
command = click.get_current_context(silent=True)
if command and (host := command.params.get("host")):
    from app.server import check_addresses  # of gunicorn, which no command needs

    port = command.params["port"]
    check_addresses(settings, [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"])
app = create_app(settings)

gc.freeze()
gc.enable()
