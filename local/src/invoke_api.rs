//! Lambda's Invoke API, so that `aws lambda invoke --endpoint-url` works. Refuses all other calls of
//! Lambda's API.
//!
//! Knows nothing of environments. Source: "Invoke", AWS Lambda API Reference.

use crate::function::{Function, Throttled};
use crate::in_flight::Entered;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use oxhttp::model::header::CONTENT_TYPE;
use oxhttp::model::{Body, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The pause before an asynchronous event is tried again, when its function is throttled.
const EVENT_PAUSE: Duration = Duration::from_millis(100);

/// The resources in the paths of Lambda's API (the AWS CLI's service model, `lambda`).
const RESOURCES: [&str; 8] = [
    "account-settings",
    "capacity-providers",
    "code-signing-configs",
    "durable-executions",
    "event-source-mappings",
    "functions",
    "layers",
    "tags",
];

/// Returns whether a path is one of Lambda's API: `/<version>/<resource>…`, with a date as version.
pub(crate) fn is_call(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    let version = segments.next().unwrap_or_default().as_bytes();
    let resource = segments.next().unwrap_or_default();
    let is_date = version.len() == 10
        && version.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_date && RESOURCES.contains(&resource)
}

/// Returns the function's name from the request's path, if the request is the call `Invoke`.
fn function_name(request: &Request<Body>) -> Option<String> {
    let path = request.uri().path();
    let name = path
        .strip_prefix("/2015-03-31/functions/")?
        .strip_suffix("/invocations")?;
    let name = percent_decode_str(name).decode_utf8_lossy();
    // `name`, `name:qualifier`, `account:function:name`, or a whole ARN.
    let name = name
        .rsplit_once("function:")
        .map_or(&*name, |(_, name)| name);
    let name = name.split(':').next().unwrap_or_default();
    (request.method() == Method::POST && !name.contains('/')).then(|| name.to_owned())
}

/// Serves a call whose body has been read. `entered` is kept for as long as an event is handled.
pub(crate) fn serve(
    functions: &[Arc<Function>],
    request: &Request<Body>,
    body: Vec<u8>,
    entered: &Entered,
) -> Response<Body> {
    let Some(name) = function_name(request) else {
        let (method, path) = (request.method(), request.uri().path());
        let message = format!("`local` has no {method} {path}: the only call is Invoke");
        return refuse(StatusCode::NOT_FOUND, "UnknownOperationException", &message);
    };
    let Some(function) = functions.iter().find(|function| function.name == name) else {
        let known: Vec<&str> = functions.iter().map(|function| &*function.name).collect();
        let message = format!(
            "Function not found: {name}; there are: {}",
            known.join(", ")
        );
        return refuse(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message);
    };
    // Without a payload, the function gets an empty object.
    let event = if body.is_empty() {
        b"{}".to_vec()
    } else {
        body
    };
    if let Err(cause) = serde_json::from_slice::<Value>(&event) {
        let message = format!("Could not parse request body into json: {cause}");
        return refuse(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContentException",
            &message,
        );
    }
    let Ok(context) = client_context(request) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.",
        );
    };
    match header(request, "x-amz-invocation-type") {
        None | Some("RequestResponse") => {
            let wants_log = header(request, "x-amz-log-type") == Some("Tail");
            invoke(function, event, context, wants_log)
        }
        Some("DryRun") => empty(StatusCode::NO_CONTENT),
        Some("Event") => {
            let (function, entered) = (function.clone(), entered.clone());
            thread::spawn(move || {
                // Lambda keeps an event until there is an environment for it.
                let reply = loop {
                    match function.invoke(event.clone(), context.clone()) {
                        Ok(reply) => break reply,
                        Err(Throttled) => thread::sleep(EVENT_PAUSE),
                    }
                };
                if let Err(error) = reply.answer {
                    eprintln!("the event failed: {}", String::from_utf8_lossy(&error));
                }
                drop(entered);
            });
            empty(StatusCode::ACCEPTED)
        }
        Some(other) => {
            let message =
                format!("Invocation type `{other}` is not one of RequestResponse, Event, DryRun");
            refuse(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                &message,
            )
        }
    }
}

/// Returns the invoker's client context, or an error if it is not a JSON object in Base64.
fn client_context(request: &Request<Body>) -> Result<Option<String>, ()> {
    let Some(context) = header(request, "x-amz-client-context") else {
        return Ok(None);
    };
    let context = BASE64_STANDARD.decode(context).map_err(drop)?;
    serde_json::from_slice::<Map<String, Value>>(&context).map_err(drop)?;
    String::from_utf8(context).map(Some).map_err(drop)
}

/// Returns a refusal in the form of AWS's API, which the AWS CLI understands.
pub(crate) fn refuse(
    status: StatusCode,
    error_type: &'static str,
    message: &str,
) -> Response<Body> {
    answer_refusal(
        status,
        error_type,
        &json!({ "Type": "User", "message": message }),
    )
}

fn invoke(
    function: &Function,
    event: Vec<u8>,
    context: Option<String>,
    wants_log: bool,
) -> Response<Body> {
    let Ok(reply) = function.invoke(event, context) else {
        let refusal = json!({
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
            "Type": "User",
            "message": "Rate Exceeded.",
        });
        return answer_refusal(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsException",
            &refusal,
        );
    };
    let mut response = Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .header("X-Amzn-RequestId", reply.request_id)
        .header("X-Amz-Executed-Version", "$LATEST");
    if reply.answer.is_err() {
        response = response.header("X-Amz-Function-Error", "Unhandled");
    }
    if wants_log {
        response = response.header("X-Amz-Log-Result", BASE64_STANDARD.encode(reply.log));
    }
    let (Ok(body) | Err(body)) = reply.answer;
    response
        .body(Body::from(body))
        .expect("all headers are valid")
}

fn answer_refusal(status: StatusCode, error_type: &'static str, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .header("X-Amzn-ErrorType", error_type)
        .body(Body::from(body.to_string()))
        .expect("all headers are valid")
}

fn empty(status: StatusCode) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .expect("there are no headers")
}

fn header<'a>(request: &'a Request<Body>, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_context_is_a_json_object_in_base64() {
        let context = |value: &str| {
            let request = Request::post("http://localhost:9000/")
                .header("X-Amz-Client-Context", value)
                .body(Body::empty())
                .expect("the test's request is valid");
            client_context(&request)
        };
        assert_eq!(context("eyJhIjoxfQ=="), Ok(Some(r#"{"a":1}"#.to_owned())));
        for wrong in ["%", "W10=", "e30x"] {
            assert_eq!(context(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_function_has_a_name_a_qualified_name_and_an_arn() {
        let name = |function: &str| {
            let uri = format!("http://localhost:9000/2015-03-31/functions/{function}/invocations");
            let request = Request::post(uri)
                .body(Body::empty())
                .expect("the test's request is valid");
            function_name(&request)
        };
        assert_eq!(name("web").as_deref(), Some("web"));
        assert_eq!(name("web:$LATEST").as_deref(), Some("web"));
        let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aweb%3A1";
        assert_eq!(name(arn).as_deref(), Some("web"));
    }

    #[test]
    fn all_other_paths_of_the_api_are_calls_but_not_invoke() {
        for (method, path) in [
            ("GET", "/2015-03-31/functions"),
            ("GET", "/2015-03-31/functions/"),
            ("GET", "/2015-03-31/functions/web/invocations"),
            ("POST", "/2015-03-31/functions/web/x/invocations"),
            (
                "POST",
                "/2021-11-15/functions/web/response-streaming-invocations",
            ),
            ("POST", "/2014-11-13/functions/web/invoke-async/"),
            ("GET", "/2016-08-19/account-settings/"),
        ] {
            assert!(is_call(path), "{path}");
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::empty()).expect("valid");
            assert_eq!(function_name(&request), None, "{path}");
        }
        for page in [
            "/",
            "/functions",
            "/2026-11-24/orders",
            "/2015-3-31/functions",
        ] {
            assert!(!is_call(page), "{page}");
        }
    }
}
