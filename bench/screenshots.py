"""Pictures of the pages, from an account with three months of activity.

python -m bench.screenshots              docs/dashboard.png and docs/asset.png, for README.md
python -m bench.screenshots --all DIR    every page, light and dark, on a wide and on a narrow screen
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from app.cli.demo_accounts import USERNAMES, plan_demo
from app.domain import clock
from app.prices.simulated import SimulatedMarket
from tests.support.applications import make_app
from tests.support.chromium import chromium, serving
from tests.support.engine import engine
from tests.support.people import PASSWORD

ROOT = Path(__file__).parent.parent
os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")

WIDTHS = (1280, 360)
PUBLIC = {"landing": "/", "login": "/login", "register": "/register", "not-found": "/nope"}
PRIVATE = {
    "dashboard": "/dashboard",
    "history": "/history?days=90",
    "market": "/assets",
    "asset": "/assets/BTC",
    "untraded": "/assets/MATIC",
    "deposit": "/deposit",
    "withdraw": "/withdraw",
    "orders": "/orders",
    "activity": "/activity",
    "trades": "/activity/trades",
    "transaction": "/activity/000000000002",
    "statement": "/statement",
    "account": "/account",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", type=Path, metavar="DIR")
    folder = parser.parse_args().all
    with engine() as endpoint, chromium() as browser:
        app = make_app(endpoint, log_level="ERROR")
        with app.app_context():
            plan_demo(SimulatedMarket(clock=clock.now), PASSWORD, months=3).carry_out(lambda _: None)
        with serving(app) as address:
            picture_all(browser, address, folder) if folder else picture_readme(browser, address)


def picture_readme(browser: Any, address: str) -> None:
    page = new_page(browser, address, width=1000, scheme="light", height=750)
    log_in(page)
    for name, path in {"dashboard": "/dashboard", "asset": "/assets/BTC?days=365"}.items():
        page.goto(path, wait_until="networkidle")
        page.screenshot(path=ROOT / f"docs/{name}.png")


def picture_all(browser: Any, address: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            page = new_page(browser, address, width=width, scheme=scheme, height=800)
            picture(page, PUBLIC, folder, f"{scheme}-{width}")
            log_in(page)
            picture(page, {**PRIVATE, "order": open_order(page)}, folder, f"{scheme}-{width}")
            picture_forms(page, folder, f"{scheme}-{width}")
            page.context.close()


def picture(page: Any, pages: dict[str, str], folder: Path, kind: str) -> None:
    for name, path in pages.items():
        page.goto(path, wait_until="networkidle")
        page.screenshot(path=folder / f"{name}-{kind}.png", full_page=True)


def picture_forms(page: Any, folder: Path, kind: str) -> None:
    """The order form as it is filled in, its review, and a form with errors."""
    page.goto("/assets/ETH")
    page.fill("#quantity", "0.5")
    page.screenshot(path=folder / f"typing-{kind}.png", full_page=True)
    page.fill("#price", "1")
    page.click("#place")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=folder / f"review-{kind}.png", full_page=True)
    page.goto("/assets/ETH")
    page.fill("#quantity", "x")
    page.click("#place")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=folder / f"errors-{kind}.png", full_page=True)


def open_order(page: Any) -> str:
    page.goto("/orders?status=pending")
    links = page.eval_on_selector_all("td a", "links => links.map((link) => link.getAttribute('href'))")
    return next((link for link in links if re.match("/orders/", link)), "/orders")


def new_page(browser: Any, address: str, *, width: int, height: int, scheme: str) -> Any:
    context = browser.new_context(
        base_url=address, viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    return context.new_page()


def log_in(page: Any) -> None:
    page.goto("/login")
    page.fill("#username", USERNAMES[0])
    page.fill("#password", PASSWORD)
    page.click("main button")
    page.wait_for_url("**/dashboard")


if __name__ == "__main__":
    main()
