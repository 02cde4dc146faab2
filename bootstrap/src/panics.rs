//! Turns a panic into a failure with the panic's place in the source.
//!
//! Needs `panic = "unwind"`. Knows nothing of the Runtime API.

use handler::{Failure, Kind};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

thread_local! {
    static LAST: Cell<Option<String>> = const { Cell::new(None) };
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, and returns a panic in it as a failure of `Kind::Panic` with its message and place.
/// `subject` begins the failure's text.
///
/// The application is used again after a panic, so its state must stay valid through one: r2d2's
/// pool does, as its locks are not poisoned.
pub(crate) fn catch<T>(
    subject: &str,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    CATCHING.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(false);
    outcome.unwrap_or_else(|_| {
        let panic = LAST.take().unwrap_or_default();
        Err(Failure::new(Kind::Panic, format!("{subject} {panic}")))
    })
}

/// Replaces the standard panic hook, so that a panic is one log record: the caller of `catch` logs
/// the failure, and a panic outside of `catch` is logged at once.
pub(crate) fn install_hook() {
    set_hook(Box::new(|panic| {
        let text = describe(panic);
        if CATCHING.get() {
            LAST.set(Some(text));
        } else {
            log::error!("a thread {text}");
        }
    }));
}

fn describe(panic: &PanicHookInfo) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(location) => format!("panicked at {location}: {message}"),
        None => format!("panicked: {message}"),
    }
}
