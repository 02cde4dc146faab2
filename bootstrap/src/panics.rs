//! Turns a panic into a failure that says where it happened.
//!
//! Needs `panic = "unwind"`. Knows nothing of the Runtime API.

use app::Failure;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

thread_local! {
    static LAST: Cell<Option<String>> = const { Cell::new(None) };
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic in it becomes a `Function.Panic` failure with its message and place.
///
/// The handler's state is used again afterwards: what it shares (the pool) is poison free.
pub fn catch<T>(who: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    CATCHING.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(false);
    outcome.unwrap_or_else(|_| {
        let panic = LAST.take().unwrap_or_default();
        Err(Failure::new("Function.Panic", format!("{who} {panic}")))
    })
}

/// Replaces the standard hook: a panic is one record, logged by whoever catches it, or at once in
/// a thread where nobody does.
pub fn remember() {
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
