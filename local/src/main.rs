//! Your own machine standing in for AWS Lambda, for developing and testing a bootstrap; with
//! `--public` a server where there is no AWS.
//!
//! Speaks HTTP to the functions as AWS does, and imports none of them. Read on in the order of a
//! request: `front`, `function_url` or `invoke_api`, `function`, `environment`, `process`; the
//! other way in is `runtime_api`, where the environments ask for work. `postgres` is their
//! database.

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

/// Boxed, because nobody branches on a cause: all of them are printed and end the program.
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
    let (stop, stopped) = mpsc::channel();
    listen_for_stop(&stop, options)?;
    let postgres = Postgres::start(&options.dir)?;
    println!("{}", postgres.url());
    stopped.recv()?
}

fn serve(options: Options) -> Result<()> {
    let (stop, stopped) = mpsc::channel();
    listen_for_stop(&stop, &options)?;
    // Before anything is started: the port is what is taken most often.
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
    // Beside this thread, so that a stop is heard while an event is still being handled.
    thread::spawn(move || {
        if let Err(error) = open(&options, address, &opened) {
            let _ = stop.send(Err(error));
        }
    });
    let outcome = stopped.recv()?;
    for function in &functions {
        function.end();
    }
    drop(postgres);
    match referee::violations() {
        1.. if strict => Err("the Runtime API's contract was violated, see above".into()),
        _ => outcome,
    }
}

/// Invokes what has to be invoked first, then opens the door.
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

/// Ends the program: with an error, or because it was asked to.
type Stop = Sender<Result<()>>;

/// Ctrl-C, SIGTERM and, if asked for, the end of standard input are a stop.
fn listen_for_stop(stop: &Stop, options: &Options) -> Result<()> {
    let interrupted = stop.clone();
    ctrlc::set_handler(move || {
        let _ = interrupted.send(Ok(()));
    })?;
    if options.attached {
        let detached = stop.clone();
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
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .find_map(|name| env::var(name).ok());
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    let mut variables = vec![("AWS_REGION".to_owned(), region.clone())];
    if let Some(postgres) = postgres {
        variables.push(("DATABASE_URL".to_owned(), postgres.url().to_owned()));
    }
    // Else it is `lambda`, which wants a secret of its own.
    if !is_set("APP_ENV") && !options.public {
        variables.push(("APP_ENV".to_owned(), "development".to_owned()));
    }
    // As a deployment sets it to the URL that it got.
    if !is_set("LAMBDA_FUNCTION_URL") {
        let url = format!("http://localhost:{}", address.port());
        variables.push(("LAMBDA_FUNCTION_URL".to_owned(), url));
    }
    if !is_set("LAMBDA_TASK_ROOT") {
        let directory = env::current_dir()?.display().to_string();
        variables.push(("LAMBDA_TASK_ROOT".to_owned(), directory));
    }
    // The last of a name counts: what was asked for overrides what is the case.
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

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}
