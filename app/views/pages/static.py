"""Stylesheets, scripts and the icon: served by WhiteNoise, and cached by browsers as immutable.

`static_url` puts a hash of the content into the address, so that a changed file has another address.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from wsgiref.headers import Headers

from flask import Flask
from whitenoise import WhiteNoise
from whitenoise.responders import Response, StaticFile

from app.views.http import SECURITY_HEADERS


def init_app(app: Flask) -> None:
    folder = Path(app.root_path, "static")
    files = [path for path in folder.rglob("*") if path.is_file()]
    addresses = {path.relative_to(folder).as_posix(): _address(folder, path) for path in files}
    app.jinja_env.globals["static_url"] = addresses.__getitem__
    app.wsgi_app = _CompressedFiles(  # type: ignore[method-assign]
        app.wsgi_app,
        root=folder,
        prefix="static/",
        allow_all_origins=False,
        immutable_file_test=lambda path, url: True,
        add_headers_function=_add_security_headers,
    )


class _CompressedFiles(WhiteNoise):  # type: ignore[misc]
    """Compresses in memory the files that have no compressed file beside them."""

    def get_static_file(self, path: str, url: str, stat_cache: Any = None) -> StaticFile:
        file = super().get_static_file(path, url, stat_cache)
        return file if len(file.alternatives) > 1 else _CompressedFile(path, file)


class _CompressedFile:
    """A static file with a compressed copy in memory."""

    def __init__(self, path: str, file: StaticFile) -> None:
        self._file, self._compressed = file, _compress(path)

    def get_response(self, method: str, environ: dict[str, str]) -> Response:
        response = self._file.get_response(method, environ)
        if response.status != HTTPStatus.OK:
            return response
        headers = [*response.headers, ("Vary", "Accept-Encoding")]
        if "gzip" not in environ.get("HTTP_ACCEPT_ENCODING", ""):
            return Response(response.status, headers, response.file)
        headers = [(name, value) for name, value in headers if name not in {"Content-Length", "Accept-Ranges"}]
        headers += [("Content-Encoding", "gzip"), ("Content-Length", str(len(self._compressed)))]
        if response.file is None:
            return Response(response.status, headers, None)
        response.file.close()
        return Response(response.status, headers, io.BytesIO(self._compressed))


@cache
def _compress(path: str) -> bytes:
    return gzip.compress(Path(path).read_bytes(), mtime=0)


def _address(folder: Path, path: Path) -> str:
    content_hash = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return f"/static/{path.relative_to(folder).as_posix()}?v={content_hash}"


def _add_security_headers(headers: Headers, path: str, url: str) -> None:
    # These answers bypass Flask, which adds the headers to all others.
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
