//! Postgres's errors in words: all that the server said, and nothing twice.

use postgres::error::DbError;
use std::error::Error;

/// The error as a person needs it: severity, message, SQLSTATE, detail, hint and context when the
/// server said it, else why it could not be asked.
pub fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => describe_server_error(error),
        None => with_causes(error),
    }
}

/// What a person is told whose value Postgres cannot take: one of class 22 (data exception), one
/// outside of its domain, or one that the column's type has no operator for. `None` for any other
/// error.
pub fn wrong_value(error: &postgres::Error) -> Option<String> {
    let error = error.as_db_error()?;
    let code = error.code().code();
    let is_value = code.starts_with("22") || code == "23514" || code == "42883";
    is_value.then(|| format!("Nothing can be found: {}.", error.message()))
}

/// The driver names only what it was doing.
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
