#!/usr/bin/env python3
"""A runtime that breaks the contract: answers with the statuses that it got for it."""

import http.client
import json
import os

RUNTIME = "/2018-06-01/runtime"
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    api.request(method, path, body, named)
    response = api.getresponse()
    response.read()
    return response


def serve():
    event = call("GET", RUNTIME + "/invocation/next")
    request_id = event.headers["Lambda-Runtime-Aws-Request-Id"]
    nonce = {"Lambda_Runtime_Invocation_Id": event.headers["Lambda-Runtime-Invocation-Id"]}
    answer = RUNTIME + "/invocation/" + request_id
    statuses = [
        call("POST", RUNTIME + "/init/error", "{}", Lambda_Runtime_Function_Error_Type="Runtime.Late").status,
        call("POST", RUNTIME + "/invocation/somebody-elses/response", "{}",
             Lambda_Runtime_Invocation_Id="somebody-elses-1").status,
        call("PUT", answer + "/response", "{}", **nonce).status,
        call("GET", RUNTIME + "/nowhere").status,
    ]
    call("POST", answer + "/response", json.dumps(statuses), **nonce)
    # After the answer: a second one, and an error without a type or a nonce.
    call("POST", answer + "/response", "2", **nonce)
    call("POST", answer + "/error", "{}")


while True:
    serve()
