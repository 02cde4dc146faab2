"""Drives Chromium for `tests/browser.rs`. Exits with 1 when a page is not as expected.

Usage: browser.py journey|looks URL LINK PICTURES [--no-javascript]
LINK is a one-time link of an admin.
"""

import pathlib
import re
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

PASSWORD = "correct horse battery"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
ORDERS = "/tables/public/orders"


class Desk:
    """A browser context with one page; an error in its console fails the test."""

    def __init__(self, browser, url, javascript, **look):
        self.context = browser.new_context(base_url=url, java_script_enabled=javascript, **look)
        self.context.set_default_timeout(15_000)
        self.page = self.context.new_page()
        self.complaints = []
        # A form that Postgres refuses is answered with 422 or 409, which Chromium logs as an error.
        self.page.on("console", lambda message: self.complain(message) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def complain(self, message):
        if "status of 4" not in message.text:
            self.complaints.append(message.text)

    def sign_in(self, email="admin@example.com", password=PASSWORD):
        self.page.goto("/sign-in")
        self.page.get_by_label("Email").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def close(self):
        self.context.close()
        assert not self.complaints, self.complaints


def journey(browser, url, link, javascript):
    desk = Desk(browser, url, javascript)
    page = desk.page
    use_link(page, link)
    sign_out_and_in(desk)
    browse(page)
    edit(page)
    edit_at_the_same_time(browser, url, desk, javascript)
    delete(page)
    export(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{url}/sign-in")
    page.goto(ORDERS)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    desk.close()


def use_link(page, link):
    page.goto(link)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_role("button", name="Save and sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("test_")


def sign_out_and_in(desk):
    page = desk.page
    page.get_by_role("button", name="Sign out").click()
    desk.sign_in(password="not the password")
    expect(page.get_by_role("alert")).to_contain_text("no such address with this password")
    expect(page.get_by_label("Email")).to_have_value("admin@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def browse(page):
    page.get_by_role("link", name="Tables").click()
    page.get_by_role("link", name="orders", exact=True).click()
    expect(page.get_by_text("24 rows", exact=True)).to_be_visible()
    page.get_by_role("link", name="placed_at").click()
    expect(page.get_by_role("columnheader", name="placed_at")).to_have_attribute("aria-sort", "ascending")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Value of status").select_option("paid")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("list", name="Filters")).to_contain_text("status is paid")
    expect(page.locator("tbody tr")).to_have_count(5)
    page.get_by_role("searchbox").fill("invoice")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Remove the filter status is paid").click()
    expect(page.locator("tbody tr")).not_to_have_count(1)
    page.locator("tbody").get_by_role("link", name="Ines Carvalho").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ines Carvalho")
    page.get_by_role("link", name="orders by customer_id").click()
    expect(page.get_by_role("list", name="Filters")).to_contain_text("customer_id is 9")


def edit(page):
    page.goto("/tables/public/customers/row/1")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("city").fill("Kinsale")
    page.get_by_label("email").fill("bram@dewit-tuin.example")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved")
    expect(page.get_by_label("email")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("city")).to_have_value("Kinsale")
    page.get_by_label("email").fill("ada@byrne.example")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("The row was saved.")
    expect(page.locator("dl")).to_contain_text("Kinsale")
    expect(page.locator(".timeline")).to_contain_text("changed by admin@example.com")


def edit_at_the_same_time(browser, url, desk, javascript):
    other = Desk(browser, url, javascript)
    other.sign_in()
    for page in (desk.page, other.page):
        page.goto(f"{ORDERS}/edit/2")
    other.page.get_by_label("note").fill("theirs")
    other.page.get_by_role("button", name="Save").click()
    expect(other.page.get_by_role("status")).to_have_text("The row was saved.")
    desk.page.get_by_label("note").fill("mine")
    desk.page.get_by_role("button", name="Save").click()
    expect(desk.page.get_by_role("alert")).to_contain_text("Somebody else has changed this row")
    expect(desk.page.get_by_text("The row has now: theirs")).to_be_visible()
    expect(desk.page.get_by_label("note")).to_have_value("mine")
    desk.page.get_by_role("button", name="Save").click()
    expect(desk.page.locator("dl")).to_contain_text("mine")
    other.close()


def delete(page):
    page.goto("/tables/public/customers/row/1")
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("main")).to_contain_text("will prevent it")
    page.goto(f"{ORDERS}/row/24")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_have_text("orders 24 was deleted.")
    expect(page.get_by_text("23 rows", exact=True)).to_be_visible()


def export(page):
    page.goto(f"{ORDERS}?c=status&o=is&v=draft")
    page.get_by_role("link", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    lines = pathlib.Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "id,customer_id,status,placed_at,note", lines
    assert len(lines) == 4, lines


def script(browser, url):
    """Checks what works only with JavaScript: times in the user's zone, and the choices of a foreign key."""
    desk = Desk(browser, url, True, timezone_id="Pacific/Auckland", locale="en-GB")
    desk.sign_in()
    desk.page.goto(f"{ORDERS}/row/2")
    time = desk.page.locator("dl time")
    expect(time).to_have_attribute("title", re.compile("13 January 2026.*22:13:00"))
    desk.page.goto(f"{ORDERS}/edit/2")
    field = desk.page.get_by_label("customer_id")
    field.press("ControlOrMeta+a")
    field.press_sequentially("hugo")
    expect(desk.page.locator("datalist option")).to_have_text(["Hugo O'Neill"])
    desk.close()


PAGES = {
    "dashboard": "/",
    "tables": "/tables",
    "list": ORDERS,
    "filtered": f"{ORDERS}?c=status&o=is&v=paid&sort=-placed_at",
    "row": f"{ORDERS}/row/2",
    "new": "/tables/public/customers/new",
    "edit": f"{ORDERS}/edit/2",
    "delete": "/tables/public/customers/delete/4",
    "export": f"{ORDERS}/export",
    "orders_per_month": "/orders-per-month",
    "audit": "/audit",
    "users": "/users",
    "password": "/password",
    "not_found": "/nowhere",
}
LOOKS = {
    "wide": {"viewport": {"width": 1360, "height": 900}},
    "dark": {"viewport": {"width": 1360, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 840}},
}


def looks(browser, url, link, pictures):
    """Takes a screenshot of every page, and checks that it fits the window and that axe finds no fault."""
    first = Desk(browser, url, True)
    use_link(first.page, link)
    first.close()
    script(browser, url)
    faults = []
    for look, options in LOOKS.items():
        desk = Desk(browser, url, True, **options)
        desk.page.goto("/sign-in")
        faults += faults_of(desk.page, f"{look} sign_in", pictures)
        desk.sign_in()
        for name, path in PAGES.items():
            desk.page.goto(path)
            faults += faults_of(desk.page, f"{look} {name}", pictures)
        reach_by_keyboard(desk.page)
        desk.close()
    assert not faults, "\n".join(faults)


def faults_of(page, name, pictures):
    page.screenshot(path=pictures / f"{name.replace(' ', '-')}.png", full_page=True)
    faults = []
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        faults.append(f"{name}: it is wider than the window")
    found = Axe().run(page).response["violations"]
    for violation in found:
        targets = [" ".join(map(str, node["target"])) for node in violation["nodes"]]
        faults.append(f"{name}: {violation['id']}: {violation['help']}: {targets[:4]}")
    return faults


def reach_by_keyboard(page):
    page.goto(ORDERS)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("document.activeElement.closest('tbody') !== null"):
            return
    raise AssertionError("the rows are out of the keyboard's reach")


def main():
    what, url, link, pictures = sys.argv[1:5]
    pictures = pathlib.Path(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        if what == "journey":
            journey(browser, url, link, "--no-javascript" not in sys.argv)
        else:
            looks(browser, url, link, pictures)
        browser.close()


main()
