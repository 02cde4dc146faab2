//! The life of an environment: initialise once, then take an invocation, run the handler, answer.
//!
//! Decides when the process ends. Knows neither URLs and statuses (`api`) nor what a handler does.

mod shutdown;

use crate::api::{Api, Fatal};
use crate::platform::{Platform, TRACE_ID, Variables};
use crate::{logging, panics};
use app::{App, Failure, Handler, Invocation, Reply};
use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How often a loop of Lambda Managed Instances asks again when the Runtime API is gone, and its
/// first pause, which doubles: as AWS's own runtimes do there.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Why the process ends.
enum End {
    /// Nothing more can be served.
    Lost(Fatal),
    /// SIGTERM, and all that was begun is answered.
    Terminated,
}

/// Initialises and serves invocations until the Runtime API is lost or refuses us, or until
/// SIGTERM where an orderly end is wanted.
pub fn run(
    mut platform: Platform,
    variables: &Variables,
    handlers: &[(&str, Handler)],
    argument: Option<&str>,
) -> ExitCode {
    let api = Api::new(&platform.runtime_api);
    let name = platform.handler.as_deref().or(argument).unwrap_or_default();
    let initialised = platform.invalid.take().map_or(Ok(()), Err).and_then(|()| {
        let handler = find(handlers, name)?;
        Ok((handler, initialise(variables, name, platform.concurrency)?))
    });
    let end = match initialised {
        Ok((handler, app)) => serve_all(&platform, api, handler, app),
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

/// What the handlers share; a panic while it is made is a failure.
pub fn initialise(
    variables: &Variables,
    handler: &str,
    concurrency: usize,
) -> Result<App, Failure> {
    panics::catch("the initialisation", || {
        App::new(&|name| variables.get(name), handler, concurrency)
    })
}

/// Looks a handler up by the name that the function's configuration gives.
///
/// # Errors
/// `Runtime.UnknownHandler`, with the names that exist.
pub fn find(handlers: &[(&str, Handler)], name: &str) -> Result<Handler, Failure> {
    match handlers.iter().find(|(known, _)| *known == name) {
        Some((_, handler)) => Ok(*handler),
        None => {
            let known: Vec<&str> = handlers.iter().map(|(known, _)| *known).collect();
            Err(Failure::new(
                "Runtime.UnknownHandler",
                format!(
                    "failed to find handler `{name}`: set the image's CMD, or the function's \
                     handler, to one of: {}",
                    known.join(", ")
                ),
            ))
        }
    }
}

/// Runs a handler; its panic is a failure like any other.
pub fn dispatch(handler: Handler, app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    panics::catch("the handler", || handler(app, invocation))
}

/// One loop on this thread; or, where more is asked for, loops on threads of their own, and the
/// first end is the process's.
fn serve_all(platform: &Platform, api: Api, handler: Handler, app: App) -> End {
    let worker = Arc::new(Worker {
        handler,
        app,
        shared: platform.concurrency > 1,
        busy: RwLock::new(()),
    });
    let address = &platform.runtime_api;
    if !worker.shared && !platform.graceful_shutdown {
        let restored = restore(platform, api, &worker.app);
        return End::Lost(restored.map_or_else(|fatal| fatal, |api| worker.serve(&api)));
    }
    let (ended, end) = mpsc::channel();
    if platform.graceful_shutdown {
        // Before the restore, which is the last step of the init phase.
        shutdown::watch(&api, address, Arc::clone(&worker), ended.clone());
    }
    if let Err(fatal) = restore(platform, api, &worker.app) {
        return End::Lost(fatal);
    }
    for _ in 0..platform.concurrency {
        let (worker, ended) = (Arc::clone(&worker), ended.clone());
        let address = address.clone();
        thread::spawn(move || {
            let fatal = match worker.shared {
                true => worker.serve_patiently(&address),
                false => worker.serve(&Api::new(&address)),
            };
            ended.send(End::Lost(fatal))
        });
    }
    end.recv().expect("this function holds a sender itself")
}

/// SnapStart: waits for the restore, and forgets what was connected before: it is connected to
/// nobody now.
fn restore(platform: &Platform, api: Api, app: &App) -> Result<Api, Fatal> {
    if !platform.snap_start {
        return Ok(api);
    }
    api.restore_next()?;
    drop(api);
    let api = Api::new(&platform.runtime_api);
    let restored = panics::catch("the restore", || {
        app.disconnect();
        Ok(())
    });
    match restored {
        Ok(()) => Ok(api),
        Err(failure) => Err(api.restore_error(failure)),
    }
}

/// What every loop needs.
struct Worker {
    handler: Handler,
    app: App,
    /// Whether several invocations are handled at once.
    shared: bool,
    /// Read-locked while an invocation is handled.
    busy: RwLock<()>,
}

impl Worker {
    fn serve(&self, api: &Api) -> Fatal {
        loop {
            let received = match api.next() {
                Ok(received) => received,
                Err(fatal) => return fatal,
            };
            let _busy = self.busy.read().unwrap_or_else(PoisonError::into_inner);
            logging::begin(received.invocation());
            let answered = match self.handle(received.invocation()) {
                Ok(reply) => received.succeed(&reply),
                Err(failure) => {
                    log::error!("{failure}");
                    received.fail(&failure)
                }
            };
            if let Err(fatal) = answered {
                return fatal;
            }
            logging::end();
        }
    }

    /// Runs the handler, with the trace id in the process's environment where the process is the
    /// invocation's alone. No other thread of ours reads the environment then, as `set_var` wants.
    fn handle(&self, invocation: &Invocation) -> Result<Reply, Failure> {
        let dispatch = || dispatch(self.handler, &self.app, invocation);
        match self.shared {
            true => dispatch(),
            false => temp_env::with_var(TRACE_ID, invocation.trace_id.as_ref(), dispatch),
        }
    }

    /// Serves over a connection of its own, and asks again for a while when it is lost: the other
    /// loops may have work that must not be cut off.
    fn serve_patiently(&self, address: &str) -> Fatal {
        let mut attempt = 0;
        loop {
            let asked = Instant::now();
            let fatal = self.serve(&Api::new(address));
            if asked.elapsed() > FIRST_PAUSE * 2u32.pow(ATTEMPTS) {
                attempt = 0;
            }
            if !fatal.may_pass() || attempt == ATTEMPTS {
                return fatal;
            }
            let pause = FIRST_PAUSE * 2u32.pow(attempt);
            log::warn!("{fatal}; asking again in {pause:?}");
            thread::sleep(pause);
            attempt += 1;
        }
    }

    /// Waits until nothing is being handled, and leaves the database in order.
    fn finish(&self) {
        let _idle = self.busy.write().unwrap_or_else(PoisonError::into_inner);
        self.app.disconnect();
    }
}
