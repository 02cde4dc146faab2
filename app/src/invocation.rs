//! What a handler receives and returns. Knows nothing of how either travels.

use crate::Failure;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// One invocation: the event and what the platform says of it.
#[derive(Debug, Default)]
pub struct Invocation {
    /// The event as it came; JSON, unless the invoker sent something else.
    pub event: Vec<u8>,
    /// Identifies the invocation in the logs. A retry has the same.
    pub request_id: String,
    /// When the platform ends the process. `None` outside Lambda.
    pub deadline: Option<SystemTime>,
    /// The function's ARN as it was invoked, with its version or alias.
    pub function_arn: Option<String>,
    /// The X-Ray trace header.
    pub trace_id: Option<String>,
    /// JSON from the mobile SDK's caller.
    pub client_context: Option<String>,
    /// JSON of the Cognito identity that invoked.
    pub cognito_identity: Option<String>,
    /// The tenant, in tenant isolation mode.
    pub tenant_id: Option<String>,
}

/// What a handler answers: JSON. A struct, so that it can grow a streamed kind.
#[derive(Debug)]
pub struct Reply {
    /// The JSON text.
    pub body: Vec<u8>,
}

impl Invocation {
    /// The event as JSON.
    ///
    /// # Errors
    /// `Function.InvalidEvent`, with the place where it stops being JSON.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.event).map_err(|error| {
            Failure::new("Function.InvalidEvent", "failed to read the event as JSON").because(error)
        })
    }

    /// The time left until the platform ends the process: zero when it is past, `None` when there
    /// is no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(
            deadline
                .duration_since(SystemTime::now())
                .unwrap_or_default(),
        )
    }
}

impl Reply {
    /// The largest that Lambda takes, in bytes: 6 MiB and a little (`MaxPayloadSize` in AWS's own
    /// emulator).
    pub const LIMIT: usize = 6 * 1024 * 1024 + 100;
}

impl From<Value> for Reply {
    fn from(value: Value) -> Reply {
        Reply {
            body: value.to_string().into_bytes(),
        }
    }
}
