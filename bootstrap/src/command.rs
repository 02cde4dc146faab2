//! Handles one event from the command line, outside Lambda, and prints the reply.
//!
//! So a laptop can do what a function does: `bootstrap migrate '{"action":"status"}'`.
//! Knows nothing of the Runtime API.

use crate::runtime;
use handler::{Application, Failure, Handler, Invocation, Kind, Variables};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::process::{self, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

/// Handles the event in the arguments, or on standard input. The exit code is 0 when the handler
/// succeeds, 1 when it fails or does not exist, 2 when the arguments cannot be used, and 3 when the
/// handler succeeded but its reply could not be written.
pub(crate) fn run<A: Application>(
    handlers: &[(&str, Handler<A>)],
    variables: &Variables,
    arguments: &[OsString],
) -> ExitCode {
    let arguments: Option<Vec<&str>> = arguments.iter().map(|text| text.to_str()).collect();
    let Some(arguments) = arguments else {
        eprintln!("failed to read the arguments: one of them is not UTF-8");
        return ExitCode::from(2);
    };
    match arguments[..] {
        [] | ["--help" | "-h" | "help"] => write("the usage", usage(handlers).as_bytes()),
        [name] => report(
            runtime::find(handlers, name)
                .and_then(|handler| handle(handler, name, variables, read_event()?)),
        ),
        [name, event] => report(
            runtime::find(handlers, name)
                .and_then(|handler| handle(handler, name, variables, event.into())),
        ),
        _ => {
            eprintln!(
                "failed to read the arguments: there are too many, quote the event as one\n\n{}",
                usage(handlers)
            );
            ExitCode::from(2)
        }
    }
}

fn usage<A>(handlers: &[(&str, Handler<A>)]) -> String {
    let names: Vec<&str> = handlers.iter().map(|(name, _)| *name).collect();
    format!(
        "Runs one event, as Lambda would, and prints the reply.

Usage: bootstrap HANDLER ['EVENT']

  HANDLER  one of: {}
  EVENT    the event's JSON; read from standard input when it is not given

Examples:
  bootstrap migrate '{{\"action\":\"status\"}}'
  bootstrap migrate '{{\"action\":\"migrate\"}}'
  bootstrap http < event.json

The exit code is 0 when the handler succeeds, 1 when it fails, 2 when the arguments cannot be used,
and 3 when the handler succeeded but its reply could not be written. The settings are environment
variables: docs/settings.md has the table. On Lambda, where AWS_LAMBDA_RUNTIME_API is set, bootstrap
serves invocations instead.
",
        names.join(", ")
    )
}

fn handle<A: Application>(
    handler: Handler<A>,
    name: &str,
    variables: &Variables,
    event: Vec<u8>,
) -> Result<Vec<u8>, Failure> {
    let invocation = Invocation {
        event,
        request_id: request_id(),
        ..Default::default()
    };
    runtime::dispatch(
        handler,
        &runtime::initialise(variables, name, 1)?,
        &invocation,
    )
    .map(|reply| reply.body)
}

/// Returns a request id that no other call has, as migration runs are told apart by it.
fn request_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = now.unwrap_or_default().as_nanos();
    format!("command-line-{:x}-{nanoseconds:x}", process::id())
}

fn read_event() -> Result<Vec<u8>, Failure> {
    let mut input = io::stdin();
    if input.is_terminal() {
        eprintln!("reading the event from standard input; end it with Ctrl-D");
    }
    let mut event = Vec::new();
    input.read_to_end(&mut event).map_err(|error| {
        Failure::new(Kind::UnreadableEvent, "failed to read standard input").with_source(error)
    })?;
    Ok(event)
}

fn report(outcome: Result<Vec<u8>, Failure>) -> ExitCode {
    match outcome {
        Ok(mut reply) => {
            reply.push(b'\n');
            write("the reply", &reply)
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output, which may be a closed pipe or a file on a full disk.
fn write(what: &str, text: &[u8]) -> ExitCode {
    let mut output = io::stdout();
    match output.write_all(text).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to write {what}: {error}");
            ExitCode::from(3)
        }
    }
}
