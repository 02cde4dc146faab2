"""Opens a hostile web page in Chromium and sends `local` what such a page can send; for `tests/local_guard.rs`.

Usage: hostile_page.py URL RUNTIME_API EVENT
Prints one line for each request: its name, and the answer if the browser let the page read it. EVENT is JSON with an
equal sign in a string, because a form puts an equal sign between a field's name and its value.
"""

import http.server
import json
import sys
import threading

from playwright.sync_api import sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.example 127.0.0.1"]
# Waits for the answer, whether it may be read or not.
FETCH = """async ([url, method, body, mode, type]) => {
    const headers = type ? {"Content-Type": type} : {};
    try {
        const answer = await fetch(url, {method, mode, headers, body: body === "" ? undefined : body});
        return answer.type === "opaque" ? "sent" : `read ${answer.status} ${await answer.text()}`;
    } catch (error) {
        return `failed: ${error}`;
    }
}"""
FORM = """([url, name, value]) => {
    const form = Object.assign(document.createElement("form"), {method: "POST", action: url, enctype: "text/plain"});
    form.append(Object.assign(document.createElement("input"), {name, value}));
    document.body.append(form);
    form.submit();
}"""


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """The page of another origin."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

    def log_message(self, *_):
        pass


def main():
    url, runtime_api, event = sys.argv[1:4]
    port = url.rsplit(":", 1)[1]
    elsewhere = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    own = elsewhere.server_address[1]
    invoke = "/2015-03-31/functions/migrations/invocations"
    at_localhost, at_v4, at_v6 = url + invoke, f"http://127.0.0.1:{port}{invoke}", f"http://[::1]:{port}{invoke}"
    poll, fail = (f"http://{runtime_api}/2018-06-01/runtime/{path}" for path in ("invocation/next", "init/error"))
    name, value = event.split("=", 1)
    assert json.loads(event)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page()
        for origin in (f"http://127.0.0.1:{own}", f"http://evil.example:{own}"):
            for target in (at_localhost, at_v4, at_v6):
                page.goto(origin)
                with page.expect_navigation():
                    page.evaluate(FORM, [target, name, value])
                print(f"form from {origin} to {target}: {page.inner_text('body')}")
                page.goto(origin)
                for mode, content_type in (("no-cors", ""), ("cors", "text/plain")):
                    said = page.evaluate(FETCH, [target, "POST", event, mode, content_type])
                    print(f"{mode} from {origin} to {target}: {said}")
            for method, target in (("GET", poll), ("POST", fail)):
                said = page.evaluate(FETCH, [target, method, "" if method == "GET" else "{}", "no-cors", ""])
                print(f"runtime {method} from {origin}: {said}")
        # The name of the page turns out to be this machine's: for the browser, one origin.
        page.goto(f"http://evil.example:{port}/up")
        for method, body in (("POST", event), ("GET", "")):
            said = page.evaluate(FETCH, [invoke, method, body, "same-origin", ""])
            print(f"rebound {method}: {said}")
        page.goto(f"http://evil.example:{runtime_api.rsplit(':', 1)[1]}/")
        print(f"rebound runtime GET: {page.evaluate(FETCH, ['/2018-06-01/runtime/invocation/next', 'GET', '', 'same-origin', ''])}")
        browser.close()


main()
