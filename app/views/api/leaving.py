"""`/api/v1/account`: taking everything along, and closing the account."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Response

from app.domain import errors
from app.schemas.inputs import CloseInput
from app.services import closing
from app.views.api.blueprint import JsonBlueprint, current_user
from app.views.http import archive_of, begin_login
from app.views.limits import reads_statement
from app.views.proofs import factor_rules, take_evidence

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

blueprint = JsonBlueprint("Leaving", __name__, url_prefix="/account", description="Taking everything along, closing")


def done_if_closed(view: ViewT) -> ViewT:
    """Answer as the first time to one who has closed the account with the same credential."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return view(*args, **kwargs)
        except errors.ClosedSince:
            return "", 204

    return wrapper  # type: ignore[return-value]


@blueprint.get("/export")
@blueprint.authenticated
@blueprint.refuses(errors.TooManyRequests)
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="application/zip")
@reads_statement
def export() -> Response:
    """Everything that is stored of the account, as a ZIP archive. Its README.txt explains each file and column."""
    return archive_of(current_user())


@blueprint.post("/close")
@done_if_closed
@blueprint.authenticated
@blueprint.arguments(CloseInput)
@blueprint.refuses(
    errors.NotSupported, errors.AccountNotEmpty, errors.StillAdmin, errors.ProofRequired, errors.TooManyGuesses
)
@blueprint.response(204)
def close(data: dict[str, Any]) -> None:
    """Close the account for good, once it is empty. It ends every session and token, this one too.

    Name, e-mail address, phone and date of birth are removed. The records of cash and trades stay, with the username.
    """
    closing.close_account(begin_login(current_user().username), take_evidence(data), factor_rules())
