//! Watches a run from a thread of its own, because the connection waits for the running statement.
//!
//! Cancels the statement when the invocation's time is over, finds the sessions that block it, and
//! shows it on a terminal. Must not know any migration.

use super::deadline::Deadline;
use database::Observer;
use std::io::{IsTerminal, Write, stderr};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time between two looks at the run.
const TICK: Duration = Duration::from_millis(250);

/// The age at which a statement is shown on a terminal, and its blockers are looked for.
const SLOW: Duration = Duration::from_secs(1);

/// Erases the terminal's line that the cursor is on.
const ERASE_LINE: &str = "\r\x1b[K";

/// The watchdog of one run; its thread ends when it is dropped.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ended: bool,
    /// The running statement, and when it began.
    statement: Option<(String, Instant)>,
    /// Whether to look for the sessions that block a slow statement. That needs a second connection,
    /// so it is set only after a lock was not granted in time.
    looks_for_blockers: bool,
    blockers: Option<String>,
    cancelled: bool,
}

impl Watchdog {
    /// Starts the thread.
    pub(crate) fn start(observer: Observer, deadline: Deadline) -> Watchdog {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let watched = Arc::clone(&shared);
        let thread = thread::spawn(move || watched.poll(observer, deadline));
        Watchdog {
            shared,
            thread: Some(thread),
        }
    }

    /// Sets the running statement: its place and its first words.
    pub(crate) fn set_statement(&self, statement: String) {
        self.shared
            .change(|state| state.statement = Some((statement, Instant::now())));
    }

    /// Changes what is shown of a statement that runs in many parts; its age stays.
    pub(crate) fn set_progress(&self, shown: String) {
        self.shared.change(|state| {
            if let Some((statement, _)) = &mut state.statement {
                *statement = shown;
            }
        });
    }

    /// Clears the running statement, so that a late cancellation does not hit the next one.
    pub(crate) fn clear(&self) {
        self.shared.change(|state| state.statement = None);
    }

    /// Looks for the blockers of slow statements from now on. Called after a lock was not granted in
    /// time.
    pub(crate) fn find_blockers(&self) {
        self.shared.change(|state| state.looks_for_blockers = true);
    }

    /// Takes the description of the sessions that were last seen blocking the run.
    pub(crate) fn take_blockers(&self) -> Option<String> {
        let mut blockers = None;
        self.shared.change(|state| blockers = state.blockers.take());
        blockers
    }

    /// Returns whether the watchdog has cancelled a statement because the time was over.
    pub(crate) fn has_cancelled(&self) -> bool {
        let mut cancelled = false;
        self.shared.change(|state| cancelled = state.cancelled);
        cancelled
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.change(|state| state.ended = true);
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn poll(&self, mut observer: Observer, deadline: Deadline) {
        let terminal = stderr().is_terminal();
        let (mut has_shown, mut is_over) = (false, false);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.ended {
            let tick = match deadline.left() {
                Some(left) if !left.is_zero() => left.min(TICK),
                _ => TICK,
            };
            let waited = self.changed.wait_timeout(state, tick);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                break;
            }
            // Cancels one tick later than `statement_timeout`, which most files do not change. If
            // both cancelled at the same time, the second would hit the next statement.
            let is_short = deadline.is_short_of(Duration::from_millis(1));
            let was_over = mem::replace(&mut is_over, is_short);
            if was_over && state.statement.is_some() {
                state.cancelled = true;
                drop(state);
                // Cancels again at every tick, as a cancellation may arrive between two statements.
                observer.cancel();
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            }
            let slow = state
                .statement
                .as_ref()
                .filter(|(_, since)| since.elapsed() >= SLOW);
            if terminal {
                has_shown = show(slow, has_shown);
            }
            if state.looks_for_blockers && slow.is_some() {
                drop(state);
                let blockers = observer.blockers();
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if blockers.is_some() {
                    state.blockers = blockers;
                }
            }
        }
        show(None, has_shown);
    }
}

/// Shows a slow statement on the terminal's last line, in the place of what stands there; erases that
/// line if there is no such statement, and it is shown. Returns whether a statement is shown now.
fn show(slow: Option<&(String, Instant)>, is_shown: bool) -> bool {
    // In one write, so that no log record comes in between.
    let line = match slow {
        // What is wider than the terminal is not wrapped, as only one line can be erased.
        Some((statement, since)) => {
            let seconds = since.elapsed().as_secs();
            let statement = statement.replace(char::is_control, " ");
            format!("{ERASE_LINE}\x1b[?7l{seconds} s {statement}\x1b[?7h")
        }
        None if is_shown => ERASE_LINE.to_string(),
        None => return false,
    };
    let _ = stderr().write_all(line.as_bytes());
    slow.is_some()
}
