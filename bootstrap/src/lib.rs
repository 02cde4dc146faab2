//! A minimal synchronous Lambda runtime: process start → loop → dispatch.
//!
//! Knows the Runtime API and the handler table's types; knows nothing of pages, routes or SQL.
//! Read on in the order of a run: `runtime` (the loop), `api` (the wire), and, outside Lambda,
//! `command` (one event from the command line).

mod api;
mod command;
mod logging;
mod panics;
mod platform;
mod runtime;

use app::Handler;
use dlmalloc::GlobalDlmalloc;
use platform::{Platform, Variables};
use std::process::ExitCode;

/// musl's own allocator asks the kernel for nearly every page and returns it at once. Here, so that
/// every executable of the runtime has it, those of the tests too.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// Starts the runtime with a table of handlers, and returns the process's exit code when it ends.
///
/// On Lambda (`AWS_LAMBDA_RUNTIME_API` is set) it serves invocations until the platform ends the
/// process or the Runtime API is lost. Elsewhere it handles one event and ends.
pub fn start(handlers: &[(&str, Handler)]) -> ExitCode {
    panics::remember();
    let variables = Variables::read();
    logging::start(&variables);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Platform::read(&variables) {
        Some(platform) => {
            let argument = arguments.first().map(String::as_str);
            runtime::run(platform, &variables, handlers, argument)
        }
        None => command::run(handlers, &variables, &arguments),
    }
}
