//! What Lambda says of this environment in its environment variables. Reads and checks; decides
//! nothing.
//!
//! Source: "Defined runtime environment variables", AWS Lambda Developer Guide.

use app::Failure;
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
    /// A variable that cannot be meant, which ends the initialisation.
    pub invalid: Option<Failure>,
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
        let mut invalid = None;
        let mut refuse = |name: &str, wanted: &str| {
            let message = format!("failed to read {name}: set it to {wanted}, or not at all");
            invalid = Some(Failure::new("Runtime.InvalidSettings", message));
        };
        let concurrency = variables.get("AWS_LAMBDA_MAX_CONCURRENCY");
        let concurrency = concurrency.map_or(Some(1), |number| number.parse().ok());
        let concurrency = concurrency.filter(|number| *number > 0).unwrap_or_else(|| {
            refuse("AWS_LAMBDA_MAX_CONCURRENCY", "a whole number from 1");
            1
        });
        let graceful_shutdown = match variables.get("GRACEFUL_SHUTDOWN").as_deref() {
            Some("true") => true,
            None | Some("false") => false,
            Some(_) => {
                refuse("GRACEFUL_SHUTDOWN", "`true` or `false`");
                false
            }
        };
        Some(Platform {
            runtime_api: variables.get("AWS_LAMBDA_RUNTIME_API")?,
            handler: variables.get("_HANDLER"),
            concurrency,
            snap_start: variables
                .get("AWS_LAMBDA_INITIALIZATION_TYPE")
                .is_some_and(|kind| kind == "snap-start"),
            graceful_shutdown,
            invalid,
        })
    }
}
