//! Handles one event from the command line, outside Lambda, and prints the reply.
//!
//! So a laptop can do what a function does: `bootstrap migrate '{"action":"status"}'`.
//! Knows nothing of the Runtime API.

use crate::runtime;
use handler::{Application, Failure, Handler, Invocation, Kind, Variables};
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;

/// Handles the event in the arguments, or on standard input. The exit code is 0 when the handler
/// succeeds, 1 when it fails or does not exist, and 2 when there are too many arguments.
pub(crate) fn run<A: Application>(
    handlers: &[(&str, Handler<A>)],
    variables: &Variables,
    arguments: &[String],
) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] | ["--help" | "-h" | "help"] => {
            print!("{}", usage(handlers));
            ExitCode::SUCCESS
        }
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

The exit code is 0 when the handler succeeds and 1 when it fails. The settings are environment
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
        request_id: "command-line".into(),
        ..Default::default()
    };
    runtime::dispatch(
        handler,
        &runtime::initialise(variables, name, 1)?,
        &invocation,
    )
    .map(|reply| reply.body)
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
    let written = match outcome {
        Ok(mut reply) => {
            reply.push(b'\n');
            io::stdout().write_all(&reply)
        }
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed_pipe) => ExitCode::FAILURE,
    }
}
