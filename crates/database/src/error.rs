//! Formats Postgres's errors as text: everything that the server reported, and each part once.
//!
//! Knows no statement and no table.

use handler::{Failure, Kind};
use postgres::error::{DbError, SqlState};
use std::error::Error;

/// Formats an error. An error of the server has its severity, message, SQLSTATE, detail, hint and
/// context; any other error has its causes.
pub fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => describe_server_error(error),
        None => with_causes(error),
    }
}

/// Returns the failure of a page's query: [`Kind::OutOfTime`] when the query was cancelled, as its
/// time limit does it, else [`Kind::QueryFailed`].
pub fn failed(error: postgres::Error) -> Failure {
    let (kind, message) = match error.code() {
        Some(&SqlState::QUERY_CANCELED) => (
            Kind::OutOfTime,
            "failed to read the database in the time of one invocation",
        ),
        _ => (Kind::QueryFailed, "failed to read the database"),
    };
    Failure::new(kind, message).with_source(describe(&error))
}

/// Returns the sentence for a person who searched for a value that Postgres refuses: an error of
/// class 22 (data exception), a value outside of its domain (23514), or a column whose type does
/// not have the operator (42883). `None` for any other error.
pub fn wrong_value(error: &postgres::Error) -> Option<String> {
    let error = error.as_db_error()?;
    let code = error.code().code();
    let is_value = code.starts_with("22") || code == "23514" || code == "42883";
    is_value.then(|| format!("Nothing can be found: {}.", error.message()))
}

/// The driver's own text names only the step that failed; the causes say why.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn describe_server_error(error: &DbError) -> String {
    let (severity, code) = (error.severity(), error.code().code());
    let mut text = format!("{severity}: {} (SQLSTATE {code})", error.message());
    let more = [
        ("detail", error.detail()),
        ("hint", error.hint()),
        ("context", error.where_()),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            text.push_str(&format!("; {name}: {value}"));
        }
    }
    text
}
