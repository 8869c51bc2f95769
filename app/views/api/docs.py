"""The documentation of the API: its OpenAPI file, the page that shows it, and the page that explains the errors."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, current_app, render_template

from app.views.api.blueprint import JsonApi
from app.views.api.problems import BEFORE_THE_APPLICATION, list_problems

blueprint = Blueprint("api_docs", __name__)


def init_app(app: Flask, api: JsonApi) -> None:
    """After everything else of the API is registered, as the file is written here, once."""
    app.extensions["openapi"] = app.json.dumps(api.spec.to_dict())
    app.register_blueprint(blueprint)


@blueprint.get("/api/v1/openapi.json")
def openapi_json() -> Response:
    return Response(current_app.extensions["openapi"], content_type="application/json")


@blueprint.get("/api/docs")
def show() -> str:
    return render_template("api_docs.html")


@blueprint.get("/api/docs/errors")
def show_errors() -> str:
    """Where the `type` of an error leads."""
    return render_template("api_errors.html", problems=list_problems(), before=BEFORE_THE_APPLICATION)
