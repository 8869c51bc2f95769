"""The entry point of gunicorn and of `flask --app wsgi`."""

from app.config import Config
from app.factory import create_app

app = create_app(Config.or_exit())
