"""`flask --app wsgi audit`"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click
from flask.cli import with_appcontext

from app.cli.failures import Failed, Username
from app.domain import clock
from app.models.upgrade import is_current

# The audit itself is imported where it is used: a web server has this command, and never runs it.
if TYPE_CHECKING:
    from app.audit.run import Report, Violation


@click.command("audit")
@click.option("--user", "username", type=Username(), help="Audit one user only.")
@click.option("--save", is_flag=True, help="Keep the totals of all accounts, for the page of the administrators.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@with_appcontext
def audit(username: str | None, save: bool, as_json: bool) -> None:
    """Recompute every invariant from the items themselves; exit with 1 if one does not hold, 3 if it cannot look."""
    if username and save:
        raise click.UsageError("--save needs all users: leave --user out.")
    if not is_current():
        raise Failed("An older version wrote this store. Run `flask upgrade`, then the audit again.")
    from app.audit.run import audit_user

    report = audit_user(username) if username else _audit_all()
    if username and not report.items:
        raise click.BadParameter(f"There are no items of a user {username}.", param_hint="--user")
    if save:
        _save(report)
    _print_json(report) if as_json else _print(report)
    sys.exit(1 if report.violations else 0)


def _audit_all() -> Report:
    from app.audit.run import audit_all, count_items

    if not sys.stderr.isatty():
        return audit_all()
    # Each item counts twice: read and checked. On standard error, to keep the output as it is.
    with click.progressbar(length=2 * count_items(), label="Auditing", file=sys.stderr) as bar:
        return audit_all(bar.update)


def _save(report: Report) -> None:
    from app.audit.totals import save_totals

    seconds = round((clock.now() - report.began_at).total_seconds())
    found = {"items": report.items, "violations": len(report.violations)}
    save_totals(report.sums, taken_at=report.began_at, seconds=seconds, **found)


def _print(report: Report) -> None:
    for violation in report.violations:
        click.echo(f"{violation.check}: {violation.item}: {violation.message}")
    accounts = "1 account" if report.accounts == 1 else f"{report.accounts} accounts"
    violations = {0: "No violation", 1: "1 violation"}.get(
        len(report.violations), f"{len(report.violations)} violations"
    )
    click.echo(f"{violations} in {report.items} items of {accounts}.")


def _print_json(report: Report) -> None:
    click.echo(
        json.dumps(
            {
                "accounts": report.accounts,
                "items": report.items,
                "violations": [_as_json(violation) for violation in report.violations],
            },
            indent=2,
        )
    )


def _as_json(violation: Violation) -> dict[str, Any]:
    return {
        "check": violation.check,
        **violation.item._asdict(),
        "message": violation.message,
        "figures": dict(violation.figures),
    }
