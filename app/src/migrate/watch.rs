//! Looks on while a run works: cancels its statement at the edge of the invocation's time, finds
//! out who blocks it, and tells a person at a terminal what is being done.
//!
//! A thread of its own, because the connection waits for the statement. Knows no migration.

use super::clock::Clock;
use crate::database::Observer;
use std::io::{IsTerminal, Write, stderr};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it looks.
const TICK: Duration = Duration::from_millis(250);

/// A statement that takes less is nothing to tell of.
const SLOW: Duration = Duration::from_secs(1);

/// Watches one run; ends when dropped.
pub struct Watch {
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
    /// What is being done, and since when.
    work: Option<(String, Instant)>,
    /// Whether a lock was waited for in vain, and so who holds it is worth a connection.
    blocked: bool,
    blockers: Option<String>,
    cancelled: bool,
}

impl Watch {
    /// Starts to watch.
    pub fn start(observer: Observer, clock: Clock) -> Watch {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let watched = Arc::clone(&shared);
        let thread = thread::spawn(move || watched.look_on(observer, clock));
        Watch {
            shared,
            thread: Some(thread),
        }
    }

    /// Says what is done from now on.
    pub fn works_on(&self, what: String) {
        self.shared
            .change(|state| state.work = Some((what, Instant::now())));
    }

    /// Says that nothing is done any more: a cancellation that comes late would hit what is next.
    pub fn rests(&self) {
        self.shared.change(|state| state.work = None);
    }

    /// Says that a lock was waited for in vain: the next time it is found out who holds it.
    pub fn is_blocked(&self) {
        self.shared.change(|state| state.blocked = true);
    }

    /// Who was seen to block the run.
    pub fn blockers(&self) -> Option<String> {
        let mut blockers = None;
        self.shared.change(|state| blockers = state.blockers.take());
        blockers
    }

    /// Whether the time was over and the statement cancelled.
    pub fn has_cancelled(&self) -> bool {
        let mut cancelled = false;
        self.shared.change(|state| cancelled = state.cancelled);
        cancelled
    }
}

impl Drop for Watch {
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

    fn look_on(&self, mut observer: Observer, clock: Clock) {
        let terminal = stderr().is_terminal();
        let (mut shown, mut over) = (false, false);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.ended {
            let tick = match clock.left() {
                Some(left) if !left.is_zero() => left.min(TICK),
                _ => TICK,
            };
            let waited = self.changed.wait_timeout(state, tick);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                break;
            }
            // A tick later than `statement_timeout`, which most files leave as it is: else both would
            // come, and the second would hit what is next.
            let was_over = mem::replace(&mut over, clock.is_short_of(Duration::from_millis(1)));
            if was_over && state.work.is_some() {
                state.cancelled = true;
                drop(state);
                // Again at every tick: the first may have come between two statements.
                observer.cancel();
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            }
            let slow = state
                .work
                .as_ref()
                .filter(|(_, since)| since.elapsed() >= SLOW);
            if let (true, Some((what, since))) = (terminal, slow) {
                shown = true;
                let _ = write!(stderr(), "\r\x1b[K{what}: {} s", since.elapsed().as_secs());
            }
            if state.blocked && slow.is_some() {
                drop(state);
                let blockers = observer.blockers();
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if blockers.is_some() {
                    state.blockers = blockers;
                }
            }
        }
        if shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
