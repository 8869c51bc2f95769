"""Logs on standard error: one JSON object a line, or lines for people if it is a terminal.

Loggers of structlog write their lines themselves, because each request has one; the standard library's, those of other
libraries too, go through the handler of `configure`. Both write the same. docs/operations.md lists the fields. No body,
query string, header or cookie of a client is logged. Libraries stay at WARNING at every level, because botocore logs
whole requests at DEBUG.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from typing import Any, TextIO

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

# What every line has; `request_id` comes from the current request, if there is one.
COMMON: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
]


_LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()} | {"exception": logging.ERROR}
# One list: a logger that has been used keeps it.
_processors: list[Processor] = []


class _Lines:
    """Writes finished lines to standard error; the standard library knows from which level on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_enabled_for = logging.getLogger(name).isEnabledFor

    def write(self, line: str) -> None:
        # As the logging module does: what cannot be logged must not fail what was done.
        with suppress(OSError, ValueError):
            # One write of the whole line: threads and processes do not mix theirs.
            sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = exception = write


def _wanted(lines: _Lines, method: str, event: EventDict) -> EventDict:
    if not lines.is_enabled_for(_LEVELS[method]):
        raise structlog.DropEvent
    return event


class _Handler(logging.StreamHandler[TextIO]):
    """Looks up standard error for each line, because tests and servers replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def configure(level: str) -> None:
    """Write all logs of this process here, the application's own from `level` (DEBUG, INFO, WARNING or ERROR) up."""
    shown = _shown(for_people=sys.stderr.isatty())
    _processors[:] = [_wanted, *COMMON, *shown]
    structlog.configure(
        processors=_processors,
        logger_factory=_Lines,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Handler()
    processors: list[Processor] = [ProcessorFormatter.remove_processors_meta, *shown]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=COMMON, processors=processors))
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _Handler)] + [handler]
    logging.getLogger("app").setLevel(level)
    _take_over_servers(level)


def _shown(*, for_people: bool) -> list[Processor]:
    """What makes a line of an event."""
    if for_people:
        # Plain: the coloured traceback shows local variables, which may be passwords.
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, _common_first, structlog.processors.JSONRenderer(_as_json)]


def _as_json(line: EventDict, **kwargs: Any) -> str:
    """One line in ASCII, whatever is in it."""
    with suppress(TypeError):  # half of a surrogate pair
        if (written := orjson.dumps(line, **kwargs)).isascii():
            return written.decode()
    return json.dumps(line, separators=(",", ":"), **kwargs)


def _common_first(_: object, __: str, line: EventDict) -> EventDict:
    return {name: line.pop(name) for name in ("timestamp", "level", "logger", "event")} | dict(line)


def _take_over_servers(level: str) -> None:
    """Remove the servers' own handlers, and what clients sent from their messages."""
    for name, accept in (("gunicorn.error", _without_request), ("werkzeug", _is_not_access_line)):
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
        server.setLevel(max(logging.INFO, logging.getLevelName(level)))
        if accept not in server.filters:
            server.addFilter(accept)


def _is_not_access_line(record: logging.LogRecord) -> bool:
    # Werkzeug's line for each request contains the query string; the application logs its own.
    return '"%s" %s %s' not in str(record.msg)


def _without_request(record: logging.LogRecord) -> bool:
    """gunicorn quotes requests that it cannot read, or that failed outside the application: keep only the cause.

    Drops the traceback for a client that did not read its answer (`app.server.PAUSE_SECONDS`).
    """
    if record.exc_info and isinstance(record.exc_info[1], BlockingIOError):
        return False
    message = str(record.msg)
    if message.startswith("Invalid request from"):
        cause = sys.exc_info()[0]
        record.msg, record.args = f"Invalid request: {cause.__name__ if cause else 'unknown'}", ()
    elif message.startswith("Error handling request"):
        record.msg, record.args = "Error handling request", ()
    return True
