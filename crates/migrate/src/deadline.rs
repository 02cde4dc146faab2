//! The time that an invocation has left for work, some of it reserved for the answer.
//!
//! Must not know what work is done in that time.

use handler::Invocation;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The time reserved for rolling back and answering; a quarter of the remaining time if that is
/// less.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// The deadline for the work of one invocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    /// The instant at which work must have ended; `None` outside Lambda.
    at: Option<Instant>,
    /// Becomes true when whoever waits gives up: the deadline is then over.
    interrupted: Option<&'static AtomicBool>,
}

impl Deadline {
    /// Computes the deadline from the time that the invocation has left.
    pub(crate) fn of(invocation: &Invocation) -> Deadline {
        let at = invocation
            .remaining()
            .map(|remaining| Instant::now() + (remaining - ANSWER_MARGIN.min(remaining / 4)));
        Deadline {
            at,
            interrupted: invocation.interrupted,
        }
    }

    /// Returns the time until the deadline: zero once it has passed, `None` if there is none.
    pub(crate) fn left(&self) -> Option<Duration> {
        let interrupted = self.interrupted.map(|flag| flag.load(Ordering::Relaxed));
        if interrupted == Some(true) {
            return Some(Duration::ZERO);
        }
        let at = self.at?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Returns whether less than `needed` is left; never true without a deadline.
    pub(crate) fn is_short_of(&self, needed: Duration) -> bool {
        self.left().is_some_and(|left| left < needed)
    }
}
