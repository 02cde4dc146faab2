//! The process's side of an environment: the calls that the process makes to the Runtime API.
//!
//! Runs in coroutines, so nothing here may block, except on the environment's own lock and
//! condition variable. Knows no HTTP.

use super::{Environment, Extension, Phase, State};
use crate::invocation::{Answer, Invocation};
use may::sync::MutexGuard;
use std::sync::Arc;
use std::time::Instant;

/// An invocation that is handed to the process.
pub(crate) struct Handed {
    /// The invocation.
    pub invocation: Arc<Invocation>,
    /// When it has to be answered.
    pub deadline: Instant,
}

/// Why the Runtime API refuses a call.
#[derive(Debug, PartialEq)]
pub(crate) enum ApiError {
    /// The call is wrong in this phase.
    InvalidStateTransition,
    /// The request id is not the current invocation's.
    InvalidRequestId,
    /// The process has ended or is about to, or has asked again on another connection.
    Gone,
}

impl Environment {
    /// Serves `/next`: waits for an event, and returns it. Returns the same event again to a
    /// process that asks again before its answer, as AWS's own emulator does.
    pub(crate) fn next(&self) -> Result<Handed, ApiError> {
        let mut state = self.lock();
        state.poll += 1;
        let poll = state.poll;
        match &state.phase {
            Phase::Init if state.init_error.is_some() => {
                return Err(ApiError::InvalidStateTransition);
            }
            Phase::Init => {
                state.init = self.started.elapsed();
                state.phase = Phase::Ready;
            }
            Phase::Answered { .. } => {
                // Under the lock, so that the freeze cannot come after the next event's thaw.
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
            Phase::Dead { .. } => return Err(ApiError::Gone),
            // In `Ending`, the process is to end because of SIGTERM, and not because of a refusal.
            Phase::Ready | Phase::Invoked(..) | Phase::Idle { .. } | Phase::Ending { .. } => {}
        }
        self.changed.notify_all();
        self.await_event(state, poll)
    }

    fn await_event(&self, mut state: MutexGuard<State>, poll: u64) -> Result<Handed, ApiError> {
        loop {
            if state.poll != poll {
                return Err(ApiError::Gone);
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
                Phase::Dead { .. } => return Err(ApiError::Gone),
                _ => state = self.wait(state),
            }
        }
    }

    /// Serves `/response` and `/error`: gives the caller its answer.
    pub(crate) fn answer(&self, request_id: &str, answer: Answer) -> Result<(), ApiError> {
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
            } if last == request_id => Err(ApiError::InvalidStateTransition),
            Phase::Ending { .. } | Phase::Dead { .. } => Err(ApiError::Gone),
            _ => Err(ApiError::InvalidRequestId),
        }
    }

    /// Serves `/init/error`: the process reports why it is about to end.
    pub(crate) fn fail_init(&self, error: Vec<u8>) -> Result<(), ApiError> {
        let mut state = self.lock();
        match state.phase {
            Phase::Init if state.init_error.is_none() => {
                state.init_error = Some(error);
                self.changed.notify_all();
                Ok(())
            }
            _ => Err(ApiError::InvalidStateTransition),
        }
    }

    /// Serves `/extension/register`: from now on, the process gets SIGTERM before it is killed.
    pub(crate) fn register_extension(&self) -> Result<(), ApiError> {
        let mut state = self.lock();
        match (&state.phase, &state.extension) {
            (Phase::Init, Extension::None) => {
                state.extension = Extension::Registered;
                Ok(())
            }
            _ => Err(ApiError::InvalidStateTransition),
        }
    }

    /// Serves `/extension/event/next`: waits until the environment ends, as no events are sent.
    pub(crate) fn next_extension_event(&self) -> Result<(), ApiError> {
        let mut state = self.lock();
        if state.extension == Extension::None {
            return Err(ApiError::InvalidStateTransition);
        }
        state.extension = Extension::Waiting;
        self.changed.notify_all();
        while !matches!(state.phase, Phase::Ending { .. } | Phase::Dead { .. }) {
            state = self.wait(state);
        }
        Err(ApiError::Gone)
    }
}
