//! A function: a name, a handler, and execution environments, which are started when needed.
//!
//! Turns the outcome in an environment into the answer that Lambda gives. Knows no HTTP.

use crate::environment::{Environment, INIT_LIMIT, InitFailure, Outcome, Plan};
use crate::invocation::{Answer, Invocation, error};
use crate::report;
use crate::runtime_api::RuntimeApi;
use jiff::Timestamp;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// The account that owns the functions here.
const ACCOUNT: &str = "000000000000";

/// The settings that all functions share.
pub(crate) struct Settings {
    /// The executable of every environment.
    pub bootstrap: PathBuf,
    /// A function's timeout.
    pub timeout: Duration,
    /// How long an environment may be idle before it is ended.
    pub idle: Duration,
    /// How many environments a function may have at the same time.
    pub max_concurrency: usize,
    /// Whether the Runtime API has a secret path, which this machine's other users do not know.
    pub secret_path: bool,
    /// Environment variables in addition to those of `local` itself and of Lambda.
    pub variables: Vec<(String, String)>,
    /// The name of an AWS region.
    pub region: String,
}

/// A function and its environments.
pub(crate) struct Function {
    /// The name by which the function is invoked.
    pub name: String,
    handler: String,
    settings: Arc<Settings>,
    /// The addresses of the environments; `None` when the function has been ended.
    runtime_apis: Mutex<Option<Vec<Arc<RuntimeApi>>>>,
}

/// The answer to a caller.
pub(crate) struct Reply {
    /// The invocation's id.
    pub request_id: String,
    /// The function's response or error.
    pub answer: Answer,
    /// The end of the environment's log since the answer before this one.
    pub log: Vec<u8>,
}

/// The error when all environments are busy and no more may be started, or the function has ended.
pub(crate) struct Throttled;

impl Function {
    /// Creates a function without environments.
    pub(crate) fn new(name: String, handler: String, settings: Arc<Settings>) -> Function {
        let runtime_apis = Mutex::new(Some(Vec::new()));
        Function {
            name,
            handler,
            settings,
            runtime_apis,
        }
    }

    /// Runs one event and waits for the answer.
    ///
    /// As on Lambda, a failed init is repeated within the invocation, with the function's timeout,
    /// and the caller gets an error only when the second init fails too.
    pub(crate) fn invoke(
        &self,
        event: Vec<u8>,
        client_context: Option<String>,
    ) -> Result<Reply, Throttled> {
        let invocation = Arc::new(Invocation::new(self.arn(), event, client_context));
        let (answer, log) = loop {
            let (environment, answer) = match self.acquire()? {
                Acquired::Warm(environment) => {
                    let answer = self.run(&environment, &invocation, Init::None);
                    (environment, answer)
                }
                Acquired::Cold(api, environment) => {
                    match self.initialise(&api, environment, &invocation) {
                        Ok((environment, answer)) => (environment, Some(answer)),
                        Err(cause) => {
                            break (Err(self.not_started(&invocation, &cause)), Vec::new());
                        }
                    }
                }
                Acquired::Failed(cause) => {
                    break (Err(self.not_started(&invocation, &cause)), Vec::new());
                }
            };
            let log = environment.log.take_tail();
            environment.release();
            // `None`: the process had died while it was idle, and another environment is tried.
            if let Some(answer) = answer {
                break (answer, log);
            }
        };
        Ok(Reply {
            request_id: invocation.request_id.clone(),
            answer,
            log,
        })
    }

    /// Ends all environments; from now on, every invocation is throttled.
    pub(crate) fn end(&self) {
        let apis = self
            .runtime_apis
            .lock()
            .expect("no holder of this lock panics")
            .take();
        let apis = apis.into_iter().flatten();
        let environments: Vec<_> = apis.filter_map(|api| api.environment()).collect();
        for environment in &environments {
            environment.begin_end();
        }
        for environment in &environments {
            environment.await_end();
        }
    }

    /// Returns an idle environment, or starts a new one.
    fn acquire(&self) -> Result<Acquired, Throttled> {
        let mut apis = self
            .runtime_apis
            .lock()
            .expect("no holder of this lock panics");
        let apis = apis.as_mut().ok_or(Throttled)?;
        let built = self.built();
        let (mut vacant, mut living) = (None, 0);
        for api in apis.iter() {
            match api.environment() {
                Some(environment) if environment.is_held() => living += 1,
                Some(environment) if environment.reserve(built) => {
                    return Ok(Acquired::Warm(environment));
                }
                Some(environment) if !environment.is_over() => living += 1,
                // The ending process may still make calls at this address.
                Some(environment) if !environment.is_dead() => {}
                _ => vacant = Some(api.clone()),
            }
        }
        if living >= self.settings.max_concurrency {
            return Err(Throttled);
        }
        let new = || RuntimeApi::start(self.settings.secret_path);
        let started = vacant.map_or_else(new, Ok).and_then(|api| {
            if !apis.iter().any(|known| Arc::ptr_eq(known, &api)) {
                apis.push(api.clone());
            }
            let environment = self.start(&api)?;
            Ok(Acquired::Cold(api, environment))
        });
        Ok(started.unwrap_or_else(Acquired::Failed))
    }

    fn start(&self, api: &RuntimeApi) -> io::Result<Arc<Environment>> {
        let command = self.command(api);
        let (idle, built) = (self.settings.idle, self.built());
        api.replace(|| Environment::start(command, Plan { idle, built }))
    }

    /// Returns when the executable was built, or `None` while it is being built.
    fn built(&self) -> Option<SystemTime> {
        let file = self.settings.bootstrap.metadata();
        file.and_then(|file| file.modified()).ok()
    }

    /// Runs the first event of an environment, or, when the environment's init phase fails, of its
    /// successor at the same address.
    fn initialise(
        &self,
        api: &RuntimeApi,
        environment: Arc<Environment>,
        invocation: &Arc<Invocation>,
    ) -> io::Result<(Arc<Environment>, Answer)> {
        let begun = Instant::now();
        let failure = match environment.await_init(INIT_LIMIT) {
            Ok(init) => {
                let answer = self.run_fresh(&environment, invocation, Init::Before(init));
                return Ok((environment, answer));
            }
            Err(failure) => failure,
        };
        let report = report::init_failed(begun.elapsed(), "init", failure.status());
        environment.log.read();
        environment.log.line(&report);
        // Released only after the successor's start, so that no other caller takes the address.
        let successor = self.start(api);
        environment.release();
        let successor = successor?;
        let answer = self.initialise_again(&successor, invocation);
        Ok((successor, answer))
    }

    /// Runs the event after a second init phase, which is part of the invocation.
    fn initialise_again(&self, environment: &Environment, invocation: &Arc<Invocation>) -> Answer {
        let begun = Instant::now();
        let request_id = &invocation.request_id;
        match environment.await_init(self.settings.timeout) {
            Ok(init) => self.run_fresh(environment, invocation, Init::Within(init)),
            Err(failure) => {
                let log = &environment.log;
                let duration = begun.elapsed();
                log.read();
                log.line(&report::start(request_id));
                log.line(&report::init_failed(duration, "invoke", failure.status()));
                log.line(&report::end(request_id, duration, None, None));
                Err(init_error(request_id, failure, self.settings.timeout))
            }
        }
    }

    /// Runs the first event of an environment. A process that ends before it takes that event is an
    /// error and no reason to try another environment, which would end as well.
    fn run_fresh(
        &self,
        environment: &Environment,
        invocation: &Arc<Invocation>,
        init: Init,
    ) -> Answer {
        let answer = self.run(environment, invocation, init);
        answer.unwrap_or_else(|| Err(exit_error(&invocation.request_id, None)))
    }

    /// Runs an event and logs it as Lambda does. Returns `None` if the process had ended before it
    /// took the event.
    fn run(
        &self,
        environment: &Environment,
        invocation: &Arc<Invocation>,
        init: Init,
    ) -> Option<Answer> {
        let request_id = &invocation.request_id;
        let timeout = self.settings.timeout;
        let (before, within) = match init {
            Init::None => (None, Duration::ZERO),
            Init::Before(init) => (Some(init), Duration::ZERO),
            Init::Within(init) => (None, init),
        };
        environment.log.line(&report::start(request_id));
        let outcome = environment.run(invocation, timeout.saturating_sub(within));
        let (answer, duration) = match outcome {
            Outcome::Answered(answer, duration) => (answer, within + duration),
            Outcome::Exited(status, duration) => {
                (Err(exit_error(request_id, status)), within + duration)
            }
            Outcome::TimedOut => (Err(timeout_error(request_id, timeout)), timeout),
            Outcome::Unserved => return None,
        };
        let memory = environment.max_memory_mb();
        let report = report::end(request_id, duration, before, memory);
        environment.log.read();
        environment.log.line(&report);
        Some(answer)
    }

    fn command(&self, api: &RuntimeApi) -> Command {
        let name = &self.name;
        let mut command = Command::new(&self.settings.bootstrap);
        command
            // It makes a bootstrap ask for several events at once (Lambda Managed Instances).
            .env_remove("AWS_LAMBDA_MAX_CONCURRENCY")
            .env_remove("_X_AMZN_TRACE_ID")
            .envs(
                self.settings
                    .variables
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("AWS_LAMBDA_RUNTIME_API", api.variable())
            .env("_HANDLER", &self.handler)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env(
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                report::MEMORY_MB.to_string(),
            )
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
            .env(
                "AWS_LAMBDA_LOG_STREAM_NAME",
                format!("local/[$LATEST]{}", api.address),
            )
            .stdin(Stdio::null());
        command
    }

    fn arn(&self) -> String {
        format!(
            "arn:aws:lambda:{}:{ACCOUNT}:function:{}",
            self.settings.region, self.name
        )
    }

    fn not_started(&self, invocation: &Invocation, cause: &io::Error) -> Vec<u8> {
        let (bootstrap, request_id) = (self.settings.bootstrap.display(), &invocation.request_id);
        let message = format!("RequestId: {request_id} Error: fork/exec {bootstrap}: {cause}");
        eprintln!("{message}");
        error("Runtime.InvalidEntrypoint", &message)
    }
}

/// The environment for an invocation.
enum Acquired {
    /// An idle environment, which is reserved now.
    Warm(Arc<Environment>),
    /// A new environment, whose init phase has not ended.
    Cold(Arc<RuntimeApi>, Arc<Environment>),
    /// The process or its address could not be started.
    Failed(io::Error),
}

/// When an environment's init phase took place, and how long it took.
enum Init {
    /// For an earlier invocation.
    None,
    /// Before this invocation, in addition to its timeout.
    Before(Duration),
    /// Within this invocation and its timeout.
    Within(Duration),
}

fn init_error(request_id: &str, failure: InitFailure, limit: Duration) -> Vec<u8> {
    match failure {
        InitFailure::Reported(error) => error,
        InitFailure::Exited(status) => exit_error(request_id, status),
        InitFailure::TimedOut => timeout_error(request_id, limit),
    }
}

fn exit_error(request_id: &str, status: Option<ExitStatus>) -> Vec<u8> {
    let how = match status.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("exited with error: exit status {code}"),
        Some((_, Some(9))) => "exited with error: signal: killed".to_owned(),
        Some((_, Some(signal))) => format!("exited with error: signal: {signal}"),
        _ => "exited".to_owned(),
    };
    error(
        "Runtime.ExitError",
        &format!("RequestId: {request_id} Error: Runtime {how}"),
    )
}

fn timeout_error(request_id: &str, limit: Duration) -> Vec<u8> {
    let seconds = limit.as_secs_f64();
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
    let message = format!("{now} {request_id} Task timed out after {seconds:.2} seconds");
    error("Sandbox.Timedout", &message)
}
