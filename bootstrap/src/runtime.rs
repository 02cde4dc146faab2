//! Initialises the application once, then, in a loop, takes an invocation, runs the handler and
//! answers.
//!
//! Decides when the process ends. Knows neither URLs and statuses (`api`) nor what a handler does.

mod shutdown;

use crate::api::{Api, Fatal, Received};
use crate::platform::{Platform, TRACE_ID};
use crate::{logging, panics};
use handler::{Application, Failure, Handler, Invocation, Kind, Reply, Variables};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, mpsc};
use std::thread;
use std::time::Duration;

/// How often one of several loops asks again, when it gets no invocation, before it counts as lost.
const ATTEMPTS: u32 = 5;

/// The pause before such a loop asks again for the first time; doubles with each further attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The reason why the process ends.
enum End {
    /// No invocation can be served any more.
    Lost(Fatal),
    /// SIGTERM came, and the invocations that had begun are answered.
    Terminated,
}

/// Initialises the application, and serves invocations of the Runtime API at `address` until the
/// API is lost or refuses the process, or, with `GRACEFUL_SHUTDOWN`, until SIGTERM. Reports a
/// `platform` that could not be read as a failed initialisation.
pub(crate) fn run<A: Application>(
    address: &str,
    platform: Result<Platform, Failure>,
    variables: &Variables,
    handlers: &[(&str, Handler<A>)],
) -> ExitCode {
    let api = Api::new(address);
    let initialised = platform.and_then(|platform| {
        let handler = find(handlers, &platform.handler)?;
        let app = initialise(variables, &platform.handler, platform.concurrency)?;
        Ok((platform, handler, app))
    });
    let end = match initialised {
        Ok((platform, handler, app)) => serve_all(address, &platform, api, handler, app),
        Err(failure) => End::Lost(api.init_error(failure)),
    };
    match end {
        End::Lost(fatal) => {
            log::error!("{fatal}");
            ExitCode::FAILURE
        }
        End::Terminated => {
            log::info!("ended in order after SIGTERM");
            ExitCode::SUCCESS
        }
    }
}

/// Creates the application; returns a panic in it as a failure.
pub(crate) fn initialise<A: Application>(
    variables: &Variables,
    handler: &str,
    concurrency: usize,
) -> Result<A, Failure> {
    panics::catch("the initialisation", || {
        A::new(variables, handler, concurrency)
    })
}

/// Finds a handler by the name in the function's configuration.
///
/// # Errors
/// `Kind::UnknownHandler`, with the names that exist.
pub(crate) fn find<A>(handlers: &[(&str, Handler<A>)], name: &str) -> Result<Handler<A>, Failure> {
    match handlers.iter().find(|(known, _)| *known == name) {
        Some((_, handler)) => Ok(*handler),
        None => {
            let known: Vec<&str> = handlers.iter().map(|(known, _)| *known).collect();
            Err(Failure::new(
                Kind::UnknownHandler,
                format!(
                    "failed to find handler `{name}`: set the image's CMD, or the function's \
                     handler, to one of: {}",
                    known.join(", ")
                ),
            ))
        }
    }
}

/// Runs a handler; returns a panic in it as a failure.
pub(crate) fn dispatch<A>(
    handler: Handler<A>,
    app: &A,
    invocation: &Invocation,
) -> Result<Reply, Failure> {
    panics::catch("the handler", || handler(app, invocation))
}

/// Runs one loop on this thread; or, with several invocations at once or with `GRACEFUL_SHUTDOWN`,
/// runs each loop on a thread of its own, and returns the reason to end the process.
fn serve_all<A: Application>(
    address: &str,
    platform: &Platform,
    api: Api,
    handler: Handler<A>,
    app: A,
) -> End {
    let worker = Arc::new(Worker {
        handler,
        app,
        loops: platform.concurrency,
        lost: AtomicUsize::new(0),
        busy: RwLock::new(()),
    });
    if worker.loops == 1 && !platform.graceful_shutdown {
        let restored = restore(address, platform, api, &worker.app);
        return End::Lost(restored.map_or_else(|fatal| fatal, |api| worker.serve(&api)));
    }
    let (ended, end) = mpsc::channel();
    if platform.graceful_shutdown {
        // The extension registers before the restore, which is the last step of the init phase.
        shutdown::watch(&api, address, Arc::clone(&worker), ended.clone());
    }
    if let Err(fatal) = restore(address, platform, api, &worker.app) {
        return End::Lost(fatal);
    }
    for _ in 0..platform.concurrency {
        let (worker, ended) = (Arc::clone(&worker), ended.clone());
        let api = Api::new(address);
        thread::spawn(move || {
            let fatal = match worker.loops {
                1 => worker.serve(&api),
                _ => worker.serve_beside_others(&api),
            };
            ended.send(End::Lost(fatal))
        });
    }
    end.recv().expect("this function holds a sender itself")
}

/// Waits, with SnapStart, for the restore, and then drops the connections that were made before the
/// snapshot, as their other ends are gone. Without SnapStart, does nothing.
fn restore(
    address: &str,
    platform: &Platform,
    api: Api,
    app: &impl Application,
) -> Result<Api, Fatal> {
    if !platform.snap_start {
        return Ok(api);
    }
    api.restore_next()?;
    drop(api);
    let api = Api::new(address);
    let restored = panics::catch("the restore", || {
        app.disconnect();
        Ok(())
    });
    match restored {
        Ok(()) => Ok(api),
        Err(failure) => Err(api.restore_error(failure)),
    }
}

/// What all loops share.
struct Worker<A> {
    handler: Handler<A>,
    app: A,
    /// How many loops there are: the number of invocations that are handled at once.
    loops: usize,
    /// How many of several loops have got no invocation for a while.
    lost: AtomicUsize,
    /// Read-locked while an invocation is handled; `finish` takes the write lock.
    busy: RwLock<()>,
}

impl<A: Application> Worker<A> {
    /// Serves as the only loop: whatever fails on the way to the Runtime API ends the process.
    fn serve(&self, api: &Api) -> Fatal {
        loop {
            let answered = api.next().and_then(|received| self.answer(received));
            if let Err(fatal) = answered {
                return fatal;
            }
        }
    }

    /// Serves beside other loops, whose invocations the end of the process would cut off. An answer
    /// that cannot be posted is only logged, and a refused or lost `/next` is asked again, for as
    /// long as another loop is served. When all loops are lost, no invocation is under way: returns
    /// the reason to end the process.
    fn serve_beside_others(&self, api: &Api) -> Fatal {
        let mut attempt = 0;
        loop {
            match api.next() {
                Ok(received) => {
                    if attempt == ATTEMPTS {
                        self.lost.fetch_sub(1, Ordering::SeqCst);
                    }
                    attempt = 0;
                    if let Err(fatal) = self.answer(received) {
                        log::error!("{fatal}");
                    }
                    logging::end();
                }
                Err(fatal) => {
                    let pause = FIRST_PAUSE * 2u32.pow(attempt);
                    if attempt < ATTEMPTS {
                        attempt += 1;
                        let lost = attempt == ATTEMPTS;
                        if lost && self.lost.fetch_add(1, Ordering::SeqCst) + 1 == self.loops {
                            return fatal;
                        }
                    }
                    log::warn!("{fatal}; asking again in {pause:?}");
                    thread::sleep(pause);
                }
            }
        }
    }

    /// Handles an invocation and posts the answer.
    fn answer(&self, received: Received) -> Result<(), Fatal> {
        let _busy = self.busy.read().unwrap_or_else(PoisonError::into_inner);
        logging::begin(received.invocation());
        match self.handle(received.invocation()) {
            Ok(reply) => received.succeed(&reply)?,
            Err(failure) => {
                log::error!("{failure}");
                received.fail(&failure)?;
            }
        }
        logging::end();
        Ok(())
    }

    /// Runs the handler. Where the process handles one invocation at a time, the trace id is in the
    /// process's environment meanwhile; no other thread of ours reads the environment, as `set_var`
    /// requires.
    fn handle(&self, invocation: &Invocation) -> Result<Reply, Failure> {
        let dispatch = || dispatch(self.handler, &self.app, invocation);
        match self.loops {
            1 => temp_env::with_var(TRACE_ID, invocation.trace_id.as_ref(), dispatch),
            _ => dispatch(),
        }
    }

    /// Waits until no invocation is being handled, and closes the application's connections. No loop
    /// begins another invocation while the caller keeps what this returns.
    fn finish(&self) -> RwLockWriteGuard<'_, ()> {
        let idle = self.busy.write().unwrap_or_else(PoisonError::into_inner);
        self.app.disconnect();
        idle
    }
}
