"""A second factor in a real browser, without JavaScript: set up, the file of codes, and the two steps of a log-in."""

from __future__ import annotations

from tests.browser.conftest import NewVisitor
from tests.support.authenticator import App
from tests.support.people import PASSWORD


def test_setting_it_up_saving_the_codes_and_logging_in(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(script=False, fresh=True).register()
    page = visitor.open("/account/second-factor").page
    picture = page.locator(".qr svg").bounding_box()
    assert picture and picture["width"] == picture["height"] > 150
    phone = App(page.inner_text("#secret"))
    visitor.fill(code=phone.show(), current_password=PASSWORD).press("Set it up")
    if "This is not the code" in visitor.text:
        # A step ended in between.
        visitor.fill(code=phone.show(), current_password=PASSWORD).press("Set it up")
    visitor.sees("Save them now.")
    shown = page.inner_text("#secret").split()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()
    assert download.value.suggested_filename == "recovery-codes.txt"
    assert [line for line in download.value.path().read_text().split("\n") if line in shown] == shown
    page.get_by_role("button", name="Log out").click()
    visitor.open("/login").fill(username=visitor.username, password=PASSWORD).press("Log in").sees("Enter a code")
    visitor.fill(code="12").press("Log in").sees("This code is wrong, or was used before.")
    visitor.fill(code=shown[0]).press("Log in").sees("Dashboard")
    visitor.open("/account/second-factor").sees("Recovery codes left 9")
