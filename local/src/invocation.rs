//! One invocation: the event that the Runtime API hands to an environment, and the answer.
//!
//! Pure data. Knows neither processes nor HTTP.

use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The size of the largest event and of the largest response: 6 MiB, and the 100 bytes that AWS's
/// own emulator adds (`MaxPayloadSize` in aws-lambda-runtime-interface-emulator).
pub(crate) const MAX_PAYLOAD: usize = 6 * 1024 * 1024 + 100;

/// An event for an environment.
pub(crate) struct Invocation {
    /// The id of this invocation in the Runtime API and in the log.
    pub request_id: String,
    /// `Root=…;Parent=…;Sampled=0`, X-Ray's tracing header.
    pub trace_id: String,
    /// The ARN of the function that is invoked.
    pub function_arn: String,
    /// The invoker's client context, as JSON.
    pub client_context: Option<String>,
    /// The event's JSON.
    pub event: Vec<u8>,
}

impl Invocation {
    /// Creates an invocation with a new id.
    pub(crate) fn new(
        function_arn: String,
        event: Vec<u8>,
        client_context: Option<String>,
    ) -> Self {
        let parent = &Uuid::new_v4().simple().to_string()[..16];
        Invocation {
            request_id: Uuid::new_v4().to_string(),
            trace_id: format!("{};Parent={parent};Sampled=0", trace_root()),
            function_arn,
            client_context,
            event,
        }
    }
}

/// Returns the nonce of an invocation's only attempt, which the runtime's answer has to repeat.
pub(crate) fn invocation_id(request_id: &str) -> String {
    format!("{request_id}-1")
}

/// A function's answer: the response's JSON, or the error's.
pub(crate) type Answer = Result<Vec<u8>, Vec<u8>>;

/// Returns an error's JSON, in the form in which Lambda gives it to the caller.
pub(crate) fn error(error_type: &str, message: &str) -> Vec<u8> {
    let error: Value = json!({ "errorType": error_type, "errorMessage": message });
    error.to_string().into_bytes()
}

/// Returns a new `Root=1-<epoch seconds>-<random>`, the form of the `X-Amzn-Trace-Id` header.
pub(crate) fn trace_root() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let random = &Uuid::new_v4().simple().to_string()[..24];
    format!("Root=1-{seconds:08x}-{random}")
}
