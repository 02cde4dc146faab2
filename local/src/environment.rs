//! One execution environment: the state machine between the caller of a function and the process
//! that serves it.
//!
//! This file is the caller's side, which waits in threads; `runtime` is the process's side, which
//! waits in coroutines. The lock and the condition variable are may's, which can park both. Knows
//! neither HTTP nor how many environments there are.

mod log;
mod runtime;

pub(crate) use runtime::{ApiError, Handed};

use crate::invocation::{Answer, Invocation};
use crate::process::Process;
use log::Log;
use may::sync::{Condvar, Mutex, MutexGuard};
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Lambda's own limit for the init phase ("Lambda execution environment lifecycle").
pub(crate) const INIT_LIMIT: Duration = Duration::from_secs(10);

/// How long the caller's answer is held back at most, until the runtime asks for its next event. A
/// runtime usually asks at once, and the caller's next request then finds this environment idle
/// instead of starting another. A runtime that works on after its response must not delay the
/// caller, hence the limit.
const SETTLE_LIMIT: Duration = Duration::from_millis(100);

/// The time between SIGTERM and SIGKILL for a process with an internal extension ("Lambda execution
/// environment lifecycle", shutdown phase). Also the time in which a process that has reported a
/// failed init has to end by itself.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(500);

/// An execution environment: one process, from its start to its end.
pub(crate) struct Environment {
    state: Mutex<State>,
    changed: Condvar,
    process: Process,
    /// The process's output and the platform's own lines.
    pub log: Arc<Log>,
    started: Instant,
    plan: Plan,
}

/// An environment's parameters.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// How long the environment may be idle before it is ended.
    pub idle: Duration,
    /// When the environment's executable was built; `None` if that is unknown.
    pub built: Option<SystemTime>,
}

struct State {
    phase: Phase,
    /// How long the init phase took, once it has ended.
    init: Duration,
    /// The number of the newest `/next`: an older one came on a connection that was given up.
    poll: u64,
    /// The runtime's answer and its duration, until the caller takes them.
    answer: Option<(Answer, Duration)>,
    /// The error that the process reported to `/init/error`.
    init_error: Option<Vec<u8>>,
    extension: Extension,
    /// Whether a caller holds the environment, until the caller has taken the answer and the log.
    held: bool,
}

/// The state of the internal extension, which a runtime registers in order to get SIGTERM.
#[derive(PartialEq)]
enum Extension {
    None,
    /// Has not asked for its first event yet: the init phase lasts until it does.
    Registered,
    Waiting,
}

enum Phase {
    /// The process has started, and has not asked for an event yet.
    Init,
    /// The process runs, and is reserved for one caller, who has an event for it.
    Ready,
    /// The event waits for the process to take it; the duration is the event's timeout.
    Invoked(Arc<Invocation>, Duration),
    /// The process has taken the event, and has to answer it by `until`.
    Running {
        invocation: Arc<Invocation>,
        begun: Instant,
        until: Instant,
    },
    /// The process has answered, and has to ask for the next event by `until`.
    Answered { request_id: String, until: Instant },
    /// The process is frozen in `/next`, and is ended at `until` if no event comes.
    Idle { until: Instant },
    /// The process is told to end, and is killed at `until` at the latest.
    Ending { until: Instant },
    /// The process has ended and is reaped; `unserved` if it ended while it waited for an event.
    Dead {
        status: Option<ExitStatus>,
        unserved: bool,
    },
}

/// The outcome of an init phase that did not end in `/next`.
pub(crate) enum InitFailure {
    /// The process reported this error.
    Reported(Vec<u8>),
    /// The process ended.
    Exited(Option<ExitStatus>),
    /// The process was killed because it took too long.
    TimedOut,
}

impl InitFailure {
    /// Returns the status in Lambda's words.
    pub(crate) fn status(&self) -> &'static str {
        match self {
            InitFailure::Reported(_) => "error\tError Type: Runtime.InitError",
            InitFailure::Exited(_) => "error\tError Type: Runtime.ExitError",
            InitFailure::TimedOut => "timeout",
        }
    }
}

/// The outcome of an invocation.
pub(crate) enum Outcome {
    /// The runtime answered, after this time.
    Answered(Answer, Duration),
    /// The process ended while it had the event, after this time.
    Exited(Option<ExitStatus>, Duration),
    /// The process was killed when the function's timeout had passed.
    TimedOut,
    /// The process had ended before it took the event.
    Unserved,
}

impl Environment {
    /// Starts the process, whose first `/next` ends the init phase.
    pub(crate) fn start(mut command: Command, plan: Plan) -> io::Result<Arc<Environment>> {
        let (reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let started = Instant::now();
        let (process, child) = Process::start(&mut command)?;
        let log = Log::follow(reader)?;
        let environment = Arc::new(Environment {
            state: Mutex::new(State {
                phase: Phase::Init,
                init: Duration::ZERO,
                poll: 0,
                answer: None,
                init_error: None,
                extension: Extension::None,
                held: true,
            }),
            changed: Condvar::new(),
            process,
            log,
            started,
            plan,
        });
        let watched = environment.clone();
        thread::spawn(move || watched.watch(child));
        let retired = environment.clone();
        thread::spawn(move || retired.retire());
        Ok(environment)
    }

    /// Waits for the end of the init phase, and returns the phase's duration. Kills the process
    /// when `limit` has passed since the process's start.
    pub(crate) fn await_init(&self, limit: Duration) -> Result<Duration, InitFailure> {
        let mut limit = self.started + limit;
        let mut state = self.lock();
        let (mut killed, mut reported) = (false, false);
        loop {
            if !reported && state.init_error.is_some() {
                reported = true;
                limit = limit.min(Instant::now() + SHUTDOWN_LIMIT);
            }
            match &state.phase {
                Phase::Dead { status, .. } => {
                    let status = *status;
                    return Err(match state.init_error.take() {
                        Some(error) => InitFailure::Reported(error),
                        None if killed => InitFailure::TimedOut,
                        None => InitFailure::Exited(status),
                    });
                }
                Phase::Ready if state.extension != Extension::Registered => return Ok(state.init),
                _ if !killed && Instant::now() >= limit => {
                    killed = true;
                    self.kill(&mut state);
                }
                _ if killed => state = self.wait(state),
                _ => state = self.wait_until(state, limit),
            }
        }
    }

    /// Thaws the environment and reserves it for one caller, and returns true, if it is idle. Ends
    /// it instead, and returns false, if the executable has been built again since its start.
    pub(crate) fn reserve(&self, built: Option<SystemTime>) -> bool {
        let mut state = self.lock();
        match &state.phase {
            // `built` is `None` while the executable is being built.
            Phase::Idle { .. } if !state.held && built.is_some() && built != self.plan.built => {
                self.terminate(&mut state);
                false
            }
            Phase::Idle { .. } if !state.held && !self.process.has_ended() => {
                state.held = true;
                self.process.thaw();
                state.phase = Phase::Ready;
                true
            }
            _ => false,
        }
    }

    /// Hands the event to the process, which is reserved or just initialised, and waits for the
    /// outcome. Kills the process when `timeout` has passed since the process took the event.
    pub(crate) fn run(&self, invocation: &Arc<Invocation>, timeout: Duration) -> Outcome {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Ready) {
            state.phase = Phase::Invoked(invocation.clone(), timeout);
            self.changed.notify_all();
        }
        let begun = Instant::now();
        let mut killed = false;
        loop {
            if !killed && let Some((answer, duration)) = state.answer.take() {
                self.settle(state);
                return Outcome::Answered(answer, duration);
            }
            let deadline = match &state.phase {
                Phase::Dead { .. } if killed => return Outcome::TimedOut,
                Phase::Dead { unserved: true, .. } => return Outcome::Unserved,
                Phase::Dead { status, .. } => return Outcome::Exited(*status, begun.elapsed()),
                Phase::Running { until, .. } => *until,
                _ => begun + timeout,
            };
            if killed {
                state = self.wait(state);
            } else if Instant::now() < deadline {
                state = self.wait_until(state, deadline);
            } else {
                killed = true;
                self.kill(&mut state);
            }
        }
    }

    /// Lets another caller hold the environment.
    pub(crate) fn release(&self) {
        self.lock().held = false;
    }

    /// Begins to end the process, in whatever phase it is.
    pub(crate) fn begin_end(&self) {
        self.terminate(&mut self.lock());
    }

    /// Waits until the process has ended, and passes on its last output.
    pub(crate) fn await_end(&self) {
        let mut state = self.lock();
        while !matches!(state.phase, Phase::Dead { .. }) {
            state = self.wait(state);
        }
        drop(state);
        self.log.read();
    }

    /// Returns whether a caller holds the environment, dead or alive.
    pub(crate) fn is_held(&self) -> bool {
        self.lock().held
    }

    /// Returns whether the process has ended.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.lock().phase, Phase::Dead { .. })
    }

    /// Returns whether the environment will never serve again.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.lock().phase, Phase::Ending { .. } | Phase::Dead { .. })
    }

    /// Returns the process's largest resident set in MB, unless the process has ended.
    pub(crate) fn max_memory_mb(&self) -> Option<u64> {
        let state = self.lock();
        match state.phase {
            Phase::Dead { .. } => None,
            _ => self.process.max_memory_mb(),
        }
    }

    /// Waits, up to `SETTLE_LIMIT`, until the runtime asks for its next event.
    fn settle(&self, mut state: MutexGuard<State>) {
        let limit = Instant::now() + SETTLE_LIMIT;
        while matches!(state.phase, Phase::Answered { .. }) && Instant::now() < limit {
            state = self.wait_until(state, limit);
        }
    }

    /// Ends the process when it has been idle for too long, when it still works on at its deadline
    /// after a response, or when it does not end on SIGTERM.
    ///
    /// Runs in a thread, because may 0.3.51 loses timed waits of coroutines.
    fn retire(&self) {
        let mut state = self.lock();
        loop {
            match state.phase {
                Phase::Dead { .. } => return,
                Phase::Idle { until } | Phase::Answered { until, .. } | Phase::Ending { until }
                    if Instant::now() < until =>
                {
                    state = self.wait_until(state, until);
                }
                Phase::Idle { .. } | Phase::Answered { .. } => self.terminate(&mut state),
                Phase::Ending { .. } => {
                    self.process.kill();
                    state = self.wait(state);
                }
                _ => state = self.wait(state),
            }
        }
    }

    /// Sends SIGTERM to a process with an extension, which `retire` kills later if it does not end;
    /// kills a process without one.
    fn terminate(&self, state: &mut State) {
        if matches!(state.phase, Phase::Dead { .. } | Phase::Ending { .. }) {
            return;
        }
        if state.extension == Extension::None {
            return self.kill(state);
        }
        self.process.thaw();
        self.process.terminate();
        let until = Instant::now() + SHUTDOWN_LIMIT;
        state.phase = Phase::Ending { until };
        self.changed.notify_all();
    }

    fn kill(&self, state: &mut State) {
        if !matches!(state.phase, Phase::Dead { .. }) {
            self.process.kill();
            let until = Instant::now();
            state.phase = Phase::Ending { until };
            self.changed.notify_all();
        }
    }

    /// Waits for the process's end, kills the processes that it has started, and reaps it.
    fn watch(&self, mut child: Child) {
        self.process.await_end();
        let mut state = self.lock();
        // The process's children must not outlive it. Its id, which names the process group, is
        // not reused before it is reaped.
        self.process.kill();
        let status = child.wait().ok();
        let unserved = matches!(
            state.phase,
            Phase::Ready | Phase::Invoked(..) | Phase::Idle { .. }
        );
        state.phase = Phase::Dead { status, unserved };
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .expect("no holder of this lock panics")
    }

    fn wait_until<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Instant,
    ) -> MutexGuard<'a, State> {
        let left = until.saturating_duration_since(Instant::now());
        let (state, _) = self
            .changed
            .wait_timeout(state, left)
            .expect("no holder of this lock panics");
        state
    }
}
