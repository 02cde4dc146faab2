//! Ends a command in order on Ctrl-C and SIGTERM: the handler is told, and a second signal ends the
//! process at once.
//!
//! Knows nothing of what the handler does.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The exit code of an interrupted command, as shells have it for SIGINT.
pub(super) const EXIT_CODE: u8 = 130;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Listens for the signals from now on; returns what becomes true with the first of them.
pub(super) fn watch() -> &'static AtomicBool {
    match Signals::new([SIGINT, SIGTERM]) {
        Ok(mut signals) => {
            thread::spawn(move || {
                for _ in signals.forever() {
                    if INTERRUPTED.swap(true, Ordering::Relaxed) {
                        process::exit(i32::from(EXIT_CODE));
                    }
                    log::warn!("interrupted: ending in order; interrupt again to end at once");
                }
            });
        }
        Err(error) => log::warn!("failed to listen for Ctrl-C: {error}"),
    }
    &INTERRUPTED
}

/// Returns whether a signal has come.
pub(super) fn has_come() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
