//! The event that a handler receives and the reply that it returns.
//!
//! Knows nothing of how either is transported.

use crate::{Failure, Kind, json};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// One invocation: the event, and what the platform says about it.
#[derive(Debug, Default)]
pub struct Invocation {
    /// The bytes of the event. They are JSON, unless the invoker sent something else.
    pub event: Vec<u8>,
    /// The id of the invocation in the logs. A retry has the same id.
    pub request_id: String,
    /// The time at which the platform ends the process; it may be past. `None` outside Lambda, and
    /// under cargo-lambda, whose deadlines are in 1970: the runtime takes none before 2014 for one.
    pub deadline: Option<SystemTime>,
    /// The ARN that was invoked, with the version or the alias if one was named.
    pub function_arn: Option<String>,
    /// The X-Ray trace header.
    pub trace_id: Option<String>,
    /// The JSON that a caller with the mobile SDK sent.
    pub client_context: Option<String>,
    /// The JSON of the Cognito identity that invoked the function.
    pub cognito_identity: Option<String>,
    /// The tenant, in tenant isolation mode.
    pub tenant_id: Option<String>,
    /// Becomes true when whoever waits gives up: Ctrl-C on the command line. `None` on Lambda.
    pub interrupted: Option<&'static AtomicBool>,
}

/// The JSON that a handler answers with. A struct, so that a streamed reply can be added.
#[derive(Debug)]
pub struct Reply {
    /// The JSON text.
    pub body: Vec<u8>,
}

impl Invocation {
    /// Parses the event as JSON. Refuses an object that has a key twice: of two values, each reader
    /// may take another one.
    ///
    /// ```
    /// let invocation = handler::Invocation {
    ///     event: br#"{"action":"status"}"#.to_vec(),
    ///     ..Default::default()
    /// };
    /// assert_eq!(invocation.json()?["action"], "status");
    /// # Ok::<(), handler::Failure>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidEvent`], with the repeated key, and with the line and the column of the first
    /// error.
    pub fn json(&self) -> Result<Value, Failure> {
        json::parse(&self.event).map_err(|error| {
            Failure::new(Kind::InvalidEvent, "failed to read the event as JSON").with_source(error)
        })
    }

    /// Returns whether whoever waited has given up.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
            .is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
    }

    /// Returns the time until the deadline: zero when the deadline is past, `None` when there is
    /// none.
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
    /// The size of the largest reply that Lambda accepts, in bytes: 6 MiB and 100 bytes
    /// (`MaxPayloadSize` in AWS's own emulator).
    pub const LIMIT: usize = 6 * 1024 * 1024 + 100;
}

impl From<Value> for Reply {
    fn from(value: Value) -> Reply {
        Reply {
            body: value.to_string().into_bytes(),
        }
    }
}
