"""The dashboard, and the total value of a user's cash and assets over time."""

from __future__ import annotations

from flask import Blueprint, render_template, url_for

from app.domain import clock
from app.domain.account_events import AccountEventType
from app.models.account_events import AccountEvent
from app.schemas.inputs import DaysInput
from app.services.history import get_portfolio_history
from app.services.news import News, read_news
from app.services.orders import find_distances
from app.services.portfolio import Overview, get_overview
from app.views.http import prices
from app.views.pages.charts import line_chart, share_bar
from app.views.pages.formatters import write_days, write_money
from app.views.pages.forms import Form
from app.views.pages.sessions import current_username, logged_in_user, only_for_users
from app.views.paging import read_query

# Days of history to choose from.
PERIODS = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year"))

blueprint = Blueprint("dashboard", __name__)
only_for_users(blueprint)


@blueprint.get("/dashboard")
def dashboard() -> str:
    overview = get_overview(current_username(), prices(), now=clock.now())
    news = read_news(logged_in_user(), overview.portfolio.balance)
    return render_template(
        "dashboard.html",
        overview=overview,
        bar=share_bar(overview.portfolio.shares),
        markets=prices().summaries() if overview.portfolio.assets else {},
        distances=find_distances(overview.open_orders, prices()),
        new_form=Form,
        step=_next_step(overview),
        news=news,
        happened=_describe(news),
    )


def _describe(news: News) -> list[tuple[str, str]]:
    """What happened, and where it is shown: one thing by itself, several in their list."""
    return [(_describe_type(kind, len(events)), _address_of(kind, events)) for kind, events in news.events.items()]


def _describe_type(kind: AccountEventType, count: int) -> str:
    plural = "" if count == 1 else "s"
    match kind:
        case AccountEventType.ORDER_FILLED:
            return f"{count} order{plural} filled"
        case AccountEventType.ORDER_EXPIRED:
            return f"{count} order{plural} expired"
        case AccountEventType.ADJUSTED:
            return f"{count} adjustment{plural} of your cash"
    return f"account {kind}"


def _address_of(kind: AccountEventType, events: list[AccountEvent]) -> str:
    only = events[0] if len(events) == 1 else None
    match kind:
        case AccountEventType.ORDER_FILLED | AccountEventType.ORDER_EXPIRED if only:
            return url_for("orders.order", order_id=only.order_id)
        case AccountEventType.ORDER_FILLED:
            return url_for("orders.order_list", status="completed")
        case AccountEventType.ORDER_EXPIRED:
            return url_for("orders.order_list", status="expired")
        case AccountEventType.ADJUSTED if only:
            return url_for("activity.transaction", transaction_id=only.transaction_id)
        case AccountEventType.ADJUSTED:
            return url_for("activity.transactions", transaction_type="system_adjustment")
    return url_for("profile.event_list")


def _next_step(overview: Overview) -> int | None:
    """Which of the first steps comes next: 1 is to deposit, 2 to buy; None for who has ordered something."""
    portfolio = overview.portfolio
    has_ordered = portfolio.assets or overview.open_orders or portfolio.realised_gain
    if has_ordered or any(each.order_id for each in overview.latest):
        return None
    return 2 if overview.latest else 1


@blueprint.get("/history")
def history() -> str:
    """The total value over time: on a page of its own, because it reads all transactions and trades of that time."""
    days = read_query(DaysInput())["days"]
    found = get_portfolio_history(current_username(), prices(), days=days)
    points = [(min(clock.end_of(point.date), clock.now()), point.total) for point in found.points]
    paid_in = [point.net_deposits for point in found.points if point.net_deposits is not None]
    chart = line_chart("value-chart", f"Total value, {write_days(days)}", points, write=write_money, beside=paid_in)
    return render_template("history.html", chart=chart, days=days, periods=PERIODS, history=found)
