"""`/api/v1/auth`: registering, logging in and out, the profile, personal tokens."""

from __future__ import annotations

from typing import Any

from app.domain import errors
from app.domain.events import EventKind
from app.domain.users import READ
from app.models.events import record
from app.schemas.inputs import (
    EndSessionsInput,
    ForgottenInput,
    LinkInput,
    LoginInput,
    PageInput,
    PasswordInput,
    PasswordLoginInput,
    ProfileInput,
    ProvenInput,
    RegistrationInput,
    ResetInput,
    TokenInput,
)
from app.schemas.outputs import (
    EventListOutput,
    LoginOutput,
    MessageOutput,
    NewTokenOutput,
    PasskeyOptionsOutput,
    SessionListOutput,
    TokenListOutput,
    UserMessageOutput,
    UserOutput,
)
from app.services import auth, profile, recovery, tokens
from app.services.second_factor import login_options, pass_second_factor
from app.views.api.blueprint import JsonBlueprint, current_authentication, current_user
from app.views.devices import new_mark
from app.views.http import begin_login, network, origin
from app.views.paging import paged, read_page
from app.views.passkeys import passkey_site
from app.views.proofs import factor_rules, prove, prove_profile, require_fresh_proof, take_evidence

CONFIRM_FIRST = "The new e-mail address counts when it is confirmed: open the link in the mail to it"

blueprint = JsonBlueprint("Accounts", __name__, url_prefix="/auth", description="Registering, logging in, tokens")


@blueprint.post("/register")
@blueprint.arguments(RegistrationInput)
@blueprint.refuses(errors.UsernameTaken, errors.EmailTaken, errors.TooManyRequests)
@blueprint.response(201, UserMessageOutput)
def register(data: dict[str, Any]) -> dict[str, Any]:
    """Register a user, with an empty balance."""
    user = auth.register(auth.Registration(**data), address=network())
    return {"success": True, "message": "User registered successfully", "user": user}


@blueprint.post("/login")
@blueprint.arguments(LoginInput)
@blueprint.refuses(errors.InvalidCredentials, errors.AccountSuspended, errors.TooManyGuesses)
@blueprint.refuses(errors.CodeRequired, errors.InvalidCode)
@blueprint.response(200, LoginOutput)
def login(data: dict[str, Any]) -> dict[str, Any]:
    """Exchange username or e-mail and password for a bearer token of one hour.

    `device` is for the header `X-Device` of the next log-in: wrong passwords from elsewhere then do not count for it.
    An account with a second factor is answered `code_required` without `code`. That is a code of the app, a recovery
    code, or what a passkey signed.
    """
    attempt = begin_login(data["username"])
    user = auth.check_password(attempt, data["password"])
    pass_second_factor(user, data["code"], attempt, factor_rules())
    bearer = tokens.issue_login_token(user, origin()).bearer
    record(user.username, EventKind.LOG_IN)
    return {
        "success": True,
        "access_token": bearer,
        "token_type": "bearer",
        "expires_in": int(tokens.LOGIN_TOKEN_LIFETIME.total_seconds()),
        "device": new_mark(user),
        "user": user,
    }


@blueprint.post("/login/passkey")
@blueprint.arguments(PasswordLoginInput)
@blueprint.refuses(errors.InvalidCredentials, errors.AccountSuspended, errors.TooManyGuesses)
@blueprint.refuses(errors.NoPasskey, errors.PasskeysNeedName)
@blueprint.response(200, PasskeyOptionsOutput)
def begin_passkey_login(data: dict[str, Any]) -> dict[str, Any]:
    """What `navigator.credentials.get` takes; the text of the JSON that it makes is then the `code` of the log-in."""
    user = auth.check_password(begin_login(data["username"]), data["password"])
    return {"public_key": login_options(user, passkey_site())}


@blueprint.post("/logout")
@blueprint.authenticated
@blueprint.for_scope(READ)
@blueprint.response(200, MessageOutput)
def logout() -> dict[str, Any]:
    """Revoke the token that this request carries."""
    tokens.log_out(current_authentication().token)
    return {"message": "Logged out successfully"}


@blueprint.get("/profile")
@blueprint.authenticated
@blueprint.response(200, UserOutput)
def get_profile() -> Any:
    """The user of this token."""
    return current_user()


@blueprint.put("/profile")
@blueprint.authenticated
@blueprint.arguments(ProfileInput)
@blueprint.refuses(errors.EmailTaken, errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(200, UserMessageOutput)
def change_profile(data: dict[str, Any]) -> Any:
    """Change the fields that are given; null clears an optional one.

    Another e-mail address or phone number needs `current_password`. Where the service sends mail, the address counts
    when it is confirmed by the link that is mailed to it.
    """
    evidence = take_evidence(data)
    proved = prove_profile(current_authentication(), data, evidence)
    user = profile.update_profile(current_user(), data, proved=proved)
    waits = data.get("email", user.email) != user.email
    message = f"Profile updated successfully{'. ' + CONFIRM_FIRST if waits else ''}"
    return {"success": True, "message": message, "user": user}


@blueprint.post("/email/link")
@blueprint.authenticated
@blueprint.refuses(errors.MailOff, errors.TooManyRequests)
@blueprint.response(202, MessageOutput)
def send_link() -> dict[str, Any]:
    """Mail a new link to the e-mail address that waits to be confirmed, if one does."""
    recovery.send_confirmation(current_user())
    return {"message": "If an address waits to be confirmed, a mail with a new link is on its way to it."}


@blueprint.post("/email/confirm")
@blueprint.arguments(LinkInput)
@blueprint.refuses(errors.LinkInvalid, errors.EmailTaken)
@blueprint.response(204)
def confirm_email(data: dict[str, Any]) -> None:
    """Confirm an e-mail address with the token of a mailed link, which works once."""
    recovery.confirm_email(data["token"])


@blueprint.post("/password/forgot")
@blueprint.arguments(ForgottenInput)
@blueprint.refuses(errors.MailOff, errors.TooManyRequests)
@blueprint.response(202, MessageOutput)
def forget_password(data: dict[str, Any]) -> dict[str, Any]:
    """Mail a link for a new password. The answer is the same whether or not an account has the address."""
    recovery.ask_for_reset(data["email"], address=network())
    return {"message": "If an account has this address and it is confirmed, a mail with a link is on its way to it."}


@blueprint.post("/password/reset")
@blueprint.arguments(ResetInput)
@blueprint.refuses(errors.LinkInvalid)
@blueprint.response(204)
def reset_password(data: dict[str, Any]) -> None:
    """Set a new password with the token of a link, which works once. It ends every session and token."""
    recovery.reset_password(**data)


@blueprint.post("/proof")
@blueprint.authenticated
@blueprint.arguments(ProvenInput)
@blueprint.refuses(errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(204)
def give_proof(data: dict[str, Any]) -> None:
    """Give the password again, for the changes of the next minutes that ask for it (`proof_required`)."""
    prove(current_authentication(), take_evidence(data))


@blueprint.post("/password")
@blueprint.authenticated
@blueprint.arguments(PasswordInput)
@blueprint.refuses(errors.ProofRequired, errors.TooManyGuesses)
@blueprint.response(204)
def change_password(data: dict[str, Any]) -> None:
    """Set a new password, which ends every session and token, this one too. `keep_tokens` keeps personal tokens.

    Where the account has a second factor, it needs `code` too.
    """
    evidence = take_evidence(data)
    profile.change_password(begin_login(current_user().username), evidence, factor_rules(), **data)


@blueprint.get("/sessions")
@blueprint.authenticated
@blueprint.response(200, SessionListOutput)
def list_sessions() -> Any:
    """The browser sessions and login tokens that have not ended, newest first."""
    authentication = current_authentication()
    sessions = tokens.list_sessions(authentication.user)
    return {"current_session_id": authentication.token.token_id, "data": sessions}


@blueprint.delete("/sessions/<token_id>")
@blueprint.authenticated
@blueprint.refuses(errors.SessionNotFound)
@blueprint.response(204)
def end_session(token_id: str) -> None:
    """End a browser session or login token at once."""
    tokens.end_session(current_user().username, token_id)


@blueprint.delete("/sessions")
@blueprint.authenticated
@blueprint.arguments(EndSessionsInput, location="query")
@blueprint.response(204)
def end_sessions(query: dict[str, Any]) -> None:
    """End every session and token, this one too. `keep_tokens` keeps personal tokens."""
    profile.log_out_everywhere(current_user().username, **query)


@blueprint.get("/events")
@blueprint.authenticated
@blueprint.arguments(PageInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, EventListOutput)
def list_events(query: dict[str, Any]) -> Any:
    """What was done to this account in the last 90 days, newest first."""
    page = profile.list_events(current_user().username, read_page(query))
    return {"data": page.items, **paged(page, query)}


@blueprint.get("/tokens")
@blueprint.authenticated
@blueprint.response(200, TokenListOutput)
def list_tokens() -> Any:
    """The personal tokens that have not expired, newest first."""
    return {"data": tokens.list_personal_tokens(current_user())}


@blueprint.post("/tokens")
@blueprint.authenticated
@blueprint.arguments(TokenInput)
@blueprint.refuses(errors.TooManyTokens, errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(201, NewTokenOutput)
def create_token(data: dict[str, Any]) -> Any:
    """Make a personal token for scripts; its secret is shown only in this answer."""
    require_fresh_proof(current_authentication(), take_evidence(data))
    return tokens.create_personal_token(current_user(), **data)


@blueprint.delete("/tokens/<token_id>")
@blueprint.authenticated
@blueprint.refuses(errors.TokenNotFound)
@blueprint.response(204)
def revoke_token(token_id: str) -> None:
    """Revoke a personal token at once."""
    tokens.revoke_personal_token(current_user().username, token_id)
