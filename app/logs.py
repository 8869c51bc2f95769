"""Logs on standard error: one JSON object a line, or lines for people if it is a terminal.

All logs, also those of libraries, go through the handler of `configure`. docs/operations.md lists the fields. No body,
query string, header or cookie of a client is logged. Libraries stay at WARNING at every level, because botocore logs
whole requests at DEBUG.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

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


class _Handler(logging.StreamHandler[TextIO]):
    """Looks up standard error for each line, because tests and servers replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def configure(level: str) -> None:
    """Write all logs of this process here, the application's own from `level` (DEBUG, INFO, WARNING or ERROR) up."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *COMMON, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Handler()
    handler.setFormatter(_formatter(for_people=sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _Handler)] + [handler]
    logging.getLogger("app").setLevel(level)
    _take_over_servers(level)


def _formatter(*, for_people: bool) -> ProcessorFormatter:
    shown: list[Processor] = [structlog.processors.format_exc_info, _common_first, structlog.processors.JSONRenderer()]
    if for_people:
        # Plain: the coloured traceback shows local variables, which may be passwords.
        shown = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return ProcessorFormatter(foreign_pre_chain=COMMON, processors=[ProcessorFormatter.remove_processors_meta, *shown])


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
