//! Handles one event from the command line, outside Lambda, and prints the reply: as JSON, or on a
//! terminal as tables.
//!
//! So a laptop can do what a function does: `bootstrap migrate status`.
//! Knows nothing of the Runtime API.

mod failure;
mod interrupt;
mod table;

use crate::runtime;
use crate::terminal::{self, Screen};
use handler::{Application, Failure, Handler, Invocation, Kind, Variables};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::process::{self, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

/// Handles the event in the arguments, or on standard input. The exit code is 0 when the handler
/// succeeds, 1 when it fails or does not exist, 2 when the arguments cannot be used, 3 when the
/// handler succeeded but its reply could not be written, and 130 when it was interrupted.
pub(crate) fn run<A: Application>(
    handlers: &[(&str, Handler<A>)],
    variables: &Variables,
    arguments: &[OsString],
) -> ExitCode {
    let arguments: Option<Vec<&str>> = arguments.iter().map(|text| text.to_str()).collect();
    let Some(mut arguments) = arguments else {
        eprintln!("failed to read the arguments: one of them is not UTF-8");
        return ExitCode::from(2);
    };
    if io::stderr().is_terminal() {
        terminal::show_log();
    }
    let given = arguments.len();
    arguments.retain(|argument| *argument != "--json");
    let json = arguments.len() < given || !matches!(variables.get("JSON"), Ok(None | Some("0")));
    let outcome = match arguments[..] {
        [] | ["--help" | "-h" | "help"] => Ok(usage(handlers).into()),
        ["--show"] => read_input(),
        [name, "--help" | "-h" | "help"] => help(handlers, name),
        [name] if io::stdin().is_terminal() => help(handlers, name),
        [name] => handle(handlers, name, variables, None),
        [name, event] => handle(handlers, name, variables, Some(event)),
        _ => {
            eprintln!(
                "failed to read the arguments: there are too many, quote the event as one\n\n{}",
                usage(handlers)
            );
            return ExitCode::from(2);
        }
    };
    report(outcome, variables, json)
}

fn usage<A>(handlers: &[(&str, Handler<A>)]) -> String {
    let names: Vec<&str> = handlers.iter().map(|(name, _)| *name).collect();
    format!(
        "Runs one event, as Lambda would, and prints the reply.

Usage: bootstrap HANDLER [--json] [EVENT]
       bootstrap HANDLER --help
       bootstrap --show < REPLY

  HANDLER  one of: {}
  EVENT    the event's JSON, or a word for {{\"action\":\"word\"}}; read from standard input when it is
           not given
  --json   print JSON on a terminal too, as JSON=1 does; elsewhere JSON is printed always
  --show   print a reply from standard input, as if it was made here

Examples:
  bootstrap migrate status
  bootstrap migrate '{{\"action\":\"migrate\",\"dry_run\":true}}'
  bootstrap http < event.json

The exit code is 0 when the handler succeeds, 1 when it fails, 2 when the arguments cannot be used, 3
when the handler succeeded but its reply could not be written, and 130 when it was interrupted. The
settings are environment variables: docs/settings.md has the table. On Lambda, where
AWS_LAMBDA_RUNTIME_API is set, bootstrap serves invocations instead.",
        names.join(", ")
    )
}

/// Returns what the handler says of its events; the usage if it says nothing.
fn help<A: Application>(handlers: &[(&str, Handler<A>)], name: &str) -> Result<Vec<u8>, Failure> {
    runtime::find(handlers, name)?;
    Ok(A::help(name).unwrap_or_else(|| usage(handlers)).into())
}

/// Returns the event that an argument stands for: a word is an action, anything else the event.
fn event_of(argument: &str) -> Vec<u8> {
    let is_word = argument.starts_with(|first: char| first.is_ascii_alphabetic())
        && (argument.bytes()).all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match is_word && !["true", "false", "null"].contains(&argument) {
        true => format!("{{\"action\":\"{argument}\"}}").into(),
        false => argument.into(),
    }
}

fn handle<A: Application>(
    handlers: &[(&str, Handler<A>)],
    name: &str,
    variables: &Variables,
    event: Option<&str>,
) -> Result<Vec<u8>, Failure> {
    let handler = runtime::find(handlers, name)?;
    let event = event.map_or_else(read_input, |event| Ok(event_of(event)))?;
    let app = runtime::initialise(variables, name, 1)?;
    let invocation = Invocation {
        event,
        request_id: request_id(),
        interrupted: Some(interrupt::watch()),
        ..Default::default()
    };
    runtime::dispatch(handler, &app, &invocation).map(|reply| reply.body)
}

/// Returns a request id that no other call has, as migration runs are told apart by it.
fn request_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = now.unwrap_or_default().as_nanos();
    format!("command-line-{:x}-{nanoseconds:x}", process::id())
}

fn read_input() -> Result<Vec<u8>, Failure> {
    let mut event = Vec::new();
    io::stdin().read_to_end(&mut event).map_err(|error| {
        Failure::new(Kind::UnreadableEvent, "failed to read standard input").with_source(error)
    })?;
    if event.trim_ascii().is_empty() {
        let message =
            "failed to read standard input: nothing is there; give the event as an argument";
        return Err(Failure::new(Kind::UnreadableEvent, message));
    }
    Ok(event)
}

/// Prints the reply on standard output, or the failure on standard error; on a terminal in the form for
/// a person, unless the reply is wanted as JSON.
fn report(outcome: Result<Vec<u8>, Failure>, variables: &Variables, json: bool) -> ExitCode {
    let code = match outcome {
        Ok(mut reply) => {
            let value = match io::stdout().is_terminal() && !json {
                true => parsed(&reply),
                false => None,
            };
            match value {
                Some(value) => reply = show(&value, Screen::of_terminal(variables)).into(),
                None => reply.push(b'\n'),
            }
            write(&reply)
        }
        Err(failure) => {
            let kind = failure.kind().text();
            match io::stderr().is_terminal() {
                true => {
                    let screen = Screen::of_terminal(variables);
                    eprint!("{}", failure::show(kind, &failure.to_string(), screen));
                }
                false => eprintln!("{failure}\n({kind})"),
            }
            ExitCode::FAILURE
        }
    };
    match interrupt::has_come() {
        true => ExitCode::from(interrupt::EXIT_CODE),
        false => code,
    }
}

/// Returns the text of a reply, or of the failure that Lambda replies with.
fn show(reply: &Value, screen: Screen) -> String {
    match (&reply["errorType"], &reply["errorMessage"]) {
        (Value::String(kind), Value::String(message)) => failure::show(kind, message, screen),
        _ => table::show(reply, screen),
    }
}

/// Reads a reply as an event is read: that code is there already.
fn parsed(reply: &[u8]) -> Option<Value> {
    let event = reply.to_vec();
    let invocation = Invocation {
        event,
        ..Default::default()
    };
    invocation.json().ok()
}

/// Writes to standard output, which may be a closed pipe or a file on a full disk.
fn write(text: &[u8]) -> ExitCode {
    let mut output = io::stdout();
    match output.write_all(text).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to write the reply: {error}");
            ExitCode::from(3)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_an_action_and_anything_else_the_event_itself() {
        let event = |argument| String::from_utf8(event_of(argument)).expect("it is a text");
        assert_eq!(event("dry-run_2"), r#"{"action":"dry-run_2"}"#);
        for same in [
            "{}",
            "{\"a\":1}",
            "null",
            "true",
            "1",
            "\"x\"",
            "",
            "a b",
            "a\"b",
        ] {
            assert_eq!(event(same), same);
        }
    }
}
