//! A minimal synchronous Lambda runtime: process start → loop → dispatch.
//!
//! Knows the Runtime API and the types of `handler`; knows nothing of pages, routes or SQL. Only
//! `main` names the application.
//! In the order of a run, read `runtime` (the loop) and `api` (the wire); for a run outside Lambda,
//! `command` (one event from the command line).

mod api;
mod command;
mod logging;
mod panics;
mod platform;
mod runtime;
mod terminal;

use dlmalloc::GlobalDlmalloc;
use handler::{Application, Handler, Variables};
use platform::Platform;
use std::ffi::OsString;
use std::process::ExitCode;

/// dlmalloc in place of musl's allocator. musl's maps and returns single pages, and each of these
/// system calls costs more than a page fault; dlmalloc asks the kernel for 64 KB at a time. It is
/// set in the library, so that every executable with the runtime has it, the tests' too.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// Runs the runtime with a table of handlers, and returns the process's exit code. Creates the
/// application once, when the handler is known.
///
/// On Lambda (`AWS_LAMBDA_RUNTIME_API` is set), serves invocations until the platform ends the
/// process or the Runtime API is lost. Elsewhere, handles one event from the command line.
///
/// ```no_run
/// use handler::{Application, Failure, Handler, Invocation, Reply, Variables};
///
/// struct Echo;
///
/// impl Application for Echo {
///     fn new(_: &Variables, _: &str, _: usize) -> Result<Echo, Failure> {
///         Ok(Echo)
///     }
///
///     fn disconnect(&self) {}
/// }
///
/// fn echo(_: &Echo, invocation: &Invocation) -> Result<Reply, Failure> {
///     Ok(invocation.json()?.into())
/// }
///
/// const HANDLERS: &[(&str, Handler<Echo>)] = &[("echo", echo)];
///
/// fn main() -> std::process::ExitCode {
///     bootstrap::start(HANDLERS)
/// }
/// ```
pub fn start<A: Application>(handlers: &[(&str, Handler<A>)]) -> ExitCode {
    panics::install_hook();
    let variables = Variables::of_process();
    let logged = logging::start(&variables);
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match (variables.get("AWS_LAMBDA_RUNTIME_API"), logged) {
        (Ok(Some(address)), logged) => {
            let argument = arguments.first().map(|argument| argument.to_string_lossy());
            let platform = logged.and_then(|()| Platform::read(&variables, argument.as_deref()));
            runtime::run(address, platform, &variables, handlers)
        }
        (Ok(None), Ok(())) => command::run(handlers, &variables, &arguments),
        (Err(failure), _) | (_, Err(failure)) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
