//! A minimal synchronous Lambda runtime: process start → loop → dispatch.
//!
//! Knows the Runtime API and the handler table's types; knows nothing of pages, routes or SQL.
//! Read on in the order of a run: `runtime` (the loop), `api` (the wire), and, outside Lambda,
//! `command` (one event from the command line).

mod api;
mod command;
mod logging;
mod panics;
mod runtime;

use app::{App, Handler};
use std::process::ExitCode;

/// Starts the runtime with a table of handlers, and returns the process's exit code when it ends.
///
/// On Lambda (`AWS_LAMBDA_RUNTIME_API` is set) it serves invocations until the platform ends the
/// process or the Runtime API is lost. Elsewhere it handles one event and ends.
pub fn start(handlers: &[(&str, Handler)]) -> ExitCode {
    panics::remember();
    logging::start(&variable);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(address) = variable("AWS_LAMBDA_RUNTIME_API") else {
        return command::run(handlers, &arguments, || App::new(&variable));
    };
    // Behind the base image's own entrypoint the name is in `_HANDLER`; with ours it is the CMD.
    let name = variable("_HANDLER").or_else(|| arguments.into_iter().next());
    runtime::run(&address, handlers, name.as_deref(), || App::new(&variable))
}

/// An environment variable, where empty means absent.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
