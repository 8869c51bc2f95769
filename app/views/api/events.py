"""`/api/v1/events`: what happened to the orders and the money of an account, for scripts that follow it."""

from __future__ import annotations

from typing import Any

from app.domain import errors
from app.domain.account_events import event_number
from app.models.account_events import follow_events
from app.schemas.inputs import FeedInput
from app.schemas.outputs import FeedOutput
from app.views.api.blueprint import JsonBlueprint, current_user, found
from app.views.reads import balance_of, reads

# How long to wait where there was nothing more. The worker makes a round about every 2 seconds.
ASK_AGAIN_SECONDS = 5

blueprint = JsonBlueprint("Events", __name__, description="What happened, for scripts that follow it")


@blueprint.get("/events")
@blueprint.authenticated
@blueprint.arguments(FeedInput, location="query")
@blueprint.refuses(errors.EventsExpired, errors.EventsAhead)
@blueprint.response(200, FeedOutput, headers={"Retry-After": {}})
@reads(balance_of, cheaply=True)
def list_account_events(query: dict[str, Any]) -> Any:
    """What happened to orders that waited, and to the account, oldest first; without `after`, from the oldest kept.

    Send the `next_after` of each answer as the `after` of the next request. Each event then comes once, in order, and
    none is left out. What you did yourself is among them. Where there was nothing more, `Retry-After` says how long to
    wait. An event is kept for 30 days, and may come a moment late.
    """
    feed = follow_events(current_user().username, query["after"], limit=query["limit"], found=found())
    answer = {"data": feed.events, "next_after": event_number(feed.last)}
    return answer, 200, {"Retry-After": str(ASK_AGAIN_SECONDS)} if feed.is_all else {}
