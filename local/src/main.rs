//! Stands in for AWS Lambda on a developer's machine, and, with `--public`, on a server without
//! AWS.
//!
//! Speaks HTTP to the functions as AWS does, and imports none of them. In the order of a request,
//! read `front`, `function_url` or `invoke_api`, `function`, `environment` and `process`. The
//! processes' own requests come in at `runtime_api`. `postgres` is the functions' database.

mod environment;
mod front;
mod function;
mod function_url;
mod guard;
mod in_flight;
mod invocation;
mod invoke_api;
mod options;
mod postgres;
mod process;
mod referee;
mod report;
mod runtime_api;
mod secret;

use front::Front;
use function::{Function, Settings};
use in_flight::InFlight;
use options::{Options, Request};
use postgres::Postgres;
use std::error::Error;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use std::{env, io, thread};

/// How long the requests in flight may take at a shutdown, in addition to a function's timeout.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// The error is boxed, because no caller branches on its cause: it is printed and ends the program.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let outcome = match options::parse(env::args_os().skip(1)) {
        Ok(Request::Help) => {
            print!("{}", options::HELP);
            Ok(())
        }
        Ok(Request::Version) => {
            println!("local {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Ok(Request::Serve(options)) => serve(options),
        Ok(Request::Postgres(options)) => serve_postgres(&options),
        Err(error) => {
            eprintln!("{error}\n`local --help` lists the options");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve_postgres(options: &Options) -> Result<()> {
    let (shutdown, requested) = mpsc::channel();
    listen_for_shutdown(&shutdown, options)?;
    let postgres = Postgres::start(&options.dir)?;
    println!("{}", postgres.url());
    requested.recv()?
}

fn serve(options: Options) -> Result<()> {
    let (shutdown, requested) = mpsc::channel();
    listen_for_shutdown(&shutdown, &options)?;
    if options.public {
        check_public(|name| value(&options, name))?;
    }
    // Before anything is started, because a port in use is the most frequent error.
    let addresses = front::reserve(options.address)?;
    let bootstrap = bootstrap(&options)?;
    let given = |name: &str| value(&options, name).is_some();
    let postgres = match given("DATABASE_URL") || given("DB_HOST") {
        true => None,
        false => Some(Postgres::start(&options.dir)?),
    };
    let settings = settings(&options, bootstrap, postgres.as_ref(), addresses[0])?;
    let settings = Arc::new(settings);
    let functions: Vec<Arc<Function>> = options
        .functions
        .iter()
        .map(|(name, handler)| Function::new(name.clone(), handler.clone(), settings.clone()))
        .map(Arc::new)
        .collect();
    let in_flight = InFlight::default();
    let front = Front {
        functions: functions.clone(),
        public: options.public,
        in_flight: in_flight.clone(),
        bodies: AtomicUsize::new(0),
    };
    let (strict, timeout, failed) = (options.strict, options.timeout, shutdown.clone());
    // In another thread, so that a shutdown does not wait for an event that is being handled.
    thread::spawn(move || {
        if let Err(error) = open(&options, &addresses, front) {
            let _ = failed.send(Err(error));
        }
    });
    let outcome = requested.recv()?;
    finish(in_flight, shutdown, &requested, timeout + SHUTDOWN_GRACE);
    for function in &functions {
        function.end();
    }
    drop(postgres);
    match referee::violations() {
        1.. if strict => Err("the Runtime API's contract was violated, see above".into()),
        _ => outcome,
    }
}

/// Waits for the end of the requests in flight, until `limit` has passed or the shutdown is requested
/// again.
fn finish(
    in_flight: InFlight,
    shutdown: Shutdown,
    requested: &Receiver<Result<()>>,
    limit: Duration,
) {
    thread::spawn(move || {
        in_flight.close();
        let _ = shutdown.send(Ok(()));
    });
    let _ = requested.recv_timeout(limit);
}

/// Invokes the functions that `--invoke` names, then serves requests.
fn open(options: &Options, addresses: &[SocketAddr], front: Front) -> Result<()> {
    for (name, event) in &options.invocations {
        let mut functions = front.functions.iter();
        let function = functions.find(|function| function.name == *name);
        let function = function.expect("the options name known functions only");
        let reply = function.invoke(event.clone().into_bytes(), None);
        let answer = reply
            .map_err(|_| format!("failed to invoke `{name}`: it is throttled"))?
            .answer;
        let answer = answer.map_err(|error| {
            format!(
                "failed to invoke `{name}`: {}",
                String::from_utf8_lossy(&error)
            )
        })?;
        println!("{name}: {}", String::from_utf8_lossy(&answer));
    }
    let server = front.start(addresses)?;
    match options.public {
        true => println!("http://{}", addresses[0]),
        false => println!("http://localhost:{}", addresses[0].port()),
    }
    Ok(server.join()?)
}

/// The sender that shuts the program down, with an error or at the user's request.
type Shutdown = Sender<Result<()>>;

/// Shuts the program down on Ctrl-C, on SIGTERM and, with `--attached`, at the end of standard
/// input.
fn listen_for_shutdown(shutdown: &Shutdown, options: &Options) -> Result<()> {
    let interrupted = shutdown.clone();
    ctrlc::set_handler(move || {
        let _ = interrupted.send(Ok(()));
    })?;
    if options.attached {
        let detached = shutdown.clone();
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            let _ = detached.send(Ok(()));
        });
    }
    Ok(())
}

/// Refuses to serve others in an environment that is for a developer's own machine, or without a
/// secret of the owner's.
fn check_public(value: impl Fn(&str) -> Option<String>) -> Result<()> {
    if let Some(name @ ("development" | "test")) = value("APP_ENV").as_deref() {
        let message = format!(
            "failed to read APP_ENV: `{name}` is for a developer's own machine; with --public, \
             leave it out or set another"
        );
        return Err(message.into());
    }
    if value("SECRET_KEY_BASE").is_none() {
        let message = "failed to read SECRET_KEY_BASE: it is not set, and --public needs it; make \
                       one with `openssl rand -hex 64`";
        return Err(message.into());
    }
    Ok(())
}

fn bootstrap(options: &Options) -> Result<PathBuf> {
    let path = match &options.bootstrap {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("bootstrap"),
    };
    Ok(executable(&path).map_err(|cause| {
        let path = path.display();
        format!(
            "failed to find the bootstrap `{path}`: {cause}; build it, or name it with --bootstrap"
        )
    })?)
}

/// Returns the absolute path of an executable file.
fn executable(path: &Path) -> io::Result<PathBuf> {
    let path = path.canonicalize()?;
    let metadata = path.metadata()?;
    match metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        true => Ok(path),
        false => Err(io::Error::other("it is not an executable file")),
    }
}

fn settings(
    options: &Options,
    bootstrap: PathBuf,
    postgres: Option<&Postgres>,
    address: SocketAddr,
) -> Result<Settings> {
    let region = region(|name| env::var(name).ok());
    let mut variables = vec![("AWS_REGION".to_owned(), region.clone())];
    if let Some(postgres) = postgres {
        variables.push(("DATABASE_URL".to_owned(), postgres.url().to_owned()));
    }
    // Without a value it is `lambda`, which refuses to serve pages without a SECRET_KEY_BASE.
    let environment = value(options, "APP_ENV");
    if environment.is_none() && !options.public {
        variables.push(("APP_ENV".to_owned(), "development".to_owned()));
    }
    let is_local = matches!(environment.as_deref(), None | Some("development" | "test"));
    if is_local && !options.public && value(options, "SECRET_KEY_BASE").is_none() {
        let secret = secret::of(&options.dir)?;
        variables.push(("SECRET_KEY_BASE".to_owned(), secret));
    }
    // `make deploy` sets it as well, to the URL that AWS gives.
    if !is_set("LAMBDA_FUNCTION_URL") {
        let url = format!("http://localhost:{}", address.port());
        variables.push(("LAMBDA_FUNCTION_URL".to_owned(), url));
    }
    if !is_set("LAMBDA_TASK_ROOT") {
        let directory = env::current_dir()?.display().to_string();
        variables.push(("LAMBDA_TASK_ROOT".to_owned(), directory));
    }
    // The last value of a name counts, so `--env` overrides the values above.
    variables.extend(options.variables.iter().cloned());
    Ok(Settings {
        bootstrap,
        timeout: options.timeout,
        idle: options.idle,
        max_concurrency: options.max_concurrency,
        secret_path: options.public,
        variables,
        region,
    })
}

/// Returns the functions' region. An empty variable is absent.
fn region(variable: impl Fn(&str) -> Option<String>) -> String {
    ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .filter_map(variable)
        .find(|region| !region.is_empty())
        .unwrap_or_else(|| "us-east-1".to_owned())
}

/// Returns the value that the functions get for a variable from the last `--env`, or else from
/// `local`'s own environment. An empty variable is absent.
fn value(options: &Options, name: &str) -> Option<String> {
    let mut given = options.variables.iter().rev();
    let given = given.find(|(given, _)| given == name);
    given
        .map(|(_, value)| value.clone())
        .or_else(|| Some(env::var_os(name)?.to_string_lossy().into_owned()))
        .filter(|value| !value.is_empty())
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_region_is_absent() {
        let region_of = |own: &str, default: &str| {
            region(|name| match name {
                "AWS_REGION" => Some(own.to_owned()),
                _ => Some(default.to_owned()),
            })
        };
        assert_eq!(region_of("eu-west-1", "eu-north-1"), "eu-west-1");
        assert_eq!(region_of("", "eu-north-1"), "eu-north-1");
        assert_eq!(region_of("", ""), "us-east-1");
        assert_eq!(region(|_| None), "us-east-1");
    }

    #[test]
    fn others_are_served_with_a_secret_and_in_no_local_environment() {
        let check = |environment: &str, secret: &str| {
            let variable = |name: &str| match name {
                "APP_ENV" => Some(environment.to_owned()),
                _ => Some(secret.to_owned()),
            };
            let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
            check_public(filled).map_err(|error| error.to_string())
        };
        assert_eq!(check("", "s"), Ok(()));
        assert_eq!(check("production", "s"), Ok(()));
        for (environment, secret, said) in [
            ("development", "s", "failed to read APP_ENV: `development`"),
            ("test", "s", "failed to read APP_ENV: `test`"),
            ("production", "", "failed to read SECRET_KEY_BASE"),
        ] {
            let error = check(environment, secret).expect_err("it is refused");
            assert!(error.starts_with(said), "{error}");
        }
    }
}
