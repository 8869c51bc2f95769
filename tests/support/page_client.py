"""A browser for tests: it fills in forms as they stand on a page, and holds every page to the house rules."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from flask import Flask, session
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.domain import clock
from app.domain.users import Role
from app.models.users import get_user, set_role
from app.views.http import SECURITY_HEADERS
from app.views.pages.links import REFERRER_POLICY
from app.views.pages.sessions import begin_session
from tests.support.people import PASSWORD, Person, register, registration

_addresses = itertools.count(1)
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
ENDS_A_PARAGRAPH = {
    "article",
    "div",
    "dl",
    "fieldset",
    "form",
    "h1",
    "h2",
    "h3",
    "nav",
    "ol",
    "p",
    "section",
    "table",
    "ul",
}
# On the dashboard of an account to which nothing has happened.
NOTHING_YET = "Deposit cash It is there at once"
TYPED = {"input", "select", "textarea"}


@dataclass
class SentForm:
    """A form as it stands on a page: where it goes, and what it would send."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """A parsed page. `faults` says where it breaks the house rules."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.forms: list[SentForm] = []
        self.attributes: dict[str, dict[str, str]] = {}  # by id
        self.links: list[str] = []
        self.title = ""
        self.text = ""
        self._stack: list[str] = []
        self._texts: dict[str, str] = {}
        self._ids_open: list[str] = []
        self._labelled: set[str] = set()
        self._to_label: list[str] = []
        self._label = ""
        self._tags: list[str] = []
        self.feed(text)
        self.close()
        self._check_whole()

    def text_of(self, id_: str) -> str:
        return " ".join(self._texts[id_].split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if len(given) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        self._tags.append(tag)
        self._check_element(tag, given)
        self._read(tag, given)
        if tag == "small":
            self.text += " "
        if tag not in VOID:
            self._stack.append(tag)
            self._ids_open.append(given.get("id", ""))

    def handle_endtag(self, tag: str) -> None:
        if not self._stack or self._stack[-1] != tag:
            self.faults.append(f"</{tag}> closes {self._stack[-1:]} at {self.getpos()}")
            return
        self._stack.pop()
        self._ids_open.pop()
        if tag in {"label", "legend"}:
            if not self._label.replace("(optional)", "").strip():
                self.faults.append(f"a {tag} without text at {self.getpos()}")
            self._label = ""
        if tag not in {"a", "b", "code", "small", "span", "strong", "time"}:
            self.text += " "

    def handle_data(self, data: str) -> None:
        if self._stack[-2:] == ["head", "title"]:
            self.title += data
        elif "body" in self._stack and not {"script", "svg"} & set(self._stack):
            self.text += data
        if {"label", "legend"} & set(self._stack):
            self._label += data
        for id_ in self._ids_open:
            if id_:
                self._texts[id_] += data

    def _check_element(self, tag: str, given: dict[str, str]) -> None:
        if "style" in given or any(name.startswith("on") for name in given):
            self.faults.append(f"<{tag}> has an inline style or script")
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type") != "application/json"):
            self.faults.append(f"an inline <{tag}>")
        if tag == "img" and "alt" not in given:
            self.faults.append("an image without alt")
        if tag in ENDS_A_PARAGRAPH and "p" in self._stack:
            self.faults.append(f"<{tag}> in a paragraph at {self.getpos()}")
        if not set(given.get("id", "")).isdisjoint(" \t\n"):
            self.faults.append(f"the id {given['id']!r} has a space")
        if given.get("id") in self.attributes:
            self.faults.append(f"the id {given['id']} stands twice")
        if "javascript:" in given.get("href", ""):
            self.faults.append("a link with a script")

    def _read(self, tag: str, given: dict[str, str]) -> None:
        if "id" in given:
            self.attributes[given["id"]] = given
            self._texts[given["id"]] = ""
        if tag == "html" and not given.get("lang"):
            self.faults.append("no language")
        if tag == "a":
            self.links.append(given.get("href", ""))
        if tag == "label":
            self._labelled.add(given.get("for", ""))
        if tag == "form":
            self.forms.append(SentForm(given.get("action", ""), given.get("method", "get").lower()))
        if tag in TYPED and given.get("type") not in {"hidden", "submit"}:
            self._to_label.append(given.get("id", "(no id)"))
        if tag in TYPED and self.forms:
            self._read_input(given)

    def _read_input(self, given: dict[str, str]) -> None:
        if given.get("type") in {"radio", "checkbox"} and "checked" not in given:
            return
        self.forms[-1].values[given.get("name", "(no name)")] = given.get("value", "")

    def _check_whole(self) -> None:
        if self._stack:
            self.faults.append(f"not closed: {self._stack}")
        if not self.title.removesuffix("· Order Processor").strip():
            self.faults.append("no title")
        if self._tags.count("h1") != 1 or self._tags.count("main") != 1:
            self.faults.append("not exactly one h1 in one main")
        if self._tags.count("table") != self._tags.count("caption"):
            self.faults.append("a table without caption")
        self.faults += [f"{id_} has no label" for id_ in self._to_label if id_ not in self._labelled]
        self.faults += [f"{id_} cuts in silence" for id_, given in self.attributes.items() if "maxlength" in given]
        self.faults += [
            f"the form to {form.action} has no csrf token"
            for form in self.forms
            if form.method == "post" and not form.values.get("csrf_token")
        ]
        for given in self.attributes.values():
            for id_ in given.get("aria-describedby", "").split():
                if id_ not in self.attributes:
                    self.faults.append(f"{given['id']} is described by {id_}, which is not there")


@dataclass
class Answer:
    """An answer and, when it is a page, the page."""

    response: TestResponse
    page: Page | None

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def location(self) -> str:
        return self.response.headers["Location"]

    @property
    def shown(self) -> Page:
        assert self.page is not None, self.response.headers.get("Location", self.status)
        return self.page

    @property
    def text(self) -> str:
        """What stands on the page, with single spaces."""
        return " ".join(self.shown.text.split())

    def form(self, action: str | None = None) -> SentForm:
        """The one form of the page that sends something, logging out and the choice of colours aside."""
        [form] = [
            each
            for each in self.shown.forms
            if each.method == "post"
            and (each.action == action or (action is None and not each.action.endswith(("/logout", "/theme"))))
        ]
        return form

    def error_of(self, name: str) -> str:
        """The message beside a field, after checking that the field points to it, and the summary to the field."""
        given = self.shown.attributes[name]
        assert given.get("aria-invalid") == "true" or name == "order_type", given
        assert f"#{name}" in self.shown.links
        assert self.status >= 400 and self.shown.title.startswith("Error: ")
        return self.shown.text_of(f"{name}-error").removeprefix("Error: ")


def look(response: TestResponse) -> Answer:
    """Check what holds of every answer, and of every page."""
    is_link = response.request.path in {"/confirm-email", "/forgot-password", "/reset-password"}
    own = {"Referrer-Policy": REFERRER_POLICY} if is_link else {}
    for name, value in {**SECURITY_HEADERS, **own}.items():
        assert response.headers[name] == value
    if response.status_code in {301, 302, 303, 308}:
        return Answer(response, None)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content_type == "text/html; charset=utf-8"
    page = Page(response.text)
    assert not page.faults, page.faults
    assert "UTC</time> UTC" not in response.text, "a time says its zone itself"
    return Answer(response, page)


class Browser:
    """One person at one browser, with its cookies."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()
        # An address of its own, as failed attempts to log in are counted by address.
        self.client.environ_base["REMOTE_ADDR"] = f"2001:db8:0:{next(_addresses):x}::1"
        self.username = ""
        # The same user with a token, of one who entered.
        self.person: Person | None = None

    def get(self, path: str, status: int = 200) -> Answer:
        answer = look(self.client.get(path))
        assert answer.status == status, (path, answer.status, answer.response.text)
        return answer

    def send(self, form: SentForm, **values: str | None) -> Answer:
        """Send a form with these values instead of what stands in it; a None leaves a field out."""
        filled: dict[str, Any] = {**form.values, **values}
        data = {name: value for name, value in filled.items() if value is not None}
        return look(self.client.post(form.action, data=data))

    def submit(self, path: str, **values: str) -> Answer:
        """Open a page, fill in its form and send it."""
        return self.send(self.get(path).form(), **values)

    def reviewed(self, path: str, **values: str) -> SentForm:
        """The form of the review to which that of a page leads."""
        shown = self.submit(path, **values)
        assert shown.status == 200 and "Review" in shown.text, shown.text
        return shown.form()

    def done(self, path: str, **values: str) -> Answer:
        """Submit a form that must be accepted, and go where it leads."""
        sent = self.submit(path, **values)
        assert sent.status == 303, sent.text
        return self.get(sent.location)

    def register(self, **fields: Any) -> Browser:
        """As a new user, through the form."""
        filled = registration(**fields)
        answer = self.done("/register", **filled)
        assert "Welcome" in answer.text
        self.username = filled["username"]
        return self

    def enter(self, role: Role = Role.CUSTOMER) -> Browser:
        """As a new user, logged in without the forms: several times faster, and most tests begin so."""
        app = self.client.application
        self.person = register(app)
        self.username = self.person.username
        with app.test_request_context(environ_base=self.client.environ_base):
            if role is not Role.CUSTOMER:
                set_role(self.username, role, now=clock.now())
            begin_session(get_user(self.username))
            started = dict(session)
        with self.client.session_transaction() as cookie:
            cookie.update(started)
        return self

    def log_in(self, username: str, password: str = PASSWORD, page: str = "/login") -> Answer:
        return self.submit(page, username=username, password=password)

    def log_out(self) -> Answer:
        sent = self.send(self.get("/dashboard").form("/logout"))
        return self.get(sent.location)
