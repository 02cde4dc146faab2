//! The real runtime with a handler that fails, panics, exits or hangs on demand, for what no handler of
//! the app does.

use handler::{Application, Failure, Invocation, Kind, Reply, Variables};
use serde_json::{Value, json};
use std::env;
use std::path::Path;
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    bootstrap::start::<Nothing>(&[("test_handler", handle)])
}

/// The application's state; the handler needs none.
struct Nothing;

impl Application for Nothing {
    fn new(_: &Variables, _: &str, _: usize) -> Result<Nothing, Failure> {
        Ok(Nothing)
    }

    fn disconnect(&self) {}
}

/// Does what the event's `do` names. `echo`, the default, replies with the event and the process id.
fn handle(_: &Nothing, invocation: &Invocation) -> Result<Reply, Failure> {
    let mut event = invocation.json()?;
    match event["do"].as_str() {
        Some("panic") => panic!("on demand"),
        Some("fail") => Err(
            Failure::new(Kind::Own("Function.OnDemand"), "failed on demand")
                .with_source(event["why"].as_str().unwrap_or("it was asked to")),
        ),
        Some("exit") => process::exit(7),
        Some("hang") => loop {
            thread::park_timeout(Duration::from_secs(60));
        },
        Some("wait") => {
            log::warn!("waiting");
            let file = event["file"].as_str().unwrap_or_default().to_string();
            while !Path::new(&file).exists() {
                thread::park_timeout(Duration::from_millis(5));
            }
            Ok(event.into())
        }
        Some("context") => Ok(context(invocation).into()),
        Some("trace") => Ok(json!({"trace": env::var("_X_AMZN_TRACE_ID").ok()}).into()),
        Some("reply") => {
            let bytes = event["bytes"].as_u64().unwrap_or_default() as usize;
            let body = format!("\"{}\"", "x".repeat(bytes.saturating_sub(2))).into_bytes();
            Ok(Reply { body })
        }
        Some("log") => {
            log::info!("filtered");
            log::warn!("two\nlines");
            Ok(event.into())
        }
        _ => {
            event["pid"] = process::id().into();
            Ok(event.into())
        }
    }
}

/// Returns the context of the invocation.
fn context(invocation: &Invocation) -> Value {
    json!({
        "remaining_ms": invocation.remaining().map(|left| left.as_millis() as u64),
        "function_arn": invocation.function_arn,
        "trace_id": invocation.trace_id,
        "client_context": invocation.client_context,
        "cognito_identity": invocation.cognito_identity,
        "tenant_id": invocation.tenant_id,
    })
}
