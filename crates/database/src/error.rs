//! Formats Postgres's errors as text: everything that the server reported, and each part once.
//!
//! Knows no statement and no table.

use handler::{Failure, Kind};
use postgres::error::{DbError, Severity};
use std::error::Error;
use std::io;

/// Formats an error. An error of the server has its severity, message, SQLSTATE, detail, hint and
/// context; any other error has its causes.
pub fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => server_error(error, error.detail(), error.where_()),
        None => with_causes(error),
    }
}

/// Returns the failure of a page's statement: one of a kind that says what a person can do, or
/// [`Kind::QueryFailed`].
pub fn failed(error: postgres::Error) -> Failure {
    let (kind, message) = match error.code().map_or("", |code| code.code()) {
        "57014" => (Kind::OutOfTime, "failed to query the database in time"),
        "25006" => (
            Kind::DatabaseReadOnly,
            "failed to change the database, which is read-only",
        ),
        "53100" => (
            Kind::DatabaseFull,
            "failed to change the database, whose disk is full",
        ),
        "55P03" | "40001" | "40P01" => (
            Kind::Locked,
            "failed to query the database: somebody else is changing the same",
        ),
        // U+0000, as a character or as JSON's \u0000, which a text cannot have.
        "22021" | "22P05" => (Kind::WrongValue, "failed to query the database"),
        _ if is_silence(&error) => (Kind::DatabaseUnavailable, "failed to query the database"),
        _ if is_lost(&error) => (
            Kind::ConnectionLost,
            "failed to keep the connection to the database",
        ),
        _ => (Kind::QueryFailed, "failed to query the database"),
    };
    Failure::new(kind, message).with_source(describe_without_values(&error))
}

/// Formats an error for a log, without what Postgres adds about values: the row or the key that
/// breaks a constraint (class 23), and the text that is no value of its type (class 22).
fn describe_without_values(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) if error.code().code().starts_with("22") => server_error(error, None, None),
        Some(error) if error.code().code().starts_with("23") => {
            server_error(error, None, error.where_())
        }
        _ => describe(error),
    }
}

/// Returns the failure of a COMMIT: [`Kind::CommitInDoubt`] when the server did not answer it, else
/// as [`failed`].
pub(crate) fn not_committed(error: postgres::Error) -> Failure {
    match is_lost(&error) {
        true => Failure::new(
            Kind::CommitInDoubt,
            "failed to learn whether a change was saved",
        )
        .with_source(describe(&error)),
        false => failed(error),
    }
}

/// Returns whether the connection is lost with this error: by the network, by the limit of its
/// stream, or by a server that ends the session or shuts down.
pub(crate) fn is_lost(error: &postgres::Error) -> bool {
    match error.as_db_error() {
        Some(error) => {
            let code = error.code().code();
            let severity = error.parsed_severity();
            // Poolers send the class 08, and Neon's proxy no severity that is worse than an error.
            matches!(severity, Some(Severity::Fatal | Severity::Panic))
                || code.starts_with("08")
                || code.starts_with("57P0")
        }
        None => error.is_closed() || io_error(error).is_some(),
    }
}

/// Returns whether the connection was given up because nothing came within its limit.
pub(crate) fn is_silence(error: &postgres::Error) -> bool {
    io_error(error).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Returns whether nobody listens at the server's address.
pub(crate) fn is_refused(error: &postgres::Error) -> bool {
    io_error(error).is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn io_error(error: &postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

/// Returns the sentence for a person who searched for a value that Postgres refuses: an error of
/// class 22 (data exception) or 54 (a value too large or too deep for its type), a value outside of
/// its domain (23514), a column whose type does not have the operator (42883), or a text that is no
/// tsquery (42601). `None` for any other error.
pub fn wrong_value(error: &postgres::Error) -> Option<String> {
    let error = error.as_db_error()?;
    let code = error.code().code();
    let is_value = code.starts_with("22") || code.starts_with("54");
    let is_value = is_value || matches!(code, "23514" | "42883" | "42601");
    is_value.then(|| format!("Nothing can be found: {}.", error.message()))
}

/// The driver's own text names only the step that failed; the causes say why.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn server_error(error: &DbError, detail: Option<&str>, context: Option<&str>) -> String {
    let (severity, code) = (error.severity(), error.code().code());
    let mut text = format!("{severity}: {} (SQLSTATE {code})", error.message());
    let more = [
        ("detail", detail),
        ("hint", error.hint()),
        ("context", context),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            text.push_str(&format!("; {name}: {value}"));
        }
    }
    text
}
