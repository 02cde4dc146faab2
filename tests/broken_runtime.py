#!/usr/bin/env python3
"""A runtime that breaks the contract, in the way that the variable BROKEN_RUNTIME names."""

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
    """The path for the answer to the next event, and the nonce that belongs into it."""
    event = call("GET", RUNTIME + "/invocation/next")
    nonce = {"Lambda_Runtime_Invocation_Id": event.headers["Lambda-Runtime-Invocation-Id"]}
    return RUNTIME + "/invocation/" + event.headers["Lambda-Runtime-Aws-Request-Id"], nonce


def break_rules():
    """Answers with the statuses that it got for what is forbidden."""
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
    # After the answer: a second one, and an error with nothing that belongs to one.
    call("POST", answer + "/response", "2", **right)
    call("POST", answer + "/error", "{}", Lambda_Runtime_Function_XRay_Error_Cause="not JSON")


def answer_late():
    """Answers when the platform has ended the environment, from a process that it cannot reach."""
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
    """Says what it got for registering an extension, which asks for its first event later."""
    registered = call("POST", "/2020-01-01/extension/register", "{}", Content_Type="application/json",
                      Lambda_Extension_Name="broken_runtime")
    print("registered with", registered.status, registered.headers["Lambda-Extension-Identifier"],
          file=sys.stderr)
    sys.exit()


def start_badly():
    """Ends, or hangs, at its first start, and serves at the second."""
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
