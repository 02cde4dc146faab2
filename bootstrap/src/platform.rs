//! Reads the runtime's settings from the environment variables: those that Lambda sets, and
//! `GRACEFUL_SHUTDOWN`. Checks their values; does not act on them.
//!
//! Source: "Defined runtime environment variables", AWS Lambda Developer Guide.

use handler::{Failure, Kind, Variables};

/// The variable in which X-Ray's libraries, and processes that a handler starts, find the trace id.
pub(crate) const TRACE_ID: &str = "_X_AMZN_TRACE_ID";

/// The settings of an execution environment on Lambda.
pub(crate) struct Platform {
    /// The handler's name: `_HANDLER`, else the first argument, which is an image's CMD where the
    /// image's entry point is the executable.
    pub handler: String,
    /// How many invocations come at once: more than one on Lambda Managed Instances only.
    pub concurrency: usize,
    /// Whether Lambda takes a snapshot before the first invocation.
    pub snap_start: bool,
    /// Whether SIGTERM ends the process in order, which costs a request and two threads at start.
    pub graceful_shutdown: bool,
}

impl Platform {
    /// Reads the variables; `argument` is the process's first argument.
    ///
    /// # Errors
    /// `Kind::InvalidSettings`, with the variable's name and the values that it may have.
    pub(crate) fn read(variables: &Variables, argument: Option<&str>) -> Result<Platform, Failure> {
        let handler = variables.get("_HANDLER")?.or(argument);
        let initialisation = variables.get("AWS_LAMBDA_INITIALIZATION_TYPE")?;
        Ok(Platform {
            handler: handler.unwrap_or_default().to_string(),
            concurrency: concurrency(variables)?,
            snap_start: initialisation == Some("snap-start"),
            graceful_shutdown: variables.flag("GRACEFUL_SHUTDOWN")?,
        })
    }
}

fn concurrency(variables: &Variables) -> Result<usize, Failure> {
    const NAME: &str = "AWS_LAMBDA_MAX_CONCURRENCY";
    let Some(text) = variables.get(NAME)? else {
        return Ok(1);
    };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| {
        let message = format!(
            "failed to read {NAME} `{text}`: set it to a whole number from 1, or not at all"
        );
        Failure::new(Kind::InvalidSettings, message)
    })
}
