//! The action `repair`: makes the history agree with the files, after a person has compared both.
//!
//! Must never run a file.

use super::files;
use super::history;
use super::request::{Earlier, Request};
use super::session::Session;
use super::status::Status;
use crate::Migrator;
use handler::{Failure, Invocation};
use serde_json::{Value, json};

/// Records the checksums of edited files, and deletes the rows of missing files, applied or half
/// applied; answers `{"edited":[version…],"missing":[version…]}`.
///
/// # Errors
/// `Function.InvalidMigrations`; `Function.HistoryUnavailable`; those of [`Session::open`].
pub(crate) fn repair(
    migrator: &Migrator,
    invocation: &Invocation,
    mut request: Request,
) -> Result<Value, Failure> {
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open(migrator, invocation)?;
    if let Earlier::Done(reply) = request.begin(&mut session)? {
        return Ok(reply);
    }
    let rows = history::applied(&mut session)?;
    let status = Status::of(files, rows, migrator.built_in);
    let (mut edited, mut missing) = (Vec::new(), Vec::new());
    let mut statements = String::new();
    for row in status.applied.iter().chain(&status.under_way) {
        match status.file(&row.version) {
            None if status.is_covered(&row.version) => continue,
            None => {
                statements += &history::remove(&row.version);
                missing.push(&row.version);
            }
            Some(file) if row.at.is_some() && file.up.sha256() != row.sha256 => {
                statements += &history::accept(&row.version, file);
                edited.push(&row.version);
            }
            Some(_) => continue,
        }
        statements.push(';');
    }
    let reply = json!({"edited": edited, "missing": missing});
    statements += &request.record(&session, &[], &reply);
    session
        .commit_with(&statements)
        .map_err(history::unavailable)?;
    Ok(reply)
}
