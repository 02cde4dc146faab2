//! Outside Lambda: handle one event from the command line, print the reply, end.
//!
//! So a laptop can do what a function does: `bootstrap migrate '{"action":"status"}'`.
//! Knows nothing of the Runtime API.

use crate::platform::Variables;
use crate::runtime;
use app::{Failure, Handler, Invocation};
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;

/// Handles the event that the arguments give; 0 when the handler succeeds, 1 when it fails,
/// 2 when the arguments are wrong.
pub fn run(handlers: &[(&str, Handler)], variables: &Variables, arguments: &[String]) -> ExitCode {
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

fn usage(handlers: &[(&str, Handler)]) -> String {
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

It exits with 0 when the handler succeeds and with 1 when it fails. The settings are environment
variables; README.md lists them. On Lambda, where AWS_LAMBDA_RUNTIME_API is set, it serves
invocations instead.
",
        names.join(", ")
    )
}

fn handle(
    handler: Handler,
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
        Failure::new("Runtime.UnreadableEvent", "failed to read standard input").because(error)
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
