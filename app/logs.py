"""Logs: one JSON object a line on standard error, or lines for people where that is a terminal.

Whatever is logged here, by a library too, goes one way: through `configure`'s handler. docs/operations.md lists the
fields. Nothing that a client sends in confidence is logged: no body, query string, header or cookie. Libraries stay
at WARNING, whatever the level: botocore logs whole requests at DEBUG.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

# What every line has; `request_id` comes from the request that is under way, if any.
COMMON: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
]


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to what is standard error at the moment, as tests and servers replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def configure(level: str) -> None:
    """Let all logs of this process be written here, ours from this level (of LEVELS) on."""
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
        # Plain: the coloured traceback shows local variables, passwords among them.
        shown = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return ProcessorFormatter(foreign_pre_chain=COMMON, processors=[ProcessorFormatter.remove_processors_meta, *shown])


def _common_first(_: object, __: str, line: EventDict) -> EventDict:
    return {name: line.pop(name) for name in ("timestamp", "level", "logger", "event")} | dict(line)


def _take_over_servers(level: str) -> None:
    """Take their own handlers from the servers, and from their messages what clients sent."""
    for name, conceal in (("gunicorn.error", _conceal_request), ("werkzeug", _is_no_access_line)):
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
        server.setLevel(max(logging.INFO, logging.getLevelName(level)))
        if conceal not in server.filters:
            server.addFilter(conceal)


def _is_no_access_line(record: logging.LogRecord) -> bool:
    # Werkzeug's line for each request has the query string in it; ours stands for it.
    return '"%s" %s %s' not in str(record.msg)


def _conceal_request(record: logging.LogRecord) -> bool:
    """gunicorn quotes a request that it cannot read, or that failed outside the application: keep the cause only."""
    message = str(record.msg)
    if message.startswith("Invalid request from"):
        cause = sys.exc_info()[0]
        record.msg, record.args = f"Invalid request: {cause.__name__ if cause else 'unknown'}", ()
    elif message.startswith("Error handling request"):
        record.msg, record.args = "Error handling request", ()
    return True
