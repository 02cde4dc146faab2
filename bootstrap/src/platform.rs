//! What Lambda says of this environment in its environment variables. Reads, decides nothing.
//!
//! Source: "Defined runtime environment variables", AWS Lambda Developer Guide.

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

impl Platform {
    /// `None` outside Lambda.
    pub fn read() -> Option<Platform> {
        let concurrency = variable("AWS_LAMBDA_MAX_CONCURRENCY");
        Some(Platform {
            runtime_api: variable("AWS_LAMBDA_RUNTIME_API")?,
            handler: variable("_HANDLER"),
            concurrency: concurrency
                .and_then(|number| number.parse().ok())
                .unwrap_or(1)
                .max(1),
            snap_start: variable("AWS_LAMBDA_INITIALIZATION_TYPE")
                .is_some_and(|kind| kind == "snap-start"),
            graceful_shutdown: variable("GRACEFUL_SHUTDOWN").is_some_and(|value| value == "true"),
        })
    }
}

/// An environment variable, where empty means absent.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
