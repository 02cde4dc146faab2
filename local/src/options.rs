//! The command line of `local`: its options, their defaults and their help.
//!
//! Parses and checks; starts nothing.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Stands in for AWS Lambda on this machine: a Function URL, the Invoke API and the Runtime API,
execution environments as processes, and a private Postgres.

Usage:
  local [OPTIONS]               serve the functions; prints their URL when ready
  local postgres [--dir DIR]    start only the private Postgres; prints its URL when ready

Options:
  --bootstrap PATH        the executable that every environment runs
                          [default: `bootstrap` beside this executable]
  --functions NAME=HANDLER,...
                          the functions; the first one has the Function URL
                          [default: web=http,migrations=migrate]
  --env NAME=VALUE        an environment variable of the functions, in addition to the variables
                          of `local` itself; repeatable
  --invoke NAME=JSON      invoke NAME once before serving; repeatable, in order; an error ends
                          `local` with 1
  --port N                listen on 127.0.0.1 and [::1] at this port; 0 is any free one
                          [default: 9000]
  --public ADDRESS:PORT   listen there instead, for others, behind a proxy that does TLS and sets
                          X-Forwarded-For; without the Invoke API, which has no authentication;
                          needs a SECRET_KEY_BASE, and refuses APP_ENV `development` and `test`
  --timeout SECONDS       a function's timeout [default: 30]
  --max-concurrency N     environments of one function at the same time [default: 10]
  --idle SECONDS          end an environment that was idle for so long [default: 300]
  --dir DIR               the directory of the private Postgres and of the SECRET_KEY_BASE that
                          is made where none is given [default: target/postgres]
  --strict                end with 1 if a bootstrap broke the Runtime API's contract
  --attached              also end when standard input is closed
  --version               print the version
  --help                  print this text

When DATABASE_URL or DB_HOST is set, no private Postgres is started.
Ctrl-C or SIGTERM lets the requests in flight end, then ends everything that was started here; a
second one does not wait for them.
";

/// The command.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// Print `HELP`.
    Help,
    /// Print the version.
    Version,
    /// Serve functions.
    Serve(Options),
    /// Run only the private Postgres.
    Postgres(Options),
}

/// The options of a command.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// The executable of every environment; `None` for the `bootstrap` beside this executable.
    pub bootstrap: Option<PathBuf>,
    /// The names and the handlers of the functions.
    pub functions: Vec<(String, String)>,
    /// Environment variables of the functions.
    pub variables: Vec<(String, String)>,
    /// The functions to invoke before serving, and their events.
    pub invocations: Vec<(String, String)>,
    /// The address to listen on.
    pub address: SocketAddr,
    /// Whether others than this machine's user are served.
    pub public: bool,
    /// A function's timeout.
    pub timeout: Duration,
    /// How many environments a function may have at the same time.
    pub max_concurrency: usize,
    /// How long an environment may be idle.
    pub idle: Duration,
    /// The directory of the private Postgres.
    pub dir: PathBuf,
    /// Whether the end of standard input ends `local`.
    pub attached: bool,
    /// Whether violations of the Runtime API's contract are an error at the end.
    pub strict: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bootstrap: None,
            functions: Vec::new(),
            variables: Vec::new(),
            invocations: Vec::new(),
            address: (Ipv4Addr::LOCALHOST, 9000).into(),
            public: false,
            timeout: Duration::from_secs(30),
            max_concurrency: 10,
            idle: Duration::from_secs(300),
            dir: PathBuf::from("target/postgres"),
            attached: false,
            strict: false,
        }
    }
}

/// Parses the arguments, which do not include the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Request, lexopt::Error> {
    use lexopt::prelude::*;

    let mut options = Options::default();
    let mut only_postgres = false;
    let mut port = None;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Short('V') | Long("version") => return Ok(Request::Version),
            Value(command) if command == "postgres" => only_postgres = true,
            Long("dir") => options.dir = parser.value()?.into(),
            Long("attached") => options.attached = true,
            _ if only_postgres => return Err(argument.unexpected()),
            Long("strict") => options.strict = true,
            Long("bootstrap") => options.bootstrap = Some(parser.value()?.into()),
            Long("functions") => {
                for function in parser.value()?.to_string_lossy().split(',') {
                    let function = pair("--functions", "NAME=HANDLER,...", function.into())?;
                    options.functions.push(function);
                }
            }
            Long("env") => {
                let value = parser.value()?;
                options.variables.push(pair("--env", "NAME=VALUE", value)?);
            }
            Long("invoke") => {
                options
                    .invocations
                    .push(pair("--invoke", "NAME=JSON", parser.value()?)?);
            }
            Long("port") => {
                port = Some(number("--port", 0, u16::MAX, parser.value()?)?);
            }
            Long("public") => {
                options.address = address("--public", parser.value()?)?;
                options.public = true;
            }
            Long("timeout") => {
                let seconds: u32 = number("--timeout", 1, 900, parser.value()?)?;
                options.timeout = Duration::from_secs(seconds.into());
            }
            Long("max-concurrency") => {
                let count: u32 = number("--max-concurrency", 1, 1000, parser.value()?)?;
                options.max_concurrency = count as usize;
            }
            Long("idle") => {
                let seconds: u32 = number("--idle", 1, u32::MAX, parser.value()?)?;
                options.idle = Duration::from_secs(seconds.into());
            }
            _ => return Err(argument.unexpected()),
        }
    }
    if let Some(port) = port {
        if options.public {
            return Err("--port and --public: only one of them says where to listen".into());
        }
        options.address = (Ipv4Addr::LOCALHOST, port).into();
    }
    match only_postgres {
        true => Ok(Request::Postgres(options)),
        false => complete(options).map(Request::Serve),
    }
}

/// Fills in the default functions, and checks the options against each other.
fn complete(mut options: Options) -> Result<Options, lexopt::Error> {
    if options.functions.is_empty() {
        let defaults = [("web", "http"), ("migrations", "migrate")];
        options.functions = defaults
            .map(|(name, handler)| (name.into(), handler.into()))
            .into();
    }
    let names: Vec<&str> = options
        .functions
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    if let Some(name) = names
        .iter()
        .enumerate()
        .find(|(i, name)| names[..*i].contains(name))
    {
        return Err(format!("--functions: there is more than one `{}`", name.1).into());
    }
    if let Some((name, _)) = options
        .invocations
        .iter()
        .find(|(name, _)| !names.contains(&&**name))
    {
        let known = names.join(", ");
        return Err(format!("--invoke: no function `{name}`; there are: {known}").into());
    }
    if let Some((name, _)) = options.variables.iter().find(|(name, _)| is_reserved(name)) {
        return Err(format!("--env: `{name}` is set by Lambda").into());
    }
    for (name, event) in &options.invocations {
        if let Err(cause) = serde_json::from_str::<serde_json::Value>(event) {
            return Err(format!("--invoke: the event for `{name}` is not JSON: {cause}").into());
        }
    }
    Ok(options)
}

/// Returns whether Lambda refuses to have this variable set ("Defined runtime environment
/// variables"). `AWS_REGION` and `LAMBDA_TASK_ROOT`, which Lambda refuses too, can be set here.
fn is_reserved(name: &str) -> bool {
    let free = ["AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"];
    (name.starts_with("AWS_LAMBDA_") && !free.contains(&name))
        || ["_HANDLER", "_X_AMZN_TRACE_ID"].contains(&name)
}

fn pair(option: &str, form: &str, value: OsString) -> Result<(String, String), lexopt::Error> {
    let value = value.to_string_lossy();
    match value.split_once('=') {
        Some((name, rest)) if !name.is_empty() => Ok((name.to_owned(), rest.to_owned())),
        _ => Err(format!("{option} wants {form}, not `{value}`").into()),
    }
}

fn address(option: &str, value: OsString) -> Result<SocketAddr, lexopt::Error> {
    let value = value.to_string_lossy();
    let wanted = "an address and a port, such as 0.0.0.0:8080";
    let address = value.parse();
    address.map_err(|_| format!("{option} wants {wanted}, not `{value}`").into())
}

fn number<T>(option: &str, least: T, most: T, value: OsString) -> Result<T, lexopt::Error>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let value = value.to_string_lossy();
    let number = value
        .parse()
        .ok()
        .filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| {
        format!("{option} wants a whole number from {least} to {most}, not `{value}`").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        match parse(arguments.iter().map(OsString::from)) {
            Ok(Request::Serve(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(arguments: &[&str], message: &str) {
        let error = parse(arguments.iter().map(OsString::from)).expect_err("it is refused");
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn without_arguments_the_two_functions_are_served() {
        let functions = options(&[]).functions;
        let expected = [("web", "http"), ("migrations", "migrate")];
        assert_eq!(
            functions,
            expected.map(|(name, handler)| (name.into(), handler.into()))
        );
    }

    #[test]
    fn invocations_keep_their_order_and_their_equal_signs() {
        let arguments = ["--invoke", r#"web={"a":"="}"#, "--invoke=migrations=2"];
        let invocations = options(&arguments).invocations;
        assert_eq!(
            invocations[0],
            ("web".to_owned(), r#"{"a":"="}"#.to_owned())
        );
        assert_eq!(invocations[1], ("migrations".to_owned(), "2".to_owned()));
    }

    #[test]
    fn a_wrong_option_is_refused_with_what_it_may_be() {
        refused(
            &["--port", "x"],
            "--port wants a whole number from 0 to 65535, not `x`",
        );
        refused(
            &["--public", "8080"],
            "--public wants an address and a port, such as 0.0.0.0:8080, not `8080`",
        );
        refused(
            &["--timeout", "0"],
            "--timeout wants a whole number from 1 to 900, not `0`",
        );
        refused(
            &["--functions", "a=b,web"],
            "--functions wants NAME=HANDLER,..., not `web`",
        );
        refused(
            &["--invoke", "a=1"],
            "--invoke: no function `a`; there are: web, migrations",
        );
        refused(
            &["--functions=a=b,a=c"],
            "--functions: there is more than one `a`",
        );
        refused(
            &["--env", "AWS_LAMBDA_MAX_CONCURRENCY=4"],
            "--env: `AWS_LAMBDA_MAX_CONCURRENCY` is set by Lambda",
        );
        refused(
            &["--public=0.0.0.0:80", "--port=1"],
            "--port and --public: only one of them says where to listen",
        );
        refused(&["--speed"], "invalid option '--speed'");
        refused(&["postgres", "--port=1"], "invalid option '--port'");
    }
}
