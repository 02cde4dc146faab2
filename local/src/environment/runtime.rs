//! The process's side of an environment: what it asks for and answers through the Runtime API.
//!
//! Runs in coroutines: nothing here may block but on the environment's own condition variable.

use super::{Environment, Extension, Phase, State};
use crate::invocation::{Answer, Invocation};
use may::sync::MutexGuard;
use std::sync::Arc;
use std::time::Instant;

/// An event that was handed over.
pub struct Handed {
    /// What was handed over.
    pub invocation: Arc<Invocation>,
    /// When it has to be answered.
    pub deadline: Instant,
}

/// Why the Runtime API says no.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// A call that is wrong in this phase.
    InvalidStateTransition,
    /// An id that is not the current invocation's.
    InvalidRequestId,
    /// The process has ended, or has asked again on another connection.
    Gone,
}

impl Environment {
    /// `/next`: blocks until there is an event. Asked again before the answer, it gives the same
    /// event again, as AWS's own emulator does.
    pub fn next(&self) -> Result<Handed, Refusal> {
        let mut state = self.lock();
        state.poll += 1;
        let poll = state.poll;
        match &state.phase {
            Phase::Init if state.init_error.is_some() => {
                return Err(Refusal::InvalidStateTransition);
            }
            Phase::Init => {
                state.init = self.started.elapsed();
                state.phase = Phase::Ready;
            }
            Phase::Answered { .. } => {
                // Under the lock, so that it cannot cross the thaw of the next event.
                self.process.freeze();
                let until = Instant::now() + self.plan.idle;
                state.phase = Phase::Idle { until };
            }
            Phase::Running {
                invocation, until, ..
            } => {
                return Ok(Handed {
                    invocation: invocation.clone(),
                    deadline: *until,
                });
            }
            Phase::Dead { .. } => return Err(Refusal::Gone),
            // It ends for SIGTERM, not for a refusal.
            Phase::Ready | Phase::Invoked(..) | Phase::Idle { .. } | Phase::Ending { .. } => {}
        }
        self.changed.notify_all();
        self.await_event(state, poll)
    }

    fn await_event(&self, mut state: MutexGuard<State>, poll: u64) -> Result<Handed, Refusal> {
        loop {
            if state.poll != poll {
                return Err(Refusal::Gone);
            }
            match &state.phase {
                Phase::Invoked(invocation, timeout) => {
                    let (invocation, begun) = (invocation.clone(), Instant::now());
                    let until = begun + *timeout;
                    state.phase = Phase::Running {
                        invocation: invocation.clone(),
                        begun,
                        until,
                    };
                    self.changed.notify_all();
                    return Ok(Handed {
                        invocation,
                        deadline: until,
                    });
                }
                Phase::Dead { .. } => return Err(Refusal::Gone),
                _ => state = self.wait(state),
            }
        }
    }

    /// `/response` and `/error`: gives the caller its answer.
    pub fn answer(&self, request_id: &str, answer: Answer) -> Result<(), Refusal> {
        let mut state = self.lock();
        match &state.phase {
            Phase::Running {
                invocation,
                begun,
                until,
            } if invocation.request_id == request_id => {
                let (begun, until) = (*begun, *until);
                state.answer = Some((answer, begun.elapsed()));
                let request_id = request_id.to_owned();
                state.phase = Phase::Answered { request_id, until };
                self.changed.notify_all();
                Ok(())
            }
            Phase::Answered {
                request_id: last, ..
            } if last == request_id => Err(Refusal::InvalidStateTransition),
            Phase::Ending { .. } | Phase::Dead { .. } => Err(Refusal::Gone),
            _ => Err(Refusal::InvalidRequestId),
        }
    }

    /// `/init/error`: the process says why it is about to end.
    pub fn fail_init(&self, error: Vec<u8>) -> Result<(), Refusal> {
        let mut state = self.lock();
        match state.phase {
            Phase::Init if state.init_error.is_none() => {
                state.init_error = Some(error);
                self.changed.notify_all();
                Ok(())
            }
            _ => Err(Refusal::InvalidStateTransition),
        }
    }

    /// `/extension/register`: the process wants SIGTERM before it is killed.
    pub fn register_extension(&self) -> Result<(), Refusal> {
        let mut state = self.lock();
        match (&state.phase, &state.extension) {
            (Phase::Init, Extension::None) => {
                state.extension = Extension::Registered;
                Ok(())
            }
            _ => Err(Refusal::InvalidStateTransition),
        }
    }

    /// `/extension/event/next`: blocks until the end, because no event was registered for.
    pub fn next_extension_event(&self) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.extension == Extension::None {
            return Err(Refusal::InvalidStateTransition);
        }
        state.extension = Extension::Waiting;
        self.changed.notify_all();
        while !matches!(state.phase, Phase::Ending { .. } | Phase::Dead { .. }) {
            state = self.wait(state);
        }
        Err(Refusal::Gone)
    }
}
