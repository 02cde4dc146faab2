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
mod invocation;
mod invoke_api;
mod options;
mod postgres;
mod process;
mod referee;
mod report;
mod runtime_api;

use function::{Function, Settings};
use options::{Options, Request};
use postgres::Postgres;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::{env, io, thread};

/// The error is boxed, because no caller branches on its cause: it is printed and ends the program.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let outcome = match options::parse(env::args_os().skip(1)) {
        Ok(Request::Help) => {
            print!("{}", options::HELP);
            Ok(())
        }
        Ok(Request::Serve(options)) => serve(options),
        Ok(Request::Postgres(options)) => serve_postgres(&options),
        Err(error) => {
            eprintln!("{error}\n\n{}", options::HELP);
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
    // Before anything is started, because a port in use is the most frequent error.
    let address = front::reserve(options.address)?;
    let bootstrap = bootstrap(&options)?;
    let given = |name: &str| is_set(name) || options.variables.iter().any(|(set, _)| set == name);
    let postgres = match given("DATABASE_URL") || given("DB_HOST") {
        true => None,
        false => Some(Postgres::start(&options.dir)?),
    };
    let settings = Arc::new(settings(&options, bootstrap, postgres.as_ref(), address)?);
    let functions: Vec<Arc<Function>> = options
        .functions
        .iter()
        .map(|(name, handler)| Function::new(name.clone(), handler.clone(), settings.clone()))
        .map(Arc::new)
        .collect();
    let opened = functions.clone();
    let strict = options.strict;
    // In another thread, so that a shutdown does not wait for an event that is being handled.
    thread::spawn(move || {
        if let Err(error) = open(&options, address, &opened) {
            let _ = shutdown.send(Err(error));
        }
    });
    let outcome = requested.recv()?;
    for function in &functions {
        function.end();
    }
    drop(postgres);
    match referee::violations() {
        1.. if strict => Err("the Runtime API's contract was violated, see above".into()),
        _ => outcome,
    }
}

/// Invokes the functions that `--invoke` names, then serves requests.
fn open(options: &Options, address: SocketAddr, functions: &[Arc<Function>]) -> Result<()> {
    for (name, event) in &options.invocations {
        let function = functions.iter().find(|function| function.name == *name);
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
    let server = front::start(address, options.public, functions.to_vec())?;
    match options.public {
        true => println!("http://{address}"),
        false => println!("http://localhost:{}", address.port()),
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

fn bootstrap(options: &Options) -> Result<PathBuf> {
    let path = match &options.bootstrap {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("bootstrap"),
    };
    path.canonicalize().map_err(|cause| {
        let path = path.display();
        format!(
            "failed to find the bootstrap `{path}`: {cause}; build it, or name it with --bootstrap"
        )
        .into()
    })
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
    if !is_set("APP_ENV") && !options.public {
        variables.push(("APP_ENV".to_owned(), "development".to_owned()));
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
}
