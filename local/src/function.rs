//! A function: a name, a handler, and its execution environments, started when they are needed.
//!
//! Turns what happened to an environment into the answer that Lambda gives. Knows no HTTP.

use crate::environment::{Environment, INIT_LIMIT, InitFailure, Limits, Outcome};
use crate::invocation::{Answer, Invocation, error};
use crate::report;
use crate::runtime_api::RuntimeApi;
use jiff::Timestamp;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The account that owns the functions here.
const ACCOUNT: &str = "000000000000";

/// What all functions have in common.
pub struct Settings {
    /// The executable of every environment.
    pub bootstrap: PathBuf,
    /// When an environment is ended.
    pub limits: Limits,
    /// How many environments a function may have at the same time.
    pub max_concurrency: usize,
    /// Environment variables beside those of `local` itself and of Lambda.
    pub variables: Vec<(String, String)>,
    /// An AWS region's name.
    pub region: String,
}

/// A function and its environments.
pub struct Function {
    /// By which it is invoked.
    pub name: String,
    handler: String,
    settings: Arc<Settings>,
    /// None once the function has been ended.
    runtime_apis: Mutex<Option<Vec<Arc<RuntimeApi>>>>,
}

/// What the caller gets.
pub struct Reply {
    /// The invocation's id.
    pub request_id: String,
    /// The function's response or error.
    pub answer: Answer,
}

/// All environments are busy and there may be no more of them.
pub struct Throttled;

impl Function {
    /// A function without any environment yet.
    pub fn new(name: String, handler: String, settings: Arc<Settings>) -> Function {
        let runtime_apis = Mutex::new(Some(Vec::new()));
        Function {
            name,
            handler,
            settings,
            runtime_apis,
        }
    }

    /// Runs one event and waits for the answer.
    pub fn invoke(
        &self,
        event: Vec<u8>,
        client_context: Option<String>,
    ) -> Result<Reply, Throttled> {
        let invocation = Arc::new(Invocation::new(self.arn(), event, client_context));
        let request_id = invocation.request_id.clone();
        let answer = loop {
            let answer = match self.environment()? {
                Acquired::Warm(environment) => self.run(&environment, &invocation, None),
                Acquired::Cold(environment) => Some(self.initialise(&environment, &invocation)),
                Acquired::Failed(cause) => Some(Err(self.invalid_entrypoint(&request_id, &cause))),
            };
            // None: it had died unseen while it was idle, so nothing was lost.
            if let Some(answer) = answer {
                break answer;
            }
        };
        Ok(Reply { request_id, answer })
    }

    /// Ends all environments; the function is throttled from now on.
    pub fn end(&self) {
        let apis = self
            .runtime_apis
            .lock()
            .expect("no holder of this lock panics")
            .take();
        for api in apis.into_iter().flatten() {
            if let Some(environment) = api.environment() {
                environment.end();
            }
        }
    }

    /// An idle environment, else a new one.
    fn environment(&self) -> Result<Acquired, Throttled> {
        let mut apis = self
            .runtime_apis
            .lock()
            .expect("no holder of this lock panics");
        let apis = apis.as_mut().ok_or(Throttled)?;
        let mut vacant = None;
        for api in apis.iter() {
            match api.environment() {
                Some(environment) if environment.reserve() => {
                    return Ok(Acquired::Warm(environment));
                }
                Some(environment) if !environment.is_over() => {}
                _ => vacant = Some(api.clone()),
            }
        }
        if vacant.is_none() && apis.len() >= self.settings.max_concurrency {
            return Err(Throttled);
        }
        let started = vacant.map_or_else(RuntimeApi::start, Ok).and_then(|api| {
            if !apis.iter().any(|known| Arc::ptr_eq(known, &api)) {
                apis.push(api.clone());
            }
            let mut command = self.command(&api.address.to_string())?;
            api.replace(|| Environment::start(&mut command, self.settings.limits))
        });
        Ok(started.map_or_else(Acquired::Failed, Acquired::Cold))
    }

    fn initialise(&self, environment: &Environment, invocation: &Arc<Invocation>) -> Answer {
        let begun = Instant::now();
        match environment.await_init() {
            Ok(init) => {
                let answer = self.run(environment, invocation, Some(init));
                // A fresh environment that died is not idle's bad luck: a retry would do the same.
                answer.unwrap_or_else(|| Err(exit_error(&invocation.request_id, None)))
            }
            Err(failure) => {
                let (error_type, error) = init_error(&invocation.request_id, failure);
                report::init_failed(begun.elapsed(), error_type);
                Err(error)
            }
        }
    }

    fn run(
        &self,
        environment: &Environment,
        invocation: &Arc<Invocation>,
        init: Option<Duration>,
    ) -> Option<Answer> {
        let request_id = &invocation.request_id;
        let timeout = self.settings.limits.timeout;
        report::start(request_id);
        let (answer, duration) = match environment.run(invocation) {
            Outcome::Answered(answer, duration) => (answer, duration),
            Outcome::Exited(status, duration) => (Err(exit_error(request_id, status)), duration),
            Outcome::TimedOut => (Err(timeout_error(request_id, timeout)), timeout),
            Outcome::Unserved => return None,
        };
        report::end(request_id, duration, init, environment.max_memory_mb());
        Some(answer)
    }

    fn command(&self, runtime_api: &str) -> io::Result<Command> {
        let name = &self.name;
        let mut command = Command::new(&self.settings.bootstrap);
        command
            // It would make a bootstrap ask for several events at once (Lambda Managed Instances).
            .env_remove("AWS_LAMBDA_MAX_CONCURRENCY")
            .env_remove("_X_AMZN_TRACE_ID")
            .envs(
                self.settings
                    .variables
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
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
                format!("local/[$LATEST]{runtime_api}"),
            )
            .stdin(Stdio::null())
            // Standard output of `local` carries its URL and nothing else.
            .stdout(io::stderr().as_fd().try_clone_to_owned()?);
        Ok(command)
    }

    fn arn(&self) -> String {
        format!(
            "arn:aws:lambda:{}:{ACCOUNT}:function:{}",
            self.settings.region, self.name
        )
    }

    fn invalid_entrypoint(&self, request_id: &str, cause: &io::Error) -> Vec<u8> {
        let bootstrap = self.settings.bootstrap.display();
        let message = format!("RequestId: {request_id} Error: fork/exec {bootstrap}: {cause}");
        error("Runtime.InvalidEntrypoint", &message)
    }
}

enum Acquired {
    Warm(Arc<Environment>),
    Cold(Arc<Environment>),
    Failed(io::Error),
}

fn init_error(request_id: &str, failure: InitFailure) -> (&'static str, Vec<u8>) {
    match failure {
        InitFailure::Reported(error) => ("Runtime.InitError", error),
        InitFailure::Exited(status) => ("Runtime.ExitError", exit_error(request_id, status)),
        InitFailure::TimedOut => ("Sandbox.Timedout", timeout_error(request_id, INIT_LIMIT)),
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
