//! The real runtime with a handler that misbehaves on demand: what no handler of the app does, the
//! tests can still see the runtime meet.

use app::{App, Failure, Invocation, Reply};
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    bootstrap::start(&[("faulty", handle)])
}

/// Does what the event's `do` says; `echo` answers with the event and the process's id.
fn handle(_: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    let mut event = invocation.json()?;
    match event["do"].as_str() {
        Some("panic") => panic!("on demand"),
        Some("fail") => Err(Failure::new("Function.OnDemand", "failed on demand")
            .because(std::io::Error::other("it was asked to"))),
        Some("exit") => process::exit(7),
        Some("hang") => loop {
            thread::park_timeout(Duration::from_secs(60));
        },
        _ => {
            event["pid"] = process::id().into();
            Ok(event.into())
        }
    }
}
