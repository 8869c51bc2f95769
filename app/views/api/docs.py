"""The documentation of the API: its OpenAPI file, the page that shows it, and the errors as a page and a file."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, current_app, render_template, request

from app.views.api.blueprint import JsonApi
from app.views.errors import ALL, ERRORS

# Where the API is, unless a proxy adds a prefix.
SERVER = "/"
BEFORE_THE_APPLICATION = (
    "The web server refuses some requests before the application sees them: a malformed request line or header (400), "
    "a request line over 4094 bytes (414) and headers over 8190 bytes or more than 64 of them (431). These answers "
    "are short HTML pages without a code; fix the request."
)
MARKDOWN = """\
# Errors of the API

Every error under `/api` is `application/problem+json` (RFC 9457): `type` (the address of this explanation),
`title`, `status`, `detail` (a sentence for people), `code` (below, for programs), `request_id`, and for
invalid input `errors`: a list of `{{field, message}}`. Some codes add values; they are named in the table.

| code | status | cause | what to do |
|---|---|---|---|
{rows}

{before}
"""

blueprint = Blueprint("api_docs", __name__)


def init_app(app: Flask, api: JsonApi) -> None:
    """Show the documentation; everything else of the API must be registered already."""
    app.extensions["openapi"] = api.document
    app.register_blueprint(blueprint)


@blueprint.get("/api/v1/openapi.json")
def openapi_json() -> Response:
    document: str = current_app.extensions["openapi"]()
    if prefix := request.script_root:
        document = document.replace(f'"url":"{SERVER}"', f'"url":"{prefix}"')
        document = document.replace(f'"{ERRORS}', f'"{prefix}{ERRORS}')
    return Response(document, content_type="application/json")


@blueprint.get("/api/docs")
def show() -> str:
    return render_template("api_docs.html")


@blueprint.get(ERRORS)
def show_errors() -> str:
    """Where the `type` of an error leads."""
    return render_template("api_errors.html", errors=ALL, before=BEFORE_THE_APPLICATION)


def errors_as_markdown() -> str:
    """The text of `docs/errors.md`, which `make docs` writes."""
    rows = (f'| <a id="{each.code}"></a>`{each.code}` | {each.status} | {each.cause} | {each.remedy} |' for each in ALL)
    return MARKDOWN.format(rows="\n".join(rows), before=BEFORE_THE_APPLICATION)
