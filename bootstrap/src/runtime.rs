//! The life of an environment: initialise once, then take an invocation, run the handler, answer.
//!
//! Decides when the process ends. Knows neither URLs and statuses (`api`) nor what a handler does.

use crate::api::{Api, Fatal};
use crate::{logging, panics};
use app::{App, Failure, Handler, Invocation, Reply};
use std::process::ExitCode;

/// Initialises and serves invocations until the Runtime API is lost or refuses us.
///
/// It never returns success: a runtime that stops asking for work has failed.
pub fn run(
    address: &str,
    handlers: &[(&str, Handler)],
    name: Option<&str>,
    app: impl Fn() -> Result<App, Failure>,
) -> ExitCode {
    let api = Api::new(address);
    let fatal = match initialise(handlers, name, app) {
        Ok((handler, app)) => serve(&api, handler, &app),
        Err(failure) => {
            log::error!("{failure}");
            match api.init_error(&failure) {
                Ok(()) => return ExitCode::FAILURE,
                Err(fatal) => fatal,
            }
        }
    };
    log::error!("{fatal}");
    ExitCode::FAILURE
}

fn initialise(
    handlers: &[(&str, Handler)],
    name: Option<&str>,
    app: impl Fn() -> Result<App, Failure>,
) -> Result<(Handler, App), Failure> {
    let handler = find(handlers, name.unwrap_or_default())?;
    let app = panics::catch("the initialisation", app)?;
    Ok((handler, app))
}

fn serve(api: &Api, handler: Handler, app: &App) -> Fatal {
    loop {
        let received = match api.next() {
            Ok(received) => received,
            Err(fatal) => return fatal,
        };
        logging::set_request_id(&received.invocation().request_id);
        let answered = match dispatch(handler, app, received.invocation()) {
            Ok(reply) => received.succeed(&reply),
            Err(failure) => {
                log::error!("{failure}");
                received.fail(&failure)
            }
        };
        if let Err(fatal) = answered {
            return fatal;
        }
        logging::clear_request_id();
    }
}

/// Runs a handler; its panic is a failure like any other.
pub fn dispatch(handler: Handler, app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    panics::catch("the handler", || handler(app, invocation))
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
