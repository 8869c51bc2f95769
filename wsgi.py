"""The entry point of gunicorn and of `flask --app wsgi`."""

from app.shared_counters import leave_to_gunicorn

leave_to_gunicorn()  # before the counters are made, which importing the application does

from app.config import Config  # noqa: E402
from app.factory import create_app  # noqa: E402

app = create_app(Config.or_exit())
