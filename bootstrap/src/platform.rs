//! What Lambda says of this environment in its environment variables. Reads, decides nothing.
//!
//! Source: "Defined runtime environment variables", AWS Lambda Developer Guide.

use std::env;
use std::ffi::OsString;

/// Where X-Ray's libraries, and processes that a handler starts, look for the trace id.
pub const TRACE_ID: &str = "_X_AMZN_TRACE_ID";

/// An environment on Lambda.
pub struct Platform {
    /// Where the Runtime API is.
    pub runtime_api: String,
    /// The handler's name, which is the first argument where the image's entry point is ours.
    pub handler: Option<String>,
    /// How many invocations come at once: more than one on Lambda Managed Instances only.
    pub concurrency: usize,
    /// A snapshot is taken before the first invocation.
    pub snap_start: bool,
    /// The user wants an orderly end, for the price of a request and two threads.
    pub graceful_shutdown: bool,
}

/// The environment variables, read in one go: a look-up in the process's own list walks all of it.
pub struct Variables(Vec<(OsString, OsString)>);

impl Variables {
    /// What the process was started with.
    pub fn read() -> Variables {
        Variables(env::vars_os().collect())
    }

    /// A variable's value, where empty means absent.
    pub fn get(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        let value = value.to_str()?;
        (!value.is_empty()).then(|| value.to_string())
    }
}

impl Platform {
    /// `None` outside Lambda.
    pub fn read(variables: &Variables) -> Option<Platform> {
        let is = |name, expected| variables.get(name).is_some_and(|value| value == expected);
        let concurrency = variables.get("AWS_LAMBDA_MAX_CONCURRENCY");
        Some(Platform {
            runtime_api: variables.get("AWS_LAMBDA_RUNTIME_API")?,
            handler: variables.get("_HANDLER"),
            concurrency: concurrency
                .and_then(|number| number.parse().ok())
                .unwrap_or(1)
                .max(1),
            snap_start: is("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start"),
            graceful_shutdown: is("GRACEFUL_SHUTDOWN", "true"),
        })
    }
}
