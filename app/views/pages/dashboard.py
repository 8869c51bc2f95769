"""The dashboard, and the total value of a user's cash and assets over time."""

from __future__ import annotations

from flask import Blueprint, render_template

from app.domain import clock
from app.schemas.inputs import DaysInput
from app.services.history import get_portfolio_history
from app.services.portfolio import get_overview
from app.views.http import prices
from app.views.pages.charts import line_chart, share_bar
from app.views.pages.formatters import write_days, write_money
from app.views.pages.sessions import current_username, only_for_users
from app.views.paging import read_query

# Days of history to choose from.
PERIODS = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year"))

blueprint = Blueprint("dashboard", __name__)
only_for_users(blueprint)


@blueprint.get("/dashboard")
def dashboard() -> str:
    overview = get_overview(current_username(), prices(), now=clock.now())
    return render_template("dashboard.html", overview=overview, bar=share_bar(overview.portfolio.shares))


@blueprint.get("/history")
def history() -> str:
    """The total value over time: on a page of its own, because it reads all transactions and trades of that time."""
    days = read_query(DaysInput())["days"]
    found = get_portfolio_history(current_username(), prices(), days=days)
    points = [(min(clock.end_of(point.date), clock.now()), point.total) for point in found.points]
    chart = line_chart("value-chart", f"Total value, {write_days(days)}", points, write=write_money)
    return render_template("history.html", chart=chart, days=days, periods=PERIODS, without_prices=found.without_prices)
