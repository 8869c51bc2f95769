"""Stylesheets, scripts, icons and the manifest: read once, and answered without the application.

`static_url` puts a hash of the content into the address. Only where that hash is the one of what is sent may a browser
keep the file for good. While copies of two versions run, either may be asked for the files of the other.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, request
from werkzeug.wrappers import Request, Response

from app.views.request_log import is_for_metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FOREVER = "public, max-age=31536000, immutable"


# Of our own, because browsers are told not to guess and the system's types differ from one system to the next.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".py": "text/x-python; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}


class _Content:
    """What is sent, and the hash that names it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.hash = hashlib.sha256(data).hexdigest()[:12]


@dataclass(frozen=True)
class _File:
    """A file, and its compressed form if that is smaller."""

    content_type: str
    plain: _Content
    compressed: _Content | None


def init_app(app: Flask) -> None:
    files = _read_files(Path(app.root_path, "static"))
    addresses = {address: f"{address}?v={file.plain.hash}" for address, file in files.items()}
    app.jinja_env.globals["static_url"] = lambda name: request.script_root + addresses[f"/static/{name}"]
    app.wsgi_app = _with_files(app, app.wsgi_app, files)  # type: ignore[assignment]


def _with_files(app: Flask, others: WSGIApplication, files: Mapping[str, _File]) -> WSGIApplication:
    """Answer requests for these files, by their paths; hand on all others."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        file = files.get(environ.get("PATH_INFO", ""))
        if file is None or is_for_metrics(app, environ):
            return others(environ, start_response)
        return _answer(file, Request(environ))(environ, start_response)

    return answer


def _answer(file: _File, asked: Request) -> Response:
    if asked.method not in {"GET", "HEAD"}:
        response = Response(status=405)
        response.allow.update(["GET", "HEAD"])
        return response
    takes_gzip = asked.accept_encodings.quality("gzip") > 0
    content = file.compressed if file.compressed and takes_gzip else file.plain
    response = Response(content.data, content_type=file.content_type)
    response.headers["Cache-Control"] = FOREVER if asked.args.get("v") == file.plain.hash else "no-cache"
    if file.compressed:
        response.vary.add("Accept-Encoding")
    if content is file.compressed:
        response.content_encoding = "gzip"
    response.set_etag(content.hash)
    return response.make_conditional(asked)


@cache
def _read_files(folder: Path) -> dict[str, _File]:
    """All files by their addresses. What stands beside a file with `.gz` after its name is its compressed form."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".gz"]
    return {f"/static/{path.relative_to(folder).as_posix()}": _read_file(path) for path in paths}


def _read_file(path: Path) -> _File:
    content, beside = path.read_bytes(), path.with_name(f"{path.name}.gz")
    compressed = beside.read_bytes() if beside.is_file() else gzip.compress(content, mtime=0)
    is_smaller = len(compressed) < len(content)
    return _File(TYPES[path.suffix], _Content(content), _Content(compressed) if is_smaller else None)
