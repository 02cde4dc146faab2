//! How much of an invocation's time is left to work in. Knows nothing of what is done in it.

use crate::Invocation;
use std::time::{Duration, Instant};

/// What is kept to roll back and to answer; a quarter of the time where that is less.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// The time of one invocation.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// When work has to have ended; never, outside Lambda.
    edge: Option<Instant>,
}

impl Clock {
    /// Starts when the handler does.
    pub fn of(invocation: &Invocation) -> Clock {
        let edge = invocation
            .remaining()
            .map(|remaining| Instant::now() + (remaining - ANSWER_MARGIN.min(remaining / 4)));
        Clock { edge }
    }

    /// The time until the edge: zero when it is past, `None` when there is no deadline.
    pub fn left(&self) -> Option<Duration> {
        let edge = self.edge?;
        Some(edge.saturating_duration_since(Instant::now()))
    }

    /// Whether less than this is left.
    pub fn is_short_of(&self, needed: Duration) -> bool {
        self.left().is_some_and(|left| left < needed)
    }
}
