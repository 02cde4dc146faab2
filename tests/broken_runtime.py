#!/usr/bin/env python3
"""A runtime that violates the contract of the Runtime API; BROKEN_RUNTIME selects how."""

import http.client
import json
import os
import signal
import sys
import time

RUNTIME = "/2018-06-01/runtime"
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    api.request(method, path, body, named)
    response = api.getresponse()
    response.read()
    return response


def take():
    """Takes an event. Returns the path for its answer, and the invocation id as a header of the answer."""
    event = call("GET", RUNTIME + "/invocation/next")
    nonce = {"Lambda_Runtime_Invocation_Id": event.headers["Lambda-Runtime-Invocation-Id"]}
    return RUNTIME + "/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"], nonce


def break_rules():
    """Sends forbidden requests and answers with the statuses that it got."""
    answer, nonce = take()
    right = {"Content_Type": "application/json", **nonce}
    statuses = [
        call("POST", RUNTIME + "/init/error", "{}", **right,
             Lambda_Runtime_Function_Error_Type="Runtime.Late").status,
        call("POST", RUNTIME + "/invocation/somebody-elses/response", "{}", **right).status,
        call("PUT", answer + "/response", "{}", **right).status,
        call("GET", RUNTIME + "/nowhere").status,
        call("POST", answer + "/response", "{}", **right,
             Lambda_Runtime_Function_Response_Mode="dripping").status,
        call("POST", "/2020-01-01/extension/register", "{}", **right).status,
    ]
    call("POST", answer + "/response", json.dumps(statuses), **right)
    # After the answer: a second answer, and an error without the required headers and fields.
    call("POST", answer + "/response", "2", **right)
    call("POST", answer + "/error", "{}", Lambda_Runtime_Function_XRay_Error_Cause="not JSON")


def answer_late():
    """Answers after the platform has killed the environment, from a process in another session."""
    answer, nonce = take()
    environment = os.getpid()
    if os.fork():
        signal.pause()
    os.setsid()
    while os.getppid() == environment:
        time.sleep(0.01)
    status = call("POST", answer + "/response", "{}", Content_Type="application/json", **nonce).status
    print(f"the late answer got {status}", file=sys.stderr)
    sys.exit()


def extend():
    """Registers an extension and logs the answer."""
    registered = call("POST", "/2020-01-01/extension/register", "{}", Content_Type="application/json",
                      Lambda_Extension_Name="broken_runtime")
    print("registered with", registered.status, registered.headers["Lambda-Extension-Identifier"],
          file=sys.stderr)
    sys.exit()


def start_badly():
    """Exits or hangs at its first start, and serves an event at the second."""
    started = os.environ["STARTED"]
    if not os.path.exists(started):
        open(started, "w").close()
        print("a bad start", file=sys.stderr)
        if os.environ["BROKEN_RUNTIME"] == "hang":
            signal.pause()
        sys.exit(3)
    answer, nonce = take()
    call("POST", answer + "/response", '"served"', Content_Type="application/json", **nonce)


ways = {"rules": break_rules, "late": answer_late, "extend": extend, "exit": start_badly, "hang": start_badly}
while True:
    ways[os.environ["BROKEN_RUNTIME"]]()
