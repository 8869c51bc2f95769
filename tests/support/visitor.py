"""A person at a real browser, who notes every error of the console."""

from __future__ import annotations

import re
from typing import Any

from tests.support.chromium import AXE
from tests.support.page_client import Browser
from tests.support.people import registration

# Chromium reports the answer to a form that is refused, and no others are meant.
REFUSED_FORM = re.compile("Failed to load resource: the server responded with a status of (400|401|403|404|409|422)")


WIDTH = 1280


class Visitor:
    """One browser context with one page: its own cookies, window and settings."""

    def __init__(self, browser: Any, address: str, *, script: bool = True) -> None:
        # The certificates of tests are signed by themselves.
        self.context = browser.new_context(base_url=address, java_script_enabled=script, ignore_https_errors=True)
        self.context.set_default_timeout(10_000)
        self.faults: list[str] = []
        self.username = ""
        self.address = address
        self.page = self.context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def begin(self, width: int = WIDTH) -> Visitor:
        """As somebody new, whom nobody knows."""
        self.faults.clear()
        self.username = ""
        self.context.clear_cookies()
        self.resize(width)
        self.page.emulate_media(color_scheme="light", reduced_motion="null")
        return self

    def resize(self, width: int, height: int = 800) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    def _note(self, message: Any) -> None:
        if message.type in {"error", "warning"} and not REFUSED_FORM.match(message.text):
            self.faults.append(message.text)

    def close(self) -> None:
        self.context.close()

    def open(self, path: str) -> Visitor:
        self.page.goto(path)
        return self

    def fill(self, **fields: str) -> Visitor:
        for name, text in fields.items():
            self.show(name).page.fill(f"#{name}", text)
        return self

    def show(self, name: str) -> Visitor:
        """Open what hides a field."""
        closed = self.page.locator(f"details:not([open]):has(#{name}) > summary")
        if closed.count():
            closed.click()
        return self

    def press(self, name: str) -> Visitor:
        """Press the button of this name in the content of the page, and wait for the page that it leads to."""
        self.page.locator("main").get_by_role("button", name=name, exact=True).click()
        # The click waits for the answer to begin; until it is there, the page has no elements.
        self.page.wait_for_load_state("domcontentloaded")
        return self

    def choose(self, name: str) -> Visitor:
        self.page.get_by_label(name, exact=True).check()
        return self

    @property
    def text(self) -> str:
        """What stands in the content of the page."""
        return " ".join(self.page.inner_text("main").split())

    @property
    def path(self) -> str:
        return str(self.page.url).removeprefix(self.address)

    def sees(self, *texts: str) -> Visitor:
        for text in texts:
            assert text in self.text, f"{text!r} is not in {self.text!r}"
        return self

    def register(self) -> Visitor:
        """Through the form."""
        filled = registration()
        self.open("/register").fill(**filled).press("Open the account").sees("Welcome")
        self.username = filled["username"]
        return self

    def be(self, browser: Browser) -> Visitor:
        """Take over a user who registered without a real browser, which is faster."""
        self.username = browser.username
        cookie = browser.client.get_cookie("session")
        assert cookie is not None
        # A real browser sees a port, of which the cookie has its name.
        name = f"session_{self.address.rpartition(':')[2]}"
        self.context.add_cookies([{"name": name, "value": cookie.value, "url": self.address}])
        return self

    def bring_axe(self) -> None:
        """To all pages from now on."""
        self.context.add_init_script(path=AXE)

    def look_as(self, scheme: str, width: int, height: int) -> None:
        """Without motion, as colours that are still changing have another contrast."""
        self.resize(width, height)
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    def breaches(self, scheme: str) -> list[str]:
        """The rules of accessibility that axe finds broken on this page; in the dark, those of colour."""
        rules = "{runOnly: ['color-contrast']}" if scheme == "dark" else "{resultTypes: ['violations']}"
        # Only what is needed comes back: all that axe knows of a page is large.
        found = self.page.evaluate(f"""axe.run(document, {rules}).then((result) => result.violations.map(
            (rule) => `${{rule.id}} at ${{rule.nodes.slice(0, 3).map((node) => node.target)}}`))""")
        return [f"{self.path} {scheme}: {breach}" for breach in found]

    def is_wider_than_screen(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
