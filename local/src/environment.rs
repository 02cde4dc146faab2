//! One execution environment: the state machine between the caller of a function and the process
//! that serves it.
//!
//! Here is the caller's side, which waits in plain threads; `runtime` is the other, which waits in
//! coroutines: hence may's lock and condition variable, which park either. Knows neither HTTP nor
//! how many environments there are.

mod log;
mod runtime;

pub use runtime::{Handed, Refusal};

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
pub const INIT_LIMIT: Duration = Duration::from_secs(10);

/// How long the caller's answer is held back for the runtime to ask for its next event. A runtime
/// does so at once, and the caller's next request then finds this environment instead of starting
/// another; a runtime that works on after its response must not delay the caller.
const SETTLE_LIMIT: Duration = Duration::from_millis(100);

/// What a process with an internal extension has between SIGTERM and SIGKILL
/// ("Lambda execution environment lifecycle", shutdown phase); and what one has to end by itself
/// that has reported a failed init.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(500);

/// An environment is one life of one process.
pub struct Environment {
    state: Mutex<State>,
    changed: Condvar,
    process: Process,
    /// What the process says.
    pub log: Arc<Log>,
    started: Instant,
    plan: Plan,
}

/// What an environment is told when it starts.
#[derive(Clone, Copy)]
pub struct Plan {
    /// An environment that has waited that long is ended.
    pub idle: Duration,
    /// When the executable that it runs was built.
    pub built: Option<SystemTime>,
}

struct State {
    phase: Phase,
    /// How long the init phase took, once it has ended.
    init: Duration,
    /// The number of the newest `/next`: an older one belongs to a connection that was given up.
    poll: u64,
    /// What the runtime answered, until its caller has taken it.
    answer: Option<(Answer, Duration)>,
    /// What the process reported by `/init/error`.
    init_error: Option<Vec<u8>>,
    extension: Extension,
    /// A caller has it, until it has taken the answer and the log.
    held: bool,
}

/// An internal extension, which a runtime registers to be sent SIGTERM.
#[derive(PartialEq)]
enum Extension {
    None,
    /// It has not asked for its first event yet: the init phase lasts until it does.
    Registered,
    Waiting,
}

enum Phase {
    /// Started, has not asked for an event yet.
    Init,
    /// Running and reserved for one caller, who has an event for it.
    Ready,
    /// The event waits for the process to take it, and to answer it within this time.
    Invoked(Arc<Invocation>, Duration),
    /// The process has taken the event.
    Running {
        invocation: Arc<Invocation>,
        begun: Instant,
        until: Instant,
    },
    /// The process has answered and not asked for more yet.
    Answered { request_id: String, until: Instant },
    /// Frozen in `/next`, until it is ended for want of events.
    Idle { until: Instant },
    /// Nobody needs it, or it took too long: about to be `Dead`, killed then at the latest.
    Ending { until: Instant },
    /// Ended, and reaped; `unserved` if it had taken no event since its last answer.
    Dead {
        status: Option<ExitStatus>,
        unserved: bool,
    },
}

/// How an init ended that did not end in `/next`.
pub enum InitFailure {
    /// The process reported this error.
    Reported(Vec<u8>),
    /// The process ended.
    Exited(Option<ExitStatus>),
    /// The process was killed because it took too long.
    TimedOut,
}

impl InitFailure {
    /// In Lambda's words.
    pub fn status(&self) -> &'static str {
        match self {
            InitFailure::Reported(_) => "error\tError Type: Runtime.InitError",
            InitFailure::Exited(_) => "error\tError Type: Runtime.ExitError",
            InitFailure::TimedOut => "timeout",
        }
    }
}

/// How an invocation ended.
pub enum Outcome {
    /// The runtime answered, after that time.
    Answered(Answer, Duration),
    /// The process ended while it had the event, after that time.
    Exited(Option<ExitStatus>, Duration),
    /// The process was killed when the function's timeout had passed.
    TimedOut,
    /// The process had ended before it took the event.
    Unserved,
}

impl Environment {
    /// Starts the process. Its first `/next` ends the init phase.
    pub fn start(mut command: Command, plan: Plan) -> io::Result<Arc<Environment>> {
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

    /// Waits for the end of the init phase, but not longer than this; its duration.
    pub fn await_init(&self, limit: Duration) -> Result<Duration, InitFailure> {
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

    /// Thaws it and keeps it for one caller, if it is idle. If the executable has been built again
    /// meanwhile, it is ended instead.
    pub fn reserve(&self, built: Option<SystemTime>) -> bool {
        let mut state = self.lock();
        match &state.phase {
            // While it is being built there is none.
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

    /// Hands the event to the process that was reserved or has just been initialised, and waits
    /// for the outcome, for this time after it was handed over.
    pub fn run(&self, invocation: &Arc<Invocation>, timeout: Duration) -> Outcome {
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

    /// Lets the next caller have it.
    pub fn release(&self) {
        self.lock().held = false;
    }

    /// Begins to end the process, whatever it does.
    pub fn begin_end(&self) {
        self.terminate(&mut self.lock());
    }

    /// Waits until the process is gone, and what it said last is passed on.
    pub fn await_end(&self) {
        let mut state = self.lock();
        while !matches!(state.phase, Phase::Dead { .. }) {
            state = self.wait(state);
        }
        drop(state);
        self.log.read();
    }

    /// Whether a caller has it, dead or alive.
    pub fn is_held(&self) -> bool {
        self.lock().held
    }

    /// Whether its process is gone.
    pub fn is_dead(&self) -> bool {
        matches!(self.lock().phase, Phase::Dead { .. })
    }

    /// Whether it will never serve again.
    pub fn is_over(&self) -> bool {
        matches!(self.lock().phase, Phase::Ending { .. } | Phase::Dead { .. })
    }

    /// The process's largest resident set in MB, if it can still be told.
    pub fn max_memory_mb(&self) -> Option<u64> {
        let state = self.lock();
        match state.phase {
            Phase::Dead { .. } => None,
            _ => self.process.max_memory_mb(),
        }
    }

    fn settle(&self, mut state: MutexGuard<State>) {
        let limit = Instant::now() + SETTLE_LIMIT;
        while matches!(state.phase, Phase::Answered { .. }) && Instant::now() < limit {
            state = self.wait_until(state, limit);
        }
    }

    /// Ends it when it has been idle for too long, or busy beyond its timeout after its response,
    /// or deaf to SIGTERM.
    ///
    /// In a thread, because may 0.3.51 loses timed waits of coroutines.
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

    /// Ends the process, in order if it has an extension; `retire` sees to it.
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

    fn watch(&self, mut child: Child) {
        self.process.await_end();
        let mut state = self.lock();
        // What the process has started must not outlive it. Its id is still its own: not reaped.
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
